package provision

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/croft-sh/croft/stacks"
)

// held is a stack that was taken back: its inputs failed, and until they change
// or the stack is released, its last good inputs stand in for them.
type held struct {
	Inputs string    `json:"inputs"` // Stack.InputHash of what failed
	Good   int       `json:"good"`   // revision whose inputs run
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
	// Rollback is true where a person asked for it. References then mean what they
	// meant in revision Good.
	Rollback bool `json:"rollback,omitempty"`
	// From is the copies that are put in the place of volumes, by key, when a
	// rollback begins with the stack. Once that is noted in pending.json it is gone.
	From map[string]string `json:"from,omitempty"`
}

func (p *Provisioner) heldPath() string { return filepath.Join(p.StateDir, "held.json") }

func (p *Provisioner) readHeld() (map[string]held, error) {
	out := map[string]held{}
	err := readJSON(p.heldPath(), &out)
	return out, err
}

// Desired reads the platform. A stack whose present inputs were taken back is
// read from its last good revision, with a warning; changed inputs end that.
func (p *Provisioner) Desired(load Loader) (stacks.Desired, error) {
	d, err := load(nil)
	if err != nil {
		return d, err
	}
	all, err := p.readHeld()
	if err != nil {
		return d, err
	}
	return p.instead(d, all, load)
}

// instead reads those stacks anew that ways back stand in for.
func (p *Provisioner) instead(d stacks.Desired, all map[string]held, load Loader) (stacks.Desired, error) {
	var err error
	instead := map[string]fs.FS{}
	var warnings stacks.Problems
	for _, name := range slices.Sorted(maps.Keys(all)) {
		s, ok := d.Stack(name)
		if !ok || s.InputHash() != all[name].Inputs {
			continue
		}
		instead[name] = p.inputsOf(all[name].Good)
		warnings = append(warnings, all[name].warning(name))
	}
	if len(instead) == 0 {
		return d, nil
	}
	if d, err = load(instead); err != nil {
		return d, err
	}
	d.Warnings = append(d.Warnings, warnings...)
	d.Held = map[string]int{}
	for name := range instead {
		d.Held[name] = all[name].Good
	}
	return d, nil
}

// EndHolds forgets the ways back of stacks that run as they are written now:
// whoever put the old text back has nothing left to apply.
func (p *Provisioner) EndHolds(d stacks.Desired) error {
	all, err := p.readHeld()
	if err != nil {
		return err
	}
	before := len(all)
	for name := range all {
		if _, old := d.Held[name]; !old {
			delete(all, name)
		}
	}
	if len(all) == before {
		return nil
	}
	return p.writeJSON(p.heldPath(), all)
}

// unhold forgets that stacks were held which were applied as they are written.
func (r *run) unhold() error {
	all, err := r.p.readHeld()
	if err != nil {
		return err
	}
	before := len(all)
	for name := range all {
		if r.rev.Stacks[name] == "applied" {
			delete(all, name)
		}
	}
	if len(all) == before {
		return nil
	}
	return r.p.writeJSON(r.p.heldPath(), all)
}

// Release lets a stack be applied again as it is written: it ends a hold, and
// that of one that was taken back. Killed between the two, the second is still
// held, and releasing it again ends that.
func (p *Provisioner) Release(stack string) (bool, error) {
	byHand, err := p.unholdByHand(stack)
	if err != nil {
		return false, err
	}
	all, err := p.readHeld()
	if err != nil {
		return false, err
	}
	if _, ok := all[stack]; !ok {
		return byHand, nil
	}
	delete(all, stack)
	return true, p.writeJSON(p.heldPath(), all)
}

func (p *Provisioner) inputsOf(revision int) fs.FS {
	return os.DirFS(filepath.Join(p.StateDir, "revisions", strconv.Itoa(revision), "inputs"))
}

// takeBack puts every failed stack back on its last good inputs, as an ordinary
// plan: the whole platform rendered with them, narrowed to those stacks. Before
// anything is touched it is written down that they are held; killed after that,
// the next apply does the rest.
func (r *run) takeBack(ctx context.Context) {
	if r.o.Load == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 4*r.o.WaitTimeout)
	defer cancel()
	good := map[string]Revision{}
	for _, s := range r.prep.Rendered.Stacks {
		if f := r.failed[s.Name]; f == nil || f.Skipped {
			continue
		}
		if left := r.left(s.Name); len(left) > 0 {
			r.failed[s.Name].Left = left
			continue
		}
		rev, ok, err := r.p.lastGood(s.Name)
		if err != nil || !ok {
			continue // a stack that never ran has nowhere to go back to
		}
		good[s.Name] = rev
	}
	if len(good) == 0 {
		return
	}
	if err := r.goBack(ctx, good); err != nil {
		for name := range good {
			if r.failed[name].TakenBack == 0 {
				r.failed[name].WayBack = err.Error()
			}
		}
		r.ev(stacks.Event{Phase: "way back", State: stacks.Failed, Message: err.Error()})
	}
}

func (r *run) goBack(ctx context.Context, good map[string]Revision) error {
	if err := r.hold(good); err != nil {
		return err
	}
	d, err := r.p.Desired(r.o.Load)
	if err != nil {
		return err
	}
	rendered, _, err := r.p.Render(d)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(good)) {
		s, _ := r.prep.Rendered.Stack(name)
		r.ev(stacks.Event{Stack: name, Phase: "way back", State: stacks.Working, Message: fmt.Sprintf("to revision %d", good[name].Number)})
		if err := r.giveBack(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := r.p.Repairs.Settle(ctx, s.Project); err != nil {
			return err
		}
		before, _ := rendered.Stack(name)
		if err := r.retag(ctx, good[name], before); err != nil {
			return err
		}
	}
	back, err := r.planBack(ctx, d, slices.Sorted(maps.Keys(good)))
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(good)) {
		if err := back.stackBack(ctx, name); err != nil {
			r.failed[name].WayBack = err.Error()
			continue
		}
		r.failed[name].TakenBack = good[name].Number
		r.ev(stacks.Event{Stack: name, Phase: "way back", State: stacks.Done, Message: fmt.Sprintf("revision %d runs again", good[name].Number)})
	}
	r.prep.Rendered, r.prep.Desired = back.prep.Rendered, back.prep.Desired
	return nil
}

// hold writes down which inputs failed, before the way back begins.
func (r *run) hold(good map[string]Revision) error {
	all, err := r.p.readHeld()
	if err != nil {
		return err
	}
	for name, rev := range good {
		s, _ := r.prep.Desired.Stack(name)
		if before, old := all[name]; old && r.prep.Desired.Held[name] == before.Good {
			before.failed(all, name, rev, r.failed[name])
			continue
		}
		all[name] = held{Inputs: s.InputHash(), Good: rev.Number, Reason: r.failed[name].Error(), At: r.p.Now()}
	}
	return r.p.writeJSON(r.p.heldPath(), all)
}

// planBack plans only the stacks that go back, not what they need.
func (r *run) planBack(ctx context.Context, d stacks.Desired, names []string) (*run, error) {
	rendered, lock, err := r.p.Render(d)
	if err != nil {
		return nil, err
	}
	state, err := r.p.Observe(ctx)
	if err != nil {
		return nil, err
	}
	state = state.For(rendered)
	// What failed is still noted as interrupted; going back is the answer to it.
	state.Interrupted = nil
	prep := Prepared{
		Plan: stacks.Diff(rendered, state, stacks.DiffOptions{Stacks: names, RemoveOrphans: true}), Desired: d,
		Rendered: rendered, State: state, Lock: lock,
	}
	back := &run{p: r.p, prep: prep, o: r.o, ev: r.ev, rev: r.rev, memory: r.memory, failed: map[string]*FailedError{}, pace: careful(), back: true}
	if err := back.deliver(); err != nil {
		return nil, err
	}
	return back, nil
}

// stackBack brings one stack to its last good inputs, and takes away services
// that only the failed ones had.
func (r *run) stackBack(ctx context.Context, name string) error {
	s, ok := r.prep.Rendered.Stack(name)
	if !ok {
		return fmt.Errorf("the stack is not part of the platform any more")
	}
	for _, c := range r.prep.Plan.Of(name) {
		if c.Action == stacks.ActionRemove {
			if err := r.p.Engine.Remove(ctx, c.Containers); err != nil {
				return err
			}
		}
	}
	if err := r.stack(ctx, s); err != nil {
		return err
	}
	return r.clearPending(name)
}

// retag makes references mean what they meant when the stack was good.
func (r *run) retag(ctx context.Context, good Revision, s stacks.RenderedStack) error {
	state, err := r.p.Engine.Observe(ctx, r.p.Platform)
	if err != nil {
		return err
	}
	for _, svc := range s.Services {
		id, known := good.Images[svc.Image]
		if !known || state.Images[svc.Image] == id {
			continue
		}
		if err := r.p.Repairs.Tag(ctx, id, svc.Image); err != nil {
			return fmt.Errorf("image %s as it was: %w", svc.Image, err)
		}
	}
	return nil
}

// keepImages gives the images of the running and the last good revision a tag of
// croft's own, so that no prune takes the way back away: it tags what this revision and the one before it run, and lets go of
// the rest.
func (r *run) keepImages(ctx context.Context) error {
	if r.p.Repairs == nil {
		return nil
	}
	history, err := r.p.History()
	if err != nil {
		return err
	}
	wanted := map[string]string{} // tag -> ID
	want := func(images map[string]string) {
		for _, id := range images {
			if len(strings.TrimPrefix(id, "sha256:")) >= 12 {
				wanted[stacks.KeepTag(r.p.Platform, id)] = id
			}
		}
	}
	backs, err := r.p.readHeld()
	if err != nil {
		return err
	}
	want(r.rev.Images)
	good := 0
	for _, rev := range history {
		runs := slices.ContainsFunc(slices.Collect(maps.Values(backs)), func(h held) bool { return h.Good == rev.Number })
		if good < 2 || runs { // a held stack runs on what its good revision had, however old
			want(rev.Images)
		}
		if rev.Number != r.rev.Number && slices.Contains(slices.Collect(maps.Values(rev.Stacks)), "applied") {
			good++
		}
	}
	state, err := r.p.Engine.Observe(ctx, r.p.Platform)
	if err != nil {
		return err
	}
	running := map[string]string{}
	for _, c := range state.Containers {
		running[c.ID] = c.ImageID
	}
	want(running)
	for _, tag := range slices.Sorted(maps.Keys(wanted)) {
		if _, there := state.Images[tag]; there {
			continue
		}
		if err := r.p.Repairs.Tag(ctx, wanted[tag], tag); err != nil {
			return err
		}
	}
	for tag := range state.Images {
		if _, keep := wanted[tag]; !keep && strings.HasPrefix(tag, stacks.KeepRepository+r.p.Platform+":") {
			if err := r.p.Repairs.Untag(ctx, tag); err != nil {
				return err
			}
		}
	}
	return nil
}

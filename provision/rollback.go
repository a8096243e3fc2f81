package provision

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/croft-sh/croft/stacks"
)

// What a rollback does with data that a newer image may have changed.
const (
	DataNow  = "now"  // the earlier program starts on today's data
	DataThen = "then" // the copy from before that change takes its place
)

// RollbackOptions says how far back, and what.
type RollbackOptions struct {
	To            int      // revision; 0: the last good one before now
	Stacks        []string // only these; empty: all
	Data          string   // DataNow, DataThen, or "" to refuse where it matters
	RemoveOrphans bool
}

// Rollback is the plan of going back to an earlier revision. It is applied like
// any other; a plan that nobody applies has changed nothing.
type Rollback struct {
	Prepared
	To    Revision
	Back  []string // stacks that go back, sorted
	Notes []string // what is left as it is, and what to do about it
}

// rollback is what Apply must write down before the first stack is touched.
type rollback struct {
	to     int
	backs  map[string]*held // nil: the stack runs as it is written again
	before map[string]held  // held.json before that
}

// RollbackError says why there is no going back; nothing was changed.
type RollbackError struct {
	Why, Do string
	Wrong   bool // what was asked for cannot be meant
}

func (e *RollbackError) Error() string { return e.Why }

// Hint says what can be done instead.
func (e *RollbackError) Hint() string { return e.Do }

// backward makes the plan of a rollback.
type backward struct {
	p       *Provisioner
	o       RollbackOptions
	load    Loader
	written stacks.Desired // as it is written now
	state   stacks.State   // images of the whole engine
	history []Revision     // newest first
	before  map[string]held
	to      Revision
	sources map[string]Revision // what each stack ran from in revision To
	backs   map[string]*held
	out     Rollback
}

// PlanRollback compares an earlier revision with the machine. Each stack that was
// written otherwise then is read from that revision until what is written changes,
// or a release; everything else is read as it is written, so that the result is a
// plan like any other. It takes no lock and writes nothing.
func (p *Provisioner) PlanRollback(ctx context.Context, written stacks.Desired, load Loader, o RollbackOptions) (Rollback, error) {
	b := &backward{p: p, o: o, load: load, written: written, sources: map[string]Revision{}, backs: map[string]*held{}}
	var err error
	if b.history, err = p.History(); err != nil {
		return Rollback{}, err
	}
	if b.before, err = p.readHeld(); err != nil {
		return Rollback{}, err
	}
	if b.state, err = p.Observe(ctx); err != nil {
		return Rollback{}, err
	}
	if b.to, err = p.goal(b.history, o); err != nil {
		return Rollback{}, err
	}
	b.out.To = b.to
	for _, step := range []func() error{b.scope, b.compare, func() error { return b.plan(ctx) }} {
		if err := step(); err != nil {
			return Rollback{}, err
		}
	}
	return b.out, nil
}

// scope finds what each stack ran from in that revision, and names those that are
// left as they are.
func (b *backward) scope() error {
	for _, s := range b.written.Stacks {
		if len(b.o.Stacks) > 0 && !slices.Contains(b.o.Stacks, s.Name) {
			continue
		}
		source, ok := b.p.ranFrom(b.history, s.Name, b.to.Number)
		_, byHand := b.state.Held[s.Name]
		why, do := "", ""
		switch {
		case b.to.Stacks[s.Name] == "":
			why = fmt.Sprintf("revision %d did not have it", b.to.Number)
		case !ok:
			why = fmt.Sprintf("nothing is kept of how it ran in revision %d", b.to.Number)
		case byHand:
			why, do = "it is held", "croft release "+s.Name+" first"
		case slices.Contains(b.state.Stopped, s.Name):
			why, do = "it is stopped", "croft start "+s.Name+" first"
		default:
			b.sources[s.Name] = source
			continue
		}
		if len(b.o.Stacks) > 0 {
			return &RollbackError{Why: fmt.Sprintf("%s cannot go back to revision %d: %s", s.Name, b.to.Number, why), Do: do}
		}
		b.note("%s stays as it is: %s", s.Name, strings.TrimSuffix(why+"; "+do, "; "))
	}
	for _, name := range slices.Sorted(maps.Keys(b.to.Stacks)) {
		if _, ok := b.written.Stack(name); !ok && len(b.o.Stacks) == 0 {
			b.note("%s ran in revision %d and is not written any more: put stacks/%s back and croft stack add %s, then croft rollback --to %d again",
				name, b.to.Number, name, name, b.to.Number)
		}
	}
	return nil
}

func (b *backward) note(format string, args ...any) {
	b.out.Notes = append(b.out.Notes, fmt.Sprintf(format, args...))
}

// compare decides which stacks go back. A stack that is written as it was then
// goes back as well where its images are others now.
func (b *backward) compare() error {
	instead := map[string]fs.FS{}
	for name, source := range b.sources {
		if s, _ := b.written.Stack(name); source.Inputs[name] != s.InputHash() {
			instead[name] = b.p.inputsOf(source.Number)
		}
	}
	then := b.written
	if len(instead) > 0 {
		var err error
		if then, err = b.load(instead); err != nil {
			return &RollbackError{Why: fmt.Sprintf("what was written in revision %d does not go with what is written now: %v", b.to.Number, err),
				Do: "bring back what it needs, or choose another revision, or fewer stacks with --stack"}
		}
	}
	rendered, _, err := b.p.Render(then)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(b.sources)) {
		source := b.sources[name]
		now, _ := b.written.Stack(name)
		was, _ := then.Stack(name)
		s, _ := rendered.Stack(name)
		before, held := b.before[name]
		held = held && before.Inputs == now.InputHash()
		same := was.InputHash() == now.InputHash()
		others := otherImages(s, source, b.state)
		switch {
		case same && !others && held:
			b.backs[name] = nil // it runs as it is written again
		case same && !others:
		case held && before.Good == source.Number && !others:
		default:
			b.backs[name] = b.p.standIn(now, source.Number, b.to.Number)
		}
	}
	b.out.Back = slices.Sorted(maps.Keys(b.backs))
	return nil
}

func (p *Provisioner) standIn(now *stacks.Stack, good, to int) *held {
	return &held{Inputs: now.InputHash(), Good: good, Rollback: true, At: p.Now(),
		Reason: fmt.Sprintf("rolled back by hand to revision %d", to)}
}

// otherImages tells whether a reference means another image than then, or is gone
// while its image is still here.
func otherImages(s stacks.RenderedStack, then Revision, state stacks.State) bool {
	return slices.ContainsFunc(s.Services, func(svc stacks.RenderedService) bool {
		id, known := then.Images[svc.Image]
		is, here := state.Images[svc.Image]
		return known && is != id && (here || present(state, id))
	})
}

// plan makes the plan with the stacks of then, and says what stands against it.
func (b *backward) plan(ctx context.Context) error {
	if len(b.backs) == 0 {
		b.out.Plan = stacks.Plan{Schema: "croft/plan/v1", Platform: b.p.Platform, Summary: map[stacks.Action]int{}}
		b.out.Desired = b.written
		return nil
	}
	after := maps.Clone(b.before)
	for name, h := range b.backs {
		delete(after, name)
		if h != nil {
			after[name] = *h
		}
	}
	d, err := b.p.instead(b.written, after, b.load)
	if err != nil {
		return err
	}
	o := PlanOptions{Stacks: b.withServers(d), RemoveOrphans: b.o.RemoveOrphans, backs: after, exact: true}
	if b.out.Prepared, err = b.p.Plan(ctx, d, o); err != nil {
		return err
	}
	b.keepOthers()
	b.out.rollback = &rollback{to: b.to.Number, backs: b.backs, before: b.before}
	b.interrupted()
	if err := b.images(); err != nil {
		return err
	}
	return b.data(ctx)
}

// withServers adds to the stacks that were asked for what they need: their routes
// and databases are written there. One that waits to be applied as it is written
// now is left out, because going back must change nothing forward.
func (b *backward) withServers(d stacks.Desired) []string {
	names := slices.Sorted(maps.Keys(b.sources))
	for _, need := range withNeeds(d, names) {
		s, _ := d.Stack(need)
		ran, ok := b.p.ranFrom(b.history, need, b.history[0].Number)
		switch _, left := b.to.Stacks[need]; {
		case slices.Contains(names, need):
		case !ok || ran.Inputs[need] != s.InputHash():
			b.note("%s stays as it is: what is written of it was not applied yet", need)
		case left || len(b.o.Stacks) > 0:
			names = append(names, need)
		}
	}
	return names
}

// keepOthers takes out of the plan what removes anything but services of stacks
// that go back.
func (b *backward) keepOthers() {
	b.out.Plan.Changes = slices.DeleteFunc(b.out.Plan.Changes, func(c stacks.Change) bool {
		if c.Action != stacks.ActionRemove || slices.Contains(b.out.Back, c.Stack) {
			return false
		}
		b.out.Plan.Summary[stacks.ActionRemove]--
		return true
	})
	b.out.Plan.Networks = slices.DeleteFunc(b.out.Plan.Networks, func(n stacks.ResourceChange) bool { return n.Action == stacks.ActionRemove })
}

// interrupted refuses while a change has not ended: whether its image has met the
// data is not known yet.
func (b *backward) interrupted() {
	for _, name := range b.out.Back {
		if len(b.state.Interrupted[name]) > 0 {
			b.block("stack "+name, "an apply was interrupted here", "croft apply finishes it, or takes it back; then roll back")
		}
	}
}

func (b *backward) block(subject, why, hint string) {
	b.out.Plan.Blocked = append(b.out.Plan.Blocked, stacks.Blocked{Subject: subject, Why: why, Hint: hint})
}

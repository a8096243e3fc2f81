package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/croft-sh/croft/stacks"
)

// Why a stack went back, or could not.
const (
	undoReason = "an apply of it was interrupted, and something else is written now"
	leftReason = "its first apply was interrupted, and something else is written now"
)

// resumption is what is to become of an interrupted apply.
type resumption struct {
	base    int            // revision whose croft.yaml is gone by
	finish  []string       // stacks that come as that revision has them
	undo    map[string]int // stacks that go back, and to which revision
	orphans bool           // the interrupted plan removed what nobody wants
}

func (r resumption) stacks() []string {
	return append(slices.Clone(r.finish), sortedKeys(r.undo)...)
}

// resume finishes or undoes an interrupted apply, by an ordinary apply of what
// the state keeps. Killed at any point: what the apply leaves is found again.
func (b *boot) resume(ctx context.Context) error {
	history, err := b.p.History()
	if err != nil || len(history) == 0 {
		return err
	}
	pend, err := b.p.readPending()
	if err != nil || (len(pend) == 0 && !history[0].unfinished) {
		return err
	}
	how, err := b.decide(ctx, history, pend)
	if err != nil {
		return err
	}
	mine, err := b.instead(history, how)
	if err != nil {
		return err
	}
	base := b.p.inputsOf(how.base)
	load := func(instead map[string]fs.FS) (stacks.Desired, error) {
		all := maps.Clone(mine)
		maps.Copy(all, instead)
		return b.o.Load(base, all)
	}
	d, err := load(nil)
	if err != nil {
		return fmt.Errorf("inputs of revision %d: %w", how.base, err)
	}
	d.Held = how.undo
	if err := b.prepareUndo(ctx, d, how, history, pend); err != nil {
		return err
	}
	return b.carryOut(ctx, d, how, load)
}

// decide judges each stack that the interrupted run was to change: it is finished
// if what is written now is what was being applied, else what was begun of it is
// undone. What was not begun and is written otherwise now waits for an apply.
func (b *boot) decide(ctx context.Context, history []Revision, pend map[string]pending) (resumption, error) {
	how := resumption{base: history[0].Number, undo: map[string]int{}}
	state, err := b.p.Observe(ctx)
	if err != nil {
		return how, err
	}
	backs, err := b.p.readHeld()
	if err != nil {
		return how, err
	}
	candidates := sortedKeys(pend)
	if history[0].unfinished {
		plan, err := b.p.keptPlan(how.base)
		if err != nil {
			return how, err
		}
		candidates = union(touched(plan), candidates)
		how.orphans = slices.ContainsFunc(plan.Changes, func(c stacks.Change) bool { return c.Action == stacks.ActionRemove })
	}
	kept, err := b.o.Load(b.p.inputsOf(how.base), nil)
	if err != nil {
		return how, fmt.Errorf("inputs of revision %d: %w", how.base, err)
	}
	candidates = slices.DeleteFunc(candidates, func(stack string) bool {
		_, known := kept.Stack(stack)
		return !known || alone(stack, state)
	})
	written, readable := b.written(kept)
	for _, stack := range candidates {
		s, _ := kept.Stack(stack)
		change, begun := pend[stack]
		w, there := written.Stack(stack)
		if begun && backs[stack].Good > 0 && backs[stack].Inputs == change.Target {
			how.undo[stack] = backs[stack].Good // its way back was interrupted
		} else if readable && there && w.InputHash() == s.InputHash() && (!begun || change.Target == s.InputHash()) {
			how.finish = append(how.finish, stack)
		}
	}
	// Nothing is finished on top of what is not.
	wanted := slices.Clone(how.finish)
	how.finish = slices.DeleteFunc(how.finish, func(stack string) bool {
		return slices.ContainsFunc(withNeeds(kept, []string{stack}), func(need string) bool {
			return slices.Contains(candidates, need) && !slices.Contains(wanted, need)
		})
	})
	for _, stack := range candidates {
		if _, begun := pend[stack]; begun && how.undo[stack] == 0 && !slices.Contains(how.finish, stack) {
			if left := pend[stack].left(); len(left) > 0 {
				b.leave(stack, strings.Join(left, ", ")+" went without a copy, as asked, so the version before cannot be started on it")
				continue
			}
			b.undo(stack, history, &how)
		}
	}
	return how, nil
}

// undo sends a stack back to its last good inputs, if there are any.
func (b *boot) undo(stack string, history []Revision, how *resumption) {
	if good := goodIn(history, stack); good > 0 {
		how.undo[stack] = good
		return
	}
	b.leave(stack, leftReason)
}

// leave tells of a stack that can go neither way.
func (b *boot) leave(stack, why string) {
	b.out.Left = append(b.out.Left, stack)
	b.ev(stacks.Event{Stack: stack, Phase: "boot", State: stacks.Warning, Message: why})
}

// written reads the platform as it is now. Where its directory is not there, what
// was being applied is the last that anybody said.
func (b *boot) written(kept stacks.Desired) (stacks.Desired, bool) {
	if b.o.Written == nil {
		return kept, true
	}
	d, err := b.p.Desired(b.o.Written)
	if err != nil {
		b.ev(stacks.Event{Phase: "boot", State: stacks.Warning, Message: "the platform as it is written now is not valid, so nothing of it is finished: croft validate"})
	}
	return d, err == nil
}

// goodIn gives the newest revision in which a stack was applied, 0 for none.
func goodIn(history []Revision, stack string) int {
	for _, rev := range history {
		if rev.Stacks[stack] == "applied" {
			return rev.Number
		}
	}
	return 0
}

// instead says where each stack comes from that is not finished: its last good
// inputs, so that nothing of it changes.
func (b *boot) instead(history []Revision, how resumption) (map[string]fs.FS, error) {
	backs, err := b.p.readHeld()
	if err != nil {
		return nil, err
	}
	p, problems := stacks.LoadPlatform(b.p.inputsOf(how.base))
	if err := problems.Err(); err != nil {
		return nil, err
	}
	names := sortedKeys(p.Stacks)
	// What is brought in by others is in no list: it lies among the inputs.
	entries, err := fs.ReadDir(b.p.inputsOf(how.base), stacks.StacksDir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		names = union(names, []string{e.Name()})
	}
	out := map[string]fs.FS{}
	for _, stack := range names {
		from, undone := how.undo[stack]
		switch {
		case slices.Contains(how.finish, stack):
			continue
		case undone:
		case backs[stack].Good > 0:
			from = backs[stack].Good
		default:
			from = goodIn(history, stack)
		}
		if from > 0 && from != how.base {
			out[stack] = b.p.inputsOf(from)
		}
	}
	return out, nil
}

// prepareUndo writes down that the stacks go back, before anything of it happens,
// and makes their image references mean what they meant.
func (b *boot) prepareUndo(ctx context.Context, d stacks.Desired, how resumption, history []Revision, pend map[string]pending) error {
	if len(how.undo) == 0 {
		return nil
	}
	all, err := b.p.readHeld()
	if err != nil {
		return err
	}
	for stack, good := range how.undo {
		if all[stack].Good == good && all[stack].Inputs == pend[stack].Target {
			continue
		}
		all[stack] = held{Inputs: pend[stack].Target, Good: good, At: b.p.Now(),
			Reason: undoReason}
	}
	if err := b.p.writeJSON(b.p.heldPath(), all); err != nil {
		return err
	}
	rendered, _, err := b.p.Render(d)
	if err != nil {
		return err
	}
	r := &run{p: b.p}
	for stack, good := range how.undo {
		s, ok := rendered.Stack(stack)
		i := slices.IndexFunc(history, func(rev Revision) bool { return rev.Number == good })
		if !ok || i < 0 {
			continue
		}
		if err := b.p.Repairs.Settle(ctx, s.Project); err != nil {
			return err
		}
		if err := r.retag(ctx, history[i], s); err != nil {
			return err
		}
	}
	return nil
}

// carryOut is an ordinary plan and apply, narrowed to what was interrupted.
func (b *boot) carryOut(ctx context.Context, d stacks.Desired, how resumption, load Loader) error {
	names := how.stacks()
	if len(names) == 0 {
		return nil
	}
	inputs, err := b.inputs(d, how.base)
	if err != nil {
		return err
	}
	o := ApplyOptions{WaitTimeout: b.o.WaitTimeout, Inputs: inputs, Load: load}
	prep, rev, err := b.apply(ctx, d, PlanOptions{Stacks: names, RemoveOrphans: how.orphans}, o)
	if err == nil && prep.Plan.Empty() {
		if prep, err = b.p.Plan(ctx, d, PlanOptions{}); err != nil {
			return err
		}
		return b.p.Conclude(prep)
	}
	b.out.Revision = rev
	for _, stack := range names {
		switch good := how.undo[stack]; rev.Stacks[stack] {
		case "applied":
			b.out.Finished = append(b.out.Finished, stack)
		case "taken-back":
			b.out.TakenBack = append(b.out.TakenBack, stack)
		case "held":
			b.out.TakenBack = append(b.out.TakenBack, stack)
			if err == nil {
				err = &FailedError{Stack: stack, TakenBack: good, Reason: undoReason}
			}
		}
	}
	return err
}

// apply plans and applies. What Docker or a killed run had begun may go on in the
// engine meanwhile: then it is planned anew.
func (b *boot) apply(ctx context.Context, d stacks.Desired, narrow PlanOptions, o ApplyOptions) (Prepared, Revision, error) {
	const plansAnew = 5
	for again := 0; ; again++ {
		prep, err := b.p.Plan(ctx, d, narrow)
		if err != nil || prep.Plan.Empty() {
			return prep, Revision{}, err
		}
		rev, err := b.p.Apply(ctx, prep, o, b.ev)
		var stale *StaleError
		if !errors.As(err, &stale) || again == plansAnew {
			return prep, rev, err
		}
		if err := b.p.Settle(ctx, prep); err != nil {
			return prep, rev, err
		}
	}
}

// inputs gives what the new revision keeps: the same text, from where it came.
func (b *boot) inputs(d stacks.Desired, base int) (map[string][]byte, error) {
	text, err := fs.ReadFile(b.p.inputsOf(base), stacks.PlatformFile)
	if err != nil {
		return nil, err
	}
	in := map[string][]byte{stacks.PlatformFile: text}
	for _, s := range d.Stacks {
		for _, f := range s.Files {
			in[path.Join(stacks.StacksDir, s.Name, f.Path)] = f.Content
		}
	}
	return in, nil
}

// keptPlan reads the plan of a revision.
func (p *Provisioner) keptPlan(revision int) (stacks.Plan, error) {
	var plan stacks.Plan
	raw, err := os.ReadFile(filepath.Join(p.StateDir, "revisions", strconv.Itoa(revision), "plan.json"))
	if err == nil {
		err = json.Unmarshal(raw, &plan)
	}
	return plan, err
}

// Inputs gives what the admin had written at the newest revision, as a platform's
// directory; nil where nothing was applied.
func (p *Provisioner) Inputs() (fs.FS, error) {
	history, err := p.History()
	if err != nil || len(history) == 0 {
		return nil, err
	}
	return p.inputsOf(history[0].Number), nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

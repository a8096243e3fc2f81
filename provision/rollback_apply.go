package provision

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/croft-sh/croft/stacks"
)

// goEarlier begins what is special about a rollback, after everything that can
// fail without a trace has been done, and before the first stack is touched:
// first it is written down which stacks are read from where, then references get
// the meaning they had.
//
// Killed before the first, nothing has changed. Killed after it, the next plan
// reads the same stacks from the same revision, says so, gives references the
// same meaning, and puts the same data in place: applying it finishes the
// rollback; croft release gives it up. Tags are moved last, because a moved tag
// without a word about why would look like an upgrade that nobody asked for.
func (r *run) goEarlier(ctx context.Context) error {
	back := r.prep.rollback
	if back != nil {
		if err := r.imagesOfThen(ctx); err != nil {
			return err
		}
		if err := r.p.changeHeld(back.backs); err != nil {
			return err
		}
	}
	for _, ref := range slices.Sorted(maps.Keys(r.prep.meanings)) {
		if err := r.p.Repairs.Tag(ctx, r.prep.meanings[ref], ref); err != nil {
			return fmt.Errorf("image %s as it was: %w", ref, err)
		}
		r.ev(stacks.Event{Phase: "images", State: stacks.Done, Message: ref + " means again what it meant"})
	}
	return nil
}

// changeHeld writes down ways back, and takes those away that are nil.
func (p *Provisioner) changeHeld(backs map[string]*held) error {
	all, err := p.readHeld()
	if err != nil {
		return err
	}
	for name, h := range backs {
		delete(all, name)
		if h != nil {
			all[name] = *h
		}
	}
	return p.writeJSON(p.heldPath(), all)
}

// imagesOfThen refuses where an image had to be pulled and its reference means
// another one by now.
func (r *run) imagesOfThen(ctx context.Context) error {
	state, err := r.p.Engine.Observe(ctx, r.p.Platform)
	if err != nil {
		return err
	}
	for name, h := range r.prep.rollback.backs {
		if h == nil {
			continue
		}
		then, err := r.p.revision(h.Good)
		if err != nil {
			return err
		}
		s, _ := r.prep.Rendered.Stack(name)
		for _, svc := range s.Services {
			id, known := then.Images[svc.Image]
			_, again := r.prep.meanings[svc.Image]
			if is, here := state.Images[svc.Image]; known && !again && here && is != id {
				return gone(svc.Image, h.Good)
			}
		}
	}
	return nil
}

func gone(ref string, revision int) *RollbackError {
	return &RollbackError{Why: fmt.Sprintf("image %s as it was in revision %d is gone, and the reference means another one now", ref, revision),
		Do: "bring it back with docker load or by its digest, or write the version that you want and croft apply"}
}

// forgetSkipped takes the word about stacks back that a failed rollback never
// came to: they run as before, and nothing shall change them later.
func (r *run) forgetSkipped() {
	if r.prep.rollback == nil {
		return
	}
	undo := map[string]*held{}
	for name := range r.prep.rollback.backs {
		if f := r.failed[name]; f == nil || !f.Skipped {
			continue
		}
		undo[name] = nil
		if h, was := r.prep.rollback.before[name]; was {
			undo[name] = &h
		}
	}
	if len(undo) == 0 {
		return
	}
	if err := r.p.changeHeld(undo); err != nil {
		r.ev(stacks.Event{Phase: "way back", State: stacks.Failed, Message: err.Error()})
	}
}

// failed writes down what stands in for a stack from now on whose stand-in
// failed: what ran before it. Where that is just what is written, nothing has to.
func (h held) failed(all map[string]held, stack string, good Revision, why *FailedError) {
	switch {
	case good.Number == h.Good: // it ran well with it before
	case good.Inputs[stack] == h.Inputs:
		delete(all, stack)
	default:
		h.Reason = fmt.Sprintf("the way to revision %d failed (%s)", h.Good, why.Error())
		h.Good, h.From, h.Rollback = good.Number, nil, true
		all[stack] = h
	}
}

func (h held) warning(stack string) stacks.Problem {
	w := stacks.Problem{
		Severity: stacks.SeverityWarning, Subject: "stack " + stack,
		Message: fmt.Sprintf("runs as in revision %d, because what is written now failed: %s", h.Good, h.Reason),
		Hint:    "change it, or croft release " + stack + " to try it again",
	}
	if h.Rollback {
		w.Message = fmt.Sprintf("is read from revision %d instead of what is written: %s", h.Good, h.Reason)
		w.Hint = "change what is written, or croft release " + stack + " to apply it as it is"
	}
	return w
}

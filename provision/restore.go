package provision

import (
	"context"
	"fmt"

	"github.com/croft-sh/croft/stacks"
)

// restoreData puts the copies of the failed change back, with nobody using them:
// an old image never starts on data that a newer one may have migrated. Where what
// failed goes to is listed first, so that clean knows of it.
//
// What is noted then takes the place of the change as a whole: killed before, the
// copies that are gone tell that they are back.
func (r *run) restoreData(ctx context.Context, s stacks.RenderedStack, pend pending, then func(pending) pending) (pending, error) {
	copies := pend.copied()
	if len(copies) == 0 {
		pend = then(pend)
		return pend, r.setPending(s.Name, pend)
	}
	pend, err := r.release(ctx, s, pend)
	if err != nil {
		return pend, err
	}
	var failed []aside
	for _, a := range copies {
		failed = append(failed, a.failed())
	}
	if err := r.p.listAsides(failed); err != nil {
		return pend, err
	}
	for _, a := range copies {
		r.ev(stacks.Event{Stack: s.Name, Phase: "way back", State: stacks.Working, Message: "data of " + a.Volume})
		if err := r.putOne(ctx, a, a.Copy, a.failed().Copy); err != nil {
			return pend, fmt.Errorf("data of %s: %w", a.Volume, err)
		}
	}
	pend = then(pend)
	return pend, r.setPending(s.Name, pend)
}

// giveBack restores the data of a stack that goes back.
func (r *run) giveBack(ctx context.Context, s stacks.RenderedStack) error {
	all, err := r.p.readPending()
	if err != nil {
		return err
	}
	pend, ok := all[s.Name]
	if !ok {
		return nil
	}
	_, err = r.restoreData(ctx, s, pend, func(pend pending) pending {
		pend.Data = nil // there is nothing left to put back
		return pend
	})
	return err
}

// left names data of a stack that a new image may have met without a copy: an old
// image must not.
func (r *run) left(stack string) []string {
	all, err := r.p.readPending()
	if err != nil {
		return nil // the way back reads it too, and tells
	}
	return all[stack].left()
}

package provision

import (
	"context"
	"errors"
	"slices"
	"time"
)

// finish keeps the result. The way out of a failed apply is another apply.
func (r *run) finish(ctx context.Context, started time.Time) (Revision, error) {
	r.rev.Stacks = map[string]string{}
	done := 0
	for _, s := range r.prep.Rendered.Stacks {
		switch f := r.failed[s.Name]; {
		case f == nil && r.untouched(s.Name):
			r.rev.Stacks[s.Name] = "untouched"
			done++
		case f == nil && r.standsStill(s.Name):
			r.rev.Stacks[s.Name] = "held"
			done++
		case f == nil:
			r.rev.Stacks[s.Name] = "applied"
			done++
		case f.Skipped:
			r.rev.Stacks[s.Name] = "skipped"
		case f.TakenBack > 0:
			r.rev.Stacks[s.Name] = "taken-back"
		default:
			r.rev.Stacks[s.Name] = "failed"
		}
	}
	r.rev.Result = "applied"
	var first *FailedError
	for _, s := range r.prep.Rendered.Stacks {
		if f := r.failed[s.Name]; f != nil && !f.Skipped && first == nil {
			first = f
		}
	}
	if first == nil && r.failed["removals"] != nil {
		first = r.failed["removals"]
	}
	if first != nil {
		r.rev.Failure = first.Error()
		r.rev.Result = "failed"
		switch {
		case r.allTakenBack():
			r.rev.Result = "taken-back"
		case done > 0:
			r.rev.Result = "partial"
			first.Partial = true
		}
	}
	if (ctx.Err() != nil || r.lost) && r.rev.Result != "applied" {
		r.rev.Result = "interrupted"
	}
	r.remembered()
	r.rev.Duration = r.p.Now().Sub(started).Round(time.Millisecond).String()
	kept := r.keep(ctx)
	switch err := ctx.Err(); {
	case err != nil:
		return r.rev, err
	case first != nil && r.lost:
		return r.rev, &LostError{Failed: first}
	case first != nil:
		return r.rev, first
	}
	return r.rev, kept
}

// keep writes down how the run ended. The result goes first, and nothing that
// fails keeps the rest from being tried. Killed after the result, what is left is
// made good by the next apply: holds of what was applied are told by their hash,
// and lock and journal only repeat what the result says.
func (r *run) keep(ctx context.Context) error {
	state, err := r.p.Engine.Observe(context.WithoutCancel(ctx), r.p.Platform)
	if err == nil {
		for _, s := range r.prep.Rendered.Stacks {
			r.sawImages(s, state, r.rev.Stacks[s.Name] == "applied")
		}
	}
	err = errors.Join(err, r.p.endRevision(r.rev))
	return errors.Join(err,
		r.lockImages(ctx, state.Images),
		r.recollect(ctx),
		r.unhold(),
		r.p.writeApplied(r.prep.Desired, r.prep.Rendered, r.fresh),
		r.journal("apply ends: "+r.rev.Result, ""))
}

// remembered notes what each stack was read from, for a later rollback.
func (r *run) remembered() {
	r.rev.Inputs, r.rev.ReadFrom = map[string]string{}, map[string]int{}
	for _, s := range r.prep.Desired.Stacks {
		_, byHand := r.prep.State.Held[s.Name]
		from, old := r.prep.Desired.Held[s.Name]
		result := r.rev.Stacks[s.Name]
		if result == "held" && old && !byHand {
			r.rev.ReadFrom[s.Name] = from
		}
		if result == "applied" || result == "taken-back" || r.rev.ReadFrom[s.Name] > 0 {
			r.rev.Inputs[s.Name] = s.InputHash()
		} else if good, ok, err := r.p.lastGood(s.Name); err == nil && ok {
			r.rev.Inputs[s.Name] = good.Inputs[s.Name] // what is written now was not tried, or failed
		}
	}
}

// untouched tells whether the run left a stack alone on purpose, so that what is
// written of it now was not tried.
func (r *run) untouched(stack string) bool {
	if only := r.prep.Options.scope(r.prep.Desired); len(only) > 0 && !slices.Contains(only, stack) {
		return true
	}
	return slices.Contains(r.prep.State.Stopped, stack)
}

// allTakenBack tells whether whatever failed runs again as it did before.
func (r *run) allTakenBack() bool {
	for _, f := range r.failed {
		if !f.Skipped && f.TakenBack == 0 {
			return false
		}
	}
	return true
}

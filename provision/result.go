package provision

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/croft-sh/croft/stacks"
)

// The result of a revision is written as it comes about: empty before anything is
// touched, with each stack as soon as that stack has passed, whole at the end. A
// run that was killed has thereby said what it did, and the way back of the next
// one finds what was good.

func (p *Provisioner) resultPath(revision int) string {
	return filepath.Join(p.StateDir, "revisions", strconv.Itoa(revision), "result.json")
}

// openResult says that the revision has begun. Killed before it, nothing was
// touched and the revision counts for nothing; after it, inputs, files and plan
// are complete on disk.
func (r *run) openResult() error {
	r.rev.Stacks = map[string]string{}
	r.rev.Images = maps.Clone(r.prep.State.Images)
	if r.rev.Images == nil {
		r.rev.Images = map[string]string{}
	}
	r.rev.Digests = map[string]string{}
	return r.p.endRevision(r.rev)
}

// keepResult writes down that a stack has passed, before its pending entry goes:
// killed between the two, the next apply passes the gate once more; never is a
// success in no revision.
func (r *run) keepResult(s stacks.RenderedStack) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.back:
		r.rev.Stacks[s.Name] = "taken-back"
	case r.standsStill(s.Name):
		r.rev.Stacks[s.Name] = "held"
	default:
		r.rev.Stacks[s.Name] = "applied"
	}
	if d, ok := r.prep.Desired.Stack(s.Name); ok {
		if r.rev.Inputs == nil {
			r.rev.Inputs = map[string]string{}
		}
		r.rev.Inputs[s.Name] = d.InputHash()
	}
	if from, old := r.prep.Desired.Held[s.Name]; old && r.rev.Stacks[s.Name] == "held" {
		if r.rev.ReadFrom == nil {
			r.rev.ReadFrom = map[string]int{}
		}
		r.rev.ReadFrom[s.Name] = from
	}
	if err := r.p.endRevision(r.rev); err != nil {
		return err
	}
	return r.p.writeApplied(r.prep.Desired, r.prep.Rendered, func(stack string, _ bool) bool { return r.rev.Stacks[stack] != "" })
}

// sawImages notes what the references of a stack mean; of one that passed, what
// runs counts, should a tag have moved meanwhile.
func (r *run) sawImages(s stacks.RenderedStack, state stacks.State, passed bool) {
	for _, svc := range s.Services {
		id, _ := state.Image(svc.Image)
		if passed {
			for _, c := range state.Of(s.Project, svc.Name) {
				id = c.ImageID
			}
		}
		if id == "" {
			continue
		}
		r.rev.Images[svc.Image] = id
		if lock := lockOf(state.Images, svc.Image, id, r.prep.Lock.Images[svc.Image]); lock.Digest != "" {
			r.rev.Digests[svc.Image] = lock.Digest
		}
	}
}

// giveUp keeps the result of a run that ended before it touched anything, and
// hands its error on.
func (r *run) giveUp(started time.Time, interrupted bool, cause error) error {
	if r.rev.Stacks == nil { // not even begun
		return cause
	}
	r.rev.Result, r.rev.Failure = "failed", cause.Error()
	if interrupted {
		r.rev.Result = "interrupted"
	}
	r.rev.Duration = r.p.Now().Sub(started).Round(time.Millisecond).String()
	if err := r.p.endRevision(r.rev); err != nil {
		return fmt.Errorf("%w (and its result could not be written: %w)", cause, err)
	}
	return cause
}

// interruptedResult says of a revision that never ended what it did.
func (p *Provisioner) interruptedResult(rev *Revision) error {
	all, err := p.readPending()
	if err != nil {
		return err
	}
	var begun, done []string
	for _, stack := range slices.Sorted(maps.Keys(all)) {
		if all[stack].Revision == rev.Number {
			begun = append(begun, stack)
		}
	}
	for _, stack := range slices.Sorted(maps.Keys(rev.Stacks)) {
		if !slices.Contains(begun, stack) {
			done = append(done, stack)
		}
	}
	rev.unfinished, rev.Result, rev.Failure = true, "interrupted", "ended before it was done"
	if len(done) > 0 {
		rev.Failure += "; done: " + strings.Join(done, ", ")
	}
	if len(begun) > 0 {
		rev.Failure += "; under way: " + strings.Join(begun, ", ")
	}
	return nil
}

// fresh tells whether what status knows of a stack is what this run rendered. What
// the run left alone keeps its old record: the new one was never tried.
func (r *run) fresh(stack string, known bool) bool {
	switch r.rev.Stacks[stack] {
	case "untouched":
		return false
	case "skipped":
		return !known
	case "held":
		_, byHand := r.prep.State.Held[stack]
		return !byHand
	}
	return true
}

// Conclude ends a revision that was killed after its last change: what it wanted
// is what runs, and nobody has written that down yet.
func (p *Provisioner) Conclude(prep Prepared) error {
	history, err := p.History()
	if err != nil || len(history) == 0 || !history[0].unfinished {
		return err
	}
	rev := history[0]
	pend, err := p.readPending()
	if err != nil || len(pend) > 0 || rev.Hash != prep.Plan.Revision || !prep.Plan.Empty() || len(prep.Options.Stacks) > 0 {
		return err
	}
	r := &run{p: p, prep: prep, rev: rev}
	rev.Result, rev.Failure = "applied", ""
	for _, s := range prep.Rendered.Stacks {
		switch {
		case r.untouched(s.Name):
			rev.Stacks[s.Name] = "untouched"
		case r.standsStill(s.Name):
			rev.Stacks[s.Name] = "held"
		default:
			rev.Stacks[s.Name] = "applied"
		}
		r.sawImages(s, prep.State, rev.Stacks[s.Name] == "applied")
	}
	r.rev = rev
	r.remembered()
	if err := p.endRevision(r.rev); err != nil {
		return err
	}
	return p.writeApplied(prep.Desired, prep.Rendered, r.fresh)
}

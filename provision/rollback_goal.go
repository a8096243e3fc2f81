package provision

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/croft-sh/croft/stacks"
)

// Goals gives the revisions that a rollback can go to, newest first: those whose
// inputs are kept, but not the newest.
func (p *Provisioner) Goals() ([]Revision, error) {
	history, err := p.History()
	if err != nil {
		return nil, err
	}
	return p.goals(history), nil
}

func (p *Provisioner) goals(history []Revision) []Revision {
	var out []Revision
	for _, rev := range history[min(1, len(history)):] {
		if p.canBeGoal(rev) {
			out = append(out, rev)
		}
	}
	return out
}

// canBeGoal tells whether a revision came to an end that says what ran then.
func (p *Provisioner) canBeGoal(rev Revision) bool {
	return rev.Result != "interrupted" && len(rev.Stacks) > 0 && p.hasInputs(rev.Number)
}

func (p *Provisioner) hasInputs(revision int) bool {
	_, err := fs.Stat(p.inputsOf(revision), stacks.PlatformFile)
	return err == nil
}

// goal finds the revision that is meant. Without a number it is the newest that
// was applied in full, before now, and is another than what stands now: a
// revision that only mended something, or was taken back, is passed over.
func (p *Provisioner) goal(history []Revision, o RollbackOptions) (Revision, error) {
	goals := p.goals(history)
	if o.To == 0 {
		goals = slices.DeleteFunc(goals, func(r Revision) bool { return r.Result != "applied" })
		if len(goals) == 0 {
			return Revision{}, &RollbackError{Why: "there is no earlier revision that was applied in full", Do: "croft history lists the revisions"}
		}
		for _, rev := range goals {
			if p.differs(history, rev, o.Stacks) {
				return rev, nil
			}
		}
		return goals[0], nil
	}
	for _, rev := range history {
		if rev.Number == o.To && p.canBeGoal(rev) {
			return rev, nil
		}
	}
	why := fmt.Sprintf("there is no revision %d", o.To)
	if _, err := os.Stat(filepath.Dir(p.resultPath(o.To))); err == nil {
		why = fmt.Sprintf("revision %d never came to an end", o.To)
		if !p.hasInputs(o.To) {
			why = fmt.Sprintf("what was written in revision %d is not kept", o.To)
		}
	}
	var can []string
	for _, rev := range goals[:min(5, len(goals))] {
		can = append(can, strconv.Itoa(rev.Number))
	}
	do := "croft history lists the revisions"
	if len(can) > 0 {
		do = "one of the newest that can be chosen: " + strings.Join(can, ", ")
	}
	return Revision{}, &RollbackError{Why: why, Do: do, Wrong: true}
}

// differs tells whether the stacks, or all, ran from other inputs or on other
// images in a revision than now. One that did not note its inputs counts as
// different.
func (p *Provisioner) differs(history []Revision, then Revision, names []string) bool {
	if len(names) == 0 {
		names = slices.Collect(maps.Keys(then.Stacks))
		now := history[slices.IndexFunc(history, func(r Revision) bool { return len(r.Stacks) > 0 })] // then at the latest
		for ref, id := range then.Images {
			if is, there := now.Images[ref]; there && is != id {
				return true
			}
		}
	}
	for _, name := range names {
		ran, ok := p.ranFrom(history, name, then.Number)
		runs, still := p.ranFrom(history, name, history[0].Number)
		if then.Stacks[name] != "" && ok && still && (ran.Inputs[name] == "" || ran.Inputs[name] != runs.Inputs[name]) {
			return true
		}
	}
	return false
}

// ranFrom gives the revision whose inputs a stack ran from in revision n: the
// newest until then in which it was applied, or the one that a held stack was
// read from. What failed, was skipped or left alone changed nothing about that.
func (p *Provisioner) ranFrom(history []Revision, stack string, n int) (Revision, bool) {
	for _, rev := range history {
		if rev.Number > n {
			continue
		}
		from := rev.ReadFrom[stack]
		if rev.Stacks[stack] == "applied" {
			from = rev.Number
		}
		if from == 0 {
			continue
		}
		for _, source := range history {
			if source.Number == from {
				_, err := fs.Stat(p.inputsOf(from), "stacks/"+stack)
				return source, err == nil
			}
		}
		return Revision{}, false
	}
	return Revision{}, false
}

// lastGood gives the revision whose inputs the stack last ran well with.
func (p *Provisioner) lastGood(stack string) (Revision, bool, error) {
	history, err := p.History()
	if err != nil || len(history) == 0 {
		return Revision{}, false, err
	}
	rev, ok := p.ranFrom(history, stack, history[0].Number)
	return rev, ok, nil
}

// revision reads the result of one revision.
func (p *Provisioner) revision(n int) (Revision, error) {
	var rev Revision
	err := readJSON(filepath.Join(p.StateDir, "revisions", strconv.Itoa(n), "result.json"), &rev)
	return rev, err
}

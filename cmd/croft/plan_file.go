package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/croft-sh/croft/provision/host"
	"github.com/croft-sh/croft/stacks"
)

const savedPlanSchema = "croft/saved-plan/v1"

// maxPlanFile bounds what is read as a saved plan.
const maxPlanFile = 64 << 20

// savedPlan is a plan in a file. Apply makes the plan anew and carries it out
// only if it is the same one: nothing in the file is executed.
type savedPlan struct {
	Schema        string      `json:"schema"`
	Dir           string      `json:"dir"`
	Stacks        []string    `json:"stacks"`
	RemoveOrphans bool        `json:"remove_orphans"`
	WithoutCopy   []string    `json:"without_copy,omitempty"`
	Plan          stacks.Plan `json:"plan"`
}

func savePlan(file, dir string, p stacks.Plan, o planOptions) error {
	text, err := json.MarshalIndent(savedPlan{Schema: savedPlanSchema, Dir: dir, Stacks: o.stacks,
		RemoveOrphans: o.removeOrphans, WithoutCopy: o.withoutCopy, Plan: p}, "", "  ")
	if err != nil {
		return err
	}
	return host.WriteFile(file, append(text, '\n'), 0o600)
}

func readPlan(file string) (savedPlan, error) {
	var s savedPlan
	info, err := os.Stat(file)
	if err != nil {
		hint := "make one with croft plan --save FILE"
		if !errors.Is(err, fs.ErrNotExist) {
			hint = "check its rights"
		}
		return s, &usageError{err: fmt.Errorf("plan file: %w", err), hint: hint}
	}
	if !info.Mode().IsRegular() || info.Size() > maxPlanFile {
		return s, notAPlan(file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(text, &s); err != nil || s.Schema != savedPlanSchema {
		return s, notAPlan(file)
	}
	return s, nil
}

func notAPlan(file string) error {
	return &refusedError{err: fmt.Errorf("%s is not a plan that croft saved", file), hint: "make one with croft plan --save FILE"}
}

// same refuses a saved plan that is not what would be done now.
func (s savedPlan) same(now stacks.Plan) error {
	what := ""
	switch {
	case s.Plan.Platform != now.Platform:
		what = fmt.Sprintf("it is for platform %s, not %s", s.Plan.Platform, now.Platform)
	case s.Plan.Revision != now.Revision:
		what = "croft.yaml or a stack has changed since"
	case s.Plan.State != now.State:
		what = "the machine has changed since"
	default:
		return nil
	}
	return &refusedError{err: errors.New("the saved plan does not hold any more: " + what), hint: "make a new one with croft plan --save FILE and look at it"}
}

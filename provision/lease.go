package provision

import (
	"maps"
	"slices"
	"strings"

	"github.com/croft-sh/croft/stacks"
)

// leaseWhy is what a backup that comes in between is told.
const leaseWhy = "an apply that changes it"

// touched gives the stacks that a plan changes, in whatever way.
func touched(plan stacks.Plan) []string {
	set := map[string]bool{}
	for _, c := range plan.Changes {
		if c.Action != stacks.ActionNone {
			set[c.Stack] = true
		}
	}
	for _, f := range plan.Files {
		// Others are of the state directory, or secrets on the tmpfs.
		if stack, _, live := strings.Cut(f, "/"); live && stack != "" {
			set[stack] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// lease takes every stack that the plan touches, or none. They are held to the
// end, the way back included, so that nobody copies half of a change. Killed at
// any point, the kernel gives them back.
func (p *Provisioner) lease(prep Prepared) (release func(), err error) {
	var held []func()
	release = func() {
		for _, give := range slices.Backward(held) {
			give()
		}
	}
	if p.Leases == nil {
		return release, nil
	}
	for _, stack := range touched(prep.Plan) {
		give, err := p.Leases.Take(stack, leaseWhy)
		if err != nil {
			release()
			return nil, err
		}
		held = append(held, give)
	}
	return release, nil
}

// leaseWarnings says what an apply of the plan would wait for now. It blocks
// nothing: a backup may well have ended by then.
func (p *Provisioner) leaseWarnings(plan stacks.Plan) []string {
	if p.Leases == nil {
		return nil
	}
	var out []string
	for _, stack := range touched(plan) {
		if who := p.Leases.Held(stack); who != "" {
			out = append(out, stack+" is held by "+who+": apply refuses to touch it until that ends")
		}
	}
	return out
}

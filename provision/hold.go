package provision

import (
	"fmt"
	"time"

	"github.com/croft-sh/croft/stacks"
)

// Hold makes apply leave a stack alone until then, or until it is released where
// until is zero. Killed before the write, nothing is held; after it, all is said.
func (p *Provisioner) Hold(stack string, until time.Time) error {
	m, err := p.readMemory()
	if err != nil {
		return err
	}
	if m.Held == nil {
		m.Held = map[string]time.Time{}
	}
	m.Held[stack] = until
	return p.writeMemory(m)
}

// Holds gives the stacks that are held now, and until when. A hold whose time is
// over counts no more; nobody has to take it away.
func (p *Provisioner) Holds() (map[string]time.Time, error) {
	m, err := p.readMemory()
	if err != nil {
		return nil, err
	}
	return m.holds(p.Now()), nil
}

func (m memory) holds(now time.Time) map[string]time.Time {
	var out map[string]time.Time
	for stack, until := range m.Held {
		if !until.IsZero() && !now.Before(until) {
			continue
		}
		if out == nil {
			out = map[string]time.Time{}
		}
		out[stack] = until
	}
	return out
}

// unholdByHand ends what Hold began, and forgets holds whose time is over.
func (p *Provisioner) unholdByHand(stack string) (bool, error) {
	m, err := p.readMemory()
	if err != nil {
		return false, err
	}
	current := m.holds(p.Now())
	_, was := current[stack]
	if !was && len(current) == len(m.Held) {
		return false, nil
	}
	delete(current, stack)
	m.Held = current
	return was, p.writeMemory(m)
}

// heldStatus says of a stack that is held so, and what that means.
func heldStatus(out *stacks.Status, one *stacks.StackStatus, holds map[string]time.Time) {
	until, held := holds[one.Name]
	if !held {
		return
	}
	if one.State == stacks.Healthy {
		one.State = stacks.Held
	}
	out.Warnings = append(out.Warnings, fmt.Sprintf("%s is held%s: apply leaves it alone, croft release %s ends that", one.Name, stacks.HeldUntil(until), one.Name))
}

// standsStill tells whether this run leaves the stack as it is: held by hand, or
// on the inputs of an earlier revision. Such a revision is not one in which what
// is written was applied.
func (r *run) standsStill(stack string) bool {
	_, old := r.prep.Desired.Held[stack]
	_, byHand := r.prep.State.Held[stack]
	return old || byHand
}

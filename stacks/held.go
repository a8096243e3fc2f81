package stacks

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// held leaves a stack alone that the admin holds: nothing of it changes, and a
// warning names what waits. Networks that its neighbours share with it are still
// joined, which touches no container of its own.
func (d *differ) held(s RenderedStack) {
	old, fresh := d.texts(s)
	for _, svc := range s.Services {
		c, strange := d.service(s, svc, old[svc.Name], fresh[svc.Name])
		d.drifted(s.Name+"/"+svc.Name, strange...)
		if c.Action != ActionNone {
			d.plan.Warnings = append(d.plan.Warnings, fmt.Sprintf("%s/%s waits (%s: %s), because its stack is held%s",
				c.Stack, c.Service, c.Action, strings.Join(c.Causes, "; "), d.heldUntil(s.Name)))
		}
		c.Action, c.Risk, c.Causes = ActionNone, RiskNone, []string{}
		d.plan.Changes = append(d.plan.Changes, c)
	}
}

// heldUntil ends a sentence about a held stack.
func (d *differ) heldUntil(stack string) string {
	return HeldUntil(d.have.Held[stack]) + ": croft release " + stack + " ends that"
}

// HeldUntil gives the words for when a hold ends; nothing where it does not.
func HeldUntil(until time.Time) string {
	if until.IsZero() {
		return ""
	}
	return " until " + until.Format(time.RFC3339)
}

// heldOn tells whether a container of a held stack is on the network.
func (d *differ) heldOn(network string) bool {
	return slices.ContainsFunc(d.have.Containers, func(c Container) bool {
		_, held := d.have.Held[c.Stack]
		return held && slices.Contains(c.Networks, network)
	})
}

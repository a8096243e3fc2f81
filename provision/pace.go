package provision

import "github.com/croft-sh/croft/stacks"

// pace says how many stacks of a wave touch their containers at the same time,
// and whether containers may start side by side. Waiting behind the gate takes
// no place.
type pace struct {
	places     chan struct{}
	sideBySide bool
}

// careful is for waves that replace what runs: more stacks at once would only
// lengthen each service's downtime, as the engine starts no faster for it.
func careful() pace { return pace{places: make(chan struct{}, 2)} }

// brisk is for waves in which nothing that runs is touched.
func brisk() pace { return pace{places: make(chan struct{}, 8), sideBySide: true} }

// paceOf decides once for the whole wave: a service that is being replaced next
// to a crowd of starting ones would be down longer.
func (r *run) paceOf(wave int) pace {
	for _, s := range r.prep.Rendered.Stacks {
		if s.Wave != wave {
			continue
		}
		for _, c := range r.prep.Plan.Of(s.Name) {
			// Data at risk is copied aside, which takes its services down first.
			if c.Action == stacks.ActionRecreate || c.Risk == stacks.RiskData {
				return careful()
			}
		}
	}
	return brisk()
}

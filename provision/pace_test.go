package provision

import (
	"testing"

	"github.com/croft-sh/croft/stacks"
)

func TestPaceOfAWave(t *testing.T) {
	change := func(action stacks.Action, risk stacks.Risk) []stacks.Change {
		return []stacks.Change{
			{Stack: "new", Service: "a", Action: stacks.ActionCreate},
			{Stack: "old", Service: "b", Action: action, Risk: risk},
		}
	}
	for name, c := range map[string]struct {
		changes []stacks.Change
		wave    int
		want    bool
	}{
		"only new services":           {change(stacks.ActionCreate, stacks.RiskNone), 0, true},
		"others are left alone":       {change(stacks.ActionNone, stacks.RiskNone), 0, true},
		"others are started again":    {change(stacks.ActionStart, stacks.RiskNone), 0, true},
		"one is replaced":             {change(stacks.ActionRecreate, stacks.RiskRestart), 0, false},
		"a new one meets old data":    {change(stacks.ActionCreate, stacks.RiskData), 0, false},
		"replaced in a wave later on": {change(stacks.ActionRecreate, stacks.RiskRestart), 1, true},
	} {
		r := &run{prep: Prepared{
			Plan:     stacks.Plan{Changes: c.changes},
			Rendered: stacks.Rendered{Stacks: []stacks.RenderedStack{{Name: "new"}, {Name: "old", Wave: c.wave}}},
		}}
		if got := r.paceOf(0); got.sideBySide != c.want || got.sideBySide != (cap(got.places) > 2) {
			t.Errorf("%s: side by side %t in %d places, want %t", name, got.sideBySide, cap(got.places), c.want)
		}
	}
}

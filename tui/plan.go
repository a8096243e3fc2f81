package tui

import (
	"fmt"
	"strings"

	"github.com/croft-sh/croft/stacks"
)

// Plan draws a plan: stack by stack, each change with its sign, its causes and
// its risk, and a summary as the last line.
func Plan(p stacks.Plan, s Style) string {
	v := planView{style: s}
	v.line("%s", s.Bold("Plan for "+p.Platform))
	for _, name := range planStacks(p) {
		v.stack(name, p.Of(name))
	}
	v.resources("networks", p.Networks)
	v.resources("volumes", p.Volumes)
	v.resources("images", p.Images)
	v.resources("tunnel", p.Tunnel)
	v.data(p.Data)
	v.files(p.Files)
	v.notChecked(p.NotChecked)
	for _, w := range p.Warnings {
		v.note("warning", s.Yellow, w, "")
	}
	for _, b := range p.Blocked {
		v.note("blocked", s.Red, b.Subject+": "+b.Why, b.Hint)
	}
	v.line("")
	v.line("%s", s.Bold(PlanSummary(p)))
	return v.text.String()
}

// PlanSummary is the plan on one line.
func PlanSummary(p stacks.Plan) string {
	words := []struct {
		action stacks.Action
		word   string
	}{
		{stacks.ActionCreate, "to create"}, {stacks.ActionRecreate, "to recreate"},
		{stacks.ActionRestart, "to restart"}, {stacks.ActionReload, "to reload"},
		{stacks.ActionStart, "to start"}, {stacks.ActionRemove, "to remove"},
	}
	var parts []string
	for _, w := range words {
		if n := p.Summary[w.action]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, w.word))
		}
	}
	unchanged := p.Summary[stacks.ActionNone]
	switch {
	case len(p.Blocked) > 0:
		return fmt.Sprintf("Plan: blocked by %s.", count(len(p.Blocked), "reason"))
	case p.Empty():
		return fmt.Sprintf("Plan: nothing to do, %s as wanted.", count(unchanged, "service"))
	case len(parts) == 0:
		return fmt.Sprintf("Plan: no service changes, %d unchanged.", unchanged)
	}
	return fmt.Sprintf("Plan: %s, %d unchanged.", strings.Join(parts, ", "), unchanged)
}

type planView struct {
	style Style
	text  strings.Builder
}

func (v *planView) line(format string, args ...any) {
	fmt.Fprintf(&v.text, format+"\n", args...)
}

func (v *planView) stack(name string, changes []stacks.Change) {
	v.line("")
	v.line("%s", v.style.Bold(name))
	width := 0
	for _, c := range changes {
		width = max(width, len(c.Service))
	}
	for _, c := range changes {
		risk := ""
		if c.Risk != stacks.RiskNone && c.Risk != "" {
			risk = "risk " + string(c.Risk)
		}
		v.change(c.Action, Pad(c.Service, width), risk, c.Causes)
	}
}

func (v *planView) resources(title string, changes []stacks.ResourceChange) {
	if len(changes) == 0 {
		return
	}
	v.line("")
	v.line("%s", v.style.Bold(title))
	width := 0
	for _, c := range changes {
		width = max(width, len(c.Name))
	}
	for _, c := range changes {
		v.change(c.Action, Pad(c.Name, width), "", c.Causes)
	}
}

// change draws one change; its causes go beside it where the line has room for
// all of them, else below.
func (v *planView) change(action stacks.Action, name, risk string, causes []string) {
	head := fmt.Sprintf("  %s %s  %-8s", sign(action), name, action)
	if risk != "" {
		head += "  " + risk
	}
	shown := make([]string, len(causes))
	for i, c := range causes {
		shown[i] = Printable(c)
	}
	beside := strings.TrimRight(head, " ") + "  " + strings.Join(shown, "; ")
	painted := v.paint(action, strings.TrimRight(head, " "))
	switch {
	case len(shown) == 0:
		v.line("%s", painted)
	case v.style.Width == 0 || len([]rune(beside)) <= v.style.Width:
		v.line("%s  %s", painted, v.style.Dim(strings.Join(shown, "; ")))
	default:
		v.line("%s", painted)
		for _, c := range shown {
			v.line("%s", v.style.Dim(Wrap(c, v.style.Width, "      ")))
		}
	}
}

// filesShown is how many files are named before the rest is counted.
const filesShown = 6

func (v *planView) files(files []string) {
	if len(files) == 0 {
		return
	}
	v.line("")
	v.line("%s", v.style.Bold("files"))
	for i, f := range files {
		if i == filesShown && len(files) > filesShown+1 {
			v.line("    and %d more", len(files)-filesShown)
			return
		}
		v.line("  ~ %s", Truncate(Printable(f), v.style.Width-4))
	}
}

func (v *planView) notChecked(what []string) {
	if len(what) == 0 {
		return
	}
	v.line("")
	v.line("%s", v.style.Dim(Wrap(Printable("not checked: "+strings.Join(what, "; ")), v.style.Width, "")))
}

// note draws a word and what it is about, wrapped as one.
func (v *planView) note(word string, paint func(string) string, text, hint string) {
	v.line("")
	body := strings.TrimLeft(Wrap(word+": "+Printable(text), v.style.Width, "  "), " ")
	v.line("%s%s", paint(word), strings.TrimPrefix(body, word))
	if hint != "" {
		v.line("%s", Wrap("hint: "+Printable(hint), v.style.Width, "  "))
	}
}

func (v *planView) paint(a stacks.Action, text string) string {
	switch a {
	case stacks.ActionCreate, stacks.ActionStart, stacks.ActionConnect, stacks.ActionTag:
		return v.style.Green(text)
	case stacks.ActionRemove:
		return v.style.Red(text)
	}
	return v.style.Yellow(text)
}

func sign(a stacks.Action) string {
	switch a {
	case stacks.ActionCreate, stacks.ActionStart, stacks.ActionConnect, stacks.ActionTag:
		return "+"
	case stacks.ActionRecreate:
		return "~"
	case stacks.ActionRestart, stacks.ActionReload:
		return "↻"
	case stacks.ActionRemove, stacks.ActionDisconnect:
		return "-"
	}
	return " "
}

// planStacks gives the stacks with changes in the order of the plan.
func planStacks(p stacks.Plan) []string {
	var names []string
	seen := make(map[string]bool)
	for _, c := range p.Changes {
		if c.Action != stacks.ActionNone && !seen[c.Stack] {
			seen[c.Stack] = true
			names = append(names, c.Stack)
		}
	}
	return names
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

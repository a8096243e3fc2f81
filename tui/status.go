package tui

import (
	"fmt"
	"strings"
	"time"

	"github.com/croft-sh/croft/stacks"
)

// Status draws how a platform stands: a line a stack, a line a service.
func Status(st stacks.Status, now time.Time, s Style) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", s.Bold(st.Platform))
	if st.Revision == nil {
		b.WriteString("  nothing applied yet\n")
	} else {
		r := st.Revision
		fmt.Fprintf(&b, "  revision %d %s, %s ago\n", r.Number, r.Result, Age(now.Sub(r.At)))
	}
	width := 0
	for _, stack := range st.Stacks {
		for _, svc := range stack.Services {
			width = max(width, len(svc.Name))
		}
	}
	for _, stack := range st.Stacks {
		fmt.Fprintf(&b, "\n%s %s %s\n", s.health(stack.State), s.Bold(stack.Name), string(stack.State))
		for _, svc := range stack.Services {
			b.WriteString(serviceLine(svc, width, s) + "\n")
		}
	}
	for _, d := range st.Drift {
		b.WriteString("\n" + remark("drift", d, s))
	}
	for _, w := range st.Warnings {
		b.WriteString("\n" + remark("warning", w, s))
	}
	return b.String()
}

// remark draws a word and what it is about, wrapped as one.
func remark(word, text string, s Style) string {
	body := Wrap(word+": "+Printable(text), s.Width, "")
	return s.Yellow(word) + strings.TrimPrefix(body, word) + "\n"
}

func serviceLine(svc stacks.ServiceStatus, width int, s Style) string {
	state := svc.State
	if svc.Health != "" && svc.State == "running" {
		state = svc.Health
	}
	line := "    " + Pad(svc.Name, width) + "  " + Pad(state, 10)
	if svc.Restarts > 0 {
		line += "  " + count(svc.Restarts, "restart")
	}
	if svc.URL != "" {
		line += "  " + svc.URL
	}
	return Truncate(strings.TrimRight(line, " "), s.Width)
}

// health is a mark for a state; the word stands beside it.
func (s Style) health(h stacks.Health) string {
	switch h {
	case stacks.Healthy:
		return s.Green("●")
	case stacks.Broken:
		return s.Red("✗")
	case stacks.Stopped, stacks.Held:
		return s.Dim("○")
	}
	return s.Yellow("◐")
}

// Age gives a duration as people say it, in its largest unit.
func Age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return count(max(0, int(d.Seconds())), "second")
	case d < time.Hour:
		return count(int(d.Minutes()), "minute")
	case d < 48*time.Hour:
		return count(int(d.Hours()), "hour")
	}
	return count(int(d.Hours()/24), "day")
}

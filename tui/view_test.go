package tui

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/croft-sh/croft/stacks"
)

func planForTest() stacks.Plan {
	return stacks.Plan{
		Platform: "home",
		Changes: []stacks.Change{
			{Stack: "traefik", Service: "traefik", Action: stacks.ActionNone},
			{Stack: "gitea", Service: "gitea", Action: stacks.ActionRecreate, Risk: stacks.RiskData,
				Causes: []string{"image gitea/gitea:1.25.0 -> gitea/gitea:1.26.0", "environment GITEA__server__ROOT_URL changed"}},
			{Stack: "gitea", Service: "runner", Action: stacks.ActionCreate, Risk: stacks.RiskNone, Causes: []string{"not there yet"}},
			{Stack: "hello", Service: "hello", Action: stacks.ActionReload, Risk: stacks.RiskNone, Causes: []string{"file a.conf changed"}},
			{Stack: "old", Service: "old", Action: stacks.ActionRemove, Risk: stacks.RiskDowntime, Causes: []string{"not wanted any more"}},
		},
		Networks:   []stacks.ResourceChange{{Name: "home-gitea-front", Action: stacks.ActionConnect, Causes: []string{"traefik joins"}}},
		Files:      []string{"a/1", "a/2", "a/3", "a/4", "a/5", "a/6", "a/7", "a/8"},
		NotChecked: []string{"the weather"},
		Warnings:   []string{"an option is \x1b[31mold"},
		Blocked:    []stacks.Blocked{{Subject: "volume data", Why: "its place changed", Hint: "move it back"}},
		Summary:    map[stacks.Action]int{stacks.ActionCreate: 1, stacks.ActionRecreate: 1, stacks.ActionReload: 1, stacks.ActionRemove: 1, stacks.ActionNone: 1},
	}
}

const planText = `Plan for home

gitea
  ~ gitea   recreate  risk data
      image gitea/gitea:1.25.0 -> gitea/gitea:1.26.0
      environment GITEA__server__ROOT_URL changed
  + runner  create  not there yet

hello
  ↻ hello  reload  file a.conf changed

old
  - old  remove    risk downtime  not wanted any more

networks
  + home-gitea-front  connect  traefik joins

files
  ~ a/1
  ~ a/2
  ~ a/3
  ~ a/4
  ~ a/5
  ~ a/6
    and 2 more

not checked: the weather

warning: an option is [31mold

blocked: volume data: its place changed
  hint: move it back

Plan: blocked by 1 reason.
`

func TestPlanAsText(t *testing.T) {
	p := planForTest()
	if got := Plan(p, Style{Width: 80}); got != planText {
		t.Errorf("got\n%s\nwant\n%s", got, planText)
	}
	p.Blocked = nil
	if got, want := PlanSummary(p), "Plan: 1 to create, 1 to recreate, 1 to reload, 1 to remove, 1 unchanged."; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := PlanSummary(stacks.Plan{Summary: map[stacks.Action]int{stacks.ActionNone: 82}}), "Plan: nothing to do, 82 services as wanted."; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestTextFitsWhereItIsDrawn(t *testing.T) {
	for _, width := range []int{40, 80, 120} {
		for _, text := range []string{Plan(planForTest(), Style{Width: width}), Status(statusForTest(), time.Unix(100, 0), Style{Width: width})} {
			for _, line := range strings.Split(text, "\n") {
				if n := len([]rune(line)); n > width && !strings.Contains(line, "GITEA__") && !strings.Contains(line, "1.26.0") {
					t.Errorf("width %d: a line of %d: %s", width, n, line)
				}
			}
		}
	}
}

func TestNoColourMeansNoEscape(t *testing.T) {
	plain := Plan(planForTest(), Style{Width: 80}) + Status(statusForTest(), time.Unix(100, 0), Style{Width: 80})
	if strings.Contains(plain, "\x1b") {
		t.Errorf("an escape without colour:\n%q", plain)
	}
	if !strings.Contains(Plan(planForTest(), Style{Width: 80, Color: true}), "\x1b[32m") {
		t.Error("no colour where there is one")
	}
}

func statusForTest() stacks.Status {
	return stacks.Status{
		Platform: "home", Revision: &stacks.RevisionStatus{Number: 7, Result: "applied", At: time.Unix(10, 0)},
		Stacks: []stacks.StackStatus{
			{Name: "gitea", State: stacks.Degraded, Services: []stacks.ServiceStatus{
				{Name: "gitea", State: "running", Health: "healthy", URL: "https://git.example.com"},
				{Name: "runner", State: "restarting", Restarts: 12},
			}},
			{Name: "hello", State: stacks.Stopped, Services: []stacks.ServiceStatus{{Name: "hello", State: "exited"}}},
		},
		Drift: []string{"gitea/other runs and was not applied"},
	}
}

const statusText = `home  revision 7 applied, 1 minute ago

◐ gitea degraded
    gitea   healthy     https://git.example.com
    runner  restarting  12 restarts

○ hello stopped
    hello   exited

drift: gitea/other runs and was not applied
`

func TestStatusAsText(t *testing.T) {
	if got := Status(statusForTest(), time.Unix(100, 0), Style{Width: 80}); got != statusText {
		t.Errorf("got\n%s\nwant\n%s", got, statusText)
	}
	if got := Status(stacks.Status{Platform: "home"}, time.Now(), Style{}); got != "home  nothing applied yet\n" {
		t.Errorf("got %q", got)
	}
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 seconds", time.Second: "1 second", 59 * time.Second: "59 seconds", 90 * time.Second: "1 minute",
		2 * time.Hour: "2 hours", 47 * time.Hour: "47 hours", 72 * time.Hour: "3 days",
	} {
		if got := Age(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}

// screen is what is seen after the bytes were drawn: it knows going up and
// clearing to the end, which is all that Progress uses.
func screen(drawn string) string {
	var lines []string
	line := ""
	for len(drawn) > 0 {
		switch {
		case drawn[0] == '\n':
			lines, line, drawn = append(lines, line), "", drawn[1:]
		case strings.HasPrefix(drawn, "\x1b["):
			end := strings.IndexAny(drawn, "AJ")
			if n := drawn[2:end]; drawn[end] == 'A' {
				up := 0
				for _, r := range n {
					up = up*10 + int(r-'0')
				}
				lines = lines[:len(lines)-up] // J follows
			}
			drawn = drawn[end+1:]
		default:
			line, drawn = line+drawn[:1], drawn[1:]
		}
	}
	return strings.Join(append(lines, line), "\n")
}

func eventsForTest() []stacks.Event {
	return []stacks.Event{
		{Phase: "networks", State: stacks.Working, Message: "home-front"},
		{Stack: "db", Phase: "files", State: stacks.Working},
		{Stack: "db", Service: "db", Phase: "up", State: stacks.Working, Message: "Creating"},
		{Stack: "db", Service: "db", Phase: "up", State: stacks.Done, Message: "Started"},
		{Stack: "web", Service: "web", Phase: "up", State: stacks.Working, Message: "Creating"},
		{Stack: "db", Service: "db", Phase: "gate", State: stacks.Working, Message: "starting"},
		{Stack: "db", Service: "db", Phase: "gate", State: stacks.Done, Message: "healthy"},
		{Stack: "db", Phase: "up", State: stacks.Done},
		{Stack: "web", Service: "web", Phase: "gate", State: stacks.Failed, Message: "exited with 3"},
		{Stack: "big", Phase: "pull", State: stacks.Working, Progress: &stacks.Progress{Current: 30, Total: 60}},
	}
}

func TestProgressOnATerminal(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(0, 0)
	p := NewProgress(&out, Style{Width: 40}, true, func() time.Time { now = now.Add(time.Second); return now })
	for _, e := range eventsForTest() {
		p.On(e)
	}
	want := "✓ db/db healthy (11s)\n✓ db up\n✗ web/web gate: exited with 3 (9s)\n… big pull (50%)\n"
	got := screen(out.String())
	if !strings.HasPrefix(got, "✓ db/db healthy (") || !strings.Contains(got, "\n✓ db up\n✗ web/web gate: exited with 3 (") || !strings.HasSuffix(got, "… big pull (50%)\n") {
		t.Errorf("got\n%s\nwant, but for times\n%s", got, want)
	}
	p.Close()
	if got := screen(out.String()); strings.Contains(got, "…") {
		t.Errorf("something is under way after the end:\n%s", got)
	}
}

func TestProgressInAFile(t *testing.T) {
	var out bytes.Buffer
	p := NewProgress(&out, Style{Width: 40}, false, func() time.Time { return time.Unix(0, 0) })
	for _, e := range eventsForTest() {
		p.On(e)
	}
	p.Close()
	want := "✓ db/db healthy\n✓ db up\n✗ web/web gate: exited with 3\n"
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestWrapAndTruncate(t *testing.T) {
	if got, want := Wrap("one two three four", 10, "  "), "  one two\n  three\n  four"; got != want {
		t.Errorf("got\n%s", got)
	}
	if got := Truncate("abcdef", 4); got != "abc…" {
		t.Errorf("got %q", got)
	}
	if got := Printable("a\x1b]0;x\x07b\tc\u009bd"); got != "a]0;xb cd" {
		t.Errorf("got %q", got)
	}
}

func TestPlanTellsWhatIsCopied(t *testing.T) {
	got := Plan(stacks.Plan{Platform: "home", Data: []stacks.DataChange{
		{Name: "gitea/data", Action: stacks.DataCopy, Bytes: 2_100_000_000, Causes: []string{"gitea gets another image"}},
		{Name: "/srv/media", Action: stacks.DataLeave, Asked: true, Causes: []string{"gitea gets another image"}},
		{Name: "gitea/cache", Action: stacks.DataLeave, Causes: []string{"gitea gets another image"}},
	}}, Style{})
	want := `data
  = gitea/data   copy  2.1 GB  gitea gets another image
  ! /srv/media   without a copy, as asked: there is no way back  gitea gets another image
  . gitea/cache  left  gitea gets another image
`
	if !strings.Contains(got, want) {
		t.Errorf("got:\n%s\nwant within:\n%s", got, want)
	}
}

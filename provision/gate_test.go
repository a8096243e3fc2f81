package provision

import (
	"testing"
	"time"

	"github.com/croft-sh/croft/stacks"
)

func TestJudgeWithoutAHealthCheck(t *testing.T) {
	start := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	seen := func(state string, restarts int) Inspected {
		return Inspected{ID: "a", State: state, Restarts: restarts, StartedAt: start, RestartPolicy: "always"}
	}
	for name, c := range map[string]struct {
		first, now Inspected
		after      time.Duration
		want       verdict
		next       time.Duration
	}{
		"just started":                 {seen("running", 0), seen("running", 0), time.Second, settling, settlePoll},
		"nearly there":                 {seen("running", 0), seen("running", 0), settle - 300*time.Millisecond, settling, 300 * time.Millisecond},
		"ran long enough":              {seen("running", 0), seen("running", 0), settle, passed, 0},
		"restarted once, ten s ago":    {seen("running", 0), seen("running", 1), settle, passed, 0},
		"restarted once, just now":     {seen("running", 0), seen("running", 1), time.Second, settling, settlePoll},
		"restarts again and again":     {seen("running", 0), seen("running", restartLimit), time.Second, broken, 0},
		"restarts at this moment":      {seen("running", 0), seen("restarting", 1), time.Second, waiting, gatePoll},
		"created and not started yet":  {seen("created", 0), seen("created", 0), time.Hour, waiting, gatePoll},
		"ended well where it must run": {seen("running", 0), seen("exited", 0), time.Second, broken, 0},
	} {
		at := start.Add(c.after)
		got, why := judge(stacks.RenderedService{}, c.first, c.now, at)
		if got != c.want {
			t.Errorf("%s: verdict %d (%s), want %d", name, got, why, c.want)
		}
		if next := nextLook(got, c.now, at); c.next > 0 && next != c.next {
			t.Errorf("%s: the next look is in %s, want %s", name, next, c.next)
		}
	}
}

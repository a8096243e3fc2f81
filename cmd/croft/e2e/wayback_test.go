//go:build e2e

package e2e

import (
	"strings"
	"testing"
)

const exitTakenBack = 14

// TestAFailedChangeIsTakenBack: a change that never becomes healthy leaves the
// stack as it last was well, its neighbour untouched, and both in a state that
// the next plan understands.
func TestAFailedChangeIsTakenBack(t *testing.T) {
	good := "x-croft: {title: A}\nservices:\n  echo:\n    image: croft-test/echo:1\n    healthcheck: {test: [CMD, /usr/local/bin/echo, check, \"http://127.0.0.1:8080/healthz\"], interval: 1s, retries: 2}\n"
	p := newPlatform(t, "back", map[string]string{"stacks/a/compose.yaml": good, "stacks/b/compose.yaml": good})
	p.writeConfig(t, "a", "b")
	p.must(t, "apply", "-y", "--wait-timeout", "1m")
	neighbour := p.container(t, "b", "echo").ID

	p.write(t, "stacks/a/compose.yaml", good+"    command: [\"-listen\", \":9\"]\n")
	r := p.run(t, "apply", "-y", "--wait-timeout", "1m")
	if r.code != exitTakenBack || !strings.Contains(r.stderr, "hint:") {
		t.Errorf("want %d and a hint: %s", exitTakenBack, r)
	}
	now := p.container(t, "a", "echo")
	if now.State.Status != "running" || now.State.Health == nil || now.State.Health.Status != "healthy" {
		t.Errorf("after the way back: %+v", now.State)
	}
	if p.container(t, "b", "echo").ID != neighbour {
		t.Error("the neighbour was touched")
	}
	for _, s := range p.status(t).Stacks {
		if want := map[string]string{"a": "held", "b": "healthy"}[s.Name]; s.State != want {
			t.Errorf("stack %s is %s, want %s", s.Name, s.State, want)
		}
	}
	// Held: the same wish does not fail again.
	before := ids(p.containers(t))
	if r := p.run(t, "apply", "-y", "--wait-timeout", "1m"); r.code != exitDone {
		t.Errorf("%s", r)
	}
	if after := ids(p.containers(t)); after != before {
		t.Errorf("a held stack was touched: %s", after)
	}
	// Mended: no release is needed.
	p.write(t, "stacks/a/compose.yaml", good+"    environment: {MENDED: \"yes\"}\n")
	p.must(t, "apply", "-y", "--wait-timeout", "1m")
	if r := p.run(t, "plan", "--detailed-exitcode"); r.code != exitDone {
		t.Errorf("%s", r)
	}
	for _, s := range p.status(t).Stacks {
		if s.State != "healthy" {
			t.Errorf("stack %s is %s after it was mended", s.Name, s.State)
		}
	}
}

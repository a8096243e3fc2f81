//go:build e2e

package e2e

import (
	"strings"
	"testing"
)

// TestHeldStackIsLeftAlone changes a held stack and its neighbour, and applies.
func TestHeldStackIsLeftAlone(t *testing.T) {
	p := newPlatform(t, "hold", nil)
	for _, name := range []string{"one", "two"} {
		p.write(t, "stacks/"+name+"/compose.yaml", quietStack("first"))
	}
	p.writeConfig(t, "one", "two")
	p.must(t, "apply", "-y")
	id := func(stack string) string { return p.container(t, stack, "web").ID }
	one, two := id("one"), id("two")
	p.must(t, "hold", "one", "--for", "2h")
	for _, name := range []string{"one", "two"} {
		p.write(t, "stacks/"+name+"/compose.yaml", quietStack("second"))
	}
	plan := decode[planView](t, p.must(t, "plan", "-o", "json").stdout)
	if !strings.Contains(strings.Join(plan.Warnings, "\n"), "one/web waits (recreate: environment") {
		t.Errorf("the plan does not say what waits: %q", plan.Warnings)
	}
	p.must(t, "apply", "-y")
	if id("one") != one || id("two") == two {
		t.Error("the held stack was touched, or its neighbour was not")
	}
	for _, s := range p.status(t).Stacks {
		if want := map[string]string{"one": "held", "two": "healthy"}[s.Name]; s.State != want {
			t.Errorf("%s is %s, want %s", s.Name, s.State, want)
		}
	}
	p.must(t, "release", "one")
	p.must(t, "apply", "-y")
	if id("one") == one {
		t.Error("the released stack was not applied")
	}
}

// quietStack is one service with a volume, of an image that every test machine
// has.
func quietStack(word string) string {
	return `services:
  web:
    image: croft-test/echo:1
    environment: {WORD: ` + word + `}
    volumes: ["data:/data"]
    healthcheck:
      test: [CMD, /usr/local/bin/echo, check, "http://127.0.0.1:8080/healthz"]
      interval: 1s
volumes: {data: {}}
`
}

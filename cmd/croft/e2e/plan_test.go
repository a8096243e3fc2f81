//go:build e2e

package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// asked gives what croft asked of the engine since the last time, sorted.
func (r *recorder) asked() []string {
	var out []string
	for _, c := range r.take() {
		out = append(out, c.method+" "+c.path)
	}
	slices.Sort(out)
	return out
}

func echoes(from, to int) string {
	text := "services:\n"
	for i := from; i < to; i++ {
		text += fmt.Sprintf("  app%d: {image: \"croft-test/echo:1\", volumes: [\"data:/d\"]}\n", i)
	}
	return text + "volumes: {data: {}}\n"
}

// TestPlanAsksTheSameOfTheEngineWhateverItsSize counts what a plan asks, and
// then wants that a plan whose inputs are known still sees the machine.
func TestPlanAsksTheSameOfTheEngineWhateverItsSize(t *testing.T) {
	p := newPlatform(t, "calls", map[string]string{"stacks/a/compose.yaml": echoes(0, 1)})
	p.writeConfig(t, "a")
	p.must(t, "apply", "-y")
	r := newRecorder(t)
	unchanged := []string{"plan", "--detailed-exitcode", "-o", "json"}
	want := []string{"GET /containers/json", "GET /images/json", "GET /networks", "GET /volumes", "HEAD /_ping"}
	looks := func(services int) {
		t.Helper()
		for range 2 { // the second time from what the first one kept
			if res := r.croft(t, p, unchanged...); res.code != exitDone {
				t.Errorf("%s", res)
			}
			if calls := r.asked(); !slices.Equal(calls, want) {
				t.Errorf("%d services: the engine was asked %q, want %q", services, calls, want)
			}
		}
	}
	looks(1)
	p.write(t, "stacks/a/compose.yaml", echoes(0, 4))
	p.write(t, "stacks/b/compose.yaml", echoes(4, 8))
	p.writeConfig(t, "a", "b")
	p.must(t, "apply", "-y")
	looks(8)

	docker(t, "stop", "-t", "0", p.name+"-b-app5-1")
	p.pending(t, "b/app5", "start")
	docker(t, "start", p.name+"-b-app5-1")
	p.must(t, unchanged...)
	live := filepath.Join(p.state, "live", "a", "compose.yaml")
	text := string(read(t, live))
	writeFile(t, live, text+"\n")
	if r := p.run(t, unchanged...); r.code != exitPending || !strings.Contains(r.stdout, `"a/compose.yaml"`) {
		t.Errorf("an edited live file: %s", r)
	}
	writeFile(t, live, text)
	p.must(t, unchanged...)
	p.write(t, "stacks/a/compose.yaml", strings.Replace(echoes(0, 4), "echo:1\"", "echo:1\", environment: {A: b}", 1))
	p.pending(t, "a/app0", "recreate")
}

// pending wants a plan of exactly one change.
func (p *platform) pending(t *testing.T, service, action string) {
	t.Helper()
	r := p.run(t, "plan", "--detailed-exitcode", "-o", "json")
	var got []string
	for _, c := range decode[planView](t, r.stdout).Changes {
		if c.Action != "none" {
			got = append(got, c.Stack+"/"+c.Service+" "+c.Action)
		}
	}
	if r.code != exitPending || !slices.Equal(got, []string{service + " " + action}) {
		t.Errorf("want %s: %s, got %q\n%s", service, action, got, r)
	}
}

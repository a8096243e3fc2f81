//go:build e2e

package e2e

import (
	"strings"
	"testing"
)

// TestHardenLooksAtWhatRuns hardens a plain stack of real programs from what they
// were seen to do, and applies it: all of them become healthy with it.
func TestHardenLooksAtWhatRuns(t *testing.T) {
	p := newPlatform(t, "hard", map[string]string{"stacks/plain/compose.yaml": `# Somebody's own.
services:
  db:
    image: postgres:18.6
    environment: {POSTGRES_PASSWORD: only-for-this-test} # not a secret
    volumes: [data:/var/lib/postgresql]
  # It keeps a note about itself.
  scribbler:
    image: postgres:18.6
    entrypoint: [sh, -c, "echo note > /etc/note && exec sleep 1000"]
    init: true
volumes: {data: {}}
`})
	p.writeConfig(t, "plain")
	p.must(t, "apply", "-y")
	if !eventually(func() bool {
		return p.run(t, "exec", "plain/db", "--", "pg_isready", "-q", "-h", "127.0.0.1").code == exitDone
	}) {
		t.Fatal("the database does not answer")
	}
	r := p.must(t, "stack", "harden", "-y", "plain")
	t.Logf("%s", r.stdout)
	text := string(read(t, p.dir+"/stacks/plain/compose.yaml"))
	for _, want := range []string{"# Somebody's own.\n", "# not a secret\n", "  # It keeps a note about itself.\n",
		"    scribbler:\n      root: true\n      writable: true\n", "has written to /etc/note\n", "test: [CMD, pg_isready, -q, -h, 127.0.0.1]"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	p.must(t, "apply", "-y", "--wait-timeout", "1m")
	for _, s := range p.status(t).Stacks {
		if s.State != "healthy" {
			t.Errorf("stack %s is %s", s.Name, s.State)
		}
	}
	got := docker(t, "inspect", "-f", "{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}", p.container(t, "plain", "db").ID)
	if strings.TrimSpace(got) != "true [ALL] [no-new-privileges:true]" {
		t.Errorf("the database runs with %s", got)
	}
	if r := p.must(t, "stack", "harden", "-y", "plain"); !strings.Contains(r.stdout, "nothing to propose") {
		t.Errorf("%s", r)
	}
}

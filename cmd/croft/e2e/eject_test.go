//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestEjectedRunsWithoutCroft takes croft away altogether, state, keys and memory
// of secrets, and brings the platform up with docker compose alone.
func TestEjectedRunsWithoutCroft(t *testing.T) {
	p := catalogPlatform(t, "eject", "traefik,authelia,postgres,valkey,hello")
	p.must(t, "apply", "-y")
	sql := func(statement string) string {
		return docker(t, "exec", p.name+"-postgres-postgres-1", "psql", "-XqtA", "-U", "postgres", "-d", "postgres", "-c", statement)
	}
	sql("create table kept (row text); insert into kept values ('acknowledged')")
	b := p.browser(t)

	dir := filepath.Join(p.root, "plain")
	p.must(t, "eject", dir)
	for path, mode := range map[string]os.FileMode{"": 0o700, "postgres/secrets/postgres/postgres_password": 0o400} {
		if info, err := os.Stat(filepath.Join(dir, path)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("mode of %q: %v, %v, want %o", path, info, err, mode)
		}
	}
	p.must(t, "destroy", "-y")
	for _, gone := range []string{p.state, p.dir, filepath.Join("/run/croft", p.name)} {
		if err := os.RemoveAll(gone); err != nil {
			t.Fatal(err)
		}
	}
	compose, err := composeBinary()
	if err != nil {
		t.Fatal(err)
	}
	up := func() string {
		cmd := exec.Command(filepath.Join(dir, "up.sh"))
		cmd.Env = append(os.Environ(), "COMPOSE="+compose)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("up.sh: %v\n%s", err, clip(string(out)))
		}
		return string(out)
	}
	if out := up(); strings.Contains(out, "data will be lost") || strings.Contains(out, "level=warning") {
		t.Errorf("docker compose is not at ease:\n%s", out)
	}
	last := "nothing"
	if !eventually(func() bool {
		req, err := http.NewRequest(http.MethodGet, p.url("hello", "/"), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "text/html")
		res, err := b.client.Do(req)
		if err != nil {
			last = err.Error()
			return false
		}
		defer res.Body.Close()
		last = res.Status + " " + res.Header.Get("Location")
		return res.StatusCode == http.StatusFound && strings.HasPrefix(res.Header.Get("Location"), p.url("auth", "/"))
	}) {
		t.Errorf("the protected address does not lead to the portal: %s", last)
	}
	if got := strings.TrimSpace(sql("select row from kept")); got != "acknowledged" {
		t.Errorf("the row from before is %q", got)
	}
	ids := func() string { return docker(t, "ps", "-q", "--no-trunc", "--filter", "name=^"+p.name+"-") }
	before := ids()
	up()
	if after := ids(); after != before {
		t.Errorf("a second up.sh replaced containers:\n%s\n%s", before, after)
	}
}

// catalogPlatform makes a platform of a few stacks of the catalogue. What a test
// applies goes away with the test.
func catalogPlatform(t *testing.T, prefix, stacks string) *platform {
	t.Helper()
	p, err := makePlatform(prefix)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.remove(); err != nil {
			t.Error(err)
		}
	})
	p.must(t, "init", "--defaults", "--set", "name="+p.name, "--set", "stacks="+stacks,
		"--set", fmt.Sprintf("stacks.traefik.options.HTTPS_PORT=%d", p.https),
		"--set", fmt.Sprintf("stacks.traefik.options.HTTP_PORT=%d", p.http))
	file := filepath.Join(p.dir, "croft.yaml")
	p.write(t, "croft.yaml", strings.Replace(string(read(t, file)), "\nstacks:", "\n"+p.storageBlock()+"stacks:", 1))
	return p
}

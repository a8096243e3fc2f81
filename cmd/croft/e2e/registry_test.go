//go:build e2e

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/croft-sh/croft/provision/registrytest"
)

// store is a real registry with images of the echo program in it.
type store struct {
	*registrytest.Registry
	t *testing.T
}

// newStore starts a registry. What it names goes off the engine with the test,
// after the platforms that are made later.
func newStore(t *testing.T, o registrytest.Options) *store {
	t.Helper()
	s := &store{Registry: registrytest.Start(t, o), t: t}
	t.Cleanup(func() { s.drop(s.Addr + "/") })
	return s
}

// drop takes names off the engine that begin so.
func (s *store) drop(prefix string) {
	s.t.Helper()
	for line := range strings.Lines(docker(s.t, "images", "--digests", "--no-trunc", "--format", "{{.Repository}} {{.Tag}} {{.Digest}} {{.ID}}")) {
		f := strings.Fields(line)
		if !strings.HasPrefix(f[0]+":"+f[1], prefix) {
			continue
		}
		name := f[0] + ":" + f[1]
		if f[1] == "<none>" {
			name = f[0] + "@" + f[2]
		}
		_ = exec.Command("docker", "rmi", name).Run() // gone with another name
	}
}

// make gives a reference to a new image.
func (s *store) make(ref, mark string) string {
	s.t.Helper()
	id := strings.TrimSpace(docker(s.t, "create", "croft-test/echo:1"))
	defer docker(s.t, "rm", id)
	docker(s.t, "commit", "--change", "LABEL mark="+mark, id, ref)
	return strings.TrimSpace(docker(s.t, "image", "inspect", "--format", "{{.Id}}", ref))
}

// put makes a new image, puts it into the registry and takes its names away.
func (s *store) put(ref, mark string) string {
	s.t.Helper()
	id := s.make(ref, mark)
	docker(s.t, "push", "--quiet", ref)
	s.drop(ref)
	return id
}

// app is a stack that runs an image.
func app(image, more string) string {
	return fmt.Sprintf(`services:
  echo:
    image: %s
    healthcheck: {test: [CMD, /usr/local/bin/echo, check, "http://127.0.0.1:8080/healthz"], interval: 1s, retries: 3}
%s`, image, more)
}

type lockView struct {
	Images map[string]struct{ ID, Digest string } `json:"images"`
}

func (p *platform) lock(t *testing.T) lockView {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(p.state, "lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	return decode[lockView](t, string(raw))
}

// runs gives the container of the app and the image it was made from.
func (p *platform) runs(t *testing.T) (id, image string) {
	t.Helper()
	id = p.container(t, "app", "echo").ID
	return id, strings.TrimSpace(docker(t, "inspect", "--format", "{{.Image}}", id))
}

func short(id string) string { return id[:len("sha256:")+12] }

func TestATagThatMovesIsTakenOnlyWhenAskedFor(t *testing.T) {
	s := newStore(t, registrytest.Options{})
	ref := s.Addr + "/shop/app:1"
	first := s.put(ref, "one")
	p := newPlatform(t, "lock", map[string]string{"stacks/app/compose.yaml": app(ref, "")})
	t.Cleanup(func() { s.drop("croft-keep/" + p.name + ":") })
	p.writeConfig(t, "app")
	p.must(t, "apply", "-y", "--wait-timeout", "1m")
	lock := p.lock(t).Images[ref]
	if lock.ID != first || !strings.HasPrefix(lock.Digest, "sha256:") {
		t.Fatalf("the lock is %+v, the image %s", lock, first)
	}
	old, err := os.ReadFile(filepath.Join(p.state, "lock.json"))
	if err != nil {
		t.Fatal(err)
	}

	// The tag moves in the registry and is gone here: the next container is
	// still made from the locked image.
	second := s.put(ref, "two")
	p.write(t, "stacks/app/compose.yaml", app(ref, "    environment: {A: changed}\n"))
	p.must(t, "apply", "-y", "--wait-timeout", "1m")
	if _, image := p.runs(t); image != first || p.lock(t).Images[ref] != lock {
		t.Fatalf("it runs %s, locked was %s; the lock is %+v", image, first, p.lock(t).Images[ref])
	}
	if r := p.run(t, "plan", "--detailed-exitcode"); r.code != exitDone {
		t.Errorf("%s", r)
	}

	// A person asks.
	before, _ := p.runs(t)
	r := p.must(t, "pull", "-o", "json")
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	for _, line := range lines {
		if !json.Valid([]byte(line)) {
			t.Errorf("a line is no JSON: %s", line)
		}
	}
	result := decode[struct {
		Schema string
		Images []struct{ Reference, ID, Digest, Was string }
	}](t, lines[len(lines)-1])
	if len(lines) < 3 || !strings.Contains(lines[0], `"phase":"pull"`) || result.Schema != "croft/pull/v1" || len(result.Images) != 1 ||
		result.Images[0].ID != second || result.Images[0].Was != first || result.Images[0].Digest == lock.Digest {
		t.Errorf("%s", r)
	}
	if after, _ := p.runs(t); after != before || p.lock(t).Images[ref] != lock {
		t.Error("croft pull touched what runs, or the lock")
	}
	want := fmt.Sprintf("image %s is another one now (%s -> %s)", ref, short(first), short(second))
	if r := p.run(t, "plan", "--detailed-exitcode", "-o", "json"); r.code != exitPending || !strings.Contains(r.stdout, want) {
		t.Errorf("the plan lacks %q: %s", want, r)
	}
	p.must(t, "apply", "-y", "--wait-timeout", "1m")
	if _, image := p.runs(t); image != second || p.lock(t).Images[ref].ID != second || p.lock(t).Images[ref].Digest == lock.Digest {
		t.Errorf("it runs %s, locked is %+v", image, p.lock(t).Images[ref])
	}

	// A second machine with the lock of the first apply, where nothing of it is.
	if err := p.remove(); err != nil {
		t.Fatal(err)
	}
	s.drop("croft-keep/" + p.name + ":")
	s.drop(ref)
	q := newPlatform(t, "lockb", map[string]string{"stacks/app/compose.yaml": app(ref, "")})
	t.Cleanup(func() { s.drop("croft-keep/" + q.name + ":") })
	q.writeConfig(t, "app")
	if err := os.MkdirAll(q.state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(q.state, "lock.json"), old, 0o600); err != nil {
		t.Fatal(err)
	}
	q.must(t, "apply", "-y", "--wait-timeout", "1m")
	if _, image := q.runs(t); image != first || q.lock(t).Images[ref] != lock {
		t.Errorf("the second machine runs %s, locked was %s; the lock is %+v", image, first, q.lock(t).Images[ref])
	}
}

// TestARegistryThatFailsTouchesNothing: whatever a registry does, what runs goes
// on, and even the way back needs none.
func TestARegistryThatFailsTouchesNothing(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	s := newStore(t, registrytest.Options{User: "ada", Password: "s3cret-of-ada"})
	login := func(credentials string) {
		text := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, s.Addr, base64.StdEncoding.EncodeToString([]byte(credentials)))
		if err := os.WriteFile(filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	login("ada:s3cret-of-ada")
	one, two := s.Addr+"/shop/app:1", s.Addr+"/shop/app:2"
	first := s.put(one, "one")
	s.put(two, "two")
	p := newPlatform(t, "regs", map[string]string{"stacks/app/compose.yaml": app(one, "")})
	t.Cleanup(func() { s.drop("croft-keep/" + p.name + ":") })
	p.writeConfig(t, "app")
	if r := p.must(t, "pull", "app"); !strings.Contains(r.stdout, "present "+one) { // before there is any state
		t.Errorf("%s", r)
	}
	p.must(t, "apply", "-y", "--wait-timeout", "1m")
	container, _ := p.runs(t)

	refused := func(name, image string, words ...string) {
		t.Helper()
		p.write(t, "stacks/app/compose.yaml", app(image, ""))
		before := treeHash(t, p.state)
		r := p.run(t, "apply", "-y", "-o", "json")
		if r.code != exitRefused || strings.Contains(r.said(), "s3cret") {
			t.Errorf("%s: want exit code %d and no password: %s", name, exitRefused, r)
		}
		for _, w := range append(words, "image "+image, "hint:", `"result":"refused"`) {
			if !strings.Contains(r.said(), w) {
				t.Errorf("%s: it does not say %q: %s", name, w, r)
			}
		}
		if now, _ := p.runs(t); now != container {
			t.Errorf("%s: the container was touched", name)
		}
		if after := treeHash(t, p.state); after != before {
			t.Errorf("%s: the state was touched", name)
		}
	}
	refused("a tag that is not there", s.Addr+"/shop/app:typo", "manifest unknown")
	if err := os.WriteFile(filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("no login", two, "no basic auth credentials", "docker login "+s.Addr)
	login("ada:wrong")
	refused("a wrong password", two, "docker login "+s.Addr)
	login("ada:s3cret-of-ada")
	s.Stop()
	refused("a registry that is down", two, "connection refused", "not reachable")

	// The way back goes to an image that is nowhere but here, and whose tag is lost.
	broken := "croft-test/broken-" + p.name + ":1"
	s.make(broken, "broken")
	t.Cleanup(func() { s.drop(broken) })
	docker(t, "rmi", one)
	p.write(t, "stacks/app/compose.yaml", app(broken, "    command: [\"-listen\", \":9\"]\n"))
	if r := p.run(t, "apply", "-y", "--wait-timeout", "1m"); r.code != exitTakenBack {
		t.Errorf("%s", r)
	}
	if _, image := p.runs(t); image != first {
		t.Errorf("after the way back it runs %s, not %s", image, first)
	}
	// And an apply of what is here needs no registry either.
	p.write(t, "stacks/app/compose.yaml", app(one, "    environment: {A: changed}\n"))
	p.must(t, "apply", "-y", "--wait-timeout", "1m")
	if _, image := p.runs(t); image != first {
		t.Errorf("it runs %s, not %s", image, first)
	}
	if r := p.run(t, "pull"); r.code != exitRefused || !strings.Contains(r.stderr, "connection refused") {
		t.Errorf("croft pull without a registry: %s", r)
	}
}

//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const removalHub = `x-croft: {title: Hub, serves: [metrics], hub: scraper}
services:
  scraper:
    image: croft-test/echo:1
    healthcheck: {test: [CMD, /usr/local/bin/echo, check, "http://127.0.0.1:8080/healthz"], interval: 1s}
`

// removalApp has a named volume, one of the engine's own, an anonymous one, a
// secret, a build and a job.
const removalApp = `x-croft:
  title: App
  needs: [hub]
  secrets: {token: {generate: 24, rotate: restart}}
  metrics: [{service: web, port: 8080, path: /healthz}]
  jobs: [once]
services:
  web:
    image: IMAGE
    user: "65534:65534"
    secrets: [token]
    environment: {WORD: one}
    volumes: ["data:/data", "/anonymous"]
    healthcheck: {test: [CMD, /usr/local/bin/echo, check, "http://127.0.0.1:8080/healthz"], interval: 1s, retries: 2}
  made:
    build: {context: ./made}
    command: ["-listen", ":8082"]
    healthcheck: {test: [CMD, /usr/local/bin/echo, check, "http://127.0.0.1:8082/healthz"], interval: 1s}
    volumes: ["engines:/engines"]
  once:
    image: croft-test/echo:1
    command: ["check", "http://web:8080/healthz"]
    depends_on: {web: {condition: service_healthy}}
volumes:
  data: {}
  engines: {driver: local, driver_opts: {type: tmpfs, device: tmpfs}}
`

// TestNothingRemovesAVolume reads every call that croft makes of the engine, over
// all that changes a platform. None removes a volume but destroy --volume NAME,
// and that one the volume named. No call carries a secret.
func TestNothingRemovesAVolume(t *testing.T) {
	rec := newRecorder(t)
	s := &removal{rec: rec, t: t, platform: newPlatform(t, "rem", nil)}
	s.prepare()
	s.story()
	all := rec.take()
	s.harmless(all)
	if len(all) < 200 {
		t.Errorf("only %d calls were seen: croft went another way", len(all))
	}
	row := filepath.Join(s.storage, "containers/app/data/row.txt")
	if raw, err := os.ReadFile(row); err != nil || string(raw) != "kept\n" {
		t.Errorf("after all of it the data is %q, %v", raw, err)
	}
	s.named(row)
}

type removal struct {
	*platform
	t      *testing.T
	rec    *recorder
	values []string // of secrets
}

func (s *removal) prepare() {
	t := s.t
	t.Cleanup(func() { // the image that was built is the platform's own
		for _, name := range []string{s.name + "/echo:1", s.name + "/echo:2", s.name + "-app-made"} {
			_ = exec.Command("docker", "rmi", "-f", name).Run() // some were never made
		}
	})
	docker(t, "tag", "croft-test/echo:1", s.name+"/echo:1")
	broken := strings.TrimSpace(docker(t, "create", "croft-test/echo:1"))
	docker(t, "commit", "--change", `CMD ["-listen", ":9"]`, broken, s.name+"/echo:2")
	docker(t, "rm", broken)
	if err := os.Remove(filepath.Join(s.dir, "croft.yaml")); err != nil {
		t.Fatal(err)
	}
	s.do(exitDone, "init", "--defaults", "--set", "name="+s.name, "--set", "admin.name=ada", "--set", "admin.email=ada@example.com")
	if err := os.RemoveAll(filepath.Join(s.dir, "stacks")); err != nil {
		t.Fatal(err)
	}
	s.write(t, "stacks/hub/compose.yaml", removalHub)
	s.write(t, "stacks/app/made/Dockerfile", "FROM croft-test/echo:1\nLABEL built=here\n")
	s.app("")
	s.write(t, "stacks/gone/compose.yaml", removalHub[strings.Index(removalHub, "services:"):])
	s.writeConfig(t, "hub", "app", "gone")
}

// app writes the app with one thing changed: pairs of old and new text.
func (s *removal) app(old string, with ...string) {
	text := strings.ReplaceAll(removalApp, "IMAGE", s.name+"/echo:1")
	if len(with) > 0 {
		if !strings.Contains(strings.ReplaceAll(removalApp, "IMAGE", s.name+"/echo:1"), old) {
			s.t.Fatalf("no %q in the stack", old)
		}
		text = strings.Replace(text, old, with[0], 1)
	}
	s.write(s.t, "stacks/app/compose.yaml", text)
}

func (s *removal) do(code int, args ...string) result {
	s.t.Helper()
	r := s.rec.croft(s.t, s.platform, args...)
	if r.code != code {
		s.t.Errorf("want exit %d: %s", code, r)
	}
	return r
}

// story is everything that changes a platform.
func (s *removal) story() {
	t := s.t
	s.do(exitDone, "apply", "-y", "--wait-timeout", "1m")
	s.remember()
	s.write(t, "../data/containers/app/data/row.txt", "kept\n")
	s.app("WORD: one", "WORD: two")
	s.do(exitDone, "apply", "-y")
	s.app(s.name+"/echo:1", s.name+"/echo:2") // never healthy, and on data
	s.do(exitTakenBack, "apply", "-y", "--wait-timeout", "1m")
	s.app("")
	s.do(exitDone, "apply", "-y")
	// Drift of every expensive kind: recreate, network, secrets.
	web := s.container(t, "app", "web").ID
	docker(t, "rename", web, s.name+"-mine")
	docker(t, "network", "disconnect", "-f", s.name+"-app-metrics", s.container(t, "hub", "scraper").ID)
	s.do(exitDone, "apply", "-y")
	docker(t, "rm", "-f", s.container(t, "app", "web").ID)
	docker(t, "volume", "rm", s.name+"-app_data") // by hand: the directory stays
	s.do(exitDone, "apply", "-y")
	s.do(exitDone, "hold", "app")
	s.app("WORD: one", "WORD: three")
	s.do(exitDone, "apply", "-y")
	s.do(exitDone, "release", "app")
	s.do(exitDone, "apply", "-y")
	s.do(exitDone, "stop", "app")
	s.do(exitDone, "apply", "-y")
	s.do(exitDone, "start", "app")
	s.do(exitDone, "restart", "app")
	s.do(exitDone, "exec", "app/web", "--", "/usr/local/bin/echo", "check", "http://127.0.0.1:8080/healthz")
	s.do(exitDone, "logs", "app")
	s.do(exitDone, "status", "-o", "json")
	s.do(exitDone, "plan", "-o", "json")
	// A service, its volume's wish and a whole stack go.
	text := strings.ReplaceAll(removalApp, "IMAGE", s.name+"/echo:1")
	start, end := strings.Index(text, "  made:"), strings.Index(text, "  once:")
	text = text[:start] + text[end:]
	s.write(t, "stacks/app/compose.yaml", strings.Replace(text, "  engines: {driver: local, driver_opts: {type: tmpfs, device: tmpfs}}\n", "", 1))
	s.do(exitDone, "stack", "remove", "gone", "-y")
	s.do(exitDone, "apply", "-y", "--remove-orphans")
	s.do(exitDone, "clean", "-y")
	s.do(exitDone, "eject", filepath.Join(s.root, "ejected"))
	s.do(exitDone, "destroy", "-y")
	s.do(exitDone, "apply", "-y")
	s.remember()
}

// remember collects the values of the secrets, which change with the platform.
func (s *removal) remember() {
	for path := range maps.Keys(s.delivered()) {
		s.values = append(s.values, s.delivered()[path])
	}
	slices.Sort(s.values)
	s.values = slices.Compact(s.values)
	if len(s.values) == 0 {
		s.t.Fatal("no secret was delivered: nothing would be found")
	}
}

func (s *removal) delivered() map[string]string {
	s.t.Helper()
	path := filepath.Join("/run/croft", s.name, "secrets/app/web/token")
	raw, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	return map[string]string{path: strings.TrimSpace(string(raw))}
}

// harmless reads the calls.
func (s *removal) harmless(calls []call) {
	if bad := removals(calls); len(bad) > 0 {
		s.t.Errorf("calls that remove a volume: %q", bad)
	}
	kinds := map[string]int{}
	for _, c := range calls {
		kinds[c.method]++
		for _, value := range s.values {
			if strings.Contains(c.path+c.query+c.body.String()+fmt.Sprint(c.header), value) {
				s.t.Errorf("%s %s carries a secret", c.method, c.path)
			}
		}
	}
	s.t.Logf("%d calls: %v", len(calls), kinds)
	// What was to be seen was seen: containers removed, networks made, an image
	// built, a connection taken over.
	for _, want := range []string{"DELETE /containers/", "POST /networks/create", "POST /build", "POST /exec/", "POST /containers/create", "POST /volumes/create"} {
		if !slices.ContainsFunc(calls, func(c call) bool { return strings.HasPrefix(c.String(), want) }) {
			s.t.Errorf("no call %s…: the story does not come to it", want)
		}
	}
}

// named removes one volume by its name, which the others survive.
func (s *removal) named(row string) {
	t := s.t
	s.do(exitDone, "destroy", "-y", "--volume", "app/data")
	calls := s.rec.take()
	if bad, want := removals(calls), []string{"DELETE /volumes/" + s.name + "-app_data"}; !slices.Equal(bad, want) {
		t.Errorf("removed %q, want %q", bad, want)
	}
	if _, err := os.Stat(row); err == nil {
		t.Error("the data of the volume that was named is there")
	}
	s.do(exitDone, "apply", "-y") // begins with nothing, and nothing is missed
	if drift := decode[driftPlan](t, s.do(exitDone, "plan", "-o", "json").stdout).Drift; len(drift) > 0 {
		t.Errorf("drift %q", drift)
	}
	if bad := removals(s.rec.take()); len(bad) > 0 {
		t.Errorf("removed %q", bad)
	}
}

// TestAPlanOnlyReads counts the calls of a plan on a small and on a larger
// platform: none changes anything, and there are as many.
func TestAPlanOnlyReads(t *testing.T) {
	rec := newRecorder(t)
	p := newPlatform(t, "reads", map[string]string{"stacks/hub/compose.yaml": removalHub})
	p.writeConfig(t, "hub")
	p.must(t, "apply", "-y")
	plan := func() []string {
		t.Helper()
		rec.take()
		if r := rec.croft(t, p, "plan", "--detailed-exitcode"); r.code != exitDone {
			t.Fatalf("%s", r)
		}
		var out []string
		for _, c := range rec.take() {
			if c.method != http.MethodGet && c.method != http.MethodHead {
				t.Errorf("a plan calls %s", c)
			}
			out = append(out, c.method+" "+c.path)
		}
		slices.Sort(out)
		return out
	}
	small := plan()
	var b strings.Builder
	b.WriteString("services:\n")
	for i := range 8 {
		fmt.Fprintf(&b, "  s%d: {image: \"croft-test/echo:1\", volumes: [\"v%d:/data\"], networks: [n%d],\n"+
			"    healthcheck: {test: [CMD, /usr/local/bin/echo, check, \"http://127.0.0.1:8080/healthz\"], interval: 1s}}\n", i, i, i%3)
	}
	b.WriteString("networks: {n0: {}, n1: {}, n2: {}}\nvolumes: {v0: {}, v1: {}, v2: {}, v3: {}, v4: {}, v5: {}, v6: {}, v7: {}}\n")
	p.write(t, "stacks/many/compose.yaml", b.String())
	p.writeConfig(t, "hub", "many")
	p.must(t, "apply", "-y", "--wait-timeout", "2m")
	if large := plan(); !slices.Equal(small, large) {
		t.Errorf("with one service a plan calls\n%q\nwith nine\n%q", small, large)
	}
	if want := []string{"GET /containers/json", "GET /images/json", "GET /networks", "GET /volumes"}; len(small) < 4 ||
		slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(small, w) }) {
		t.Errorf("a plan calls %q, and needs %q", small, want)
	}
	t.Logf("a plan makes %d calls: %q", len(small), small)
}

//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// drift is one way to change the machine behind croft's back.
type drift struct {
	name string
	do   func(s *driftScene)
	// want are lines that the plan must list as drift, all of them and no others;
	// words in capitals stand for what named fills in.
	want []string
	// changes are "stack/service action" of the plan, all of them.
	changes []string
	// notChecked is in a line of not_checked: the plan sees nothing.
	notChecked string
	// blocked is the subject that stands against the plan; undo then does what
	// the hint says.
	blocked string
	// left: the plan names it and leaves it to the admin; undo puts it right.
	left bool
	undo func(s *driftScene)
	// after looks at what the apply left.
	after func(s *driftScene)
}

// driftScene is a small platform with one of each kind of thing. Its hub is
// joined to the app's network as Traefik would be.
type driftScene struct {
	*platform
	t    *testing.T
	port int
	// sharedSubnet and ownSubnet are as croft gave them.
	sharedSubnet, ownSubnet, keptTag string
}

const driftHub = `x-croft:
  title: Hub
  serves: [metrics]
  hub: scraper
services:
  scraper:
    image: %[1]s/echo:1
    healthcheck: {test: [CMD, /usr/local/bin/echo, check, "http://127.0.0.1:8080/healthz"], interval: 1s}
`

const driftApp = `x-croft:
  title: App
  needs: [hub]
  secrets:
    token: {generate: 24, rotate: restart}
  metrics: [{service: web, port: 8080, path: /healthz}]
  reload: {web: {files: [conf]}}
services:
  web:
    image: %[1]s/echo:1
    user: "65534:65534"
    secrets: [token]
    ports: ["127.0.0.1:%[2]d:8080"]
    volumes: ["data:/data", "./conf:/conf:ro", "./one.txt:/etc/one.txt:ro"]
    networks: [own]
    depends_on: {side: {condition: service_healthy, restart: true}}
    healthcheck: {test: [CMD, /usr/local/bin/echo, check, "http://127.0.0.1:8080/healthz"], interval: 1s}
  side:
    image: %[1]s/side:1
    command: ["-listen", ":8081"]
    networks: [own]
    healthcheck: {test: [CMD, /usr/local/bin/echo, check, "http://127.0.0.1:8081/healthz"], interval: 1s}
  sharer:
    image: %[1]s/echo:1
    command: ["-listen", ":7000"]
    network_mode: service:side
    healthcheck: {test: [CMD, /usr/local/bin/echo, check, "http://127.0.0.1:7000/healthz"], interval: 1s, timeout: 5s, retries: 3}
networks: {own: {}}
volumes: {data: {}}
`

// TestDrift changes a running platform from outside in every kind of way. Each
// is named with its cause by plan and status alike, or stands in not_checked;
// an apply undoes it, and touches nothing else.
func TestDrift(t *testing.T) {
	newDriftScene(t).rows(slices.Concat(containerDrift(), networkDrift()))
}

// TestDriftOnDisk is the same for files, secrets, images and data.
func TestDriftOnDisk(t *testing.T) {
	s := newDriftScene(t)
	s.rows(slices.Concat(fileDrift(), secretDrift(), imageDrift(), dataDrift(), stateDrift()))
	t.Run("state files damaged or gone", func(t *testing.T) {
		one := *s
		one.t = t
		one.refusals()
		one.clean("after they are back")
	})
}

// rows tries every kind; the short form, in every run of CI, each third.
func (s *driftScene) rows(all []drift) {
	t := s.t
	for i, d := range all {
		if os.Getenv("CROFT_LONG") == "" && i%3 != 0 {
			continue
		}
		if !t.Run(d.name, func(t *testing.T) {
			one := *s
			one.t = t
			one.row(d)
		}) && s.dirty() {
			t.Fatalf("%s left the platform changed: the rows after it would say nothing", d.name)
		}
	}
}

func newDriftScene(t *testing.T) *driftScene {
	s := &driftScene{platform: newPlatform(t, "drift", nil), t: t}
	var err error
	if s.port, err = freePort(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"echo:1", "side:1"} {
		docker(t, "tag", "croft-test/echo:1", s.name+"/"+name)
	}
	t.Cleanup(func() {
		for _, name := range []string{"echo:1", "echo:2", "side:1"} {
			_ = exec.Command("docker", "rmi", s.name+"/"+name).Run() // some rows never made theirs
		}
	})
	s.write(t, "stacks/hub/compose.yaml", fmt.Sprintf(driftHub, s.name))
	s.write(t, "stacks/app/compose.yaml", fmt.Sprintf(driftApp, s.name, s.port))
	s.write(t, "stacks/app/conf/a.conf", "a\n")
	s.write(t, "stacks/app/one.txt", "one\n")
	s.writeConfig(t, "hub", "app")
	s.must(t, "apply", "-y", "--wait-timeout", "2m")
	s.file("data/containers/app/data/row.txt", "kept\n")
	s.must(t, "apply", "-y") // notes that there is data
	s.clean("before the first row")
	s.sharedSubnet, s.ownSubnet = s.subnet(s.shared()), s.subnet(s.own())
	return s
}

// driftPlan is what these tests read of a plan and of a status.
type driftPlan struct {
	Changes []struct {
		Stack, Service, Action string
		Causes                 []string
	}
	Networks, Volumes, Images []struct{ Name, Action string }
	Blocked                   []struct{ Subject, Why, Hint string }
	NotChecked                []string `json:"not_checked"`
	Warnings, Files, Drift    []string
	plain                     string
}

func (s *driftScene) plan() driftPlan {
	s.t.Helper()
	r := s.run(s.t, "plan", "-o", "json")
	if r.code != exitDone && r.code != exitRefused {
		s.t.Fatalf("%s", r)
	}
	p := decode[driftPlan](s.t, r.stdout)
	p.plain = r.stdout
	return p
}

func (p driftPlan) actions() []string {
	var out []string
	for _, c := range p.Changes {
		if c.Action != "none" {
			out = append(out, c.Stack+"/"+c.Service+" "+c.Action)
		}
	}
	slices.Sort(out)
	return out
}

// dirty tells whether a plan has anything to do or to tell.
func (s *driftScene) dirty() bool {
	r := s.run(s.t, "plan", "-o", "json")
	if r.code != exitDone {
		return true
	}
	p := decode[driftPlan](s.t, r.stdout)
	return len(p.actions())+len(p.Networks)+len(p.Volumes)+len(p.Images)+len(p.Files)+len(p.Drift)+len(p.Blocked) > 0
}

func (s *driftScene) clean(when string) {
	s.t.Helper()
	if s.dirty() {
		p := s.plan()
		s.t.Errorf("%s: changes %v networks %v volumes %v images %v files %v drift %q blocked %v", when,
			p.actions(), p.Networks, p.Volumes, p.Images, p.Files, p.Drift, p.Blocked)
	}
}

// row changes, plans, applies, and looks.
func (s *driftScene) row(d drift) {
	t := s.t
	t.Helper()
	before := s.started()
	d.do(s)
	plan := s.plan()
	s.named(d, plan)
	if d.blocked != "" || d.left {
		if r := s.run(t, "apply", "-y"); (d.blocked != "") != (r.code == exitRefused) {
			t.Errorf("%s", r)
		}
		d.undo(s)
		plan = s.plan() // it may repair now what it could not before
		s.must(t, "apply", "-y", "--wait-timeout", "2m")
	} else if d.notChecked == "" {
		s.must(t, "apply", "-y", "--wait-timeout", "2m")
	}
	if d.after != nil {
		d.after(s)
	}
	if d.notChecked != "" {
		d.undo(s)
	}
	s.clean("after the repair")
	s.untouched(before, plan)
}

// imageIDs ends a line about an image that is another one.
var imageIDs = regexp.MustCompile(` \(sha256:[0-9a-f]+ -> sha256:[0-9a-f]+\)$`)

// named wants the causes in the plan's words, and the same in status.
func (s *driftScene) named(d drift, plan driftPlan) {
	t := s.t
	t.Helper()
	fill := strings.NewReplacer("PLATFORM", s.name, "SHARED", s.sharedSubnet, "OWN", s.ownSubnet, "SECRET", s.secret(),
		"DATA", s.storage, "ROOT", s.root, "KEEP", s.keptTag)
	var want []string
	for _, w := range d.want {
		want = append(want, fill.Replace(w))
	}
	told := slices.Clone(plan.Drift)
	slices.Sort(told)
	var got []string
	for _, line := range told {
		got = append(got, imageIDs.ReplaceAllString(line, ""))
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("drift is\n%s\nwant\n%s\nplan %s", strings.Join(got, "\n"), strings.Join(want, "\n"), clip(plan.plain))
	}
	changes := slices.Clone(d.changes)
	slices.Sort(changes)
	if !slices.Equal(plan.actions(), changes) {
		t.Errorf("changes are %v, want %v", plan.actions(), changes)
	}
	if d.notChecked != "" {
		if s.dirty() || !slices.ContainsFunc(plan.NotChecked, func(line string) bool { return strings.Contains(line, d.notChecked) }) {
			t.Errorf("no line of not_checked has %q, or the plan sees it: %q %v", d.notChecked, plan.NotChecked, plan.actions())
		}
	}
	if subject := fill.Replace(d.blocked); subject != "" && (len(plan.Blocked) != 1 || plan.Blocked[0].Subject != subject || plan.Blocked[0].Hint == "") {
		t.Errorf("blocked by %+v, want %s", plan.Blocked, subject)
	}
	status := decode[struct{ Drift []string }](t, s.must(t, "status", "-o", "json").stdout)
	slices.Sort(status.Drift)
	if !slices.Equal(status.Drift, told) {
		t.Errorf("status tells drift %q, the plan %q", status.Drift, got)
	}
}

// started gives, by service, the container's ID.
func (s *driftScene) started() map[string]string {
	s.t.Helper()
	out := map[string]string{}
	for _, c := range s.containers(s.t) {
		out[c.String()] = c.ID
	}
	return out
}

// untouched wants every service that the plan did not replace to have the
// container it had.
func (s *driftScene) untouched(before map[string]string, plan driftPlan) {
	s.t.Helper()
	now := s.started()
	if len(now) != len(before) {
		s.t.Errorf("%d services, were %d", len(now), len(before))
	}
	for _, c := range plan.Changes {
		key := c.Stack + "/" + c.Service
		replaced := c.Action == "create" || c.Action == "recreate"
		if !replaced && now[key] != before[key] {
			s.t.Errorf("%s was replaced, and the plan said %s", key, c.Action)
		}
	}
	for _, c := range s.containers(s.t) {
		if c.State.Status != "running" || c.State.Health == nil || c.State.Health.Status == "unhealthy" {
			s.t.Errorf("%s is %+v", c, c.State)
		}
	}
}

// What rows use.

func (s *driftScene) id(service string) string {
	s.t.Helper()
	stack := "app"
	if service == "scraper" {
		stack = "hub"
	}
	return s.container(s.t, stack, service).ID
}

func (s *driftScene) docker(args ...string) string {
	s.t.Helper()
	return strings.TrimSpace(docker(s.t, args...))
}

// file writes a file below the platform's root, in place.
func (s *driftScene) file(path, text string) {
	s.t.Helper()
	full := filepath.Join(s.root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *driftScene) live(path string) string { return filepath.Join(s.state, "live", path) }
func (s *driftScene) data() string            { return filepath.Join(s.storage, "containers/app/data") }
func (s *driftScene) secret() string {
	return filepath.Join("/run/croft", s.name, "secrets/app/web/token")
}

func (s *driftScene) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// kept wants the row written before the first change still there.
func (s *driftScene) kept() {
	s.t.Helper()
	if raw, err := os.ReadFile(filepath.Join(s.data(), "row.txt")); err != nil || string(raw) != "kept\n" {
		s.t.Errorf("the data is %q, %v", raw, err)
	}
}

// await waits until docker's words about a container have a word in them.
func (s *driftScene) await(service, word string) {
	s.t.Helper()
	for range 240 {
		if strings.Contains(s.docker("ps", "-a", "--no-trunc", "--filter", "id="+s.id(service), "--format", "{{.Status}}"), word) {
			return
		}
		time.Sleep(250 * time.Millisecond)
	}
	s.t.Fatalf("%s never was %s", service, word)
}

package enginetest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/stacks"
)

// Subject is an engine under the contract. Image must be present and its
// program know: no argument (print "up", run until SIGTERM), "exit N", and in
// Exec "/t cat" (copy stdin to stdout) and "/t exit N".
type Subject struct {
	Engine   Engine
	Platform string // nobody else's, and with a dash in it
	Image    string
	Unknown  string // a reference that cannot be pulled
	Subnet   string // a free /24
	// Pause pauses a container, as somebody else would.
	Pause func(ctx context.Context, id string) error
}

// RunEngine checks the contract of package provision's engine interfaces.
func RunEngine(t *testing.T, subject func(t *testing.T) Subject) {
	for name, check := range map[string]func(*testing.T, *scene){
		"an empty platform has nothing":                nothing,
		"up touches the named services alone":          upNamed,
		"up replaces what changed and nothing else":    upChanged,
		"up refuses before it touches":                 upRefuses,
		"up runs a finished job again":                 upJob,
		"up with a cancelled context fails":            upCancelled,
		"up makes anew what it is told to":             upAnew,
		"up lets go on what is paused":                 upPaused,
		"up restarts what asks for it":                 upRestarts,
		"observe tells one network from another":       networkIDs,
		"a network is made once with its subnet":       networkOnce,
		"connect twice is once":                        connectTwice,
		"inspect keeps the order and knows the gone":   inspectOrder,
		"exec gives exit code and output":              execOutput,
		"signal and tail":                              signalTail,
		"start starts what ended, as it is":            startAsItIs,
		"remove takes containers and leaves volumes":   removeKeepsVolumes,
		"halt stops what stays":                        haltAndBack,
		"pull contacts nothing for what is there":      pullPresent,
		"pull names the image that fails":              pullUnknown,
		"pull takes the locked image that lies here":   pullLocked,
		"a container of another platform is not shown": otherPlatform,
		"an adopted project is shown as its stack":     adoptedProject,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			s := subject(t)
			check(t, &scene{Subject: s, ctx: ctx, dir: t.TempDir(), project: s.Platform + "-shop"})
		})
	}
}

// scene is one Compose project on a subject.
type scene struct {
	Subject
	ctx     context.Context
	dir     string
	project string
}

// write writes the project's file. db has a volume and a health check, web
// needs db, side stands alone, job ends; mark goes into a label of web.
func (s *scene) write(t *testing.T, mark string) string {
	t.Helper()
	text := fmt.Sprintf(`services:
  db:
    image: %[1]s
    healthcheck: {test: [CMD, /t, exit, "0"], interval: 1s, timeout: 5s, retries: 3}
    labels: {croft.platform: %[2]s, croft.stack: shop}
    volumes: ["data:/data"]
    networks: {front: {aliases: [store]}}
  web:
    image: %[1]s
    labels: {croft.platform: %[2]s, croft.stack: shop, croft.spec: "%[3]s"}
    depends_on: {db: {condition: service_healthy}}
    networks: [front]
  side:
    image: %[1]s
    labels: {croft.platform: %[2]s, croft.stack: shop}
    networks: [front]
  job:
    image: %[1]s
    command: [exit, "0"]
    labels: {croft.platform: %[2]s, croft.stack: shop}
    networks: [front]
  lost:
    image: %[4]s
    networks: [front]
networks:
  front: {name: %[2]s-own, ipam: {config: [{subnet: %[5]s}]}}
volumes:
  data: {name: %[2]s-data}
`, s.Image, s.Platform, mark, s.Unknown, s.Subnet)
	file := filepath.Join(s.dir, stacks.ComposeFile)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func (s *scene) tryUp(t *testing.T, mark string, services ...string) error {
	t.Helper()
	return s.Engine.Up(s.ctx, provision.UpRequest{File: s.write(t, mark), Project: s.project, Services: services}, nil)
}

func (s *scene) up(t *testing.T, mark string, services ...string) {
	t.Helper()
	if err := s.tryUp(t, mark, services...); err != nil {
		t.Fatal(err)
	}
}

func (s *scene) observe(t *testing.T) stacks.State {
	t.Helper()
	state, err := s.Engine.Observe(s.ctx, s.Platform)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// id gives the ID of a service's only container, "" without one.
func (s *scene) id(t *testing.T, service string) string {
	t.Helper()
	all := s.observe(t).Of(s.project, service)
	switch len(all) {
	case 0:
		return ""
	case 1:
		return all[0].ID
	}
	t.Fatalf("%d containers of %s", len(all), service)
	return ""
}

func nothing(t *testing.T, s *scene) {
	state := s.observe(t)
	if len(state.Containers)+len(state.Networks)+len(state.Volumes) != 0 {
		t.Errorf("there is something: %+v", state)
	}
	if state.Images[s.Image] == "" {
		t.Errorf("image %s is not shown", s.Image)
	}
}

func upNamed(t *testing.T, s *scene) {
	s.up(t, "1", "db", "web")
	state := s.observe(t)
	if len(state.Containers) != 2 {
		t.Fatalf("want two containers, have %+v", state.Containers)
	}
	web := state.Of(s.project, "web")[0]
	if web.Name != s.project+"-web-1" || web.Stack != "shop" || web.Spec() != "1" || !web.Running() ||
		web.ImageID != state.Images[s.Image] || !slices.Equal(web.Networks, []string{s.Platform + "-own"}) {
		t.Errorf("web is %+v", web)
	}
	if db := state.Of(s.project, "db")[0]; db.Health != "healthy" {
		t.Errorf("web came up before db was healthy: %+v", db)
	}
	if n, ok := state.Network(s.Platform + "-own"); !ok || n.Subnet != s.Subnet {
		t.Errorf("network is %+v", n)
	}
	if len(state.Volumes) != 1 || state.Volumes[0].Name != s.Platform+"-data" {
		t.Errorf("volumes are %+v", state.Volumes)
	}
}

func upChanged(t *testing.T, s *scene) {
	s.up(t, "1", "db", "web", "side")
	db, web, side := s.id(t, "db"), s.id(t, "web"), s.id(t, "side")
	s.up(t, "1", "db", "web", "side")
	if s.id(t, "db") != db || s.id(t, "web") != web || s.id(t, "side") != side {
		t.Error("the second up touched something")
	}
	s.up(t, "2", "web")
	if s.id(t, "web") == web {
		t.Error("web was not replaced")
	}
	if s.id(t, "db") != db || s.id(t, "side") != side {
		t.Error("another service was replaced")
	}
	if got := s.observe(t).Of(s.project, "web")[0].Spec(); got != "2" {
		t.Errorf("web has spec %q", got)
	}
}

func upRefuses(t *testing.T, s *scene) {
	s.up(t, "1", "web")
	web := s.id(t, "web")
	err := s.tryUp(t, "2", "web", "lost")
	if err == nil || !strings.Contains(err.Error(), s.Unknown) {
		t.Errorf("a missing image gave %v", err)
	}
	if err := s.tryUp(t, "2", "nobody"); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("an unknown service gave %v", err)
	}
	if s.id(t, "web") != web {
		t.Error("web was touched")
	}
	if err := s.tryUp(t, "1"); err != nil {
		t.Errorf("naming no service gave %v", err)
	}
	if n := len(s.observe(t).Containers); n != 1 {
		t.Errorf("naming no service made %d containers", n)
	}
}

func upJob(t *testing.T, s *scene) {
	s.up(t, "1", "job")
	first := s.finished(t, "job")
	s.up(t, "1", "job")
	if second := s.finished(t, "job"); second.ID != first.ID || !second.StartedAt.After(first.StartedAt) {
		t.Errorf("the job did not run again: %+v then %+v", first, second)
	}
}

// finished waits for the end of a service's container.
func (s *scene) finished(t *testing.T, service string) provision.Inspected {
	t.Helper()
	for {
		list, err := s.Engine.Inspect(s.ctx, []string{s.id(t, service)})
		if err != nil {
			t.Fatal(err)
		}
		if list[0].State == "exited" {
			return list[0]
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func upCancelled(t *testing.T, s *scene) {
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	err := s.Engine.Up(ctx, provision.UpRequest{File: s.write(t, "1"), Project: s.project, Services: []string{"web"}}, nil)
	if err == nil {
		t.Error("no error")
	}
}

func networkOnce(t *testing.T, s *scene) {
	n := stacks.SharedNetwork{Name: s.Platform + "-front", Key: "front", Subnet: s.Subnet, Internal: true}
	for range 2 {
		if err := s.Engine.CreateNetwork(s.ctx, s.Platform, n); err != nil {
			t.Fatal(err)
		}
	}
	got, ok := s.observe(t).Network(n.Name)
	if !ok || got.Subnet != s.Subnet || got.Labels[stacks.LabelNetwork] != "front" || got.Labels[stacks.LabelSubnet] != s.Subnet {
		t.Errorf("network is %+v", got)
	}
	other := n
	other.Subnet = "10.213.254.0/24"
	if err := s.Engine.CreateNetwork(s.ctx, s.Platform, other); err == nil || !strings.Contains(err.Error(), s.Subnet) {
		t.Errorf("another subnet gave %v", err)
	}
	for range 2 {
		if err := s.Engine.RemoveNetwork(s.ctx, n.Name); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := s.observe(t).Network(n.Name); ok {
		t.Error("it is still there")
	}
}

func inspectOrder(t *testing.T, s *scene) {
	s.up(t, "1", "side", "web")
	web, side := s.id(t, "web"), s.id(t, "side")
	list, err := s.Engine.Inspect(s.ctx, []string{web, "0000000000000000", side})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 3 || list[0].ID != web || list[1].State != "gone" || list[2].ID != side {
		t.Fatalf("got %+v", list)
	}
	if list[0].State != "running" || list[0].StartedAt.IsZero() || list[0].Restarts != 0 {
		t.Errorf("web is %+v", list[0])
	}
}

func execOutput(t *testing.T, s *scene) {
	s.up(t, "1", "side")
	id := s.id(t, "side")
	res, err := s.Engine.Exec(s.ctx, id, []string{"/t", "cat"}, strings.NewReader("a secret"))
	if err != nil || res.ExitCode != 0 || res.Stdout != "a secret" {
		t.Errorf("cat gave %+v, %v", res, err)
	}
	res, err = s.Engine.Exec(s.ctx, id, []string{"/t", "exit", "3"}, nil)
	if err != nil || res.ExitCode != 3 {
		t.Errorf("exit 3 gave %+v, %v", res, err)
	}
	if _, err := s.Engine.Exec(s.ctx, "0000000000000000", []string{"/t", "exit", "0"}, nil); err == nil {
		t.Error("a missing container ran a command")
	}
}

func signalTail(t *testing.T, s *scene) {
	s.up(t, "1", "side")
	id := s.id(t, "side")
	if err := s.Engine.Signal(s.ctx, id, "HUP"); err != nil {
		t.Error(err)
	}
	if err := s.Engine.Signal(s.ctx, "0000000000000000", "HUP"); err == nil {
		t.Error("a missing container got a signal")
	}
	for { // it may take a moment until the log is there
		text, err := s.Engine.Tail(s.ctx, id, 10)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text, "up\n") {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func removeKeepsVolumes(t *testing.T, s *scene) {
	s.up(t, "1", "db", "side")
	db, side := s.id(t, "db"), s.id(t, "side")
	for range 2 {
		if err := s.Engine.Remove(s.ctx, []string{db, side}); err != nil {
			t.Fatal(err)
		}
	}
	state := s.observe(t)
	if len(state.Containers) != 0 || len(state.Volumes) != 1 {
		t.Errorf("containers %+v, volumes %+v", state.Containers, state.Volumes)
	}
}

func otherPlatform(t *testing.T, s *scene) {
	s.up(t, "1", "side")
	shorter, _, _ := strings.Cut(s.Platform, "-") // "home" beside "home-lab"
	state, err := s.Engine.Observe(s.ctx, shorter)
	if err != nil {
		t.Fatal(err)
	}
	if len(state.Containers) != 0 {
		t.Errorf("shown: %+v", state.Containers)
	}
}

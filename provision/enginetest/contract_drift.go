package enginetest

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/stacks"
)

// upAnew replaces a container that differs in nothing Compose looks at.
func upAnew(t *testing.T, s *scene) {
	s.up(t, "1", "db", "web", "side")
	db, web, side := s.id(t, "db"), s.id(t, "web"), s.id(t, "side")
	req := provision.UpRequest{File: s.write(t, "1"), Project: s.project, Services: []string{"db", "web", "side"}, Anew: []string{"web"}}
	if err := s.Engine.Up(s.ctx, req, nil); err != nil {
		t.Fatal(err)
	}
	if s.id(t, "web") == web {
		t.Error("web was not replaced")
	}
	if s.id(t, "db") != db || s.id(t, "side") != side {
		t.Error("another service was replaced")
	}
	if got := s.observe(t).Of(s.project, "web")[0]; got.Name != s.project+"-web-1" || !got.Running() {
		t.Errorf("web is %+v", got)
	}
}

// upPaused lets one paused container go on, and replaces another.
func upPaused(t *testing.T, s *scene) {
	s.up(t, "1", "web", "side")
	web, side := s.id(t, "web"), s.id(t, "side")
	for _, id := range []string{web, side} {
		if err := s.Pause(s.ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	if c := s.observe(t).Of(s.project, "side")[0]; c.State != "paused" {
		t.Fatalf("side is %s", c.State)
	}
	req := provision.UpRequest{File: s.write(t, "1"), Project: s.project, Services: []string{"web", "side"}, Anew: []string{"web"}}
	if err := s.Engine.Up(s.ctx, req, nil); err != nil {
		t.Fatal(err)
	}
	state := s.observe(t)
	if c := state.Of(s.project, "side")[0]; !c.Running() || c.ID != side {
		t.Errorf("side is %+v", c)
	}
	if c := state.Of(s.project, "web")[0]; !c.Running() || c.ID == web {
		t.Errorf("web, which was to be made anew, is %+v", c)
	}
}

// upRestarts starts a service again whose dependency is replaced, where it asks
// for that.
func upRestarts(t *testing.T, s *scene) {
	file := s.write(t, "1")
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(raw), "{condition: service_healthy}", "{condition: service_healthy, restart: true}", 1)
	up := func(anew ...string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		req := provision.UpRequest{File: file, Project: s.project, Services: []string{"db", "web", "side"}, Anew: anew}
		if err := s.Engine.Up(s.ctx, req, nil); err != nil {
			t.Fatal(err)
		}
	}
	up()
	web, side := s.id(t, "web"), s.id(t, "side")
	before := s.inspect(t, web, side)
	up("db")
	after := s.inspect(t, web, side)
	if s.id(t, "web") != web || !after[0].StartedAt.After(before[0].StartedAt) || after[0].State != "running" {
		t.Errorf("web was not started again: %+v then %+v", before[0], after[0])
	}
	if !after[1].StartedAt.Equal(before[1].StartedAt) {
		t.Error("side was started again")
	}
}

func (s *scene) inspect(t *testing.T, ids ...string) []provision.Inspected {
	t.Helper()
	list, err := s.Engine.Inspect(s.ctx, ids)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// networkIDs shows which network of a name a container is on.
func networkIDs(t *testing.T, s *scene) {
	s.up(t, "1", "side")
	n := stacks.SharedNetwork{Name: s.Platform + "-front", Key: "front", Subnet: "10.213.252.0/24", Internal: true}
	if err := s.Engine.CreateNetwork(s.ctx, s.Platform, n); err != nil {
		t.Fatal(err)
	}
	if err := s.Engine.Connect(s.ctx, n.Name, s.id(t, "side"), nil); err != nil {
		t.Fatal(err)
	}
	state := s.observe(t)
	side := state.Of(s.project, "side")[0]
	for _, name := range []string{n.Name, s.Platform + "-own"} {
		got, ok := state.Network(name)
		if !ok || got.ID == "" || side.NetworkIDs[name] != got.ID {
			t.Errorf("side is on %v, %s is %+v", side.NetworkIDs, name, got)
		}
		if got.Driver != "bridge" || got.Internal != (name == n.Name) {
			t.Errorf("%s is %+v", name, got)
		}
	}
}

func connectTwice(t *testing.T, s *scene) {
	s.up(t, "1", "side")
	front := stacks.SharedNetwork{Name: s.Platform + "-front", Key: "front", Subnet: "10.213.253.0/24"}
	if err := s.Engine.CreateNetwork(s.ctx, s.Platform, front); err != nil {
		t.Fatal(err)
	}
	id := s.id(t, "side")
	for range 2 {
		if err := s.Engine.Connect(s.ctx, front.Name, id, []string{"proxy"}); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{front.Name, s.Platform + "-own"}
	if got := s.observe(t).Of(s.project, "side")[0].Networks; !slices.Equal(got, want) {
		t.Errorf("networks are %v, want %v", got, want)
	}
	if err := s.Engine.RemoveNetwork(s.ctx, front.Name); err == nil {
		t.Error("a network in use was removed")
	}
	if err := s.Engine.Connect(s.ctx, s.Platform+"-none", id, nil); err == nil {
		t.Error("a missing network was joined")
	}
	for range 2 {
		if err := s.Engine.Disconnect(s.ctx, front.Name, id); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Engine.Disconnect(s.ctx, front.Name, "0000000000000000"); err != nil {
		t.Errorf("taking off a container that is gone: %v", err)
	}
	if err := s.Engine.RemoveNetwork(s.ctx, front.Name); err != nil {
		t.Errorf("nobody is on it any more: %v", err)
	}
}

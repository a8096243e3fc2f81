package provision_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/provision/host"
	"github.com/croft-sh/croft/stacks"
)

// TestDrift changes the machine behind croft's back, in every way that a plan
// can see, and wants the cause in words.
func TestDrift(t *testing.T) {
	tests := []struct {
		name   string
		change func(b *bench, id string)
		want   string
	}{
		{"container removed", func(b *bench, id string) { b.remove(id) }, "db/db: create, risk none (its container is gone)"},
		{"container stopped", func(b *bench, id string) { b.engine.Set(id, "exited", "", 137) }, "db/db: start, risk none (it is exited)"},
		{"container paused", func(b *bench, id string) { b.engine.Set(id, "paused", "", 0) }, "db/db: start, risk none (it is paused)"},
		{"made again by hand with our labels", func(b *bench, id string) { b.twin(id) }, "its container is not the one croft made"},
		{"renamed", func(b *bench, id string) { b.rename(id, "other") }, "its container was renamed to other"},
		{"image tag moved", func(b *bench, _ string) { b.engine.AddImage("db:1") }, "db/db: recreate, risk data (image db:1 is another one now (sha256:"},
		{"live file edited", func(b *bench, _ string) { b.live("db/settings/a.conf", "evil\n") }, "db/db: reload"},
		{"live compose edited", func(b *bench, _ string) { b.live("side/compose.yaml", "services: {}\n") }, "files [side/compose.yaml]"},
		{"live file removed", func(b *bench, _ string) { b.live("side/compose.yaml", "") }, "files [side/compose.yaml]"},
		{"tmpfs emptied", func(b *bench, _ string) { _ = os.RemoveAll(b.p.RunDir) }, "db/db: recreate, risk downtime (its secrets are gone from memory)"},
		{"secret opened to all", func(b *bench, _ string) {
			for _, g := range b.keeper.delivered {
				_ = os.Chmod(g.Path, 0o644)
			}
		}, "files ["},
		{"taken off a shared network", func(b *bench, id string) { _ = b.engine.Disconnect(context.Background(), "home-api-postgres", id) },
			"network home-api-postgres: connect (db/db is not on it)"},
		{"shared network removed", func(b *bench, id string) {
			for _, c := range []string{id, b.engine.Container("home-api", "api").ID} {
				_ = b.engine.Disconnect(context.Background(), "home-api-postgres", c)
			}
			_ = b.engine.RemoveNetwork(context.Background(), "home-api-postgres")
		}, "network home-api-postgres: create (it is gone)"},
		{"volume made elsewhere", func(b *bench, _ string) {
			b.engine.AddVolume(stacks.Volume{Name: "home-db_data", Options: map[string]string{"device": "/elsewhere"}})
		}, "blocked volume home-db_data: it exists and lies at /elsewhere"},
		{"a second container", func(b *bench, id string) { b.another(id) }, "db/db: remove, risk none (container home-db-db-2 beside it is not croft's)"},
		{"shared network made again by hand", func(b *bench, id string) {
			for _, c := range []string{id, b.engine.Container("home-api", "api").ID} {
				_ = b.engine.Disconnect(context.Background(), "home-api-postgres", c)
			}
			b.engine.AddNetwork(stacks.Network{Name: "home-api-postgres", Subnet: "10.9.0.0/24"})
			_ = b.engine.Connect(context.Background(), "home-api-postgres", id, nil)
		}, "network home-api-postgres: recreate (it was made again by hand; it exists with subnet 10.9.0.0/24"},
		{"on a foreign network", func(b *bench, id string) {
			b.engine.AddNetwork(stacks.Network{Name: "foreign", Labels: map[string]string{"x": "y"}})
			_ = b.engine.Connect(context.Background(), "foreign", id, nil)
		}, "network foreign: disconnect (db/db is on it and does not ask for it)"},
		{"lock lost", func(b *bench, _ string) { _ = os.Remove(filepath.Join(b.p.StateDir, "lock.json")) }, "files [lock.json]"},
		{"memory lost", func(b *bench, _ string) { _ = os.Remove(filepath.Join(b.p.StateDir, "memory.json")) }, "memory.json"},
		{"a link in place of a file", func(b *bench, _ string) {
			path := filepath.Join(b.p.StateDir, "live/side/compose.yaml")
			_ = os.Rename(path, path+".kept")
			_ = os.Symlink(path+".kept", path)
		}, "files [side/compose.yaml]"},
		{"a directory in place of a file", func(b *bench, _ string) {
			path := filepath.Join(b.p.StateDir, "live/db/settings/a.conf")
			_ = os.Remove(path)
			_ = os.Mkdir(path, 0o755)
		}, "db/db: reload, risk none (file settings/a.conf is missing on disk)"},
		{"a strange container in the project", func(b *bench, _ string) {
			b.engine.AddContainer(stacks.Container{Name: "home-db-extra-1", Project: "home-db", Stack: "db", Service: "extra", State: "running"})
		}, "warnings [db/extra runs and is no longer wanted"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.p.Leases = host.Leases{Dir: filepath.Join(b.p.StateDir, "leases")}
			b.mustApply()
			tt.change(b, b.engine.Container("home-db", "db").ID)
			plan := b.plan(provision.PlanOptions{}).Plan
			got := fmt.Sprintf("%sfiles %v warnings %v", plan, plan.Files, plan.Warnings)
			if !strings.Contains(got, tt.want) {
				t.Errorf("got:\n%s\nwant in it:\n%s", got, tt.want)
			}
			if len(plan.Drift) == 0 {
				t.Error("it is not told as drift")
			}
			if len(plan.Blocked) > 0 {
				return
			}
			b.mustApply()
			if after := b.plan(provision.PlanOptions{}).Plan; !after.Empty() {
				t.Errorf("the apply left:\n%sfiles %v", after, after.Files)
			}
		})
	}
}

func (b *bench) remove(id string) {
	if err := b.engine.Remove(context.Background(), []string{id}); err != nil {
		b.t.Fatal(err)
	}
}

// like gives the container of that ID, to make another like it.
func (b *bench) like(id string) stacks.Container {
	b.t.Helper()
	state, err := b.engine.Observe(context.Background(), "home")
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range state.Containers {
		if c.ID == id {
			return c
		}
	}
	b.t.Fatalf("no container %s", id)
	return stacks.Container{}
}

func (b *bench) twin(id string) {
	c := b.like(id)
	b.remove(id)
	c.ID = ""
	b.engine.AddContainer(c)
}

func (b *bench) rename(id, name string) {
	c := b.like(id)
	b.remove(id)
	c.Name = name
	b.engine.AddContainer(c)
}

func (b *bench) another(id string) {
	c := b.like(id)
	c.ID, c.Name = "", "home-db-db-2"
	b.engine.AddContainer(c)
}

// live writes a file under live/, or removes it.
func (b *bench) live(path, text string) {
	full := filepath.Join(b.p.StateDir, "live", filepath.FromSlash(path))
	if text == "" {
		_ = os.Remove(full)
		return
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

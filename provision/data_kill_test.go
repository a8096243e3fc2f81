package provision_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/provision/enginetest"
	"github.com/croft-sh/croft/stacks"
)

// mortal counts the steps that change something and, from a given one on, lets
// none happen: that is what SIGKILL looks like from outside.
type mortal struct {
	mu    sync.Mutex
	steps int
	last  int // 0: it lives
}

var errKilled = errors.New("killed")

func (m *mortal) step() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.steps++
	if m.last > 0 && m.steps > m.last {
		return errKilled
	}
	return nil
}

// mortals wraps all that changes the machine.
func (b *bench) mortals(last int) *mortal {
	m := &mortal{last: last}
	write := b.p.WriteFile
	b.p.WriteFile = func(path string, data []byte, mode fs.FileMode) error {
		if err := m.step(); err != nil {
			return err
		}
		return write(path, data, mode)
	}
	b.p.Engine = dyingEngine{Engine: b.engine, m: m}
	b.p.Halts = dyingHalts{Halts: b.engine, m: m}
	b.p.Volumes = dyingVolumes{Volumes: b.p.Volumes, m: m}
	b.p.Databases = dyingDatabases{Databases: b.databases, m: m}
	return m
}

type dyingEngine struct {
	provision.Engine
	m *mortal
}

func (e dyingEngine) Up(ctx context.Context, req provision.UpRequest, ev stacks.Events) error {
	if err := e.m.step(); err != nil {
		return err
	}
	return e.Engine.Up(ctx, req, ev)
}

func (e dyingEngine) Remove(ctx context.Context, ids []string) error {
	if err := e.m.step(); err != nil {
		return err
	}
	return e.Engine.Remove(ctx, ids)
}

type dyingHalts struct {
	provision.Halts
	m *mortal
}

func (h dyingHalts) Halt(ctx context.Context, ids []string) error {
	if err := h.m.step(); err != nil {
		return err
	}
	return h.Halts.Halt(ctx, ids)
}

func (h dyingHalts) Unhalt(ctx context.Context, policies map[string]string) error {
	if err := h.m.step(); err != nil {
		return err
	}
	return h.Halts.Unhalt(ctx, policies)
}

type dyingVolumes struct {
	provision.Volumes
	m *mortal
}

func (v dyingVolumes) Copy(ctx context.Context, from, to string) error {
	if err := v.m.step(); err != nil {
		return err
	}
	return v.Volumes.Copy(ctx, from, to)
}

// Swap is two renames: it also dies between them.
func (v dyingVolumes) Swap(path, aside, failed string) error {
	if err := v.m.step(); err != nil {
		return err
	}
	if err := v.m.step(); err != nil {
		_, gone := os.Lstat(aside)
		return errors.Join(err, gone, os.Rename(path, failed))
	}
	return v.Volumes.Swap(path, aside, failed)
}

type dyingDatabases struct {
	provision.Databases
	m *mortal
}

func (d dyingDatabases) Copy(ctx context.Context, server, from, to string) error {
	if err := d.m.step(); err != nil {
		return err
	}
	return d.Databases.Copy(ctx, server, from, to)
}

func (d dyingDatabases) Swap(ctx context.Context, server, name, aside, failed string) error {
	if err := d.m.step(); err != nil {
		return err
	}
	return d.Databases.Swap(ctx, server, name, aside, failed)
}

// everything is a stack with a volume, one without a name, and a database, and a
// store that another service writes.
const everything = `
x-croft:
  needs: [db]
  secrets: {pw: {generate: 20, rotate: restart}}
  databases: {app: {engine: postgres, owner: app, password: pw, service: api}}
services:
  api: {image: "API", user: "1:1", secrets: [pw], healthcheck: {test: [CMD, "true"]}}
  store: {image: "store:1", restart: always, volumes: ["data:/data"], healthcheck: {test: [CMD, "true"]}}
volumes: {data: {}}
`

// upgradeBench runs everything at version 1, with rows in all three places, and
// fails the test when an image starts on data that is not for it.
func upgradeBench(t *testing.T, crashes bool) (b *bench, rows func() string) {
	b = backBench(t)
	for _, image := range []string{"api:1", "api:2", "api:3", "store:1"} {
		b.engine.Declare(image, "/cache", b.outside)
	}
	b.write("stacks/api/compose.yaml", strings.ReplaceAll(everything, "API", "api:1"))
	b.must()
	var files []string
	for _, name := range []string{"api", "store"} {
		files = append(files, filepath.Join(b.engine.Unnamed("home-api", name, "/cache"), "row"))
	}
	files = append(files, filepath.Join(b.data(), "c/api/data/row"))
	rows = func() string {
		all := []string{b.database("app")}
		for _, f := range files {
			all = append(all, b.get(f))
		}
		return strings.Join(all, " ")
	}
	set := func(to string) {
		b.databases.Put("app", to)
		for _, f := range files {
			b.put(f, to)
		}
	}
	set("v1")
	only := func(image, from string) func() {
		return func() {
			if got := rows(); got != strings.Join([]string{from, from, from, from}, " ") {
				t.Errorf("%s starts on %q", image, got)
			}
		}
	}
	b.engine.Behave("api:1", enginetest.Behaviour{Started: only("api:1", "v1")})
	migrate := enginetest.Behaviour{Started: func() {
		if !strings.Contains(rows(), "v2") { // a second start of it finds its own
			only("api:2", "v1")()
		}
		set("v2")
	}}
	if crashes {
		migrate.Exit = enginetest.Exited(3)
	}
	b.engine.Behave("api:2", migrate)
	b.write("stacks/api/compose.yaml", strings.ReplaceAll(everything, "API", "api:2"))
	return b, rows
}

// TestKilledAtEveryStep kills the apply of an upgrade at each step that changes
// something. Whatever is applied next, no image meets data that is not for it.
func TestKilledAtEveryStep(t *testing.T) {
	for i, tt := range []struct {
		name    string
		crashes bool
		next    string // image that is written when the next apply comes
		runs    string
		rows    string
	}{
		{"a version that crashes", true, "api:2", "api:1", "v1 v1 v1 v1"},
		{"a version that crashes and is given up", true, "api:1", "api:1", "v1 v1 v1 v1"},
		{"a version that runs", false, "api:2", "api:2", "v2 v2 v2 v2"},
		{"a version that runs and is given up", false, "api:1", "api:1", "v1 v1 v1 v1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, _ := upgradeBench(t, tt.crashes)
			m := b.mortals(0)
			_, err := b.applyBack()
			if (err != nil) != tt.crashes {
				t.Fatal(err)
			}
			t.Logf("%d steps", m.steps)
			for last := 1; last < m.steps; last++ {
				if os.Getenv("CROFT_CHAOS_ROUNDS") == "" && last%3 != i%3 {
					continue // together they cover each step; make chaos runs all of all
				}
				t.Run(fmt.Sprintf("step %d", last), func(t *testing.T) {
					t.Parallel()
					b, rows := upgradeBench(t, tt.crashes)
					whole := *b.p
					b.mortals(last)
					_, _ = b.applyBack() // it dies
					*b.p = whole
					b.write("stacks/api/compose.yaml", strings.ReplaceAll(everything, "API", tt.next))
					if tt.next == "api:1" && !tt.crashes && b.passed() {
						return // nothing was interrupted: the admin goes back to older data on purpose
					}
					for try := 0; ; try++ {
						_, err := b.applyBack()
						if err == nil {
							break
						}
						if try == 2 {
							t.Fatal(err)
						}
					}
					if c := b.engine.Container("home-api", "api"); c.Image != tt.runs || c.State != "running" || rows() != tt.rows {
						t.Errorf("%s is %s on %q", c.Image, c.State, rows())
					}
					if c := b.engine.Container("home-api", "store"); c.State != "running" {
						t.Errorf("the store is %s", c.State)
					}
					if !b.planNow().Empty() {
						t.Errorf("left to do:\n%s", b.planNow())
					}
				})
			}
		})
	}
}

// passed tells whether the stack's change is not under way any more.
func (b *bench) passed() bool {
	return !strings.Contains(b.get(filepath.Join(b.p.StateDir, "pending.json")), `"api"`)
}

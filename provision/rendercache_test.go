package provision_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/stacks"
)

// keeping is a bench whose plans keep what they render, and that counts loads.
type keeping struct {
	*bench
	facts map[string]string
	loads int
}

func newKeeping(t *testing.T) *keeping {
	t.Helper()
	k := &keeping{bench: newBench(t), facts: map[string]string{"CROFT_DOCKER_GID": "999"}}
	k.write("stacks/side/more.yaml", "services:\n  more: {image: \"more:1\", healthcheck: {test: [CMD, \"true\"]}, environment: {GID: \"${CROFT_DOCKER_GID}\", NAME: \"${NAME}\"}}\n")
	k.write("stacks/side/compose.yaml", "x-croft: {options: {NAME: {ask: A name, default: a}}}\n"+
		"include: [more.yaml]\nservices:\n  side: {image: \"side:1\", healthcheck: {test: [CMD, \"true\"]}, volumes: [\"./conf:/conf:ro\"]}\n")
	k.write("stacks/side/conf/a.tmpl", "{{ .Stack }} one\n")
	k.p.Program = "the program"
	k.p.InputSum = func(names []string) (string, error) { return stacks.InputSum(os.DirFS(k.dir), names, k.options(nil)) }
	return k
}

func (k *keeping) options(instead map[string]fs.FS) stacks.LoadOptions {
	return stacks.LoadOptions{Dir: k.dir, Facts: k.facts, Instead: instead}
}

func (k *keeping) load(instead map[string]fs.FS) (stacks.Desired, error) {
	k.loads++
	d, problems := stacks.LoadDesired(os.DirFS(k.dir), k.options(instead))
	return d, problems.Err()
}

// prepared plans, and tells how often the platform was loaded for it.
func (k *keeping) look() (stacks.Plan, int) {
	k.t.Helper()
	k.loads = 0
	plan, err := k.p.Look(context.Background(), k.load, provision.PlanOptions{})
	if err != nil {
		k.t.Fatal(err)
	}
	return plan, k.loads
}

// full is the plan that a load gives.
func (k *keeping) full() provision.Prepared {
	k.t.Helper()
	d, err := k.p.Desired(k.load)
	if err != nil {
		k.t.Fatal(err)
	}
	prep, err := k.p.Plan(context.Background(), d, provision.PlanOptions{})
	if err != nil {
		k.t.Fatal(err)
	}
	return prep
}

func (k *keeping) apply() {
	k.t.Helper()
	if _, err := k.p.Apply(context.Background(), k.full(), provision.ApplyOptions{Load: k.load}, nil); err != nil {
		k.t.Fatal(err)
	}
}

// settle applies what is written, and keeps that there is nothing more to do.
func (k *keeping) settle() {
	k.t.Helper()
	k.apply()
	if plan, _ := k.look(); !plan.Empty() {
		k.t.Fatalf("not settled:\n%s", plan)
	}
	if _, loads := k.look(); loads != 0 {
		k.t.Fatalf("%d loads of an unchanged platform, want none", loads)
	}
}

func (k *keeping) kept() string { return filepath.Join(k.p.StateDir, "cache", "render") }

// same wants the plan that a full load gives.
func (k *keeping) same(got stacks.Plan) {
	k.t.Helper()
	if a, b := asJSON(k.t, got), asJSON(k.t, k.full().Plan); !bytes.Equal(a, b) {
		k.t.Errorf("got the plan\n%s\nwant\n%s", a, b)
	}
}

func asJSON(t testing.TB, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestAnUnchangedPlatformIsLookedAtAndNotLoaded(t *testing.T) {
	k := newKeeping(t)
	k.settle()
	k.engine.Forget()
	plan, loads := k.look()
	if loads != 0 || !plan.Empty() {
		t.Errorf("%d loads, plan %q", loads, plan)
	}
	if calls := k.engine.Calls(); !slices.Equal(calls, []string{"observe home"}) {
		t.Errorf("the engine was asked %q", calls)
	}
	k.same(plan)
}

// What happens to the machine is seen whether or not the platform was loaded.
func TestDriftIsSeenThroughAKeptRender(t *testing.T) {
	for name, change := range map[string]func(k *keeping, id string){
		"stopped":      func(k *keeping, id string) { k.engine.Set(id, "exited", "", 137) },
		"removed":      func(k *keeping, id string) { k.remove(id) },
		"renamed":      func(k *keeping, id string) { k.rename(id, "other") },
		"tag moved":    func(k *keeping, _ string) { k.engine.AddImage("db:1") },
		"live edited":  func(k *keeping, _ string) { k.live("db/settings/a.conf", "evil\n") },
		"tmpfs empty":  func(k *keeping, _ string) { _ = os.RemoveAll(k.p.RunDir) },
		"network left": func(k *keeping, id string) { _ = k.engine.Disconnect(context.Background(), "home-api-postgres", id) },
		"volume moved": func(k *keeping, _ string) {
			k.engine.AddVolume(stacks.Volume{Name: "home-db_data", Options: map[string]string{"device": "/elsewhere"}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKeeping(t)
			k.settle()
			change(k, k.engine.Container("home-db", "db").ID)
			plan, loads := k.look()
			if loads != 1 || plan.Empty() && len(plan.Blocked) == 0 {
				t.Errorf("%d loads, plan %q", loads, plan)
			}
			k.same(plan)
		})
	}
}

// Each input of a render counts, be what comes out the same or not.
func TestEachChangedInputIsLoadedAnew(t *testing.T) {
	edit := func(path, from, to string) func(*keeping) {
		return func(k *keeping) {
			full := filepath.Join(k.dir, path)
			raw, err := os.ReadFile(full)
			if err != nil || !strings.Contains(string(raw), from) {
				k.t.Fatalf("%s has no %q: %v", path, from, err)
			}
			k.write(path, strings.Replace(string(raw), from, to, 1))
		}
	}
	state := func(name, text string) func(*keeping) {
		return func(k *keeping) {
			if err := os.WriteFile(filepath.Join(k.p.StateDir, name), []byte(text), 0o600); err != nil {
				k.t.Fatal(err)
			}
		}
	}
	for name, change := range map[string]func(k *keeping){
		"croft.yaml": edit("croft.yaml", "ada@", "eve@"),
		"comment":    edit("croft.yaml", "version", "# hello\nversion"),
		"option":     edit("croft.yaml", "side: {}", "side: {options: {NAME: b}}"),
		"stack added": func(k *keeping) {
			k.write("stacks/new/compose.yaml", "services: {new: {image: \"n:1\"}}\n")
			edit("croft.yaml", "side: {}", "side: {}, new: {}")(k)
		},
		"stack left out":       edit("croft.yaml", ", side: {}", ""),
		"Compose file":         edit("stacks/side/compose.yaml", "side:1", "side:2"),
		"included file":        edit("stacks/side/more.yaml", "more:1", "more:2"),
		"template":             edit("stacks/side/conf/a.tmpl", "one", "two"),
		"file that is mounted": edit("stacks/db/settings/a.conf", "first", "second"),
		"file added":           func(k *keeping) { k.write("stacks/side/conf/b", "b\n") },
		"file nobody reads":    func(k *keeping) { k.write("stacks/side/README", "b\n") },
		"file removed":         func(k *keeping) { _ = os.Remove(filepath.Join(k.dir, "stacks/db/settings/a.conf")) },
		"file renamed": func(k *keeping) {
			_ = os.Rename(filepath.Join(k.dir, "stacks/side/conf/a.tmpl"), filepath.Join(k.dir, "stacks/side/conf/b.tmpl"))
		},
		"mode of a file":  func(k *keeping) { _ = os.Chmod(filepath.Join(k.dir, "stacks/db/settings/a.conf"), 0o755) },
		".env":            func(k *keeping) { k.write("stacks/side/.env", "X=1\n") },
		"override":        func(k *keeping) { k.write("stacks/side/compose.override.yaml", "services: {side: {init: true}}\n") },
		"fact":            func(k *keeping) { k.facts = map[string]string{"CROFT_DOCKER_GID": "998"} },
		"another fact":    func(k *keeping) { k.facts["CROFT_USERS_DIR"] = "/u" },
		"program":         func(k *keeping) { k.p.Program = "the next program" },
		"state directory": func(k *keeping) { k.moveState() },
		"run directory":   func(k *keeping) { k.p.RunDir += "/elsewhere" },
		"fingerprint":     func(k *keeping) { k.keeper.have["db/root"] = "fp-new" },
		"secret gone":     func(k *keeping) { delete(k.keeper.have, "db/root") },
		"taken back":      state("held.json", `{"side":{"inputs":"x","good":1,"reason":"r"}}`),
		"lock":            func(k *keeping) { k.relock() },
		"stack directory is a link": func(k *keeping) {
			_ = os.Rename(filepath.Join(k.dir, "stacks/side"), filepath.Join(k.dir, "elsewhere"))
			_ = os.Symlink("../elsewhere", filepath.Join(k.dir, "stacks/side"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKeeping(t)
			k.settle()
			change(k)
			k.loads = 0
			plan, err := k.p.Look(context.Background(), k.load, provision.PlanOptions{})
			if k.loads == 0 {
				t.Errorf("nothing was loaded; plan %q, error %v", plan, err)
			}
			if err == nil {
				k.same(plan)
			}
		})
	}
}

// moveState has all of the state lie elsewhere, as after a restore.
func (k *keeping) moveState() {
	k.t.Helper()
	elsewhere := filepath.Join(k.t.TempDir(), "state")
	if err := os.Rename(k.p.StateDir, elsewhere); err != nil {
		k.t.Fatal(err)
	}
	k.p.StateDir = elsewhere
}

// relock writes the lock with another image in it, as an apply does.
func (k *keeping) relock() {
	k.t.Helper()
	path := filepath.Join(k.p.StateDir, "lock.json")
	raw, err := os.ReadFile(path)
	if err != nil {
		k.t.Fatal(err)
	}
	var lock stacks.Lock
	if err := json.Unmarshal(raw, &lock); err != nil {
		k.t.Fatal(err)
	}
	lock.Images["other:1"] = stacks.ImageLock{ID: "sha256:1"}
	if err := os.WriteFile(path, asJSON(k.t, lock), 0o600); err != nil {
		k.t.Fatal(err)
	}
}

// TestTheOldInputsHaveTheOldRender goes away and back again: what was kept is
// not written over by a plan that has something to do.
func TestTheOldInputsHaveTheOldRender(t *testing.T) {
	k := newKeeping(t)
	k.settle()
	k.write("stacks/db/settings/a.conf", "second\n")
	if plan, loads := k.look(); loads != 1 || plan.Empty() {
		t.Errorf("%d loads, plan %q", loads, plan)
	}
	k.write("stacks/db/settings/a.conf", "first\n")
	if plan, loads := k.look(); loads != 0 || !plan.Empty() {
		t.Errorf("%d loads, plan %q", loads, plan)
	}
}

func TestADamagedKeptRenderDecidesNothing(t *testing.T) {
	k := newKeeping(t)
	k.settle()
	good, err := os.ReadFile(k.kept())
	if err != nil {
		t.Fatal(err)
	}
	try := func(what string, text []byte) {
		t.Helper()
		if err := os.WriteFile(k.kept(), text, 0o600); err != nil {
			t.Fatal(err)
		}
		plan, loads := k.look()
		if loads != 1 || !plan.Empty() {
			t.Errorf("%s: %d loads, plan %q", what, loads, plan)
		}
		if now, err := os.ReadFile(k.kept()); err != nil || !bytes.Equal(now, good) {
			t.Errorf("%s: it was not written anew (%v)", what, err)
		}
	}
	for i := 0; i < len(good); i += 1 + len(good)/25 {
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		try("a bit turned", bad)
		try("cut off", good[:i])
	}
	try("longer", append(bytes.Clone(good), 0))
}

func TestAKeptRenderOfSomebodyElseIsNotRead(t *testing.T) {
	elsewhere := filepath.Join(t.TempDir(), "render") // of one case alone
	for name, swap := range map[string]func(k *keeping) error{
		"others may read":  func(k *keeping) error { return os.Chmod(k.kept(), 0o644) },
		"others may write": func(k *keeping) error { return os.Chmod(k.kept(), 0o620) },
		"a link": func(k *keeping) error {
			return errors.Join(os.Rename(k.kept(), elsewhere), os.Symlink(elsewhere, k.kept()))
		},
		"a directory": func(k *keeping) error { return errors.Join(os.Remove(k.kept()), os.MkdirAll(k.kept()+"/x", 0o700)) },
		"no directory": func(k *keeping) error {
			dir := filepath.Dir(k.kept())
			return errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600))
		},
		"another owner": func(k *keeping) error {
			if os.Geteuid() != 0 {
				return os.Chmod(k.kept(), 0o666) // only root can give files away
			}
			return os.Chown(k.kept(), 12345, 12345)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKeeping(t)
			k.settle()
			if err := swap(k); err != nil {
				t.Fatal(err)
			}
			if plan, loads := k.look(); loads != 1 || !plan.Empty() {
				t.Errorf("%d loads, plan %q", loads, plan)
			}
		})
	}
}

func TestAStateThatCannotBeWrittenFailsNoPlan(t *testing.T) {
	k := newKeeping(t)
	k.settle()
	if err := os.RemoveAll(filepath.Dir(k.kept())); err != nil {
		t.Fatal(err)
	}
	k.p.WriteFile = func(string, []byte, fs.FileMode) error { return fs.ErrPermission }
	for range 2 {
		if plan, loads := k.look(); loads != 1 || !plan.Empty() {
			t.Errorf("%d loads, plan %q", loads, plan)
		}
	}
}

// A first plan changes nothing, and what is asked about one stack is not kept
// for all.
func TestOnlyASettledPlatformIsKept(t *testing.T) {
	k := newKeeping(t)
	if plan, _ := k.look(); plan.Empty() {
		t.Fatal("nothing to do on an empty machine")
	}
	if entries, err := os.ReadDir(k.p.StateDir); err != nil || len(entries) > 0 {
		t.Errorf("the state directory holds %v (%v)", entries, err)
	}
	k.settle()
	k.loads = 0
	plan, err := k.p.Look(context.Background(), k.load, provision.PlanOptions{Stacks: []string{"side"}})
	if err != nil || k.loads != 1 || !plan.Empty() {
		t.Errorf("%d loads, plan %q, error %v", k.loads, plan, err)
	}
}

// Compose follows links of the machine for paths that are watched.
func TestWhatDependsOnLinksOfTheMachineIsNotKept(t *testing.T) {
	k := newKeeping(t)
	k.write("stacks/side/compose.yaml", "services:\n  side:\n    image: side:1\n    healthcheck: {test: [CMD, \"true\"]}\n    develop: {watch: [{action: sync, path: ./src, target: /src}]}\n")
	k.apply()
	for range 2 {
		if plan, loads := k.look(); loads != 1 || !plan.Empty() {
			t.Errorf("%d loads, plan %q", loads, plan)
		}
	}
}

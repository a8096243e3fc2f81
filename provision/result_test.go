package provision_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/provision/enginetest"
	"github.com/croft-sh/croft/stacks"
)

// onWrite looks at what is on disk just before each write: what it sees is what
// a kill at that line would leave.
func (b *bench) onWrite(look func(path string)) {
	write := b.p.WriteFile
	b.p.WriteFile = func(path string, data []byte, mode fs.FileMode) error {
		look(path)
		return write(path, data, mode)
	}
}

func (b *bench) history() []provision.Revision {
	b.t.Helper()
	all, err := b.p.History()
	if err != nil {
		b.t.Fatal(err)
	}
	return all
}

func (b *bench) pending() map[string]any {
	b.t.Helper()
	out := map[string]any{}
	raw, err := os.ReadFile(filepath.Join(b.p.StateDir, "pending.json"))
	if err == nil {
		err = json.Unmarshal(raw, &out)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.t.Fatal(err)
	}
	return out
}

// TestNoSuccessIsEverInNoRevision looks at every write of an apply: once a stack
// is no longer pending, the revision says that it was applied.
func TestNoSuccessIsEverInNoRevision(t *testing.T) {
	b := newBench(t)
	b.mustApply()
	for _, s := range []string{"db", "api", "side"} {
		b.write("stacks/"+s+"/compose.yaml", strings.Replace(base()["stacks/"+s+"/compose.yaml"], s+":1", s+":2", 1))
	}
	var mu sync.Mutex
	begun := map[string]bool{}
	seen := 0
	b.onWrite(func(string) {
		mu.Lock()
		defer mu.Unlock()
		pend := b.pending()
		for s := range pend {
			begun[s] = true
		}
		newest := b.history()[0]
		for s := range begun {
			if pend[s] != nil {
				continue
			}
			seen++
			if newest.Number != 2 || newest.Stacks[s] != "applied" {
				t.Errorf("%s is done, and revision %d says %q", s, newest.Number, newest.Stacks[s])
			}
			if newest.Images[s+":2"] == "" {
				t.Errorf("revision %d does not say which image %s:2 was: %v", newest.Number, s, newest.Images)
			}
		}
	})
	if rev := b.mustApply(); rev.Result != "applied" {
		t.Errorf("result %s", rev.Result)
	}
	if len(begun) != 3 || seen == 0 {
		t.Errorf("looked at %d moments of %v: the test sees too little", seen, begun)
	}
}

// TestAKilledRevisionSaysWhatItDid takes the disk as it is in the middle of an
// apply, and reads it as the next run would.
func TestAKilledRevisionSaysWhatItDid(t *testing.T) {
	b := newBench(t)
	b.mustApply()
	b.write("stacks/db/compose.yaml", strings.Replace(base()["stacks/db/compose.yaml"], "db:1", "db:2", 1))
	b.write("stacks/api/compose.yaml", strings.Replace(base()["stacks/api/compose.yaml"], "api:1", "api:2", 1))
	killed := filepath.Join(t.TempDir(), "state")
	var once sync.Once
	b.onWrite(func(path string) {
		if b.pending()["api"] != nil {
			once.Do(func() {
				if err := os.CopyFS(killed, os.DirFS(b.p.StateDir)); err != nil {
					t.Error(err)
				}
			})
		}
	})
	b.mustApply()
	after := *b.p
	after.StateDir = killed
	all, err := after.History()
	if err != nil {
		t.Fatal(err)
	}
	if got := all[0]; got.Number != 2 || got.Result != "interrupted" || got.Failure != "ended before it was done; done: db; under way: api" {
		t.Errorf("revision %+v", got)
	}
	status, err := after.Status(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if status.Revision == nil || status.Revision.Result != "interrupted" {
		t.Errorf("status says %+v", status.Revision)
	}
}

// TestTheResultIsKeptWhateverElseFails lets everything fail that is written at
// the end of an apply beside the result.
func TestTheResultIsKeptWhateverElseFails(t *testing.T) {
	b := newBench(t)
	b.mustApply()
	b.write("stacks/side/compose.yaml", "services:\n  side: {image: \"side:2\"}\n")
	write, full := b.p.WriteFile, errors.New("no space left")
	b.p.WriteFile = func(path string, data []byte, mode fs.FileMode) error {
		if b.history()[0].Stacks["side"] == "applied" && b.history()[0].Number == 2 && !strings.HasSuffix(path, "result.json") && b.pending()["side"] == nil {
			return full
		}
		return write(path, data, mode)
	}
	rev, err := b.apply()
	if !errors.Is(err, full) {
		t.Fatalf("error %v: what could not be written is not said", err)
	}
	if got := b.history()[0]; got.Number != rev.Number || got.Result != "applied" || got.Images["side:2"] == "" {
		t.Errorf("revision %+v", got)
	}
}

func TestARevisionThatTouchedNothingSaysSo(t *testing.T) {
	b := newBench(t)
	b.mustApply()
	b.write("stacks/side/compose.yaml", "services:\n  side: {image: \"side:typo\"}\n")
	b.engine.Unknown("side:typo")
	if _, err := b.apply(); err == nil {
		t.Fatal("no error")
	}
	got := b.history()
	if len(got) != 2 || got[0].Result != "failed" || len(got[0].Stacks) != 0 || !strings.Contains(got[0].Failure, "side:typo") {
		t.Errorf("history %+v", got)
	}
}

// TestConcludeEndsWhatWasDone: killed after the last stack, before the end.
func TestConcludeEndsWhatWasDone(t *testing.T) {
	b := newBench(t)
	killed := filepath.Join(t.TempDir(), "state")
	var once sync.Once
	b.onWrite(func(string) {
		if all := b.history(); len(all) > 0 && len(all[0].Stacks) == 3 && len(b.pending()) == 0 {
			once.Do(func() {
				if err := os.CopyFS(killed, os.DirFS(b.p.StateDir)); err != nil {
					t.Error(err)
				}
			})
		}
	})
	b.mustApply()
	result := filepath.Join(b.p.StateDir, "revisions/1/result.json")
	early, err := os.ReadFile(filepath.Join(killed, "revisions/1/result.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(result, early, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := b.history()[0]; got.Result != "interrupted" {
		t.Fatalf("revision %+v", got)
	}
	prep := b.plan(provision.PlanOptions{})
	if err := b.p.Conclude(prep); err != nil {
		t.Fatal(err)
	}
	if got := b.history()[0]; got.Result != "applied" || got.Stacks["db"] != "applied" || got.Failure != "" {
		t.Errorf("revision %+v", got)
	}
}

// TestUntouchedStacksKeepTheirRecord: what was not tried is not what runs.
func TestUntouchedStacksKeepTheirRecord(t *testing.T) {
	b := newBench(t)
	b.mustApply()
	b.write("stacks/side/compose.yaml", "services:\n  side: {image: \"side:2\"}\n  more: {image: \"more:1\"}\n")
	b.write("stacks/db/settings/a.conf", "second\n")
	prep := b.plan(provision.PlanOptions{Stacks: []string{"db"}})
	rev, err := b.p.Apply(context.Background(), prep, provision.ApplyOptions{WaitTimeout: time.Minute}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if rev.Stacks["side"] != "untouched" {
		t.Fatalf("side was %s", rev.Stacks["side"])
	}
	status, err := b.p.Status(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range status.Stacks {
		if s.Name == "side" && (len(s.Services) != 1 || s.Services[0].Image != "side:1" || s.State != stacks.Healthy) {
			t.Errorf("status of the untouched stack: %+v", s)
		}
	}
}

// script is the side stack with a script that its service mounts.
func (b *bench) script(mode os.FileMode, image string) {
	b.write("stacks/side/compose.yaml", "services:\n  side: {image: \""+image+"\", volumes: [\"./run.sh:/run.sh:ro\"]}\n")
	b.write("stacks/side/run.sh", "#!/bin/sh\n")
	if err := os.Chmod(filepath.Join(b.dir, "stacks/side/run.sh"), mode); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) modeOf(path string) string {
	b.t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		b.t.Fatal(err)
	}
	return strconv.FormatUint(uint64(info.Mode().Perm()), 8)
}

func TestAWayBackKeepsScriptsExecutable(t *testing.T) {
	b := backBench(t)
	b.script(0o755, "side:1")
	if _, err := b.applyBack(); err != nil {
		t.Fatal(err)
	}
	if got := b.modeOf(filepath.Join(b.p.StateDir, "revisions/1/inputs/stacks/side/run.sh")); got != "755" {
		t.Errorf("kept with mode %s", got)
	}
	b.script(0o644, "side:2")
	b.engine.Behave("side:2", enginetest.Behaviour{Exit: enginetest.Exited(126)})
	if _, err := b.applyBack(); err == nil {
		t.Fatal("no error")
	}
	live := filepath.Join(b.p.StateDir, "live/side/run.sh")
	if got := b.modeOf(live); got != "755" {
		t.Errorf("after the way back the script has mode %s", got)
	}
	t.Run("and a corrected mode ends the hold", func(t *testing.T) {
		b.script(0o755, "side:2")
		b.engine.Behave("side:2", enginetest.Behaviour{})
		if _, err := b.applyBack(); err != nil {
			t.Fatal(err)
		}
		if got := b.engine.Container("home-side", "side").Image; got != "side:2" {
			t.Errorf("runs %s", got)
		}
	})
}

func TestAModeChangedByHandIsNamedAndPutBack(t *testing.T) {
	b := newBench(t)
	b.script(0o755, "side:1")
	b.mustApply()
	live := filepath.Join(b.p.StateDir, "live/side/run.sh")
	before, err := os.Stat(live)
	if err != nil {
		t.Fatal(err)
	}
	id := b.engine.Container("home-side", "side").ID
	if err := os.Chmod(live, 0o644); err != nil {
		t.Fatal(err)
	}
	plan := b.plan(provision.PlanOptions{}).Plan
	if len(plan.Files) != 1 || plan.Files[0] != "side/run.sh" || len(plan.Warnings) != 1 || plan.Warnings[0] != "live file side/run.sh has mode 0644 instead of 0755" {
		t.Fatalf("files %v, warnings %v", plan.Files, plan.Warnings)
	}
	b.mustApply()
	after, err := os.Stat(live)
	if err != nil {
		t.Fatal(err)
	}
	if after.Mode() != before.Mode() || !os.SameFile(before, after) {
		t.Errorf("mode %s, same inode %v", after.Mode(), os.SameFile(before, after))
	}
	if got := b.engine.Container("home-side", "side").ID; got != id {
		t.Error("a container was made anew for a mode")
	}
	if plan := b.plan(provision.PlanOptions{}).Plan; !plan.Empty() {
		t.Errorf("left to do: files %v", plan.Files)
	}
}

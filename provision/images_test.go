package provision_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/stacks"
)

// lock reads the lock as it lies on disk.
func (b *bench) lock() stacks.Lock {
	b.t.Helper()
	var lock stacks.Lock
	raw, err := os.ReadFile(filepath.Join(b.p.StateDir, "lock.json"))
	if err == nil {
		err = json.Unmarshal(raw, &lock)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return lock
}

func (b *bench) imageOf(project, service string) string {
	return b.engine.Container(project, service).ImageID
}

func TestALockGivesTheSameImageOnASecondMachine(t *testing.T) {
	first := newBench(t)
	id, digest := first.engine.Serve("side:1")
	first.mustApply()
	if got := first.lock().Images["side:1"]; got.ID != id || got.Digest != digest {
		t.Fatalf("the lock is %+v, want %s at %s", got, id, digest)
	}

	second := newBench(t)
	second.engine = first.engine // one registry; what was here is taken away below
	raw, err := os.ReadFile(filepath.Join(first.p.StateDir, "lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := second.p.WriteFile(filepath.Join(second.p.StateDir, "lock.json"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	second.p.Engine, second.p.Networks, second.p.Containers = first.engine, first.engine, first.engine
	first.engine.RemoveImage("side:1")
	first.engine.RemoveImage("side@" + digest)
	newer, _ := first.engine.Serve("side:1") // the tag moves in the registry
	if err := first.engine.Remove(t.Context(), []string{first.engine.Container("home-side", "side").ID}); err != nil {
		t.Fatal(err)
	}
	second.mustApply()
	if got := second.imageOf("home-side", "side"); got != id || got == newer {
		t.Errorf("the second machine runs %s, locked is %s, newer is %s", got, id, newer)
	}
	if got := second.lock().Images["side:1"]; got.ID != id || got.Digest != digest {
		t.Errorf("the lock moved to %+v", got)
	}
}

func TestALostTagComesBackWithoutARegistry(t *testing.T) {
	b := newBench(t)
	id, digest := b.engine.Serve("side:1")
	b.mustApply()
	if err := b.engine.Tag(t.Context(), id, "kept:1"); err != nil {
		t.Fatal(err)
	}
	b.engine.RemoveImage("side:1")
	b.engine.RemoveImage("side@" + digest)
	b.engine.Forgotten("side:1")
	b.write("stacks/side/compose.yaml", "services:\n  side: {image: \"side:1\", environment: {A: changed}}\n")
	b.mustApply()
	if got := b.imageOf("home-side", "side"); got != id {
		t.Errorf("it runs %s, not the locked %s", got, id)
	}
	if got := b.lock().Images["side:1"]; got.Digest != digest {
		t.Errorf("the lock lost its digest: %+v", got)
	}
}

func TestOnlyAnApplyOfTheStackMovesItsLock(t *testing.T) {
	b := newBench(t)
	side, _ := b.engine.Serve("side:1")
	db, _ := b.engine.Serve("db:1")
	b.mustApply()
	// What croft pull does: the tags mean other images here now.
	for _, ref := range []string{"side:1", "db:1"} {
		b.engine.Serve(ref)
		if err := b.engine.Pull(t.Context(), []provision.PullRequest{{Reference: ref, Fresh: true}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	prep := b.plan(provision.PlanOptions{})
	for _, want := range []string{
		"side/side: recreate, risk restart (image side:1 is another one now (" + stacks.ShortDigest(side) + " -> sha256:",
		"db/db: recreate, risk data (image db:1 is another one now (" + stacks.ShortDigest(db) + " -> sha256:",
	} {
		if !strings.Contains(prep.Plan.String(), want) {
			t.Errorf("the plan lacks %q:\n%s", want, prep.Plan)
		}
	}
	only := b.plan(provision.PlanOptions{Stacks: []string{"side"}})
	if _, err := b.p.Apply(t.Context(), only, provision.ApplyOptions{}, nil); err != nil {
		t.Fatal(err)
	}
	lock := b.lock().Images
	if lock["side:1"].ID == side || lock["side:1"].ID != b.imageOf("home-side", "side") {
		t.Errorf("the lock of what was applied is %+v", lock["side:1"])
	}
	if lock["db:1"].ID != db {
		t.Errorf("the lock of what was left alone moved from %s to %+v", db, lock["db:1"])
	}
}

func TestWhatCannotBePulledTouchesNothing(t *testing.T) {
	b := newBench(t)
	b.p.Registries = b.engine
	b.mustApply()
	before := b.lock()
	b.write("stacks/side/compose.yaml", "services:\n  side: {image: \"side:2\"}\n")
	b.write("stacks/api/compose.yaml", strings.ReplaceAll(base()["stacks/api/compose.yaml"], "api:1", "api:2"))
	b.engine.Unknown("side:2")
	b.engine.Forget()
	_, err := b.apply()
	var blocked *provision.BlockedError
	if !errors.As(err, &blocked) || len(blocked.Blocked) != 1 || blocked.Blocked[0].Subject != "image side:2" {
		t.Fatalf("got %v", err)
	}
	for _, call := range b.engine.Calls() {
		if !strings.HasPrefix(call, "observe ") {
			t.Errorf("it did %q", call)
		}
	}
	history, err := b.p.History()
	if err != nil || len(history) != 1 {
		t.Errorf("the history is %v, %v", history, err)
	}
	if after := b.lock(); !slices.Equal(keysOf(after.Images), keysOf(before.Images)) {
		t.Errorf("the lock moved: %v", after.Images)
	}
}

func TestARollbackPullsExactlyTheImageOfThen(t *testing.T) {
	b := backBench(t)
	then, _ := b.engine.Serve("side:1")
	b.mustBack()
	b.engine.Serve("side:1") // the tag moves in the registry, and a person asks for it
	if err := b.engine.Pull(t.Context(), []provision.PullRequest{{Reference: "side:1", Fresh: true}}, nil); err != nil {
		t.Fatal(err)
	}
	b.side("side:1", ", environment: {A: changed}")
	b.mustBack()
	if b.imageOf("home-side", "side") == then {
		t.Fatal("the new image was not taken")
	}
	for ref, id := range b.observe().Images { // nothing of then is here any more
		if id == then || ref == "side:1" {
			b.engine.RemoveImage(ref)
		}
	}
	b.mustRollback(provision.RollbackOptions{})
	if got := b.imageOf("home-side", "side"); got != then {
		t.Errorf("it runs %s, in that revision it was %s", got, then)
	}
}

func keysOf(m map[string]stacks.ImageLock) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

package provision_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/provision/enginetest"
	"github.com/croft-sh/croft/stacks"
)

func (b *bench) planRollback(o provision.RollbackOptions) (provision.Rollback, error) {
	b.t.Helper()
	written, err := b.load(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.p.PlanRollback(context.Background(), written, b.load, o)
}

func (b *bench) rollback(o provision.RollbackOptions) (provision.Revision, error) {
	b.t.Helper()
	back, err := b.planRollback(o)
	if err != nil {
		return provision.Revision{}, err
	}
	return b.applyRollback(context.Background(), back)
}

func (b *bench) applyRollback(ctx context.Context, back provision.Rollback) (provision.Revision, error) {
	return b.p.Apply(ctx, back.Prepared, provision.ApplyOptions{WaitTimeout: time.Minute, Inputs: b.inputs(), Load: b.load}, nil)
}

// mustBack applies, or fails the test.
func (b *bench) mustBack() provision.Revision {
	b.t.Helper()
	rev, err := b.applyBack()
	if err != nil {
		b.t.Fatal(err)
	}
	return rev
}

func (b *bench) mustRollback(o provision.RollbackOptions) provision.Revision {
	b.t.Helper()
	rev, err := b.rollback(o)
	if err != nil {
		b.t.Fatal(err)
	}
	return rev
}

func (b *bench) side(image, more string) {
	b.write("stacks/side/compose.yaml", "services:\n  side: {image: \""+image+"\""+more+"}\n")
}

// tree gives every file below a directory with its content.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		out.WriteString(path + "\n" + string(raw))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func (b *bench) planned() string {
	b.t.Helper()
	d, err := b.p.Desired(b.load)
	if err != nil {
		b.t.Fatal(err)
	}
	prep, err := b.p.Plan(context.Background(), d, provision.PlanOptions{})
	if err != nil {
		b.t.Fatal(err)
	}
	return prep.Plan.String()
}

func TestRollbackIsAPlanLikeAnyOther(t *testing.T) {
	b := backBench(t)
	b.mustBack()
	b.side("side:2", "")
	b.mustBack()
	db, api := b.engine.Container("home-db", "db").ID, b.engine.Container("home-api", "api").ID

	before := tree(t, b.p.StateDir)
	back, err := b.planRollback(provision.RollbackOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := back.Plan.String(); back.To.Number != 1 || !slices.Equal(back.Back, []string{"side"}) || got != "side/side: recreate, risk restart (image side:2 -> side:1)\n" {
		t.Errorf("to %d, back %v:\n%s", back.To.Number, back.Back, got)
	}
	if tree(t, b.p.StateDir) != before {
		t.Error("a plan that nobody applied has written something")
	}
	rev, err := b.applyRollback(context.Background(), back)
	if err != nil {
		t.Fatal(err)
	}
	if rev.Result != "applied" || rev.Stacks["side"] != "held" || rev.ReadFrom["side"] != 1 {
		t.Errorf("revision %+v", rev)
	}
	if got := b.engine.Container("home-side", "side").Image; got != "side:1" {
		t.Errorf("%s runs", got)
	}
	if b.engine.Container("home-db", "db").ID != db || b.engine.Container("home-api", "api").ID != api {
		t.Error("a neighbour was replaced")
	}
	if got := b.planned(); got != "" {
		t.Errorf("left to do:\n%s", got)
	}
	status, err := b.p.Status(context.Background())
	if err != nil || !strings.Contains(strings.Join(status.Warnings, "\n"), "side runs as in revision 1, instead of what is written: rolled back by hand to revision 1") {
		t.Errorf("status says %v (%v)", status.Warnings, err)
	}
	if back, err := b.planRollback(provision.RollbackOptions{To: 1}); err != nil || len(back.Back) > 0 || !back.Plan.Empty() {
		t.Errorf("a second time: %v %v\n%s", err, back.Back, back.Plan)
	}
	// The way forward again is the same command.
	b.mustRollback(provision.RollbackOptions{})
	if got := b.engine.Container("home-side", "side").Image; got != "side:2" {
		t.Errorf("forward again: %s runs", got)
	}
	if d, err := b.p.Desired(b.load); err != nil || len(d.Held) > 0 {
		t.Errorf("held %v (%v) although it runs as it is written", d.Held, err)
	}
}

func TestARollbackEndsWhenSomethingElseIsWritten(t *testing.T) {
	b := backBench(t)
	b.mustBack()
	b.side("side:2", "")
	b.mustBack()
	b.mustRollback(provision.RollbackOptions{To: 1})
	b.side("side:3", "")
	b.engine.Behave("side:3", enginetest.Behaviour{Exit: enginetest.Exited(1)})
	_, err := b.applyBack()
	var failed *provision.FailedError
	if !errors.As(err, &failed) || failed.TakenBack != 1 {
		t.Fatalf("%v: what ran before was revision 1", err)
	}
	if got := b.engine.Container("home-side", "side").Image; got != "side:1" {
		t.Errorf("%s runs", got)
	}
	b.engine.Behave("side:3", enginetest.Behaviour{})
	if done, err := b.p.Release("side"); !done || err != nil {
		t.Fatal(done, err)
	}
	b.mustBack()
	if got := b.engine.Container("home-side", "side").Image; got != "side:3" {
		t.Errorf("after release %s runs", got)
	}
}

// TestAFailedRollbackGoesToWhatRanBefore, which is neither what is written nor the
// revision that it was to go to.
func TestAFailedRollbackGoesToWhatRanBefore(t *testing.T) {
	for _, written := range []string{"side:2", "side:3"} { // side:3 was never applied
		t.Run(written, func(t *testing.T) {
			b := backBench(t)
			b.mustBack()
			b.side("side:2", "")
			b.mustBack()
			b.side(written, "")
			b.engine.Behave("side:1", enginetest.Behaviour{Exit: enginetest.Exited(1)})
			rev, err := b.rollback(provision.RollbackOptions{To: 1})
			var failed *provision.FailedError
			if !errors.As(err, &failed) || failed.TakenBack != 2 || rev.Result != "taken-back" {
				t.Fatalf("%v (%+v)", err, rev)
			}
			if got := b.engine.Container("home-side", "side").Image; got != "side:2" {
				t.Errorf("%s runs", got)
			}
			for _, c := range b.engine.Calls() {
				if strings.Contains(c, "pull side:3") {
					t.Error("what was never applied was tried")
				}
			}
			if got := b.planned(); got != "" {
				t.Errorf("left to do:\n%s", got)
			}
			d, err := b.p.Desired(b.load)
			if held := d.Held["side"]; err != nil || (written == "side:2") != (held == 0) {
				t.Errorf("held at %d (%v)", held, err)
			}
		})
	}
}

func TestASkippedStackOfAFailedRollbackStays(t *testing.T) {
	b := backBench(t)
	b.mustBack()
	b.upgrade("db:2")
	b.write("stacks/api/compose.yaml", strings.Replace(base()["stacks/api/compose.yaml"], "api:1", "api:2", 1))
	b.mustBack()
	api := b.engine.Container("home-api", "api").ID
	b.engine.Behave("db:1", enginetest.Behaviour{Exit: enginetest.Exited(1)})
	rev, err := b.rollback(provision.RollbackOptions{To: 1, Data: provision.DataNow})
	if err == nil || rev.Stacks["api"] != "skipped" || rev.Stacks["db"] != "taken-back" {
		t.Fatalf("%v (%+v)", err, rev.Stacks)
	}
	b.mustBack()
	if got := b.engine.Container("home-api", "api").ID; got != api {
		t.Error("a stack that was skipped went back later, by itself")
	}
}

func TestWhatARollbackLeaves(t *testing.T) {
	b := backBench(t)
	b.write("croft.yaml", strings.Replace(string(b.inputs()["croft.yaml"]), "side: {}", "side: {}, gone: {}", 1))
	b.write("stacks/gone/compose.yaml", "services:\n  gone: {image: \"gone:1\"}\n")
	b.mustBack()
	b.write("croft.yaml", strings.Replace(string(b.inputs()["croft.yaml"]), "gone: {}", "fresh: {}", 1))
	b.write("stacks/fresh/compose.yaml", "services:\n  fresh: {image: \"fresh:1\"}\n")
	b.side("side:2", "")
	b.mustBack()
	fresh := b.engine.Container("home-fresh", "fresh").ID
	b.write("stacks/fresh/compose.yaml", "services:\n  fresh: {image: \"fresh:2\"}\n") // not applied
	back, err := b.planRollback(provision.RollbackOptions{})
	if err != nil {
		t.Fatal(err)
	}
	notes := strings.Join(back.Notes, "\n")
	for _, want := range []string{"fresh stays as it is: revision 1 did not have it", "gone ran in revision 1 and is not written any more: put stacks/gone back and croft stack add gone"} {
		if !strings.Contains(notes, want) {
			t.Errorf("notes %q, want %q", notes, want)
		}
	}
	if _, err := b.applyRollback(context.Background(), back); err != nil {
		t.Fatal(err)
	}
	if got := b.engine.Container("home-fresh", "fresh"); got.ID != fresh {
		t.Errorf("a stack that came later was touched: %s", got.Image)
	}
	if b.engine.Container("home-gone", "gone").ID == "" {
		t.Error("something was removed")
	}
	_, err = b.planRollback(provision.RollbackOptions{To: 1, Stacks: []string{"fresh"}})
	var refused *provision.RollbackError
	if !errors.As(err, &refused) || refused.Wrong {
		t.Errorf("%v", err)
	}
}

func TestOnlyRevisionsWithInputsCanBeChosen(t *testing.T) {
	b := backBench(t)
	if _, err := b.planRollback(provision.RollbackOptions{}); err == nil {
		t.Error("there is nothing to go back to")
	}
	b.mustBack()
	for _, image := range []string{"side:2", "side:3", "side:4"} {
		b.side(image, "")
		b.mustBack()
	}
	if err := os.RemoveAll(filepath.Join(b.p.StateDir, "revisions/2/inputs")); err != nil {
		t.Fatal(err)
	}
	for to, want := range map[int]string{2: "what was written in revision 2 is not kept", 9: "there is no revision 9"} {
		_, err := b.planRollback(provision.RollbackOptions{To: to})
		var refused *provision.RollbackError
		if !errors.As(err, &refused) || !refused.Wrong || refused.Why != want || !strings.HasSuffix(refused.Do, "can be chosen: 3, 1") {
			t.Errorf("to %d: %v", to, err)
		}
	}
	b.mustRollback(provision.RollbackOptions{}) // 3
	if got := b.engine.Container("home-side", "side").Image; got != "side:3" {
		t.Errorf("%s runs", got)
	}
}

// TestRevisionsThatChangedNothingArePassedOver: a pull that failed, a change that
// was taken back, and a run that was killed are no places to go back to.
func TestRevisionsThatChangedNothingArePassedOver(t *testing.T) {
	b := backBench(t)
	b.mustBack()
	b.side("side:2", "")
	b.mustBack()
	b.side("side:bad", "")
	b.engine.Behave("side:bad", enginetest.Behaviour{Exit: enginetest.Exited(1)})
	if _, err := b.applyBack(); err == nil { // 3: taken back
		t.Fatal("no error")
	}
	b.side("side:none", "")
	b.engine.Unknown("side:none")
	if _, err := b.applyBack(); err == nil { // 4: cannot be pulled
		t.Fatal("no error")
	}
	back, err := b.planRollback(provision.RollbackOptions{})
	if err != nil || back.To.Number != 1 {
		t.Errorf("back to %d (%v)", back.To.Number, err)
	}
	_, err = b.planRollback(provision.RollbackOptions{To: 4})
	var refused *provision.RollbackError
	if !errors.As(err, &refused) || refused.Why != "revision 4 never came to an end" || !strings.HasSuffix(refused.Do, "can be chosen: 3, 2, 1") {
		t.Errorf("%v", err)
	}
}

// TestGoingBackToARollback: what ran then was itself read from elsewhere.
func TestGoingBackToARollback(t *testing.T) {
	b := backBench(t)
	b.mustBack()
	b.side("side:2", "")
	b.mustBack()
	b.mustRollback(provision.RollbackOptions{To: 1}) // 3
	b.side("side:4", "")
	b.mustBack()
	b.mustRollback(provision.RollbackOptions{To: 3})
	if got := b.engine.Container("home-side", "side").Image; got != "side:1" {
		t.Errorf("%s runs", got)
	}
}

func TestARollbackWaitsForAnInterruptedApply(t *testing.T) {
	b := backBench(t)
	b.mustBack()
	b.upgrade("db:2")
	b.engine.Behave("db:2", enginetest.Behaviour{Health: "starting"})
	b.dieAtGate()
	b.side("side:2", "")
	back, err := b.planRollback(provision.RollbackOptions{To: 1})
	if err != nil {
		t.Fatal(err)
	}
	if len(back.Back) > 0 && !strings.Contains(back.Plan.String(), "blocked stack db: an apply was interrupted here") {
		t.Errorf("back %v:\n%s", back.Back, back.Plan)
	}
	var blocked *provision.BlockedError
	if _, err := b.applyRollback(context.Background(), back); !errors.As(err, &blocked) {
		t.Errorf("%v", err)
	}
}

func TestReferencesMeanWhatTheyMeant(t *testing.T) {
	moved := func(t *testing.T) (*bench, string, string) {
		b := backBench(t)
		b.mustBack()
		then := b.engine.Container("home-side", "side").ImageID
		now := b.engine.AddImage("side:1")
		b.mustBack()
		if got := b.engine.Container("home-side", "side").ImageID; got != now {
			t.Fatalf("%s runs", got)
		}
		return b, then, now
	}
	t.Run("text stayed", func(t *testing.T) {
		b, then, _ := moved(t)
		b.mustRollback(provision.RollbackOptions{})
		if got := b.engine.Container("home-side", "side").ImageID; got != then {
			t.Errorf("%s runs, want %s", got, then)
		}
		if got := b.planned(); got != "" {
			t.Errorf("left to do:\n%s", got)
		}
		b.engine.AddImage("side:1") // somebody pulls: the rollback stands
		if got := b.planned(); got != "" {
			t.Errorf("left to do after a pull:\n%s", got)
		}
	})
	t.Run("gone", func(t *testing.T) {
		b, then, _ := moved(t)
		for ref, id := range b.observe().Images {
			if id == then {
				b.engine.RemoveImage(ref)
			}
		}
		back, err := b.planRollback(provision.RollbackOptions{})
		if err != nil || !strings.Contains(back.Plan.String(), "blocked image side:1: image side:1 as it was in revision 1 is gone") {
			t.Errorf("%v\n%s", err, back.Plan)
		}
	})
	t.Run("a neighbour runs on it", func(t *testing.T) {
		b, _, _ := moved(t)
		b.write("croft.yaml", strings.Replace(string(b.inputs()["croft.yaml"]), "side: {}", "side: {}, twin: {}", 1))
		b.write("stacks/twin/compose.yaml", "services:\n  twin: {image: \"side:1\"}\n")
		b.mustBack()
		back, err := b.planRollback(provision.RollbackOptions{To: 1})
		if err != nil || !strings.Contains(back.Plan.String(), "and twin/twin runs on it as it is now") {
			t.Errorf("%v\n%s", err, back.Plan)
		}
	})
	t.Run("is pulled again by its digest", func(t *testing.T) {
		b := backBench(t)
		b.mustBack()
		then := b.engine.Container("home-side", "side").ImageID
		b.side("side:2", "")
		b.mustBack()
		for ref, id := range b.observe().Images {
			if id == then {
				b.engine.RemoveImage(ref)
			}
		}
		b.mustRollback(provision.RollbackOptions{})
		if got := b.engine.Container("home-side", "side").ImageID; got != then {
			t.Errorf("%s runs, want %s", got, then)
		}
	})
	t.Run("has to be pulled and is another one", func(t *testing.T) {
		b := backBench(t)
		b.engine.AddImage("side:1") // made here: no digest is known of it
		b.mustBack()
		b.side("side:2", "")
		b.mustBack()
		for ref := range b.observe().Images {
			if !strings.Contains(ref, ":2") && strings.Contains(ref, "side") || strings.Contains(ref, "croft-keep/") {
				b.engine.RemoveImage(ref)
			}
		}
		before := b.engine.Container("home-side", "side").ID
		_, err := b.rollback(provision.RollbackOptions{})
		var refused *provision.RollbackError
		if !errors.As(err, &refused) || b.engine.Container("home-side", "side").ID != before {
			t.Errorf("%v", err)
		}
		if d, err := b.p.Desired(b.load); err != nil || len(d.Held) > 0 {
			t.Errorf("held %v (%v) after a refusal", d.Held, err)
		}
		if last := b.history()[0]; last.Result != "failed" { // not interrupted: a boot would finish it
			t.Errorf("the refused rollback counts as %s", last.Result)
		}
	})
}

func (b *bench) observe() stacks.State {
	b.t.Helper()
	state, err := b.engine.Observe(context.Background(), "home")
	if err != nil {
		b.t.Fatal(err)
	}
	return state
}

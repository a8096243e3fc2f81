package provision_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/provision/enginetest"
	"github.com/croft-sh/croft/provision/host"
	"github.com/croft-sh/croft/stacks"
)

// upgraded is a bench whose database went from 1 to 2, which migrated it.
func upgraded(t *testing.T) *bench {
	t.Helper()
	b := backBench(t)
	b.upgradeData()
	return b
}

func (b *bench) upgradeData() {
	b.t.Helper()
	b.mustBack()
	b.row("acknowledged by 1")
	b.upgrade("db:2")
	b.mustBack()
	b.row("migrated by 2")
}

func (b *bench) volume(suffix string) string {
	return filepath.Join(b.data(), "c", "db", "data"+suffix)
}

func (b *bench) rowAt(suffix string) string {
	raw, err := os.ReadFile(filepath.Join(b.volume(suffix), "rows"))
	if err != nil {
		return "gone"
	}
	return string(raw)
}

func TestAnEarlierImageNeedsAWordAboutTheData(t *testing.T) {
	b := upgraded(t)
	before := tree(t, b.dir)
	back, err := b.planRollback(provision.RollbackOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(back.Plan.Blocked) != 1 {
		t.Fatalf("blocked by %+v", back.Plan.Blocked)
	}
	got := back.Plan.Blocked[0]
	want := "croft rollback --to 1 --data now starts the earlier program on today's data; croft rollback --to 1 --data then puts the copy from before that change in its place"
	if got.Subject != "db/db" || got.Hint != want {
		t.Errorf("blocked %+v", got)
	}
	var blocked *provision.BlockedError
	if _, err := b.applyRollback(context.Background(), back); !errors.As(err, &blocked) {
		t.Errorf("%v", err)
	}
	if tree(t, b.dir) != before || b.engine.Container("home-db", "db").Image != "db:2" {
		t.Error("something was changed")
	}
	t.Run("without a copy", func(t *testing.T) {
		if err := os.RemoveAll(b.volume(".croft-aside-2")); err != nil {
			t.Fatal(err)
		}
		for _, data := range []string{"", provision.DataThen} {
			back, err := b.planRollback(provision.RollbackOptions{Data: data})
			if err != nil || !strings.Contains(fmt.Sprint(back.Plan.Blocked), "no copy of db/data from before that change is kept") {
				t.Errorf("--data %q: %v %+v", data, err, back.Plan.Blocked)
			}
		}
	})
}

func TestDataOfNow(t *testing.T) {
	b := upgraded(t)
	rev := b.mustRollback(provision.RollbackOptions{Data: provision.DataNow})
	if got := b.engine.Container("home-db", "db").Image; got != "db:1" || b.row("") != "migrated by 2" {
		t.Errorf("%s runs on %q", got, b.row(""))
	}
	if got := b.rowAt(fmt.Sprintf(".croft-aside-%d", rev.Number)); got != "migrated by 2" {
		t.Errorf("copied aside: %q", got)
	}
}

func TestDataOfThen(t *testing.T) {
	b := upgraded(t)
	back, err := b.planRollback(provision.RollbackOptions{Data: provision.DataThen})
	if err != nil {
		t.Fatal(err)
	}
	rev, err := b.applyRollback(context.Background(), back)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.engine.Container("home-db", "db").Image; got != "db:1" || b.row("") != "acknowledged by 1" {
		t.Errorf("%s runs on %q", got, b.row(""))
	}
	kept := back.Kept(rev.Number)["db/data"]
	if kept != b.volume(".croft-aside-3") || b.rowAt(".croft-aside-3") != "migrated by 2" {
		t.Errorf("what was written since: %s, %q", kept, b.rowAt(".croft-aside-3"))
	}
	if b.rowAt(".croft-aside-2") != "acknowledged by 1" || b.rowAt(".croft-then-3") != "gone" {
		t.Errorf("the kept copy holds %q, the one for it %q", b.rowAt(".croft-aside-2"), b.rowAt(".croft-then-3"))
	}
	if got := b.planned(); got != "" {
		t.Errorf("left to do:\n%s", got)
	}
	// Forward again, to the data of today before the rollback: 3's copy is that of
	// image 2.
	b.row("more by 1")
	if _, err := b.p.Release("db"); err != nil {
		t.Fatal(err)
	}
	b.mustBack()
	if got := b.engine.Container("home-db", "db").Image; got != "db:2" || b.row("") != "more by 1" {
		t.Errorf("released: %s runs on %q", got, b.row(""))
	}
}

func TestAFailedRollbackOfDataGoesBackWhole(t *testing.T) {
	for _, data := range []string{provision.DataNow, provision.DataThen} {
		t.Run(data, func(t *testing.T) {
			b := upgraded(t)
			b.engine.Behave("db:1", enginetest.Behaviour{Exit: enginetest.Exited(1)})
			_, err := b.rollback(provision.RollbackOptions{Data: data})
			var failed *provision.FailedError
			if !errors.As(err, &failed) || failed.TakenBack != 2 {
				t.Fatalf("%v", err)
			}
			if got := b.engine.Container("home-db", "db").Image; got != "db:2" || b.row("") != "migrated by 2" {
				t.Errorf("%s runs on %q", got, b.row(""))
			}
			// The same again, mended: the copy of then is still there.
			b.engine.Behave("db:1", enginetest.Behaviour{})
			b.mustRollback(provision.RollbackOptions{To: 1, Data: data})
			want := map[string]string{provision.DataNow: "migrated by 2", provision.DataThen: "acknowledged by 1"}[data]
			if got := b.engine.Container("home-db", "db").Image; got != "db:1" || b.row("") != want {
				t.Errorf("the second time: %s runs on %q", got, b.row(""))
			}
		})
	}
}

// TestTheCopyOfTheRightImageIsTaken: only data that the image of then ran on last
// counts as the data of then.
func TestTheCopyOfTheRightImageIsTaken(t *testing.T) {
	b := upgraded(t)
	b.upgrade("db:3")
	b.mustBack()
	b.row("migrated by 3")
	b.mustRollback(provision.RollbackOptions{To: 1, Data: provision.DataThen})
	if got := b.row(""); got != "acknowledged by 1" {
		t.Errorf("image 1 runs on %q", got)
	}
	b = upgraded(t)
	b.upgrade("db:3")
	b.mustBack()
	if err := os.RemoveAll(b.volume(".croft-aside-2")); err != nil {
		t.Fatal(err)
	}
	back, err := b.planRollback(provision.RollbackOptions{To: 1, Data: provision.DataThen})
	if err != nil || len(back.Plan.Blocked) == 0 {
		t.Errorf("the data of image 2 counts as that of image 1: %v %+v", err, back.Plan.Blocked)
	}
}

func TestAServiceThatCameLaterLetsGoFirst(t *testing.T) {
	b := upgraded(t)
	text := string(b.inputs()["stacks/db/compose.yaml"])
	b.write("stacks/db/compose.yaml", strings.Replace(text, "volumes: {data: {}}",
		"  worker: {image: \"worker:1\", volumes: [\"data:/data\"], healthcheck: {test: [CMD, \"true\"]}}\nvolumes: {data: {}}", 1))
	b.mustBack()
	o := provision.RollbackOptions{To: 1, Data: provision.DataThen}
	back, err := b.planRollback(o)
	if err != nil || !strings.Contains(back.Plan.String(), "blocked db/worker: revision 1 did not have it") {
		t.Fatalf("%v\n%s", err, back.Plan)
	}
	o.RemoveOrphans = true
	b.engine.Forget()
	swapped := false
	b.p.Volumes = &watching{Volumes: host.Aside{}, before: func(step string) error {
		if step == "swap" {
			swapped = true
			if b.engine.Container("home-db", "worker").ID != "" {
				t.Error("the data is moved under a service that runs on")
			}
		}
		return nil
	}}
	b.mustRollback(o)
	if !swapped || b.row("") != "acknowledged by 1" {
		t.Errorf("swapped %v, runs on %q", swapped, b.row(""))
	}
}

func TestRowsOnASharedServerDoNotGoBack(t *testing.T) {
	b := backBench(t)
	b.mustBack()
	b.write("stacks/api/compose.yaml", strings.Replace(base()["stacks/api/compose.yaml"], "api:1", "api:2", 1))
	b.mustBack()
	for data, refused := range map[string]bool{"": true, provision.DataThen: true, provision.DataNow: false} {
		back, err := b.planRollback(provision.RollbackOptions{Data: data})
		if err != nil || (len(back.Plan.Blocked) > 0) != refused {
			t.Errorf("--data %q: %v %+v", data, err, back.Plan.Blocked)
		}
	}
}

// watching calls before each step with data.
type watching struct {
	provision.Volumes
	before func(step string) error
}

func (w *watching) Copy(ctx context.Context, from, to string) error {
	if err := w.before("copy"); err != nil {
		return err
	}
	return w.Volumes.Copy(ctx, from, to)
}

// Swap stops at each rename, too.
func (w *watching) Swap(path, aside, failed string) error {
	if err := w.before("swap"); err != nil {
		return err
	}
	_, noCopy := os.Lstat(aside)
	_, noData := os.Lstat(path)
	if noCopy == nil && noData == nil {
		if err := errors.Join(os.RemoveAll(failed), os.Rename(path, failed)); err != nil {
			return err
		}
		if err := w.before("between the renames"); err != nil {
			return err
		}
	}
	return w.Volumes.Swap(path, aside, failed)
}

// TestARollbackKilledAtEachStep is cut off before each write, each step with data
// and each call of the engine in turn. The next apply either finishes it or finds
// nothing begun, and no image ever meets data of another one unasked.
func TestARollbackKilledAtEachStep(t *testing.T) {
	for _, data := range []string{provision.DataNow, provision.DataThen} {
		t.Run(data, func(t *testing.T) {
			finished, begun := 0, 0
			for step := 1; ; step++ {
				killed, went := killAt(t, data, step)
				if !killed {
					break
				}
				if went {
					finished++
				} else {
					begun++
				}
			}
			if finished < 10 || begun < 3 {
				t.Errorf("%d kills were finished, %d came before anything began: too few to say something", finished, begun)
			}
		})
	}
}

// quick copies without asking the disk to keep it: hundreds of times.
type quick struct{ host.Aside }

func (quick) Copy(_ context.Context, from, to string) error {
	return errors.Join(os.RemoveAll(to), os.CopyFS(to+".part", os.DirFS(from)), os.Rename(to+".part", to))
}

// killAt tells whether the rollback was killed, and whether the next apply
// finished it.
func killAt(t *testing.T, data string, step int) (killed, finished bool) {
	t.Helper()
	b := backBench(t)
	b.p.Volumes = quick{}
	b.write("croft.yaml", strings.Replace(string(b.inputs()["croft.yaml"]), ", api: {}, side: {}", "", 1)) // side has to settle
	b.upgradeData()
	written := tree(t, filepath.Join(b.dir, "stacks"))
	back, err := b.planRollback(provision.RollbackOptions{Data: data})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	count, what := 0, ""
	dead := errors.New("killed")
	at := func(name string) error {
		if count++; count >= step {
			if what == "" {
				what = name
			}
			cancel()
			return dead
		}
		return nil
	}
	write := b.p.WriteFile
	b.p.WriteFile = func(path string, raw []byte, mode fs.FileMode) error {
		if err := at("write " + filepath.Base(path)); err != nil {
			return err
		}
		return write(path, raw, mode)
	}
	b.p.Volumes = &watching{Volumes: quick{}, before: at}
	_, err = b.p.Apply(ctx, back.Prepared, provision.ApplyOptions{WaitTimeout: time.Minute, Inputs: b.inputs(), Load: b.load}, func(e stacks.Event) {
		_ = at("event " + e.Phase + " " + string(e.State)) // the engine's next call fails
	})
	if what == "" {
		if err != nil {
			t.Fatal(err)
		}
		return false, false
	}
	b.p.WriteFile, b.p.Volumes = write, quick{}

	explained := strings.Contains(fmt.Sprint(warnings(t, b)), "rolled back by hand to revision 1")
	b.mustBack()
	image, row := b.engine.Container("home-db", "db").Image, b.row("")
	want := map[string]string{provision.DataNow: "migrated by 2", provision.DataThen: "acknowledged by 1"}[data]
	switch {
	case explained && (image != "db:1" || row != want):
		t.Errorf("killed at step %d (%s): %s runs on %q, want db:1 on %q", step, what, image, row, want)
	case !explained && (image != "db:2" || row != "migrated by 2"):
		t.Errorf("killed at step %d (%s): %s runs on %q and nothing said why", step, what, image, row)
	}
	if got := b.planned(); got != "" {
		t.Errorf("killed at step %d (%s), left to do:\n%s", step, what, got)
	}
	if !keeps(t, b, "migrated by 2") || !keeps(t, b, "acknowledged by 1") {
		t.Errorf("killed at step %d (%s): rows are lost", step, what)
	}
	if tree(t, filepath.Join(b.dir, "stacks")) != written {
		t.Errorf("killed at step %d (%s): what is written was changed", step, what)
	}
	return true, explained
}

func warnings(t *testing.T, b *bench) stacks.Problems {
	t.Helper()
	d, err := b.p.Desired(b.load)
	if err != nil {
		t.Fatal(err)
	}
	return d.Warnings
}

// keeps tells whether rows lie anywhere beside the volume.
func keeps(t *testing.T, b *bench, row string) bool {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(b.volume("")))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if raw, err := os.ReadFile(filepath.Join(filepath.Dir(b.volume("")), e.Name(), "rows")); err == nil && string(raw) == row {
			return true
		}
	}
	return false
}

// TestARollbackGivenUpAfterAKill: the admin releases the stack instead of applying.
// Today's image must meet today's data.
func TestARollbackGivenUpAfterAKill(t *testing.T) {
	b := upgraded(t)
	back, err := b.planRollback(provision.RollbackOptions{Data: provision.DataThen})
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{"copy", "between the renames", "gate"} {
		ctx, cancel := context.WithCancel(context.Background())
		dead := false
		b.p.Volumes = &watching{Volumes: host.Aside{}, before: func(step string) error {
			if dead = dead || step == at; dead {
				cancel()
				return errors.New("killed")
			}
			return nil
		}}
		_, err = b.p.Apply(ctx, back.Prepared, provision.ApplyOptions{WaitTimeout: time.Minute, Inputs: b.inputs(), Load: b.load}, func(e stacks.Event) {
			if e.Phase == "gate" {
				cancel()
			}
		})
		if err == nil {
			t.Fatal("no error")
		}
		b.p.Volumes = host.Aside{}
		if _, err := b.p.Release("db"); err != nil {
			t.Fatal(err)
		}
		b.mustBack()
		if got := b.engine.Container("home-db", "db").Image; got != "db:2" || b.row("") != "migrated by 2" {
			t.Fatalf("killed at %s: %s runs on %q", at, got, b.row(""))
		}
		if back, err = b.planRollback(provision.RollbackOptions{To: 1, Data: provision.DataThen}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDataOfThenComesOnce: a container that somebody put in the place of a rolled
// back one later does not bring the data of then again.
func TestDataOfThenComesOnce(t *testing.T) {
	b := upgraded(t)
	b.mustRollback(provision.RollbackOptions{Data: provision.DataThen})
	b.row("more by 1")
	old := b.engine.Container("home-db", "db")
	if err := b.engine.Remove(context.Background(), []string{old.ID}); err != nil {
		t.Fatal(err)
	}
	old.ID, old.ImageID = "", "sha256:0123456789abcdef"
	b.engine.AddContainer(old)
	if got := b.planned(); !strings.Contains(got, "db/db: recreate, risk data") {
		t.Fatalf("plan:\n%s", got)
	}
	b.mustBack()
	if got := b.row(""); got != "more by 1" {
		t.Errorf("it runs on %q", got)
	}
}

// TestAKillBetweenTheRenamesAndTheSameTextWritten: nothing says any more that it
// is a rollback, but the change is the same one and goes on.
func TestAKillBetweenTheRenamesAndTheSameTextWritten(t *testing.T) {
	b := upgraded(t)
	back, err := b.planRollback(provision.RollbackOptions{Data: provision.DataThen})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b.p.Volumes = &watching{Volumes: host.Aside{}, before: func(step string) error {
		if step != "between the renames" {
			return nil
		}
		cancel()
		return errors.New("killed")
	}}
	if _, err := b.applyRollback(ctx, back); err == nil {
		t.Fatal("no error")
	}
	b.p.Volumes = host.Aside{}
	if _, err := b.p.Release("db"); err != nil {
		t.Fatal(err)
	}
	b.upgrade("db:1")
	b.mustBack()
	if got := b.engine.Container("home-db", "db").Image; got != "db:1" || b.row("") != "acknowledged by 1" {
		t.Errorf("%s runs on %q", got, b.row(""))
	}
	if got := b.rowAt(".croft-aside-3"); got != "migrated by 2" {
		t.Errorf("what was written since is %q", got)
	}
}

// TestTagsMoveAfterTheWordAboutIt: killed between the two, the next apply gives the
// reference its meaning and takes the data along.
func TestTagsMoveAfterTheWordAboutIt(t *testing.T) {
	b := backBench(t)
	b.mustBack()
	b.row("acknowledged by 1")
	then := b.engine.Container("home-db", "db").ImageID
	b.engine.AddImage("db:1")
	b.mustBack()
	b.row("migrated by 2")
	back, err := b.planRollback(provision.RollbackOptions{Data: provision.DataThen})
	if err != nil {
		t.Fatal(err)
	}
	b.engine.Fail("Tag "+then+" db:1", errors.New("the engine went away"))
	if _, err := b.applyRollback(context.Background(), back); err == nil {
		t.Fatal("no error")
	}
	if got := b.engine.Container("home-db", "db"); got.ImageID == then || got.State != "running" {
		t.Errorf("something was touched: %+v", got)
	}
	b.engine.Fail("Tag "+then+" db:1", nil)
	if got := b.planned(); !strings.Contains(got, "db/db: recreate, risk data (image db:1 is another one now ") {
		t.Errorf("the next plan:\n%s", got)
	}
	b.mustBack()
	if got := b.engine.Container("home-db", "db").ImageID; got != then || b.row("") != "acknowledged by 1" {
		t.Errorf("%s runs on %q", got, b.row(""))
	}
}

// TestForwardAgainWithTheDataOfThen undoes a rollback with its data: what image 2
// had written comes back, what image 1 wrote since is kept.
func TestForwardAgainWithTheDataOfThen(t *testing.T) {
	b := upgraded(t)
	b.mustRollback(provision.RollbackOptions{Data: provision.DataThen}) // 3
	b.row("more by 1")
	b.mustRollback(provision.RollbackOptions{To: 2, Data: provision.DataThen}) // 4
	if got := b.engine.Container("home-db", "db").Image; got != "db:2" || b.row("") != "migrated by 2" || b.rowAt(".croft-aside-4") != "more by 1" {
		t.Errorf("%s runs on %q, kept %q", got, b.row(""), b.rowAt(".croft-aside-4"))
	}
}

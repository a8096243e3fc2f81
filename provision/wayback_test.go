package provision_test

import (
	"context"
	"errors"
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

// backBench is a bench that can go back: real directories for volumes.
func backBench(t *testing.T) *bench {
	t.Helper()
	b := newBench(t)
	b.outside = t.TempDir()
	b.write("croft.yaml", strings.Replace(base()["croft.yaml"], "expose: loopback",
		"expose: loopback\nstorage: {containers: "+b.data()+"/c, projects: "+b.data()+"/p, databases: "+b.data()+"/d}", 1))
	b.p.Repairs, b.p.Volumes, b.p.Halts = b.engine, host.Aside{}, b.engine
	b.databases = &enginetest.Databases{}
	b.p.Databases = b.databases
	b.p.MakeVolume = func(path, _ string) error { return os.MkdirAll(path, 0o755) }
	return b
}

func (b *bench) data() string { return filepath.Join(b.dir, "data") }

func (b *bench) load(instead map[string]fs.FS) (stacks.Desired, error) {
	d, problems := stacks.LoadDesired(os.DirFS(b.dir), stacks.LoadOptions{Dir: b.dir, Instead: instead})
	return d, problems.Err()
}

// applyBack applies as the command does: held stacks stay held, failures go back.
func (b *bench) applyBack() (provision.Revision, error) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	d, err := b.p.Desired(b.load)
	if err != nil {
		b.t.Fatal(err)
	}
	prep, err := b.p.Plan(ctx, d, provision.PlanOptions{RemoveOrphans: b.removeOrphans, WithoutCopy: b.withoutCopy})
	if err != nil {
		b.t.Fatal(err)
	}
	return b.p.Apply(ctx, prep, provision.ApplyOptions{WaitTimeout: time.Minute, Inputs: b.inputs(), Load: b.load}, nil)
}

// inputs is what is written, as an apply keeps it.
func (b *bench) inputs() map[string][]byte {
	b.t.Helper()
	inputs := map[string][]byte{}
	err := filepath.WalkDir(b.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasPrefix(path, b.data()) {
			return err
		}
		rel, err := filepath.Rel(b.dir, path)
		if err != nil {
			return err
		}
		inputs[filepath.ToSlash(rel)], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return inputs
}

func (b *bench) row(text string) string {
	b.t.Helper()
	path := filepath.Join(b.data(), "c", "db", "data", "rows")
	if text != "" {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return "gone"
	}
	return string(raw)
}

// upgrade writes another image into the database's stack.
func (b *bench) upgrade(image string) {
	b.write("stacks/db/compose.yaml", strings.Replace(base()["stacks/db/compose.yaml"], "db:1", image, 1))
}

func TestAFailedUpgradeGoesBackWithItsData(t *testing.T) {
	b := backBench(t)
	if _, err := b.applyBack(); err != nil {
		t.Fatal(err)
	}
	b.row("acknowledged by 1")
	side := b.engine.Container("home-side", "side").ID
	b.upgrade("db:2")
	b.engine.Behave("db:2", enginetest.Behaviour{Health: "unhealthy", HealthLog: "migration failed"})
	migrated := false
	b.p.Volumes = &migrating{Volumes: host.Aside{}, after: func() { b.row("migrated by 2"); migrated = true }}

	rev, err := b.applyBack()
	var failed *provision.FailedError
	if !errors.As(err, &failed) || failed.TakenBack != 1 {
		t.Fatalf("error %v, want one that was taken back to revision 1", err)
	}
	if !migrated {
		t.Fatal("the data was not copied before the new image came")
	}
	if rev.Result != "taken-back" || rev.Stacks["db"] != "taken-back" {
		t.Errorf("revision %+v", rev)
	}
	if got := b.engine.Container("home-db", "db"); got.Image != "db:1" || got.State != "running" {
		t.Errorf("runs %s (%s), want db:1", got.Image, got.State)
	}
	if got := b.row(""); got != "acknowledged by 1" {
		t.Errorf("the old image meets %q", got)
	}
	if b.engine.Container("home-side", "side").ID != side {
		t.Error("a neighbour was replaced")
	}
	t.Run("and is held until something changes", func(t *testing.T) {
		b.engine.Forget()
		rev, err := b.applyBack()
		if err != nil {
			t.Fatalf("%v (%+v)", err, rev)
		}
		if got := b.engine.Container("home-db", "db"); got.Image != "db:1" {
			t.Errorf("the failed image was tried again: %s", got.Image)
		}
		d, err := b.p.Desired(b.load)
		if err != nil {
			t.Fatal(err)
		}
		if len(d.Warnings) == 0 || !strings.Contains(d.Warnings[0].Message, "migration failed") {
			t.Errorf("warnings %v", d.Warnings)
		}
		b.upgrade("db:3")
		if _, err := b.applyBack(); err != nil {
			t.Fatal(err)
		}
		if got := b.engine.Container("home-db", "db"); got.Image != "db:3" {
			t.Errorf("a new version is held as well: %s", got.Image)
		}
		if got := b.row(""); got != "migrated by 2" {
			// The hook writes after every copy; what matters is that the data is there.
			t.Errorf("rows %q", got)
		}
	})
}

// migrating runs after once data was copied aside: the new image's first act.
type migrating struct {
	provision.Volumes
	after func()
}

func (m *migrating) Copy(ctx context.Context, from, to string) error {
	err := m.Volumes.Copy(ctx, from, to)
	m.after()
	return err
}

func TestAMissingImageTouchesNothing(t *testing.T) {
	b := backBench(t)
	if _, err := b.applyBack(); err != nil {
		t.Fatal(err)
	}
	before := b.engine.Container("home-db", "db")
	b.upgrade("db:typo")
	b.engine.Unknown("db:typo")
	if _, err := b.applyBack(); err == nil {
		t.Fatal("no error")
	}
	if got := b.engine.Container("home-db", "db"); got.ID != before.ID || got.State != "running" {
		t.Errorf("the running container was touched: %+v", got)
	}
}

func TestAKilledGateIsPassedAgain(t *testing.T) {
	b := backBench(t)
	if _, err := b.applyBack(); err != nil {
		t.Fatal(err)
	}
	b.row("acknowledged by 1")
	b.upgrade("db:2")
	b.engine.Behave("db:2", enginetest.Behaviour{Health: "starting"})
	ctx, cancel := context.WithCancel(context.Background())
	d, err := b.p.Desired(b.load)
	if err != nil {
		t.Fatal(err)
	}
	prep, err := b.p.Plan(ctx, d, provision.PlanOptions{RemoveOrphans: b.removeOrphans, WithoutCopy: b.withoutCopy})
	if err != nil {
		t.Fatal(err)
	}
	// The gate is where this apply dies.
	_, err = b.p.Apply(ctx, prep, provision.ApplyOptions{WaitTimeout: time.Minute, Load: b.load}, func(e stacks.Event) {
		if e.Phase == "gate" && e.Service == "db" {
			cancel()
		}
	})
	if err == nil {
		t.Fatal("an interrupted apply says that all is well")
	}
	plan, err := b.p.Plan(context.Background(), d, provision.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := plan.Plan.String(); !strings.Contains(got, "db/db: start, risk none (the last apply was interrupted here)") {
		t.Fatalf("the next plan does not know:\n%s", got)
	}
	b.row("migrated by 2")
	id := b.engine.Container("home-db", "db").ID
	b.engine.Set(id, "running", "unhealthy", 0)
	if _, err := b.applyBack(); err == nil {
		t.Fatal("an unhealthy version passed the gate at the second try")
	}
	if got := b.row(""); got != "acknowledged by 1" || b.engine.Container("home-db", "db").Image != "db:1" {
		t.Errorf("after the way back: %s on %q", b.engine.Container("home-db", "db").Image, got)
	}
}

func TestATagThatMovedGoesBackToItsImage(t *testing.T) {
	b := backBench(t)
	if _, err := b.applyBack(); err != nil {
		t.Fatal(err)
	}
	good := b.engine.Container("home-side", "side").ImageID
	b.engine.AddImage("side:1") // the same tag, another image
	b.engine.Behave("side:1", enginetest.Behaviour{Exit: enginetest.Exited(3)})
	if _, err := b.applyBack(); err == nil {
		t.Fatal("no error")
	}
	found := false
	for _, c := range b.engine.Calls() {
		found = found || strings.HasPrefix(c, "Tag") && strings.Contains(c, good) && strings.Contains(c, "side:1")
	}
	if !found {
		t.Errorf("the tag was not put back on %s:\n%s", good, strings.Join(b.engine.Calls(), "\n"))
	}
}

// TestAnInterruptedUpgradeGivenUp: the upgrade is killed behind the gate, the
// admin puts the old text back. The old image must meet the old data.
func TestAnInterruptedUpgradeGivenUp(t *testing.T) {
	b := backBench(t)
	if _, err := b.applyBack(); err != nil {
		t.Fatal(err)
	}
	b.row("acknowledged by 1")
	b.upgrade("db:2")
	b.engine.Behave("db:2", enginetest.Behaviour{Health: "starting"})
	b.dieAtGate()
	b.row("migrated by 2")
	b.upgrade("db:1")
	if _, err := b.applyBack(); err != nil {
		t.Fatal(err)
	}
	if got := b.row(""); got != "acknowledged by 1" || b.engine.Container("home-db", "db").Image != "db:1" {
		t.Errorf("%s runs on %q", b.engine.Container("home-db", "db").Image, got)
	}
}

// TestDataIsCopiedEvenWhenTheContainerIsGone: the data is what counts, not
// whether a container was there to be replaced.
func TestDataIsCopiedEvenWhenTheContainerIsGone(t *testing.T) {
	b := backBench(t)
	if _, err := b.applyBack(); err != nil {
		t.Fatal(err)
	}
	b.row("acknowledged by 1")
	if err := b.p.Destroy(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	b.upgrade("db:2")
	b.engine.Behave("db:2", enginetest.Behaviour{Exit: enginetest.Exited(1)})
	b.p.Volumes = &migrating{Volumes: host.Aside{}, after: func() { b.row("migrated by 2") }}
	if _, err := b.applyBack(); err == nil {
		t.Fatal("no error")
	}
	if got := b.row(""); got != "acknowledged by 1" {
		t.Errorf("after the way back the data is %q", got)
	}
}

// TestANeighbourOnTheSameVolumeComesBack: it has to let go of the data while that
// is copied, and must run again afterwards.
func TestANeighbourOnTheSameVolumeComesBack(t *testing.T) {
	b := backBench(t)
	two := func(image string) {
		text := strings.Replace(base()["stacks/db/compose.yaml"], "db:1", image, 1)
		b.write("stacks/db/compose.yaml", strings.Replace(text, "volumes: {data: {}}",
			"  worker: {image: \"worker:1\", volumes: [\"data:/data\"], healthcheck: {test: [CMD, \"true\"]}}\nvolumes: {data: {}}", 1))
	}
	two("db:1")
	if _, err := b.applyBack(); err != nil {
		t.Fatal(err)
	}
	two("db:2")
	if _, err := b.applyBack(); err != nil {
		t.Fatal(err)
	}
	if got := b.engine.Container("home-db", "worker"); got.State != "running" {
		t.Errorf("the neighbour is %q", got.State)
	}
	d, err := b.p.Desired(b.load)
	if err != nil {
		t.Fatal(err)
	}
	prep, err := b.p.Plan(context.Background(), d, provision.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !prep.Plan.Empty() {
		t.Errorf("left to do:\n%s", prep.Plan)
	}
}

// dieAtGate applies and is cut off while the database waits behind the gate.
func (b *bench) dieAtGate() {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	d, err := b.p.Desired(b.load)
	if err != nil {
		b.t.Fatal(err)
	}
	prep, err := b.p.Plan(ctx, d, provision.PlanOptions{RemoveOrphans: b.removeOrphans, WithoutCopy: b.withoutCopy})
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.p.Apply(ctx, prep, provision.ApplyOptions{WaitTimeout: time.Minute, Inputs: b.inputs(), Load: b.load}, func(e stacks.Event) {
		if e.Phase == "gate" && e.Service == "db" {
			cancel()
		}
	}); err == nil {
		b.t.Fatal("an interrupted apply says that all is well")
	}
}

// TestAnUpgradeAfterAnInterruptedChangeIsCopiedToo: what was interrupted had
// nothing to copy; the image that comes next has.
func TestAnUpgradeAfterAnInterruptedChangeIsCopiedToo(t *testing.T) {
	b := backBench(t)
	if _, err := b.applyBack(); err != nil {
		t.Fatal(err)
	}
	b.row("acknowledged by 1")
	changed := strings.Replace(base()["stacks/db/compose.yaml"], "image: db:1", "image: db:1\n    environment: {A: b}", 1)
	b.write("stacks/db/compose.yaml", changed)
	b.engine.Behave("db:1", enginetest.Behaviour{Health: "starting"})
	b.dieAtGate()
	b.engine.Behave("db:1", enginetest.Behaviour{})
	b.write("stacks/db/compose.yaml", strings.Replace(changed, "db:1", "db:2", 1))
	b.engine.Behave("db:2", enginetest.Behaviour{Exit: enginetest.Exited(1)})
	copied := false
	b.p.Volumes = &migrating{Volumes: host.Aside{}, after: func() { b.row("migrated by 2"); copied = true }}
	if _, err := b.applyBack(); err == nil {
		t.Fatal("no error")
	}
	if !copied {
		t.Fatal("the data was not copied before the new image came")
	}
	if got := b.row(""); got != "acknowledged by 1" || b.engine.Container("home-db", "db").Image != "db:1" {
		t.Errorf("%s runs on %q", b.engine.Container("home-db", "db").Image, got)
	}
}

// TestAServiceOfAnInterruptedChangeMayGo: it is not asked for any more.
func TestAServiceOfAnInterruptedChangeMayGo(t *testing.T) {
	b := backBench(t)
	if _, err := b.applyBack(); err != nil {
		t.Fatal(err)
	}
	old := base()["stacks/db/compose.yaml"]
	with := strings.Replace(strings.Replace(old, "db:1", "db:2", 1), "volumes: {data: {}}",
		"  extra: {image: \"extra:1\", healthcheck: {test: [CMD, \"true\"]}}\nvolumes: {data: {}}", 1)
	b.write("stacks/db/compose.yaml", with)
	b.engine.Behave("db:2", enginetest.Behaviour{Health: "starting"})
	b.dieAtGate()
	b.write("stacks/db/compose.yaml", old)
	if _, err := b.applyBack(); err != nil {
		t.Fatal(err)
	}
	if got := b.engine.Container("home-db", "db"); got.Image != "db:1" || got.State != "running" {
		t.Errorf("%s is %s", got.Image, got.State)
	}
}

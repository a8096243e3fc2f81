package provision_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/provision/enginetest"
	"github.com/croft-sh/croft/provision/host"
	"github.com/croft-sh/croft/stacks"
)

func (b *bench) bootOptions() provision.BootOptions {
	return provision.BootOptions{
		WaitTimeout: time.Minute,
		Load: func(inputs fs.FS, instead map[string]fs.FS) (stacks.Desired, error) {
			d, problems := stacks.LoadDesired(inputs, stacks.LoadOptions{Dir: b.dir, Instead: instead})
			return d, problems.Err()
		},
		Written: b.load,
	}
}

func (b *bench) boot() (provision.BootResult, error) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return b.p.Boot(ctx, b.bootOptions(), nil)
}

// bootedAgain wants a second boot to do nothing.
func (b *bench) bootedAgain() {
	b.t.Helper()
	b.engine.Forget()
	out, err := b.boot()
	if err != nil || !out.Empty() {
		b.t.Errorf("a second boot does %+v: %v", out, err)
	}
	for _, c := range b.engine.Calls() {
		if !strings.HasPrefix(c, "observe") && !strings.HasPrefix(c, "inspect") {
			b.t.Errorf("a second boot calls %s", c)
		}
	}
}

// reboot is what a restart of the machine does where Docker cannot start anything.
func (b *bench) reboot() map[string]string {
	b.t.Helper()
	ids := map[string]string{}
	for _, s := range []string{"db", "api", "side"} {
		if c := b.engine.Container("home-"+s, s); c.ID != "" {
			ids[s] = c.ID
			b.engine.Set(c.ID, "exited", "", 128)
		}
	}
	if err := os.RemoveAll(b.p.RunDir); err != nil {
		b.t.Fatal(err)
	}
	return ids
}

// killedWhen applies, and lets the program die at the first write for which when
// is true: nothing is written any more, and nothing is asked of the engine.
func (b *bench) killedWhen(o provision.PlanOptions, when func(path string) bool) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	d, err := b.p.Desired(b.load)
	if err != nil {
		b.t.Fatal(err)
	}
	prep, err := b.p.Plan(ctx, d, o)
	if err != nil {
		b.t.Fatal(err)
	}
	write := b.p.WriteFile
	var dead atomic.Bool
	b.p.WriteFile = func(path string, data []byte, mode fs.FileMode) error {
		if dead.Load() || when(path) {
			dead.Store(true)
			cancel()
			return errors.New("killed")
		}
		return write(path, data, mode)
	}
	_, err = b.p.Apply(ctx, prep, provision.ApplyOptions{WaitTimeout: time.Minute, Inputs: b.inputs(), Load: b.load}, nil)
	b.p.WriteFile = write
	if err == nil || !dead.Load() {
		b.t.Fatalf("the apply was not killed: %v", err)
	}
}

func (b *bench) image(stack string) string { return b.engine.Container("home-"+stack, stack).Image }

func (b *bench) version(stack, image string) {
	b.write("stacks/"+stack+"/compose.yaml", strings.Replace(base()["stacks/"+stack+"/compose.yaml"], stack+":1", image, 1))
}

func TestABootBringsBackWhatTheRestartTook(t *testing.T) {
	b := backBench(t)
	if out, err := b.boot(); err != nil || !out.Empty() {
		t.Fatalf("before the first apply: %+v, %v", out, err)
	}
	if _, err := b.applyBack(); err != nil {
		t.Fatal(err)
	}
	// What was written since is not rolled out by a restart of the machine.
	b.version("side", "side:2")
	b.version("db", "db:2")
	ids := b.reboot()
	out, err := b.boot()
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"api/api", "db/db", "side/side"}; !slices.Equal(out.Started, want) {
		t.Errorf("started %v, want %v", out.Started, want)
	}
	for s, id := range ids {
		if got := b.engine.Container("home-"+s, s); got.ID != id || got.State != "running" || got.Image != s+":1" {
			t.Errorf("%s is %s on %s, container made anew: %v", s, got.State, got.Image, got.ID != id)
		}
	}
	if _, err := os.Stat(filepath.Join(b.p.RunDir, "secrets/db/db/root")); err != nil {
		t.Error(err)
	}
	calls := strings.Join(b.engine.Calls(), "\n")
	if db, api := strings.LastIndex(calls, "start home-db-db-1"), strings.LastIndex(calls, "start home-api-api-1"); db < 0 || db > api {
		t.Error("a stack was started before the one it needs")
	}
	b.bootedAgain()
}

func TestABootLeavesAloneWhatIsStoppedOrHeld(t *testing.T) {
	b := backBench(t)
	if _, err := b.applyBack(); err != nil {
		t.Fatal(err)
	}
	if err := b.p.SetStopped("side", true); err != nil {
		t.Fatal(err)
	}
	if err := b.p.Hold("api", time.Time{}); err != nil {
		t.Fatal(err)
	}
	b.reboot()
	out, err := b.boot()
	if err != nil || !slices.Equal(out.Started, []string{"db/db"}) {
		t.Errorf("started %v: %v", out.Started, err)
	}
	for _, s := range []string{"side", "api"} {
		if got := b.engine.Container("home-"+s, s).State; got != "exited" {
			t.Errorf("%s is %s", s, got)
		}
	}
}

func TestABootSaysWhatDoesNotStart(t *testing.T) {
	b := backBench(t)
	if _, err := b.applyBack(); err != nil {
		t.Fatal(err)
	}
	b.reboot()
	b.engine.Fail("start home-db-db-1", errors.New("no such device"))
	out, err := b.boot()
	var failed *provision.FailedError
	if !errors.As(err, &failed) || failed.Stack != "db" || !failed.Partial {
		t.Errorf("error %v", err)
	}
	if !slices.Contains(out.Started, "side/side") {
		t.Errorf("a neighbour was not started: %v", out.Started)
	}
	t.Run("and respects who holds a stack", func(t *testing.T) {
		b.engine.Fail("start home-db-db-1", nil)
		l := host.Leases{Dir: filepath.Join(b.p.StateDir, "leases")}
		b.p.Leases = l
		release, err := l.Take("db", "backup")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.boot(); !errors.Is(err, host.ErrLocked) || b.engine.Container("home-db", "db").State == "running" {
			t.Errorf("error %v", err)
		}
		release()
		if _, err := b.boot(); err != nil || b.engine.Container("home-db", "db").State != "running" {
			t.Errorf("error %v", err)
		}
	})
}

func TestABootJoinsHubsAgain(t *testing.T) {
	b := backBench(t)
	if _, err := b.applyBack(); err != nil {
		t.Fatal(err)
	}
	id := b.engine.Container("home-db", "db").ID
	if err := b.engine.Disconnect(context.Background(), "home-api-postgres", id); err != nil {
		t.Fatal(err)
	}
	if _, err := b.boot(); err != nil {
		t.Fatal(err)
	}
	if got := b.engine.Aliases(id, "home-api-postgres"); !slices.Contains(got, "postgres") {
		t.Errorf("aliases %v", got)
	}
	b.bootedAgain()
}

// TestABootFinishesAKilledApply: every stack of the apply, those included that it
// had not come to.
func TestABootFinishesAKilledApply(t *testing.T) {
	for _, platform := range []string{"there", "not mounted"} {
		t.Run("the platform's directory is "+platform, func(t *testing.T) {
			b := backBench(t)
			if _, err := b.applyBack(); err != nil {
				t.Fatal(err)
			}
			b.row("acknowledged by 1")
			b.version("db", "db:2")
			b.version("api", "api:2")
			b.killedWhen(provision.PlanOptions{}, func(path string) bool {
				return b.pending()["db"] != nil && strings.HasSuffix(path, "memory.json") && b.image("db") == "db:2"
			})
			if got := b.history()[0]; got.Result != "interrupted" || got.Number != 2 {
				t.Fatalf("revision %+v", got)
			}
			b.reboot()
			o := b.bootOptions()
			if platform == "not mounted" {
				o.Written = nil
			}
			out, err := b.p.Boot(context.Background(), o, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(out.Finished, []string{"api", "db"}) || out.Revision.Result != "applied" {
				t.Errorf("finished %v, revision %+v", out.Finished, out.Revision)
			}
			if b.image("db") != "db:2" || b.image("api") != "api:2" || b.engine.Container("home-side", "side").State != "running" {
				t.Errorf("runs %s and %s", b.image("db"), b.image("api"))
			}
			if got := b.row(""); got != "acknowledged by 1" {
				t.Errorf("the data is %q", got)
			}
			b.bootedAgain()
			if plan := b.plan(provision.PlanOptions{}).Plan; !plan.Empty() {
				t.Errorf("left to do:\n%s%v", plan, plan.Files)
			}
		})
	}
}

// TestABootUndoesWhatIsNotWantedAnyMore: the upgrade was killed behind the gate,
// and the admin has written something else since.
func TestABootUndoesWhatIsNotWantedAnyMore(t *testing.T) {
	for name, write := range map[string]func(b *bench){
		"another version": func(b *bench) { b.version("db", "db:3") },
		"something wrong": func(b *bench) { b.write("croft.yaml", "nonsense: [") },
	} {
		t.Run(name, func(t *testing.T) {
			b := backBench(t)
			if _, err := b.applyBack(); err != nil {
				t.Fatal(err)
			}
			b.row("acknowledged by 1")
			b.version("db", "db:2")
			b.engine.Behave("db:2", enginetest.Behaviour{Health: "starting"})
			b.dieAtGate()
			b.row("migrated by 2")
			write(b)
			b.reboot()
			out, err := b.boot()
			var failed *provision.FailedError
			if !errors.As(err, &failed) || failed.TakenBack != 1 || failed.Partial {
				t.Errorf("error %v", err)
			}
			if !slices.Equal(out.TakenBack, []string{"db"}) || b.image("db") != "db:1" || b.engine.Container("home-db", "db").State != "running" {
				t.Errorf("taken back %v, runs %s", out.TakenBack, b.image("db"))
			}
			if got := b.row(""); got != "acknowledged by 1" {
				t.Errorf("the old image meets %q", got)
			}
			b.bootedAgain()
		})
	}
	t.Run("and the next apply brings what is written", func(t *testing.T) {
		b := backBench(t)
		if _, err := b.applyBack(); err != nil {
			t.Fatal(err)
		}
		b.version("db", "db:2")
		b.engine.Behave("db:2", enginetest.Behaviour{Health: "starting"})
		b.dieAtGate()
		b.version("db", "db:3")
		if _, err := b.boot(); err == nil {
			t.Error("taken back, and no error")
		}
		if _, err := b.applyBack(); err != nil || b.image("db") != "db:3" {
			t.Errorf("runs %s: %v", b.image("db"), err)
		}
	})
}

func TestABootTakesBackWhatDoesNotPassTheGate(t *testing.T) {
	b := backBench(t)
	if _, err := b.applyBack(); err != nil {
		t.Fatal(err)
	}
	b.row("acknowledged by 1")
	b.version("db", "db:2")
	b.engine.Behave("db:2", enginetest.Behaviour{Health: "unhealthy", HealthLog: "migration failed"})
	b.killedWhen(provision.PlanOptions{}, func(string) bool { return b.image("db") == "db:2" })
	b.row("migrated by 2")
	out, err := b.boot()
	var failed *provision.FailedError
	if !errors.As(err, &failed) || failed.TakenBack != 1 || !strings.Contains(err.Error(), "migration failed") {
		t.Errorf("error %v", err)
	}
	if !slices.Equal(out.TakenBack, []string{"db"}) || b.image("db") != "db:1" || b.row("") != "acknowledged by 1" {
		t.Errorf("taken back %v, %s on %q", out.TakenBack, b.image("db"), b.row(""))
	}
	b.bootedAgain()
}

// TestABootEndsAWayBackThatWasKilled: what failed is not tried a second time.
func TestABootEndsAWayBackThatWasKilled(t *testing.T) {
	b := backBench(t)
	if _, err := b.applyBack(); err != nil {
		t.Fatal(err)
	}
	b.row("acknowledged by 1")
	b.version("db", "db:2")
	b.engine.Behave("db:2", enginetest.Behaviour{Health: "unhealthy"})
	b.p.Volumes = &migrating{Volumes: host.Aside{}, after: func() { b.row("migrated by 2") }}
	b.killedWhen(provision.PlanOptions{}, func(path string) bool {
		_, err := os.Stat(filepath.Join(b.p.StateDir, "held.json"))
		return err == nil && !strings.HasSuffix(path, "held.json")
	})
	b.p.Volumes = host.Aside{}
	b.engine.Behave("db:2", enginetest.Behaviour{})
	out, err := b.boot()
	var failed *provision.FailedError
	if !errors.As(err, &failed) || failed.TakenBack != 1 {
		t.Errorf("error %v", err)
	}
	if !slices.Equal(out.TakenBack, []string{"db"}) || b.image("db") != "db:1" || b.row("") != "acknowledged by 1" {
		t.Errorf("taken back %v, %s on %q", out.TakenBack, b.image("db"), b.row(""))
	}
}

// TestABootFinishesNoMoreThanWasAskedFor: the apply was for one stack; what was
// written of others then, nobody has said yes to.
func TestABootFinishesNoMoreThanWasAskedFor(t *testing.T) {
	b := backBench(t)
	if _, err := b.applyBack(); err != nil {
		t.Fatal(err)
	}
	b.version("side", "side:2")
	b.version("db", "db:2")
	b.killedWhen(provision.PlanOptions{Stacks: []string{"side"}}, func(string) bool { return b.image("side") == "side:2" })
	out, err := b.boot()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(out.Finished, []string{"side"}) || b.image("side") != "side:2" || b.image("db") != "db:1" {
		t.Errorf("finished %v, runs %s and %s", out.Finished, b.image("side"), b.image("db"))
	}
}

// TestAFirstApplyThatWasKilledHasNowhereToGoBackTo: it is finished, or left.
func TestAFirstApplyThatWasKilledHasNowhereToGoBackTo(t *testing.T) {
	b := backBench(t)
	b.killedWhen(provision.PlanOptions{}, func(string) bool { return b.image("db") != "" })
	b.version("db", "db:2")
	out, err := b.boot()
	var failed *provision.FailedError
	if !errors.As(err, &failed) || !failed.Partial || !slices.Equal(out.Left, []string{"db"}) {
		t.Fatalf("left %v: %v", out.Left, err)
	}
	b.version("db", "db:1")
	if out, err = b.boot(); err != nil || !slices.Contains(out.Finished, "db") {
		t.Errorf("finished %v: %v", out.Finished, err)
	}
	// What was not begun and could not be finished at the first boot waits.
	if _, err := b.applyBack(); err != nil {
		t.Error(err)
	}
	if plan := b.plan(provision.PlanOptions{}).Plan; !plan.Empty() {
		t.Errorf("left to do:\n%s", plan)
	}
}

func TestABootDoesNotBringBackWhatWasDestroyed(t *testing.T) {
	b := backBench(t)
	if _, err := b.applyBack(); err != nil {
		t.Fatal(err)
	}
	b.version("db", "db:2")
	b.killedWhen(provision.PlanOptions{}, func(string) bool { return b.image("db") == "db:2" })
	if err := b.p.Destroy(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	out, err := b.boot()
	if err != nil || !out.Empty() || b.image("db") != "" {
		t.Errorf("%+v: %v", out, err)
	}
	if n, err := b.p.DeliverKept(); n != 0 || err != nil {
		t.Errorf("%d secrets are delivered: %v", n, err)
	}
}

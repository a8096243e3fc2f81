package provision_test

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/provision/enginetest"
	"github.com/croft-sh/croft/stacks"
)

// TestANarrowedRollbackChangesNothingForward: what api needs is written anew and
// was not applied; going back with api is no reason to.
func TestANarrowedRollbackChangesNothingForward(t *testing.T) {
	b := backBench(t)
	b.mustBack()
	text := base()["stacks/api/compose.yaml"]
	b.write("stacks/api/compose.yaml", strings.Replace(text, "healthcheck", "environment: {A: b}, healthcheck", 1))
	b.side("side:2", "")
	b.mustBack()
	b.upgrade("db:2")
	side := b.engine.Container("home-side", "side").ID
	back, err := b.planRollback(provision.RollbackOptions{To: 1, Stacks: []string{"api"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := back.Plan.String(); got != "api/api: recreate, risk restart (environment changed: A)\n" {
		t.Errorf("plan:\n%s", got)
	}
	if got := strings.Join(back.Notes, "\n"); got != "db stays as it is: what is written of it was not applied yet" {
		t.Errorf("notes %q", got)
	}
	rev := b.mustRollback(provision.RollbackOptions{To: 1, Stacks: []string{"api"}})
	if rev.Stacks["db"] != "untouched" || rev.Stacks["side"] != "untouched" || rev.Stacks["api"] != "held" {
		t.Errorf("revision %v", rev.Stacks)
	}
	if got := b.engine.Container("home-db", "db").Image; got != "db:1" || b.engine.Container("home-side", "side").ID != side {
		t.Errorf("%s runs", got)
	}
	if got := b.planned(); !strings.Contains(got, "db/db: recreate, risk data (image db:1 -> db:2)") || strings.Contains(got, "api/") {
		t.Errorf("left to do:\n%s", got)
	}
}

func TestOrphansOfOthersStay(t *testing.T) {
	b := backBench(t)
	b.mustBack()
	b.write("stacks/side/compose.yaml", "services:\n  side: {image: \"side:2\"}\n  extra: {image: \"extra:1\"}\n")
	b.mustBack()
	b.write("croft.yaml", strings.Replace(string(b.inputs()["croft.yaml"]), "api: {}, ", "", 1))
	o := provision.RollbackOptions{To: 1, RemoveOrphans: true}
	back, err := b.planRollback(o)
	if err != nil {
		t.Fatal(err)
	}
	if got := back.Plan.String(); strings.Contains(got, "api") || !strings.Contains(got, "side/extra: remove") || back.Plan.Summary["remove"] != 1 {
		t.Errorf("plan:\n%s %v", got, back.Plan.Summary)
	}
	b.mustRollback(o)
	if b.engine.Container("home-api", "api").ID == "" || b.engine.Container("home-side", "extra").ID != "" {
		t.Error("the wrong ones were removed")
	}
}

// TestAKilledRollbackStillCountsAsWhatRan: it was cut off behind the gate of its
// last stack; a change that fails next goes back to what ran then.
func TestAKilledRollbackStillCountsAsWhatRan(t *testing.T) {
	b := backBench(t)
	b.mustBack()
	b.side("side:2", "")
	b.mustBack()
	back, err := b.planRollback(provision.RollbackOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	write := b.p.WriteFile
	_, err = b.p.Apply(ctx, back.Prepared, provision.ApplyOptions{WaitTimeout: time.Minute, Inputs: b.inputs(), Load: b.load}, func(e stacks.Event) {
		if e.Stack == "side" && e.Phase == "up" && e.State == stacks.Done && e.Service == "" {
			cancel()
			b.p.WriteFile = func(string, []byte, fs.FileMode) error { return errors.New("killed") }
		}
	})
	if err == nil {
		t.Fatal("it was not killed")
	}
	b.p.WriteFile = write
	b.side("side:3", "")
	b.engine.Behave("side:3", enginetest.Behaviour{Exit: enginetest.Exited(1)})
	_, err = b.applyBack()
	var failed *provision.FailedError
	if !errors.As(err, &failed) || failed.TakenBack != 1 || b.engine.Container("home-side", "side").Image != "side:1" {
		t.Errorf("%v: %s runs", err, b.engine.Container("home-side", "side").Image)
	}
}

package provision_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/provision/host"
	"github.com/croft-sh/croft/stacks"
)

func leaseBench(t *testing.T) (*bench, host.Leases) {
	t.Helper()
	b := newBench(t)
	l := host.Leases{Dir: filepath.Join(b.p.StateDir, "leases")}
	b.p.Leases = l
	b.mustApply()
	b.write("stacks/db/compose.yaml", strings.Replace(base()["stacks/db/compose.yaml"], "db:1", "db:2", 1))
	b.write("stacks/side/compose.yaml", "services:\n  side: {image: \"side:2\"}\n")
	return b, l
}

func TestAnApplyRefusesAStackThatIsLeased(t *testing.T) {
	b, l := leaseBench(t)
	release, err := l.Take("db", "backup run")
	if err != nil {
		t.Fatal(err)
	}
	plan := b.plan(provision.PlanOptions{}).Plan
	if !slices.ContainsFunc(plan.Warnings, func(w string) bool { return strings.HasPrefix(w, "db is held by backup run (") }) {
		t.Errorf("warnings %v", plan.Warnings)
	}
	if len(plan.Blocked) > 0 {
		t.Errorf("blocked %v: it may have ended when the plan is applied", plan.Blocked)
	}
	b.engine.Forget()
	_, err = b.apply()
	if !errors.Is(err, host.ErrLocked) || !strings.Contains(err.Error(), "stack db is held by backup run") {
		t.Fatalf("error %v", err)
	}
	if calls := b.engine.Calls(); slices.ContainsFunc(calls, func(c string) bool { return !strings.HasPrefix(c, "observe") }) {
		t.Errorf("the machine was touched: %v", calls)
	}
	if got := b.history(); len(got) != 1 {
		t.Errorf("a refused apply made revision %+v", got[0])
	}
	t.Run("others are not affected", func(t *testing.T) {
		prep := b.plan(provision.PlanOptions{Stacks: []string{"side"}})
		if _, err := b.p.Apply(context.Background(), prep, provision.ApplyOptions{WaitTimeout: time.Minute}, nil); err != nil {
			t.Error(err)
		}
		if got := b.engine.Container("home-side", "side").Image; got != "side:2" {
			t.Errorf("side runs %s", got)
		}
	})
	t.Run("and it goes on when the lease ends", func(t *testing.T) {
		release()
		b.mustApply()
		if got := b.engine.Container("home-db", "db").Image; got != "db:2" {
			t.Errorf("db runs %s", got)
		}
	})
}

// TestAnApplyHoldsWhatItTouches: a backup must not begin half way.
func TestAnApplyHoldsWhatItTouches(t *testing.T) {
	b, l := leaseBench(t)
	looked := 0
	_, err := b.p.Apply(context.Background(), b.plan(provision.PlanOptions{}), provision.ApplyOptions{WaitTimeout: time.Minute}, func(e stacks.Event) {
		if e.Phase != "up" || e.Stack == "" {
			return
		}
		looked++
		for _, stack := range []string{"db", "side"} {
			if release, err := l.Take(stack, "backup"); err == nil {
				release()
				t.Errorf("%s could be taken while it changes", stack)
			}
		}
		if release, err := l.Take("api", "backup"); err != nil {
			t.Errorf("api is not touched, and held: %v", err)
		} else {
			release()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if looked == 0 {
		t.Fatal("nothing was looked at")
	}
	for _, stack := range []string{"db", "side"} {
		if who := l.Held(stack); who != "" {
			t.Errorf("%s is still held by %s", stack, who)
		}
	}
}

package provision_test

import (
	"strings"
	"testing"
	"time"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/stacks"
)

func TestAHeldStackIsLeftAlone(t *testing.T) {
	b := newBench(t)
	b.mustApply()
	before := b.engine.Container("home-side", "side").ID
	if err := b.p.Hold("side", time.Time{}); err != nil {
		t.Fatal(err)
	}
	b.write("stacks/side/compose.yaml", "services:\n  side: {image: \"side:2\"}\n  more: {image: \"more:1\"}\n")
	b.write("stacks/api/compose.yaml", strings.Replace(base()["stacks/api/compose.yaml"], "api:1", "api:2", 1))

	plan := b.plan(provision.PlanOptions{}).Plan
	if got := plan.Of("side"); len(got) > 0 {
		t.Errorf("a held stack has changes: %v", got)
	}
	for _, want := range []string{
		"side/side waits (recreate: image side:1 -> side:2), because its stack is held: croft release side ends that",
		"side/more waits (create: not there yet)",
	} {
		if !strings.Contains(strings.Join(plan.Warnings, "\n"), want) {
			t.Errorf("warnings %q, want %q", plan.Warnings, want)
		}
	}
	rev := b.mustApply()
	if rev.Stacks["side"] != "held" || rev.Stacks["api"] != "applied" {
		t.Errorf("revision %v", rev.Stacks)
	}
	if got := b.engine.Container("home-side", "side"); got.ID != before {
		t.Errorf("the held container was replaced: %+v", got)
	}
	if got := b.engine.Container("home-api", "api").Image; got != "api:2" {
		t.Errorf("the neighbour runs %s, want api:2", got)
	}
	st, err := b.p.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range st.Stacks {
		if s.Name == "side" && (s.State != stacks.Held || len(s.Services) != 1 || s.Services[0].Image != "side:1") {
			t.Errorf("status of the held stack: %+v", s)
		}
	}
	if !strings.Contains(strings.Join(st.Warnings, "\n"), "side is held: apply leaves it alone") {
		t.Errorf("status warns of %q", st.Warnings)
	}

	was, err := b.p.Release("side")
	if err != nil || !was {
		t.Fatalf("release: %v, %v", was, err)
	}
	b.mustApply()
	if got := b.engine.Container("home-side", "side").Image; got != "side:2" {
		t.Errorf("after release it runs %s, want side:2", got)
	}
}

func TestAHoldEndsByItself(t *testing.T) {
	b := newBench(t)
	b.mustApply()
	if err := b.p.Hold("side", b.p.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	b.write("stacks/side/compose.yaml", "services:\n  side: {image: \"side:2\"}\n")
	plan := b.plan(provision.PlanOptions{}).Plan
	if len(plan.Of("side")) > 0 || !strings.Contains(strings.Join(plan.Warnings, "\n"), "held until 2026-11-21T04:") {
		t.Errorf("plan %s, warnings %q", plan, plan.Warnings)
	}
	b.ticks.Add(2 * 3600)
	if plan := b.plan(provision.PlanOptions{}).Plan; len(plan.Of("side")) != 1 {
		t.Errorf("the hold is over and the stack still waits: %v", plan.Warnings)
	}
	if was, err := b.p.Release("side"); err != nil || was {
		t.Errorf("release of a hold that is over: %v, %v", was, err)
	}
	if holds, err := b.p.Holds(); err != nil || len(holds) > 0 {
		t.Errorf("holds %v, %v", holds, err)
	}
}

func TestOrphansOfAHeldStackStay(t *testing.T) {
	b := newBench(t)
	b.mustApply()
	for _, name := range []string{"api", "side"} {
		if err := b.p.Hold(name, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	b.write("croft.yaml", strings.Replace(base()["croft.yaml"], "api: {}, side: {}", "", 1))
	b.p.PortHolder = nil
	plan := b.plan(provision.PlanOptions{RemoveOrphans: true}).Plan
	for _, c := range plan.Changes {
		if c.Action == stacks.ActionRemove {
			t.Errorf("%s/%s of a held stack would be removed", c.Stack, c.Service)
		}
	}
	for _, n := range plan.Networks {
		if n.Action == stacks.ActionRemove {
			t.Errorf("network %s under a held stack would be removed", n.Name)
		}
	}
}

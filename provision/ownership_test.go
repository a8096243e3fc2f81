package provision_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/provision/enginetest"
	"github.com/croft-sh/croft/stacks"
)

// TestAProgramsOwnFilesStay: what a program writes beside its configuration is
// neither a change nor croft's to remove.
func TestAProgramsOwnFilesStay(t *testing.T) {
	b := newBench(t)
	b.mustApply()
	own := filepath.Join(b.p.StateDir, "live", "db", "settings", "state.db")
	if err := os.WriteFile(own, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if plan := b.plan(provision.PlanOptions{}).Plan; !plan.Empty() {
		t.Errorf("a program's own file is a change: %v", plan.Files)
	}
	b.write("stacks/db/settings/a.conf", "second\n")
	b.mustApply()
	if raw, err := os.ReadFile(own); err != nil || string(raw) != "precious" {
		t.Errorf("the program's file: %q, %v", raw, err)
	}
}

// TestDestroyLeavesOthersAlone: a project whose name merely begins like the
// platform's is somebody else's.
func TestDestroyLeavesOthersAlone(t *testing.T) {
	b := newBench(t)
	b.mustApply()
	b.engine.AddContainer(stacks.Container{Name: "home-assistant-1", Project: "home-assistant", Service: "hass", State: "running",
		Labels: map[string]string{"com.docker.compose.project": "home-assistant"}})
	if err := b.p.Destroy(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	if b.engine.Container("home-assistant", "hass").ID == "" {
		t.Error("somebody else's container was removed")
	}
	if b.engine.Container("home-db", "db").ID != "" {
		t.Error("the platform's own container is still there")
	}
}

// TestAOneShotThatEndedIsDone: a plain service that ends with 0 is not run again
// at every apply.
func TestAOneShotThatEndedIsDone(t *testing.T) {
	b := newBench(t)
	b.write("stacks/side/compose.yaml", "services:\n  side: {image: \"side:1\"}\n  once: {image: \"once:1\"}\n")
	b.engine.Behave("once:1", enginetest.Behaviour{Exit: enginetest.Exited(0)})
	b.mustApply()
	if plan := b.plan(provision.PlanOptions{}).Plan; !plan.Empty() {
		t.Errorf("it is to run again:\n%s", plan)
	}
}

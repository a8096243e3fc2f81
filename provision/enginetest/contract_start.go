package enginetest

import (
	"testing"
	"time"
)

// startAsItIs: what ended runs again as the same container, what runs is left, a
// missing one is an error.
func startAsItIs(t *testing.T, s *scene) {
	s.up(t, "1", "side")
	id := s.id(t, "side")
	if err := s.Engine.Start(s.ctx, []string{id}); err != nil {
		t.Errorf("one that runs: %v", err)
	}
	if err := s.Engine.Signal(s.ctx, id, "KILL"); err != nil {
		t.Fatal(err)
	}
	state := func() string {
		seen, err := s.Engine.Inspect(s.ctx, []string{id})
		if err != nil {
			t.Fatal(err)
		}
		return seen[0].State
	}
	for deadline := time.Now().Add(20 * time.Second); state() != "exited"; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("killed, and it is %s", state())
		}
	}
	if err := s.Engine.Start(s.ctx, []string{id}); err != nil {
		t.Fatal(err)
	}
	if got := state(); got != "running" || s.id(t, "side") != id {
		t.Errorf("started, it is %s in container %s, was %s", got, s.id(t, "side"), id)
	}
	if err := s.Engine.Start(s.ctx, []string{"0000000000000000"}); err == nil {
		t.Error("a missing container was started")
	}
}

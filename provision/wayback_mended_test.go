package provision_test

import (
	"context"
	"errors"
	"testing"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/provision/enginetest"
)

// TestAMendedUpgradeKilledAtItsGateKeepsItsRows: what an earlier attempt failed
// with says nothing about the one after it.
func TestAMendedUpgradeKilledAtItsGateKeepsItsRows(t *testing.T) {
	b := backBench(t)
	if _, err := b.applyBack(); err != nil {
		t.Fatal(err)
	}
	b.row("acknowledged by 1")
	b.upgrade("db:2")
	b.engine.Behave("db:2", enginetest.Behaviour{Health: "unhealthy"})
	if _, err := b.applyBack(); err == nil {
		t.Fatal("an unhealthy version passed the gate")
	}
	b.upgrade("db:3")
	b.engine.Behave("db:3", enginetest.Behaviour{Health: "starting"})
	b.dieAtGate()
	b.row("acknowledged by 3")
	b.engine.Set(b.engine.Container("home-db", "db").ID, "running", "healthy", 0)
	if _, err := b.applyBack(); err != nil {
		t.Fatal(err)
	}
	if got := b.row(""); got != "acknowledged by 3" || b.engine.Container("home-db", "db").Image != "db:3" {
		t.Errorf("%s on %q", b.engine.Container("home-db", "db").Image, got)
	}
}

// TestAnEngineThatGoesAwayIsNoFailureOfTheProgram: what was begun is finished by the
// next apply, with the rows that the new version took meanwhile, and is not held.
func TestAnEngineThatGoesAwayIsNoFailureOfTheProgram(t *testing.T) {
	b := backBench(t)
	if _, err := b.applyBack(); err != nil {
		t.Fatal(err)
	}
	b.row("acknowledged by 1")
	b.upgrade("db:2")
	b.engine.Behave("db:2", enginetest.Behaviour{Health: "unhealthy"}) // as checks of a dying engine are
	b.p.Watch = func(context.Context) func() bool { return func() bool { return true } }
	rev, err := b.applyBack()
	var lost *provision.LostError
	if !errors.As(err, &lost) || lost.Hint() == "" || rev.Result != "interrupted" {
		t.Fatalf("%v, revision %+v", err, rev)
	}
	b.row("acknowledged by 2")
	b.p.Watch = nil
	b.engine.Behave("db:2", enginetest.Behaviour{})
	b.engine.Set(b.engine.Container("home-db", "db").ID, "running", "healthy", 0)
	if rev, err = b.applyBack(); err != nil || rev.Stacks["db"] != "applied" {
		t.Fatalf("%v, revision %+v", err, rev)
	}
	if got := b.row(""); got != "acknowledged by 2" || b.engine.Container("home-db", "db").Image != "db:2" {
		t.Errorf("%s on %q", b.engine.Container("home-db", "db").Image, got)
	}
}

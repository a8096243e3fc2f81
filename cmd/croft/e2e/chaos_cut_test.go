//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// harsh is a file system that keeps no promise it did not make: nothing is written
// out in time, data and names in no order, and a rename writes out nothing.
const harsh = "data=writeback,commit=300,noauto_da_alloc"

// powerCuts kills croft and takes from the state's disk what was not written out,
// in an apply of a platform that runs, and in the first one of a new platform,
// which makes the secrets.
func (c *chaos) powerCuts(t *testing.T, rounds int) {
	for i := range 2 * rounds {
		options := []string{"data=ordered,commit=300", harsh}[i/2%2]
		if rounds == 1 {
			options = harsh
		}
		n := newChaos(t, c.e, c.dice, c.tally, options)
		most := 3 * time.Second
		if i%2 == 1 {
			n.first(t)
		}
		n.wish(t, n.image)
		began, rows := time.Now(), n.acked
		n.canary(t, "synced") // before, because it takes what others wrote along
		u := n.begin(t)
		after := time.Duration(n.dice.Int64N(int64(most)))
		hit := u.last(after)
		n.canary(t, "unsynced")
		u.kill()
		n.stateDisk.cut(t)
		n.canariesAfter(t)
		how := fmt.Sprintf("power cut after %s, first apply %t, %s", after.Round(time.Millisecond), i%2 == 0, options)
		n.readable(t, how)
		tries := n.converge(t, how, n.dice.IntN(2) == 0)
		t.Logf("%s: under way %t, %d tries", how, hit, tries)
		kind := "unsynced writes lost, first apply"
		if i%2 == 1 {
			kind = "unsynced writes lost"
		}
		c.tally.of(kind).add(hit, tries, n.acked-rows, time.Since(began))
		if r := n.croft(t, "destroy", "-y"); r.code != exitDone {
			t.Fatalf("%s", r)
		}
	}
}

// canary writes a file that tells whether the cut is one.
func (c *chaos) canary(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(filepath.Join(c.state, "canary-"+name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("alive"); err != nil {
		t.Fatal(err)
	}
	if name == "synced" {
		if err := errors.Join(f.Sync(), syncDirectory(c.state)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func syncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (c *chaos) canariesAfter(t *testing.T) {
	t.Helper()
	for name, want := range map[string]string{"synced": "alive", "unsynced": ""} {
		path := filepath.Join(c.state, "canary-"+name)
		raw, err := os.ReadFile(path)
		if err != nil && (want != "" || !os.IsNotExist(err)) || string(raw) != want {
			t.Fatalf("the cut is none: %s is %q, %v", name, raw, err)
		}
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
}

// writeReliability writes the page of the long run.
func writeReliability(path, engine string, seed uint64, tl *tally) error {
	text := fmt.Sprintf(`# Reliability

Written by `+"`make chaos`"+` on %s: Docker Engine %s, CROFT_CHAOS_SEED=%d. A platform with a database that writes a row every 30 ms, and acknowledges it when it is on disk, lives through what follows at random moments. After each round croft, or its boot unit and then croft, runs until there is nothing left to do, twice at most and with nobody's help; then containers have their own names, every file of the state is whole, and every acknowledged row is there.

%s
How each kind is done: SIGKILL goes to a second engine's daemon, its containerd, the database's main process or croft, in turn at a change, at a new image of the database (its data is copied aside), and at the way back of a version that migrates the data and fails. Disks are small file systems that are filled up. In a power cut croft is killed, and the state goes on as it lies on its disk at that moment: what no program had asked to be written out is gone (two canaries prove it), on a file system mounted so that it writes nothing by itself and keeps no order.
`, time.Now().UTC().Format(time.DateOnly), engineText(engine), seed, tl)
	return os.WriteFile(path, []byte(text), 0o644)
}

func engineText(s string) string {
	for len(s) > 0 && s[len(s)-1] == '\n' {
		s = s[:len(s)-1]
	}
	return s
}

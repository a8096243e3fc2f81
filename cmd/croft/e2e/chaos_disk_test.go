//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fullDisks fills each disk, before an apply and at a random moment of one.
func (c *chaos) fullDisks(t *testing.T, rounds int) {
	const phases = "files up copy secrets networks pull"
	for range rounds {
		for _, full := range []struct {
			name   string
			disk   *disk
			leave  int64
			image  bool   // the change brings a new image
			before bool   // full already when the apply begins
			phase  string // else: when it fills up; "" at a random moment
		}{
			{"state, before", c.stateDisk, 0, false, true, ""},
			{"state, under way", c.stateDisk, 0, c.dice.IntN(2) == 0, false, pick(c, phases)},
			{"storage, before", c.dataDisk, 0, true, true, ""},
			{"storage, half way through a copy", c.dataDisk, 8 << 20, true, false, "files"},
			{"Docker, under way", c.e.data, 0, c.dice.IntN(2) == 0, false, pick(c, phases)},
			{"Docker, before", c.e.data, 0, false, true, ""},
		} {
			began, before := time.Now(), c.acked
			if full.image {
				c.image = map[string]string{"2": "3", "3": "2"}[c.image]
			}
			c.wish(t, c.image)
			how := fmt.Sprintf("full disk: %s (%s)", full.name, full.phase)
			if full.before {
				c.fillOrFail(t, full.disk, full.leave)
			}
			u := c.begin(t)
			hit := full.before
			if !full.before {
				hit = u.reach(full.phase)
				c.fillOrFail(t, full.disk, full.leave)
			}
			code := u.end(t)
			c.refusedWell(t, how, code)
			if full.before && code == exitRefused { // nothing was touched
				c.well(t, how, true)
			}
			c.readable(t, how)
			if err := full.disk.free(); err != nil {
				t.Fatal(err)
			}
			tries := c.converge(t, how+", and room again", c.dice.IntN(2) == 0)
			t.Logf("%s: exit %d, %d tries, %s", how, code, tries, time.Since(began).Round(100*time.Millisecond))
			c.tally.of("full disk: "+full.name).add(hit, tries, c.acked-before, time.Since(began))
		}
	}
	c.fullPlatform(t)
}

func pick(c *chaos, from string) string {
	list := strings.Fields(from)
	return list[c.dice.IntN(len(list))]
}

func (c *chaos) fillOrFail(t *testing.T, d *disk, leave int64) {
	t.Helper()
	if err := d.fill(leave); err != nil {
		t.Fatal(err)
	}
}

// refusedWell wants a run that did not do its work to say why, and what to do.
func (c *chaos) refusedWell(t *testing.T, how string, code int) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(c.root, "under.log"))
	if err != nil {
		t.Fatal(err)
	}
	if said := string(raw); code != exitDone && (!strings.Contains(said, "hint:") || strings.Contains(said, "goroutine ")) {
		t.Errorf("%s: exit %d without a word on what to do:\n%s", how, code, clip(said))
	}
}

// fullPlatform fills the admin's own disk: what croft would write there fails
// whole, and an apply, which writes nothing there, goes on.
func (c *chaos) fullPlatform(t *testing.T) {
	began := time.Now()
	c.wish(t, c.image)
	c.fillOrFail(t, c.dirDisk, 0)
	// What is left below a block's size goes to small files.
	for i := range 4096 {
		if os.WriteFile(filepath.Join(c.dir, "stacks", fmt.Sprintf(".full%d", i)), make([]byte, 4096), 0o600) != nil {
			break
		}
	}
	before := treeHash(t, c.dir)
	r := c.croft(t, "stack", "add", "valkey")
	if r.code == exitDone || !strings.Contains(r.stderr, "hint:") {
		t.Errorf("full disk of the platform: %s", r)
	}
	if treeHash(t, c.dir) != before {
		t.Errorf("full disk of the platform: something was half written: %s", r)
	}
	rows := c.acked
	tries := c.converge(t, "full disk of the platform", false)
	left, err := filepath.Glob(filepath.Join(c.dir, "stacks", ".full*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(left, c.dirDisk.ballast()) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	c.tally.of("full disk: platform").add(true, tries, c.acked-rows, time.Since(began))
}

// readOnly turns the state read-only, as a kernel does after disk errors.
func (c *chaos) readOnly(t *testing.T, _ int) {
	began, rows := time.Now(), c.acked
	c.wish(t, c.image)
	before := c.e.docker(t, "ps", "-aq", "--no-trunc")
	c.stateDisk.remount(t, "ro")
	if r := c.croft(t, "plan", "--detailed-exitcode"); r.code != exitPending {
		t.Errorf("a read-only state: %s", r)
	}
	for _, args := range [][]string{{"apply", "-y"}, {"boot"}, {"destroy", "-y"}} {
		r := c.croft(t, args...)
		if r.code == exitDone || !strings.Contains(r.said(), "read-only") || !strings.Contains(r.said(), "hint:") {
			t.Errorf("a read-only state: %s", r)
		}
	}
	if after := c.e.docker(t, "ps", "-aq", "--no-trunc"); after != before {
		t.Errorf("a read-only state: containers are other ones")
	}
	c.stateDisk.remount(t, "rw")
	tries := c.converge(t, "state read-only, and writable again", false)
	c.tally.of("read-only state").add(true, tries, c.acked-rows, time.Since(began))
}

// twoAtOnce starts two runs at the same moment. One of them does its work, and the
// other says so, or has nothing left to do.
func (c *chaos) twoAtOnce(t *testing.T, rounds int) {
	for range rounds {
		for _, other := range [][]string{{"apply", "-y"}, {"rollback", "-y"}, {"destroy", "-y"}, {"boot"}} {
			began, rows := time.Now(), c.acked
			c.wish(t, c.image)
			u := c.begin(t)
			u.last(time.Duration(c.dice.Int64N(int64(time.Second))))
			r := c.croft(t, other...)
			code := u.end(t)
			how := fmt.Sprintf("apply and %s at once (exit %d and %d)", other[0], code, r.code)
			for _, got := range []int{code, r.code} {
				if got != exitDone && got != exitLocked && got != exitRefused {
					t.Errorf("%s: %s", how, r)
				}
			}
			if code != exitDone && r.code != exitDone {
				t.Errorf("%s: neither did its work: %s", how, r)
			}
			tries := c.converge(t, how, false)
			t.Logf("%s: %s", how, time.Since(began).Round(100*time.Millisecond))
			c.tally.of("apply and "+other[0]+" at once").add(true, tries, c.acked-rows, time.Since(began))
		}
	}
}

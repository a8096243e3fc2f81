//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// killsInShort is how many kills a plain test run does, over all kinds; make chaos
// sets CROFT_CHAOS_ROUNDS, CROFT_CHAOS_MINUTES to bound them, and CROFT_CHAOS_SEED
// to repeat what was seen.
const killsInShort = 6

// victims are who is killed, in turn.
var victims = []string{"dockerd", "croft", "croft and dockerd", "the container", "dockerd, live-restore", "containerd"}

// TestChaos does to one platform what machines do to platforms, at random moments:
// programs are killed, disks fill up, turn read-only, or lose what was not written
// out, and two people apply at once. Whatever it is, the next run of croft, or of
// its boot unit, converges by itself, and no acknowledged row is lost.
func TestChaos(t *testing.T) {
	kills, seed, deadline := killsInShort, uint64(time.Now().UnixNano()), time.Time{}
	if n, err := strconv.Atoi(os.Getenv("CROFT_CHAOS_ROUNDS")); err == nil {
		kills = n
	}
	if n, err := strconv.ParseUint(os.Getenv("CROFT_CHAOS_SEED"), 10, 64); err == nil {
		seed = n
	}
	if n, err := strconv.Atoi(os.Getenv("CROFT_CHAOS_MINUTES")); err == nil {
		deadline = time.Now().Add(time.Duration(n) * time.Minute)
	}
	t.Logf("%d kills, CROFT_CHAOS_SEED=%d", kills, seed)
	dice := rand.New(rand.NewPCG(seed, 0))
	began, tl, e := time.Now(), &tally{}, newEngine(t)
	c := newChaos(t, e, dice, tl, "")
	defer func() { t.Logf("CROFT_CHAOS_SEED=%d, %s\n%s", seed, time.Since(began).Round(time.Second), tl) }()

	t.Run("first", c.first)
	for _, part := range []struct {
		name string
		do   func(t *testing.T, rounds int)
	}{
		{"two", c.twoAtOnce}, {"cut", c.powerCuts}, {"readonly", c.readOnly}, {"full", c.fullDisks},
	} {
		rounds := max(1, kills/60)
		if !t.Failed() {
			t.Run(part.name, func(t *testing.T) { part.do(t, rounds) })
		}
	}
	if !t.Failed() {
		t.Run("kills", func(t *testing.T) { c.kills(t, kills, deadline) })
	}
	if out := os.Getenv("CROFT_CHAOS_OUT"); out != "" && !t.Failed() {
		if err := writeReliability(out, e.docker(t, "version", "-f", "{{.Server.Version}}"), seed, tl); err != nil {
			t.Fatal(err)
		}
	}
}

// first applies the platform, undisturbed.
func (c *chaos) first(t *testing.T) {
	c.wish(t, c.image)
	r := c.croft(t, "apply", "-y")
	if r.code != exitDone {
		t.Fatalf("%s", r)
	}
	t.Logf("undisturbed: %s", r.took.Round(time.Millisecond))
	c.well(t, "undisturbed", true)
}

// moment is when to strike: so long after a phase began.
type moment struct {
	phase string
	most  time.Duration
}

// kills strikes in turn at good changes, at changes of the database's image, and
// at ways back.
func (c *chaos) kills(t *testing.T, rounds int, deadline time.Time) {
	for i := range rounds {
		if !deadline.IsZero() && time.Now().After(deadline) {
			t.Logf("the time is up after %d of %d kills", i, rounds)
			return
		}
		victim := victims[i%len(victims)]
		began, before := time.Now(), c.acked
		at, image, kind := moment{most: 3 * time.Second}, c.image, "change"
		switch (i/len(victims) + i) % 3 { // each victim meets each kind
		case 1:
			if image = "2"; c.image == "2" {
				image = "3"
			}
			kind, c.image = "new image", image
		case 2:
			image, kind, at = "bad", "way back", moment{"way back", 2 * time.Second}
		}
		c.wish(t, image)
		after := time.Duration(c.dice.Int64N(int64(at.most)))
		boot := c.dice.IntN(2) == 0
		how := fmt.Sprintf("round %d, %s, kill of %s %s after %q began, boot %t", i, kind, victim, after.Round(time.Millisecond), at.phase, boot)
		hit := c.strike(t, victim, at.phase, after)
		tries := c.converge(t, how, boot)
		t.Logf("%s: under way %t, %d tries, %s", how, hit, tries, time.Since(began).Round(100*time.Millisecond))
		c.tally.of("SIGKILL of "+victim).add(hit, tries, c.acked-before, time.Since(began))
	}
}

// strike begins an apply and kills somebody under way; it tells whether the apply
// still ran.
func (c *chaos) strike(t *testing.T, victim, phase string, after time.Duration) bool {
	t.Helper()
	if live := strings.Contains(victim, "live-restore"); live != c.e.live {
		c.e.live = live // holds from the next start on
		c.e.kill()
		c.e.up(t)
	}
	pid := 0
	if victim == "the container" {
		out := strings.TrimSpace(c.e.docker(t, "inspect", "-f", "{{.State.Pid}}", c.name+"-store-db-1"))
		pid, _ = strconv.Atoi(out)
	}
	u := c.begin(t)
	hit := u.reach(phase) && u.last(after)
	switch {
	case victim == "croft":
		u.kill()
	case victim == "croft and dockerd":
		c.e.kill()
		u.kill()
	case victim == "containerd":
		c.e.killContainerd()
	case pid > 0:
		_ = syscall.Kill(pid, syscall.SIGKILL) // gone already, if the apply was quicker
	default:
		c.e.kill()
	}
	if !c.e.running() && c.dice.IntN(2) == 0 {
		time.Sleep(time.Duration(c.dice.Int64N(int64(2 * time.Second))))
	}
	c.e.up(t)
	u.end(t)
	return hit
}

package host

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/croft-sh/croft/stacks"
)

// TestLeaseEndsWithItsHolder holds a lease in another process and kills it.
func TestLeaseEndsWithItsHolder(t *testing.T) {
	const variable = "CROFT_TEST_LEASES"
	if dir := os.Getenv(variable); dir != "" {
		if _, err := (Leases{Dir: dir}).Take("gitea", "backup"); err != nil {
			t.Fatal(err)
		}
		fmt.Println("held")
		select {}
	}
	l := Leases{Dir: filepath.Join(t.TempDir(), "leases")}
	if who := l.Held("gitea"); who != "" {
		t.Errorf("held by %s before anybody took it", who)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestLeaseEndsWithItsHolder$")
	cmd.Env = append(os.Environ(), variable+"="+l.Dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "held\n" {
		t.Fatalf("the helper says %q: %v", line, err)
	}
	_, err = l.Take("gitea", "an apply")
	var leased *LeasedError
	if !errors.As(err, &leased) || !errors.Is(err, ErrLocked) || leased.PID != cmd.Process.Pid || leased.Why != "backup" {
		t.Fatalf("error %v", err)
	}
	var problem stacks.Problem
	if !errors.As(err, &problem) || !strings.Contains(problem.Hint, fmt.Sprint(cmd.Process.Pid)) {
		t.Errorf("hint %q", problem.Hint)
	}
	if who := l.Held("gitea"); !strings.Contains(who, "backup (") {
		t.Errorf("held by %q", who)
	}
	if release, err := l.Take("other", "backup"); err != nil {
		t.Errorf("another stack is held as well: %v", err)
	} else {
		release()
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed, as wanted
	if who := l.Held("gitea"); who != "" {
		t.Errorf("still held by %s", who)
	}
	release, err := l.Take("gitea", "an apply")
	if err != nil {
		t.Fatalf("the lease outlived its holder: %v", err)
	}
	release()
	if who := l.Held("gitea"); who != "" {
		t.Errorf("given back and held by %s", who)
	}
}

// TestLookingKeepsNobodyAway: who only looks must not make a run fail.
func TestLookingKeepsNobodyAway(t *testing.T) {
	l := Leases{Dir: t.TempDir()}
	done := make(chan struct{})
	var lookers sync.WaitGroup
	for range 2 {
		lookers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					l.Held("db")
				}
			}
		})
	}
	for range 200 {
		release, err := l.Take("db", "backup")
		if err != nil {
			t.Error(err)
			break
		}
		release()
	}
	close(done)
	lookers.Wait()
}

func TestLeaseNamesAreNoPaths(t *testing.T) {
	for _, name := range []string{"", "..", "a/b", "../x"} {
		if _, err := (Leases{Dir: t.TempDir()}).Take(name, "x"); err == nil {
			t.Errorf("%q is taken for a stack", name)
		}
	}
}

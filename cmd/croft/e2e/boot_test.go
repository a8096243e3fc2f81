//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// bootStacks is a database with a secret and a program that stands on it.
func (p *platform) bootStacks(t *testing.T, round int) {
	t.Helper()
	p.writeChaos(t, round)
	p.writeConfig(t, "store", "front", "side")
}

// restart takes what a power cut takes: containers are down, not having been asked,
// and what was in memory is gone.
func (p *platform) restart(t *testing.T) {
	t.Helper()
	ids := strings.Fields(docker(t, "ps", "-q", "--filter", "label=croft.platform="+p.name))
	if len(ids) > 0 {
		docker(t, append([]string{"kill"}, ids...)...)
	}
	run := filepath.Join("/run/croft", p.name)
	if mounted(run) {
		if out, err := exec.Command("umount", run).CombinedOutput(); err != nil {
			t.Fatalf("umount: %s", out)
		}
	}
	if err := os.RemoveAll(run); err != nil {
		t.Fatal(err)
	}
}

// containerStates gives "name id state" of each container of the platform.
func (p *platform) containerStates(t *testing.T) []string {
	t.Helper()
	out := docker(t, "ps", "-a", "--no-trunc", "--filter", "label=croft.platform="+p.name, "--format", "{{.Names}} {{.ID}} {{.State}}")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	slices.Sort(lines)
	return lines
}

// TestABootAfterARestart takes memory and containers away, and wants both back:
// the same containers, whatever croft.yaml looks like by then.
func TestABootAfterARestart(t *testing.T) {
	p := newPlatform(t, "boot", nil)
	p.bootStacks(t, 0)
	p.must(t, "apply", "-y")
	p.sql(t, "create table rows (r text); insert into rows values ('one')")
	before := p.containerStates(t)
	secret := filepath.Join("/run/croft", p.name, "secrets/store/db/pw")
	value, err := os.ReadFile(secret)
	if err != nil {
		t.Fatal(err)
	}
	p.must(t, "stop", "side")
	p.restart(t)
	p.write(t, "croft.yaml", "nonsense: [")

	// What the first unit does, before Docker starts anything.
	r := p.must(t, "boot", "--secrets")
	t.Logf("secrets: %s", r.took.Round(time.Millisecond))
	now, err := os.ReadFile(secret)
	if err != nil || string(now) != string(value) {
		t.Fatalf("the secret is not back: %v", err)
	}
	info, err := os.Stat(secret)
	if err != nil || info.Mode().Perm() != 0o400 || info.Sys().(*syscall.Stat_t).Uid != 999 || !mounted(filepath.Join("/run/croft", p.name)) {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	r = p.must(t, "boot")
	t.Logf("boot: %s\n%s", r.took.Round(time.Millisecond), r.stdout)
	want := make([]string, len(before))
	for i, line := range before {
		want[i] = line
		if strings.Contains(line, "-side-") {
			want[i] = strings.Replace(line, " running", " exited", 1)
		}
	}
	if got := p.containerStates(t); !slices.Equal(got, want) {
		t.Errorf("containers:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := strings.TrimSpace(p.sql(t, "select count(*) from rows")); got != "1" {
		t.Errorf("%s rows", got)
	}
	again := p.must(t, "boot")
	if strings.Contains(again.stdout, "started") {
		t.Errorf("a second boot does something: %s", again.stdout)
	}
	p.writeConfig(t, "store", "front", "side")
	p.must(t, "start", "side")
	p.must(t, "plan", "--detailed-exitcode")
}

// TestABootConverges kills applies at set moments, then restarts the machine, so
// to speak: the boot alone must finish or undo, with every row.
func TestABootConverges(t *testing.T) {
	p := newPlatform(t, "bootk", nil)
	p.bootStacks(t, 0)
	took := p.must(t, "apply", "-y").took
	p.sql(t, "create table rows (r text)")
	for round, share := range []float64{0.25, 0.5, 0.75} {
		p.sql(t, fmt.Sprintf("insert into rows values ('row %d')", round))
		p.bootStacks(t, round+1)
		killed := p.killAfter(t, time.Duration(share*float64(took)))
		other := round%2 == 1
		if other { // somebody has thought better of it since
			p.bootStacks(t, 0)
		}
		p.restart(t)
		r := p.run(t, "boot")
		t.Logf("killed %v at %.0f%%, something else is written: %v: exit %d\n%s", killed, share*100, other, r.code, r.said())
		if r.code != exitDone && (!other || r.code != exitTakenBack) {
			t.Fatalf("%s", r)
		}
		for _, line := range p.containerStates(t) {
			if !strings.HasSuffix(line, " running") {
				t.Errorf("round %d: %s", round, line)
			}
		}
		if got := strings.TrimSpace(p.sql(t, "select count(*) from rows")); got != fmt.Sprint(round+1) {
			t.Fatalf("round %d: %s rows", round, got)
		}
		if again := p.must(t, "boot"); regexp.MustCompile(`finished|taken back|left|started`).MatchString(again.stdout) {
			t.Errorf("a second boot does something: %s", again.stdout)
		}
		history := p.must(t, "history")
		t.Logf("%s", history.stdout)
		p.must(t, "apply", "-y")
		p.must(t, "plan", "--detailed-exitcode")
	}
}

// TestWhatAnApplyWritesSurvivesAPowerCut reads the system calls of an apply: what
// gets a name in the state was written out before, and its directory after it.
func TestWhatAnApplyWritesSurvivesAPowerCut(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not on this machine: system calls are not looked at")
	}
	binary, err := croftBinary()
	if err != nil {
		t.Fatal(err)
	}
	p := newPlatform(t, "bootp", nil)
	p.writeConfig(t, "side")
	p.write(t, "stacks/side/compose.yaml", "services:\n  c: {image: \"croft-test/echo:1\", volumes: [\"./conf:/conf:ro\"]}\n")
	p.write(t, "stacks/side/conf/deep/a.txt", "a\n")
	p.write(t, "stacks/side/conf/b.txt", "b\n")
	trace := func() []string {
		t.Helper()
		log := filepath.Join(p.root, "trace")
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, strace, "-f", "-y", "-qq", "-e", "trace=fsync,rename,renameat,renameat2,mkdir,mkdirat,unlink,unlinkat",
			"-e", "signal=none", "-o", log, binary, "apply", "-y")
		cmd.Dir = p.dir
		cmd.Env = append(os.Environ(), "CROFT_STATE="+p.state, "CROFT_DIR="+p.dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		raw, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(string(raw), "\n")
	}
	renames, dirs, _ := p.durable(t, trace())
	if renames < 15 || dirs < 8 {
		t.Errorf("%d files and %d directories were looked at: the test sees too little", renames, dirs)
	}
	if err := os.Remove(filepath.Join(p.dir, "stacks/side/conf/b.txt")); err != nil {
		t.Fatal(err)
	}
	renames2, _, gone := p.durable(t, trace())
	t.Logf("%d and %d files, %d directories, %d removed", renames, renames2, dirs, gone)
	if gone == 0 {
		t.Error("no file was removed: the test sees too little")
	}
}

var (
	traceSync   = regexp.MustCompile(`fsync\(\d+<([^>]*)>`)
	traceRename = regexp.MustCompile(`rename[a-z0-9]*\((?:[^"]*)"([^"]*)", (?:[^"]*)"([^"]*)"`)
	traceMade   = regexp.MustCompile(`mkdir(?:at)?\((?:[^"]*)"([^"]*)".*= 0`)
	traceGone   = regexp.MustCompile(`unlink(?:at)?\((?:[^"]*)"([^"]*)".*= 0`)
)

// durable judges a trace: before a rename the file was synced, and its directory
// is before the next step that stands on it, and before the run ends; so is the
// directory of what was made or taken away. It gives how many of each there were.
func (p *platform) durable(t *testing.T, lines []string) (renames, dirs, gone int) {
	t.Helper()
	synced := map[string]int{}          // path -> last line
	due := map[string]int{}             // directory -> line from which it must be synced
	inState := func(path string) bool { // the cache may be lost at any time
		return strings.HasPrefix(path, p.state+"/") && !strings.HasPrefix(path, p.state+"/cache")
	}
	for i, line := range lines {
		if m := traceSync.FindStringSubmatch(line); m != nil {
			synced[m[1]] = i
			delete(due, m[1])
			continue
		}
		if m := traceRename.FindStringSubmatch(line); m != nil && inState(m[2]) {
			renames++
			if _, ok := synced[m[1]]; !ok {
				t.Errorf("%s got its name before it was written out", m[2])
			}
			if name := filepath.Base(m[2]); name == "result.json" || name == "pending.json" {
				for dir, at := range due { // what they say must be true whatever happens next
					t.Errorf("%s was written before %s was: %s", m[2], dir, lines[at])
				}
			}
			due[filepath.Dir(m[2])] = i
			continue
		}
		if m := traceMade.FindStringSubmatch(line); m != nil && inState(m[1]) {
			dirs++
			due[filepath.Dir(m[1])] = i
			continue
		}
		if m := traceGone.FindStringSubmatch(line); m != nil && inState(m[1]) && !strings.Contains(filepath.Base(m[1]), ".croft-") {
			gone++
			due[filepath.Dir(m[1])] = i
		}
	}
	for dir, at := range due {
		if _, err := os.Stat(dir); err == nil || !os.IsNotExist(err) {
			t.Errorf("%s was not written out after: %s", dir, lines[at])
		}
	}
	return renames, dirs, gone
}

// TestKeptInputsAreWhatWasApplied: a way back must find scripts executable.
func TestKeptInputsAreWhatWasApplied(t *testing.T) {
	p := newPlatform(t, "bootm", nil)
	p.writeConfig(t, "side")
	p.write(t, "stacks/side/compose.yaml", "services:\n  c: {image: \"croft-test/echo:1\", volumes: [\"./run.sh:/run.sh:ro\"]}\n")
	p.write(t, "stacks/side/run.sh", "#!/bin/sh\n")
	if err := os.Chmod(filepath.Join(p.dir, "stacks/side/run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	p.must(t, "apply", "-y")
	live := filepath.Join(p.state, "live/side/run.sh")
	for path, want := range map[string]fs.FileMode{filepath.Join(p.state, "revisions/1/inputs/stacks/side/run.sh"): 0o755, live: 0o755} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if err := os.Chmod(live, 0o644); err != nil {
		t.Fatal(err)
	}
	if r := p.run(t, "plan", "--detailed-exitcode"); r.code != exitPending || !strings.Contains(r.said(), "run.sh") {
		t.Errorf("%s", r)
	}
	p.must(t, "apply", "-y")
	p.must(t, "plan", "--detailed-exitcode")
}

//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// chaos is a platform on a second engine, with a database that says of every row
// when it was on disk.
type chaos struct {
	*platform
	e     *engine
	dice  *rand.Rand
	round int
	image string // of the database, as it was last well
	acked int    // rows, when they were last looked at
	tally *tally

	stateDisk, dataDisk, dirDisk *disk
}

// newChaos makes a platform with small disks for what it keeps.
func newChaos(t *testing.T, e *engine, dice *rand.Rand, tl *tally, stateOptions string) *chaos {
	t.Helper()
	p, err := makePlatform("chaos")
	if err != nil {
		t.Fatal(err)
	}
	c := &chaos{platform: p, e: e, dice: dice, tally: tl, image: "2"}
	t.Cleanup(func() {
		e.up(t)
		run := filepath.Join("/run/croft", p.name)
		if ids := strings.Fields(e.docker(t, "ps", "-aq")); len(ids) > 0 {
			e.docker(t, append([]string{"rm", "-f"}, ids...)...)
		}
		if err := errors.Join(unmountBelow(run), os.RemoveAll(run), unmountBelow(p.root), os.RemoveAll(p.root)); err != nil {
			t.Error(err)
		}
	})
	c.dirDisk = newDisk(t, p.dir, 64<<20, "")
	c.stateDisk = newDisk(t, p.state, 3<<30, stateOptions)
	c.dataDisk = newDisk(t, p.storage, 4<<30, "")
	if err := errors.Join(os.Chmod(p.state, 0o700), os.MkdirAll(c.acks(), 0o777), os.Chmod(c.acks(), 0o777)); err != nil {
		t.Fatal(err)
	}
	c.writeConfig(t, "store", "front")
	return c
}

func (c *chaos) acks() string { return filepath.Join(c.root, "acks") }

// wish writes what is wanted next: another environment everywhere, and the
// database of that image.
func (c *chaos) wish(t *testing.T, image string) {
	t.Helper()
	c.round++
	check := `healthcheck: {test: [CMD, /rows, check], interval: 500ms, timeout: 10s, retries: 20}, environment: {ROUND: "` + strconv.Itoa(c.round) + `"}`
	c.write(t, "stacks/store/compose.yaml", `x-croft:
  secrets: {pw: {generate: 30, rotate: restart}}
  storage: {data: {class: databases, owner: "65534:65534"}}
services:
  db: {image: "croft-chaos/rows:`+image+`", user: "65534:65534", command: [serve], restart: unless-stopped, secrets: [pw], stop_grace_period: 5s,
    volumes: ["data:/data", "`+c.acks()+`:/acks"], `+check+`}
volumes: {data: {}}
`)
	c.write(t, "stacks/front/compose.yaml", "x-croft: {needs: [store]}\nservices:\n  web: {image: \"croft-chaos/rows:2\", command: [idle], stop_grace_period: 2s, "+check+"}\n")
}

// command prepares croft on this platform.
func (c *chaos) command(ctx context.Context, t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	binary, err := croftBinary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := c.e.within(ctx, append([]string{binary}, args...)...)
	cmd.Dir = c.root
	cmd.Env = append(cmd.Env, "CROFT_STATE="+c.state, "CROFT_DIR="+c.dir)
	return cmd
}

// croft runs croft to its end.
func (c *chaos) croft(t *testing.T, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	r, err := start(c.command(ctx, t, args...), args)
	if err != nil {
		t.Fatalf("croft %v: %v", args, err)
	}
	return r
}

// under is an apply under way.
type under struct {
	cmd    *exec.Cmd
	phases chan string   // as they come; closed with the apply
	ended  chan struct{} // the apply has
}

// begin starts an apply and listens to what it does.
func (c *chaos) begin(t *testing.T) *under {
	t.Helper()
	log, err := os.Create(filepath.Join(c.root, "under.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := c.command(context.Background(), t, "apply", "-y", "-o", "json", "--wait-timeout", "30s")
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	u := &under{cmd: cmd, phases: make(chan string, 10000), ended: make(chan struct{})}
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var event struct{ Phase string }
			if json.Unmarshal(lines.Bytes(), &event) == nil {
				u.phases <- event.Phase
			}
		}
		_ = cmd.Wait() // its exit code is in ProcessState
		close(u.phases)
		close(u.ended)
	}()
	return u
}

// reach waits for a phase, "" for none; it tells whether the apply still runs.
func (u *under) reach(phase string) bool {
	if phase == "" {
		return true
	}
	for p := range u.phases {
		if p == phase {
			return true
		}
	}
	return false
}

// last waits for some time; it tells whether the apply still runs.
func (u *under) last(d time.Duration) bool {
	select {
	case <-u.ended:
		return false
	case <-time.After(d):
		return true
	}
}

// end waits until the apply has ended by itself, and gives its exit code.
func (u *under) end(t *testing.T) int {
	t.Helper()
	if u.last(3 * time.Minute) {
		_ = u.cmd.Process.Kill()
		<-u.ended
		t.Fatal("an apply does not end")
	}
	return u.cmd.ProcessState.ExitCode()
}

func (u *under) kill() {
	_ = u.cmd.Process.Kill()
	<-u.ended
}

// converge runs croft until there is nothing left to do, twice at most, and gives
// how often. With boot the unit of a boot goes first.
func (c *chaos) converge(t *testing.T, how string, boot bool) int {
	t.Helper()
	var said []string
	for try := 1; try <= 2; try++ {
		if boot && try == 1 {
			r := c.croft(t, "boot", "--wait-timeout", "30s")
			said = append(said, r.String())
			if r.code != exitDone && r.code != exitTakenBack {
				continue
			}
			c.well(t, how+", then a boot ("+r.String()+")", false)
		}
		r := c.croft(t, "apply", "-y", "--wait-timeout", "30s")
		said = append(said, r.String())
		if r.code != exitDone && r.code != exitTakenBack {
			continue
		}
		if r = c.croft(t, "plan", "--detailed-exitcode"); r.code != exitDone {
			said = append(said, r.String())
			continue
		}
		c.well(t, how, true)
		if try > 1 {
			t.Logf("%s: the first try was not enough:\n%s", how, said[0])
		}
		return try
	}
	t.Fatalf("%s: two runs did not converge:\n%s\nthe killed run said: %s", how, strings.Join(said, "\n"), c.underLog())
	return 0
}

// underLog is what the last run that was struck said.
func (c *chaos) underLog() string {
	raw, err := os.ReadFile(filepath.Join(c.root, "under.log"))
	return fmt.Sprintf("%s (%v)", clip(string(raw)), err)
}

// well looks at what must be true whatever happened: everything runs under its
// own name, no acknowledged row is gone, nothing on disk is half a file.
func (c *chaos) well(t *testing.T, how string, all bool) {
	t.Helper()
	// Not the list's word for the state: after its disk was full, an engine's list
	// shows a container as it was before until the next thing happens to it.
	out := ""
	if ids := strings.Fields(c.e.docker(t, "ps", "-aq", "--filter", "label=croft.platform="+c.name)); len(ids) > 0 {
		out = c.e.docker(t, append([]string{"inspect", "-f", "{{.Name}} {{.State.Status}}"}, ids...)...)
		out = strings.TrimSpace(strings.ReplaceAll("\n"+out, "\n/", "\n"))
	}
	lines := strings.Split(out, "\n")
	slices.Sort(lines)
	want := []string{c.name + "-front-web-1 running", c.name + "-store-db-1 running"}
	if all && !slices.Equal(lines, want) {
		t.Fatalf("%s: containers are\n%s", how, out)
	}
	for _, line := range lines {
		if out != "" && !strings.HasSuffix(line, " running") {
			name, _, _ := strings.Cut(line, " ")
			raw, _ := os.ReadFile(filepath.Join(c.state, "pending.json"))
			t.Fatalf("%s: containers are\n%s\n%s\npending %s\nbefore it: %s", how, out, c.e.docker(t, "inspect", "-f", "{{json .State}}", name), raw, c.underLog())
		}
	}
	c.readable(t, how)
	c.rows(t, how)
}

// rows compares what was acknowledged with what is there.
func (c *chaos) rows(t *testing.T, how string) {
	t.Helper()
	if raw, err := os.ReadFile(filepath.Join(c.acks(), "violations")); err == nil {
		t.Fatalf("%s: %s", how, raw)
	}
	raw, err := os.ReadFile(filepath.Join(c.acks(), "acks"))
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile(filepath.Join(c.storage, "databases/store/data/rows"))
	if err != nil {
		t.Fatalf("%s: %v", how, err)
	}
	there := map[string]bool{}
	for _, row := range strings.Fields(string(kept)) {
		there[row] = true
	}
	acked := strings.Fields(string(raw))
	for _, row := range acked {
		if strings.HasSuffix(row, ".") && !there[row] {
			t.Fatalf("%s: row %s was acknowledged and is gone (%d of %d are there)", how, row, len(there), len(acked))
		}
	}
	c.acked = len(acked)
}

var yamlEnd = regexp.MustCompile(`(?s)\n$`)

// readable reads every file of the state: JSON is whole, and nothing is empty.
func (c *chaos) readable(t *testing.T, how string) {
	t.Helper()
	err := filepath.WalkDir(c.state, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		name := d.Name()
		if strings.HasPrefix(name, ".croft-") && strings.HasSuffix(name, ".tmp") {
			return nil
		}
		raw, err := os.ReadFile(path)
		switch {
		case err != nil:
			return err
		case strings.HasSuffix(name, ".json") && !json.Valid(raw):
			return fmt.Errorf("%s is damaged: %q", path, clip(string(raw)))
		case (strings.HasSuffix(name, ".yaml") || name == "secrets.age") && !yamlEnd.Match(raw):
			return fmt.Errorf("%s is cut off: %d bytes", path, len(raw))
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%s: %v", how, err)
	}
}

// tally is the table at the end.
type tally struct {
	lines []*line
}

type line struct {
	kind                string
	rounds, underWay    int
	first, second, rows int
	took                time.Duration
}

func (t *tally) of(kind string) *line {
	for _, l := range t.lines {
		if l.kind == kind {
			return l
		}
	}
	l := &line{kind: kind}
	t.lines = append(t.lines, l)
	return l
}

// add counts a round.
func (l *line) add(underWay bool, tries, rows int, took time.Duration) {
	l.rounds++
	if underWay {
		l.underWay++
	}
	switch tries {
	case 1:
		l.first++
	case 2:
		l.second++
	}
	l.rows += rows
	l.took += took
}

func (t *tally) String() string {
	var b strings.Builder
	b.WriteString("| what | rounds | hit under way | converged at the first run | at the second | rows acknowledged and there | seconds |\n|---|---|---|---|---|---|---|\n")
	var sum line
	for _, l := range t.lines {
		l.write(&b)
		sum.rounds, sum.underWay, sum.first, sum.second = sum.rounds+l.rounds, sum.underWay+l.underWay, sum.first+l.first, sum.second+l.second
		sum.rows, sum.took = sum.rows+l.rows, sum.took+l.took
	}
	sum.kind = "**all**"
	sum.write(&b)
	return b.String()
}

func (l *line) write(b *strings.Builder) {
	fmt.Fprintf(b, "| %s | %d | %d | %d | %d | %d | %.0f |\n", l.kind, l.rounds, l.underWay, l.first, l.second, l.rows, l.took.Seconds())
}

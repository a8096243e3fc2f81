//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// chaosRounds is how often an apply is killed in a plain test run. make chaos
// sets CROFT_CHAOS_ROUNDS, and CROFT_CHAOS_SEED to repeat what was seen.
const chaosRounds = 2 // TestChaos kills more, and not croft alone

// TestKilledAppliesConverge kills croft with SIGKILL at random moments of an
// apply that replaces everything, among them a database that must not lose a
// row. The next apply must come to the end by itself, and leave nothing to do.
func TestKilledAppliesConverge(t *testing.T) {
	rounds, seed := chaosRounds, uint64(time.Now().UnixNano())
	if n, err := strconv.Atoi(os.Getenv("CROFT_CHAOS_ROUNDS")); err == nil {
		rounds = n
	}
	if n, err := strconv.ParseUint(os.Getenv("CROFT_CHAOS_SEED"), 10, 64); err == nil {
		seed = n
	}
	t.Logf("%d rounds, CROFT_CHAOS_SEED=%d", rounds, seed)
	dice := rand.New(rand.NewPCG(seed, 0))
	p := newPlatform(t, "chaos", nil)
	p.writeConfig(t, "store", "front", "side")
	p.writeChaos(t, 0)
	first := p.must(t, "apply", "-y")
	t.Logf("undisturbed: %s", first.took.Round(time.Millisecond))

	killed := 0
	for round := 1; round <= rounds; round++ {
		row := fmt.Sprintf("row %d", round)
		p.sql(t, "create table if not exists rows (r text); insert into rows values ('"+row+"')")
		p.writeChaos(t, round)
		after := time.Duration(dice.Int64N(int64(first.took)))
		if p.killAfter(t, after) {
			killed++
		}
		if got := p.must(t, "apply", "-y"); got.code != exitDone {
			t.Fatalf("round %d, killed after %s: %s", round, after, got)
		}
		p.must(t, "plan", "--detailed-exitcode")
		if got := p.sql(t, "select count(*) from rows"); strings.TrimSpace(got) != strconv.Itoa(round) {
			t.Fatalf("round %d, killed after %s: %s rows, want %d", round, after, got, round)
		}
		names := docker(t, "ps", "-a", "--filter", "label=croft.platform="+p.name, "--format", "{{.Names}} {{.State}}")
		for _, line := range strings.Split(strings.TrimSpace(names), "\n") {
			if name, state, _ := strings.Cut(line, " "); !strings.HasPrefix(name, p.name+"-") || state != "running" {
				t.Errorf("round %d, killed after %s: left behind %s", round, after, line)
			}
		}
	}
	if killed == 0 {
		t.Error("no apply was killed: the test proves nothing")
	}
	t.Logf("%d of %d applies were killed under way", killed, rounds)
}

// writeChaos writes three stacks whose every service differs by round.
func (p *platform) writeChaos(t *testing.T, round int) {
	t.Helper()
	echo := fmt.Sprintf(`{image: "croft-test/echo:1", environment: {ROUND: "%d"}, healthcheck: {test: [CMD, echo, check, "http://127.0.0.1:8080/healthz"], interval: 1s, timeout: 5s, retries: 5}}`, round)
	p.write(t, "stacks/store/compose.yaml", fmt.Sprintf(`
x-croft:
  secrets: {pw: {generate: 30, rotate: restart}}
  storage: {data: {class: databases, owner: "999:999"}}
services:
  db:
    image: postgres:18.6
    user: "999:999"
    environment: {ROUND: "%d", POSTGRES_PASSWORD_FILE: /run/secrets/pw}
    secrets: [pw]
    volumes: [data:/var/lib/postgresql]
    tmpfs: [/tmp, "/var/run/postgresql:uid=999,gid=999"]
    stop_grace_period: 30s
    healthcheck: {test: [CMD, pg_isready, -q, -h, 127.0.0.1, -U, postgres], interval: 1s, timeout: 5s, retries: 30}
volumes: {data: {}}
`, round))
	p.write(t, "stacks/front/compose.yaml", "x-croft: {needs: [store]}\nservices:\n  a: "+echo+"\n  b: "+echo+"\n")
	p.write(t, "stacks/side/compose.yaml", "services:\n  c: "+echo+"\n")
}

func (p *platform) sql(t *testing.T, text string) string {
	t.Helper()
	return docker(t, "exec", p.name+"-store-db-1", "psql", "-X", "-q", "-t", "-A", "-U", "postgres", "-c", text)
}

// killAfter starts an apply and kills it; it tells whether it still ran.
func (p *platform) killAfter(t *testing.T, after time.Duration) bool {
	t.Helper()
	binary, err := croftBinary()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "apply", "-y")
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "CROFT_STATE="+p.state, "CROFT_DIR="+p.dir)
	log, err := os.Create(filepath.Join(p.root, "killed.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after)
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Logf("the apply had ended after %s", after)
	}
	err = cmd.Wait()
	return err != nil && strings.Contains(err.Error(), "killed")
}

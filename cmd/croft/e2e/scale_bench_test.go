//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// BenchmarkScale sets croft beside docker compose on the same platform in the
// same run: 82 services in 20 plain stacks. What it prints are ratios; seconds
// are of this machine and this hour. With CROFT_BENCH_OUT it writes the page
// docs/performance.md. Nothing here asserts a time.
func BenchmarkScale(b *testing.B) {
	for range b.N {
		if err := scale(b); err != nil {
			b.Fatal(err)
		}
	}
}

const (
	scaleStacks   = 20
	scaleServices = 82
	scaleRounds   = 7
)

func scale(b *testing.B) error {
	p, err := makePlatform("scale")
	if err != nil {
		return err
	}
	defer func() {
		if err := p.remove(); err != nil {
			b.Error(err)
		}
	}()
	if err := p.writeScale(); err != nil {
		return err
	}
	compose, err := composeBinary()
	if err != nil {
		return err
	}
	var first starts
	if err := first.firstStart(p); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(p.state, "live", "*", "compose.yaml"))
	if err != nil || len(files) != scaleStacks {
		return fmt.Errorf("%d live projects, want %d (%v)", len(files), scaleStacks, err)
	}
	var plans, loops []time.Duration
	for range scaleRounds { // in turn, so that the machine's mood is the same for both
		plan, err := p.timed("plan", "--detailed-exitcode", "-o", "json")
		if err != nil {
			return fmt.Errorf("the second plan is not empty: %w", err)
		}
		loop, err := composeLoop(compose, files)
		if err != nil {
			return err
		}
		plans, loops = append(plans, plan), append(loops, loop)
	}
	if err := first.rounds(p, compose, files); err != nil {
		return err
	}
	return report(b, middle(plans), middle(loops), first)
}

// writeScale writes the platform: four services a stack, and a few more.
func (p *platform) writeScale() error {
	config := fmt.Sprintf("version: 1\nname: %s\nexpose: loopback\nadmin: {name: ada, email: ada@example.com}\n%sstacks:\n", p.name, p.storageBlock())
	left := scaleServices
	for i := range scaleStacks {
		name := fmt.Sprintf("s%02d", i)
		config += "  " + name + ": {}\n"
		count := left / (scaleStacks - i)
		left -= count
		text := "services:\n"
		for j := range count {
			text += fmt.Sprintf("  app%d: {image: \"croft-test/echo:1\", environment: {STACK: %q}, volumes: [\"d%d:/d\"]}\n", j, name, j)
		}
		text += "volumes:\n"
		for j := range count {
			text += fmt.Sprintf("  d%d: {}\n", j)
		}
		path := filepath.Join(p.dir, "stacks", name, "compose.yaml")
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(p.dir, "croft.yaml"), []byte(config), 0o644)
}

// timed runs croft as a whole process and wants exit code 0.
func (p *platform) timed(args ...string) (time.Duration, error) {
	r, err := croft(p.dir, p.state, args...)
	if err == nil && r.code != exitDone {
		err = fmt.Errorf("%s", r)
	}
	return r.took, err
}

// composeLoop is what an admin without croft runs: up -d, project after project.
func composeLoop(compose string, files []string) (time.Duration, error) {
	began := time.Now()
	for _, file := range files {
		if out, err := exec.Command(compose, "-f", file, "up", "-d", "--quiet-pull").CombinedOutput(); err != nil {
			return 0, fmt.Errorf("docker compose -f %s up -d: %w\n%s", file, err, out)
		}
	}
	return time.Since(began), nil
}

func middle(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[len(list)/2]
}

func report(b *testing.B, plan, loop time.Duration, first starts) error {
	whole, last, fresh := middle(first.whole), middle(first.last), middle(first.loop)
	b.ReportMetric(loop.Seconds()/plan.Seconds(), "plan-times-faster")
	b.ReportMetric(last.Seconds()/fresh.Seconds(), "first-start-of-loop")
	b.ReportMetric(whole.Seconds()/fresh.Seconds(), "first-apply-of-loop")
	out := os.Getenv("CROFT_BENCH_OUT")
	if out == "" {
		return nil
	}
	engine, err := exec.Command("docker", "version", "-f", "{{.Server.Version}}").Output()
	if err != nil {
		return err
	}
	page := fmt.Sprintf(`# Performance

Written by `+"`make bench`"+` on %s: %d cores, Docker Engine %s. croft and docker compose work on the same %d services in %d projects, in turn, in one run; the middle of %d rounds counts. Quote the ratios: the seconds are this machine's.

| | croft | docker compose, one project after the other | ratio |
|---|---|---|---|
| nothing changed: plan, beside up -d | %.3f s | %.2f s | %.1f times faster |
| first start: until the last container runs, beside up -d | %.1f s | %.1f s | %.2f of its time |
| first start: the whole apply, beside up -d | %.1f s | %.1f s | %.2f of its time |

First starts are the middle of %d rounds. docker compose waits for nothing once the last container is started, so the row until then is the like-for-like one. The whole apply includes the gate: each of these services has no health check, so each must run for ten seconds without a restart.
`, time.Now().UTC().Format("2006-01-02"), runtime.NumCPU(), strings.TrimSpace(string(engine)), scaleServices, scaleStacks, scaleRounds,
		plan.Seconds(), loop.Seconds(), loop.Seconds()/plan.Seconds(),
		last.Seconds(), fresh.Seconds(), last.Seconds()/fresh.Seconds(), whole.Seconds(), fresh.Seconds(), whole.Seconds()/fresh.Seconds(), startRounds)
	return os.WriteFile(out, []byte(page), 0o644)
}

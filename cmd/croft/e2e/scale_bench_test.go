//go:build e2e

package e2e

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkScale sets croft beside docker compose on the same platform in the
// same run: 82 services in 20 plain stacks, or as many as CROFT_BENCH_SERVICES
// lists. What it prints are ratios; seconds are of this machine and this hour.
// With CROFT_BENCH_OUT it writes the page docs/performance.md. Nothing here
// asserts a time.
func BenchmarkScale(b *testing.B) {
	for range b.N {
		if err := scale(b); err != nil {
			b.Fatal(err)
		}
	}
}

// The size that is also started and removed by both.
const scaleServices = 82

// scaleRounds is how often both are run on what is there; larger platforms take
// docker compose long enough that fewer will do.
func scaleRounds(services int) int {
	if services > 2*scaleServices {
		return 3
	}
	return 7
}

// stacksOf is how many stacks hold so many services: four each, and a few more.
func stacksOf(services int) int { return max(1, services*20/82) }

// cost is what one run took: by the clock, and of the processors without the
// engine's part.
type cost struct{ wall, cpu time.Duration }

// scaled is one size measured.
type scaled struct {
	services          int
	start, plan, loop cost
	first             starts // of scaleServices alone
}

func scale(b *testing.B) error {
	var sizes []int
	for _, word := range strings.Split(cmp.Or(os.Getenv("CROFT_BENCH_SERVICES"), strconv.Itoa(scaleServices)), ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 {
			return fmt.Errorf("CROFT_BENCH_SERVICES: %q is no number of services", word)
		}
		sizes = append(sizes, n)
	}
	var all []scaled
	for _, n := range sizes {
		one, err := scaleTo(b, n)
		if err != nil {
			return fmt.Errorf("%d services: %w", n, err)
		}
		all = append(all, one)
		b.ReportMetric(one.loop.wall.Seconds()/one.plan.wall.Seconds(), fmt.Sprintf("plan-times-faster-at-%d", n))
	}
	return report(b, all)
}

func scaleTo(b *testing.B, services int) (out scaled, err error) {
	p, err := makePlatform("scale")
	if err != nil {
		return out, err
	}
	defer func() {
		if err := p.remove(); err != nil {
			b.Error(err)
		}
	}()
	if err := p.writeScale(services); err != nil {
		return out, err
	}
	compose, err := composeBinary()
	if err != nil {
		return out, err
	}
	if services == scaleServices {
		err = out.first.firstStart(p)
	} else {
		_, err = p.timed("apply", "-y")
	}
	if err != nil {
		return out, err
	}
	files, err := filepath.Glob(filepath.Join(p.state, "live", "*", "compose.yaml"))
	if err != nil || len(files) != stacksOf(services) {
		return out, fmt.Errorf("%d live projects, want %d (%v)", len(files), stacksOf(services), err)
	}
	out.services = services
	if err := p.unchanged(compose, files, &out); err != nil || services != scaleServices {
		return out, err
	}
	return out, out.first.rounds(p, compose, files)
}

// unchanged has both look at a platform that is as it should be, in turn, so
// that the machine's mood is the same for both.
func (p *platform) unchanged(compose string, files []string, out *scaled) error {
	var starts, plans, loops []cost
	for range scaleRounds(out.services) {
		start, err := p.timed("version")
		if err != nil {
			return err
		}
		plan, err := p.timed("plan", "--detailed-exitcode", "-o", "json")
		if err != nil {
			return fmt.Errorf("the second plan is not empty: %w", err)
		}
		loop, err := composeLoop(compose, files)
		if err != nil {
			return err
		}
		starts, plans, loops = append(starts, start), append(plans, plan), append(loops, loop)
	}
	out.start, out.plan, out.loop = middle(starts), middle(plans), middle(loops)
	return nil
}

// writeScale writes the platform: four services a stack, and a few more.
func (p *platform) writeScale(services int) error {
	config := fmt.Sprintf("version: 1\nname: %s\nexpose: loopback\nadmin: {name: ada, email: ada@example.com}\n%sstacks:\n", p.name, p.storageBlock())
	left := services
	for i := range stacksOf(services) {
		name := fmt.Sprintf("s%03d", i)
		config += "  " + name + ": {}\n"
		count := left / (stacksOf(services) - i)
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
func (p *platform) timed(args ...string) (cost, error) {
	r, err := croft(p.dir, p.state, args...)
	if err == nil && r.code != exitDone {
		err = fmt.Errorf("%s", r)
	}
	return cost{r.took, r.cpu}, err
}

// composeLoop is what an admin without croft runs: up -d, project after project.
func composeLoop(compose string, files []string) (cost, error) {
	var out cost
	began := time.Now()
	for _, file := range files {
		r, err := start(exec.Command(compose, "-f", file, "up", "-d", "--quiet-pull"), nil)
		if err == nil && r.code != 0 {
			err = fmt.Errorf("exit %d", r.code)
		}
		if err != nil {
			return out, fmt.Errorf("docker compose -f %s up -d: %w\n%s", file, err, r.said())
		}
		out.cpu += r.cpu
	}
	out.wall = time.Since(began)
	return out, nil
}

// middle takes the clock's and the processors' middle each by itself.
func middle(list []cost) cost {
	var walls, cpus []time.Duration
	for _, c := range list {
		walls, cpus = append(walls, c.wall), append(cpus, c.cpu)
	}
	return cost{middleOf(walls), middleOf(cpus)}
}

func middleOf(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[len(list)/2]
}

func report(b *testing.B, all []scaled) error {
	var rows strings.Builder
	for _, s := range all {
		fmt.Fprintf(&rows, "| nothing changed, %d services in %d stacks: plan, beside up -d | **%.0f times faster** | %.3f s | %.2f s | %.3f s, %.0f times less | %.3f s |\n",
			s.services, stacksOf(s.services), s.loop.wall.Seconds()/s.plan.wall.Seconds(), s.plan.wall.Seconds(), s.loop.wall.Seconds(),
			s.plan.cpu.Seconds(), s.loop.cpu.Seconds()/s.plan.cpu.Seconds(), s.start.wall.Seconds())
	}
	for _, s := range all {
		if len(s.first.loop) == 0 {
			continue
		}
		whole, last, fresh := middleOf(s.first.whole), middleOf(s.first.last), middleOf(s.first.loop)
		b.ReportMetric(last.Seconds()/fresh.Seconds(), "first-start-of-loop")
		b.ReportMetric(whole.Seconds()/fresh.Seconds(), "first-apply-of-loop")
		row := func(what string, took time.Duration) {
			fmt.Fprintf(&rows, "| first start, %d services in %d stacks: %s, beside up -d | **%.2f of its time** | %.1f s | %.1f s | | |\n",
				s.services, stacksOf(s.services), what, took.Seconds()/fresh.Seconds(), took.Seconds(), fresh.Seconds())
		}
		row("until the last container runs", last)
		row("the whole apply", whole)
	}
	b.Logf("\n%s", rows.String())
	out := os.Getenv("CROFT_BENCH_OUT")
	if out == "" {
		return nil
	}
	engine, err := exec.Command("docker", "version", "-f", "{{.Server.Version}}").Output()
	if err != nil {
		return err
	}
	page := fmt.Sprintf(`# Performance

Written by `+"`make bench`"+` on %s: %d cores, Docker Engine %s. croft and docker compose, whole processes both, work on the same projects, in turn, in one run; the middle of %d rounds counts, of %d on the larger platforms. Quote the ratios: the seconds are this machine's.

| | ratio | croft | docker compose, one project after the other | croft's processor time, beside compose's | starting croft alone |
|---|---|---|---|---|---|
%s
A plan lists containers, networks, volumes and images, and reads every live file and every file of the platform. It parses and renders the platform only where one of them changed since the last plan that found nothing to do ([decision 15](decisions/0015-a-settled-plan-keeps-its-render.md)). What it asks of the engine are five requests at any size.

First starts are the middle of %d rounds. docker compose waits for nothing once the last container is started, so the row until then is the like-for-like one. The whole apply includes the gate: each of these services has no health check, so each must run for ten seconds without a restart.
`, time.Now().UTC().Format("2006-01-02"), runtime.NumCPU(), strings.TrimSpace(string(engine)), scaleRounds(scaleServices), scaleRounds(10*scaleServices), rows.String(), startRounds)
	return os.WriteFile(out, []byte(page), 0o644)
}

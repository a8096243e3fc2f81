//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

type statusView struct {
	Schema   string
	Platform string
	StateDir string `json:"state_dir"`
	Revision *struct {
		Number int
		Result string
	}
	Stacks []struct {
		Name, State, Project string
		Services             []struct {
			Name, State, Health, Image, URL string
			ImageID                         string `json:"image_id"`
			Restarts                        int
		}
	}
	Drift, Warnings []string
}

type planView struct {
	Schema   string
	Revision string
	Changes  []struct {
		Stack, Service, Action, Risk string
		Causes                       []string
	}
	Networks, Volumes, Tunnel []struct{ Name, Action string }
	Blocked                   []struct{ Subject, Why, Hint string }
	Warnings, Files           []string
	Summary                   map[string]int
}

func (p *platform) status(t *testing.T) statusView {
	t.Helper()
	return decode[statusView](t, p.must(t, "status", "-o", "json").stdout)
}

func TestEverythingIsHealthy(t *testing.T) {
	p := shared(t)
	st := p.status(t)
	if st.Schema != "croft/status/v1" || st.Platform != p.name || st.StateDir != p.state {
		t.Errorf("status is about %q %q %q", st.Schema, st.Platform, st.StateDir)
	}
	if st.Revision == nil || st.Revision.Number != 1 || st.Revision.Result != "applied" {
		t.Errorf("revision %+v", st.Revision)
	}
	want := append([]string{"authelia", "hello", "postgres", "prometheus", "traefik", "valkey"}, ownStacks...)
	names := map[string]bool{}
	for _, s := range st.Stacks {
		names[s.Name] = true
		if s.State != "healthy" {
			t.Errorf("stack %s is %s", s.Name, s.State)
		}
		for _, svc := range s.Services {
			if svc.State != "running" || svc.Restarts != 0 || svc.Health != "healthy" && s.Name != "neighbour" {
				t.Errorf("%s/%s is %s, %q, after %d restarts", s.Name, svc.Name, svc.State, svc.Health, svc.Restarts)
			}
			if !strings.HasPrefix(svc.ImageID, "sha256:") {
				t.Errorf("%s/%s runs image %q", s.Name, svc.Name, svc.ImageID)
			}
		}
	}
	for _, name := range want {
		if !names[name] {
			t.Errorf("stack %s is not there: %v", name, names)
		}
	}
	if len(st.Drift) > 0 {
		t.Errorf("drift: %v", st.Drift)
	}
	// Not only by croft's word.
	all := p.containers(t)
	services := 0
	for _, s := range st.Stacks {
		services += len(s.Services)
	}
	if services != len(all) {
		t.Errorf("status knows %d services, the engine has %d containers", services, len(all))
	}
	for _, c := range all {
		if c.State.Status != "running" || c.RestartCount != 0 {
			t.Errorf("%s is %s, restarted %d times", c, c.State.Status, c.RestartCount)
		}
		if c.State.Health != nil && c.State.Health.Status != "healthy" {
			t.Errorf("%s is %s", c, c.State.Health.Status)
		}
		if c.State.Health == nil && c.stack() != "neighbour" {
			t.Errorf("%s has no health check", c)
		}
	}
}

func TestSecondPlanIsEmpty(t *testing.T) {
	p := shared(t)
	r := p.run(t, "plan", "--detailed-exitcode", "-o", "json")
	if r.code != exitDone {
		t.Fatalf("%s", r)
	}
	plan := decode[planView](t, r.stdout)
	for _, c := range plan.Changes {
		if c.Action != "none" {
			t.Errorf("%s/%s: %s because of %v", c.Stack, c.Service, c.Action, c.Causes)
		}
	}
	if n := len(plan.Networks) + len(plan.Volumes) + len(plan.Files) + len(plan.Blocked); n > 0 {
		t.Errorf("networks %v, volumes %v, files %v, blocked %v", plan.Networks, plan.Volumes, plan.Files, plan.Blocked)
	}
	if plan.Summary["none"] != len(p.containers(t)) {
		t.Errorf("summary %v for %d containers", plan.Summary, len(p.containers(t)))
	}
	if r := p.run(t, "render", "--check"); r.code != exitDone {
		t.Errorf("%s", r)
	}
}

func TestSecondApplyTouchesNothing(t *testing.T) {
	p := shared(t)
	before := ids(p.containers(t))
	if r := p.run(t, "apply", "-y"); r.code != exitDone {
		t.Fatalf("%s", r)
	}
	if after := ids(p.containers(t)); after != before {
		t.Errorf("containers were\n%s\nand are\n%s", before, after)
	}
}

func ids(all []container) string {
	var b strings.Builder
	for _, c := range all {
		fmt.Fprintf(&b, "%s %s\n", c, c.ID)
	}
	return b.String()
}

func TestApplySpeaksOneObjectALine(t *testing.T) {
	shared(t)
	lines, results := 0, 0
	for s := bufio.NewScanner(strings.NewReader(sharedApply.stdout)); s.Scan(); lines++ {
		event := decode[struct {
			At           *time.Time
			Phase, State string
			Result       any
		}](t, s.Text())
		if event.Result != nil {
			results++
			continue
		}
		if event.At == nil || event.At.IsZero() || event.Phase == "" || event.State == "" {
			t.Errorf("event without at, phase or state: %s", s.Text())
		}
		if results > 0 {
			t.Errorf("after the result: %s", s.Text())
		}
	}
	if lines < 5 || results != 1 {
		t.Errorf("%d lines, %d results", lines, results)
	}
	t.Logf("the first apply took %s", sharedApply.took.Round(time.Second))
}

func TestLogsOfTheWayInHaveNoError(t *testing.T) {
	p := shared(t)
	for _, s := range []struct{ stack, service string }{{"traefik", "traefik"}, {"prometheus", "prometheus"}, {"prometheus", "alertmanager"}, {"prometheus", "blackbox"}} {
		for _, line := range strings.Split(logOf(t, p.container(t, s.stack, s.service)), "\n") {
			low := strings.ToLower(line)
			for _, word := range []string{`"level":"error"`, `"level":"fatal"`, "level=error", `level="error"`, `"level":"panic"`} {
				if strings.Contains(low, word) {
					t.Errorf("%s/%s says: %s", s.stack, s.service, line)
				}
			}
		}
	}
}

type promTargets struct {
	Data struct {
		ActiveTargets []struct {
			Labels             map[string]string
			ScrapeURL, Health  string
			LastError          string
			ScrapePool         string
			DiscoveredLabels   map[string]string
			LastScrapeDuration float64
		} `json:"activeTargets"`
	}
}

func TestEveryTargetOfPrometheusIsUp(t *testing.T) {
	p := shared(t)
	base := "http://" + p.promAddress(t)
	var last string
	// The first scrape of each target comes within its interval.
	for deadline := time.Now().Add(100 * time.Second); ; time.Sleep(2 * time.Second) {
		targets := fetch[promTargets](t, base+"/api/v1/targets?state=active").Data.ActiveTargets
		var down []string
		jobs := map[string]int{}
		for _, tg := range targets {
			jobs[tg.Labels["job"]]++
			if tg.Health != "up" {
				down = append(down, fmt.Sprintf("%s (%s) is %s: %s", tg.ScrapeURL, tg.ScrapePool, tg.Health, tg.LastError))
			}
		}
		if len(targets) > 0 && len(down) == 0 {
			t.Logf("%d targets: %v", len(targets), jobs)
			for _, need := range []string{"traefik", "authelia"} {
				found := false
				for _, tg := range targets {
					found = found || tg.Labels["stack"] == need || tg.Labels["job"] == need
				}
				if !found {
					t.Errorf("nothing of %s is scraped", need)
				}
			}
			break
		}
		if last = strings.Join(down, "\n"); time.Now().After(deadline) {
			t.Fatalf("%d targets, not up:\n%s", len(targets), last)
		}
	}
	// Probes: each address answers as it should, through Traefik.
	type vector struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	for deadline := time.Now().Add(100 * time.Second); ; time.Sleep(3 * time.Second) {
		got := fetch[vector](t, base+"/api/v1/query?query=probe_success").Data.Result
		var failed []string
		for _, r := range got {
			if r.Value[1] != "1" {
				failed = append(failed, fmt.Sprint(r.Metric))
			}
		}
		if len(got) >= 8 && len(failed) == 0 {
			t.Logf("%d addresses probed", len(got))
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d probes, failed: %s", len(got), strings.Join(failed, "\n"))
		}
	}
}

// promAddress finds where Prometheus listens, from the machine's side.
func (p *platform) promAddress(t *testing.T) string {
	t.Helper()
	for _, ap := range p.container(t, "prometheus", "prometheus").reachable(t) {
		if ap.Port() == 9090 {
			return ap.String()
		}
	}
	t.Fatal("Prometheus listens nowhere")
	return ""
}

func fetch[T any](t *testing.T, url string) T {
	t.Helper()
	client := http.Client{Timeout: 20 * time.Second}
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var b strings.Builder
	if _, err := bufio.NewReader(res.Body).WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s: %s", url, res.Status, clip(b.String()))
	}
	return decode[T](t, b.String())
}

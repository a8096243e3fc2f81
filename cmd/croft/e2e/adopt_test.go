//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// imported is what stack import says.
type imported struct {
	Schema, Stack, Project, Dir string
	Adopted, Decorate           bool
	Files                       []string
	Services                    []struct {
		Name, Action    string
		Causes, Differs []string
	}
}

// due gives the changes of a plan, one a line.
func (p *platform) due(t *testing.T) (string, planView) {
	t.Helper()
	plan := decode[planView](t, p.must(t, "plan", "-o", "json").stdout)
	var lines []string
	for _, c := range plan.Changes {
		if c.Action != "none" {
			lines = append(lines, c.Stack+"/"+c.Service+" "+c.Action+" "+c.Risk+": "+strings.Join(c.Causes, "; "))
		}
	}
	return strings.Join(lines, "\n"), plan
}

func (p *platform) imports(t *testing.T, f *foreign, args ...string) imported {
	t.Helper()
	return decode[imported](t, p.must(t, append([]string{"stack", "import", f.dir, "-o", "json"}, args...)...).stdout)
}

// TestRunningProjectsAreAdopted: sixteen Compose projects of different shapes, as
// their authors run them with docker compose, are adopted into one platform, and
// no container restarts, is made anew or is reconnected.
func TestRunningProjectsAreAdopted(t *testing.T) {
	p := newPlatform(t, "adopt", nil)
	random := randomWord()
	for _, args := range [][]string{{"network", "create", "adopt-ext-" + random}, {"volume", "create", "adopt-ext-" + random}} {
		docker(t, args...)
		t.Cleanup(func() { docker(t, args[0], "rm", args[2]) })
	}
	t.Cleanup(func() { // before the projects go, so that croft leaves them
		out, _ := exec.Command("docker", "images", "-q", "--filter", "label=adopt.what").Output()
		for _, id := range strings.Fields(string(out)) {
			_ = exec.Command("docker", "rmi", "-f", id).Run()
		}
	})
	dirs, err := os.ReadDir("testdata/adopt")
	if err != nil || len(dirs) < 10 {
		t.Fatalf("shapes: %v, %v", dirs, err)
	}
	var all []*foreign
	before := map[string]map[string]runningAs{}
	for _, d := range dirs {
		f := newForeign(t, p, d.Name(), random)
		up := []string{"up", "-d", "--quiet-pull"}
		switch f.shape {
		case "called":
			f.project = "adopt-" + random + "-by-flag"
			f.flags = []string{"--env-file", "prod.env", "-f", "a.yml", "-f", "b.yml", "-p", f.project}
		case "differently":
			f.project = "adopt-" + random + "-byfile"
		case "profiles":
			f.flags = []string{"--profile", "debug", "--profile", "extra"}
		}
		f.compose(up...)
		all = append(all, f)
	}
	for _, f := range all {
		before[f.shape] = f.containers()
		if len(before[f.shape]) == 0 {
			t.Fatalf("%s does not run", f.shape)
		}
	}
	for _, f := range all {
		v := p.imports(t, f)
		if !v.Adopted || v.Project != f.project {
			t.Errorf("%s: %+v", f.shape, v)
		}
		f.same(before[f.shape], "import")
	}
	if lines, plan := p.due(t); lines != "" || len(plan.Blocked)+len(plan.Files) != 0 {
		t.Errorf("the first plan is not empty:\n%s\n%+v", lines, plan)
	}
	if r := p.run(t, "plan", "--detailed-exitcode"); r.code != exitDone {
		t.Errorf("%s", r)
	}
	p.must(t, "apply", "-y")
	for _, s := range p.status(t).Stacks {
		if s.State != "healthy" {
			t.Errorf("stack %s is %s: %+v", s.Name, s.State, s)
		}
	}
	for _, f := range all {
		f.same(before[f.shape], "apply")
	}

	// docker compose goes on seeing the same, in the directory and with the file
	// that croft wrote. It runs finished jobs again at every up, so not those.
	binary, err := composeBinary()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.shape == "job" {
			continue
		}
		f.compose("up", "-d")
		f.same(before[f.shape], "docker compose up in its directory")
		live := filepath.Join(p.state, "live", stackOf(t, p, f), "compose.yaml")
		if out, err := exec.Command(binary, "-p", f.project, "-f", live, "up", "-d").CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", f.shape, err, out)
		}
		f.same(before[f.shape], "docker compose up with the written file")
	}
	// Again is nothing, and so is to forget them and to destroy the platform.
	p.imports(t, all[0])
	p.must(t, "destroy", "-y")
	for _, f := range all {
		f.same(before[f.shape], "destroy")
	}
}

// stackOf gives the stack that a project was adopted as.
func stackOf(t *testing.T, p *platform, f *foreign) string {
	t.Helper()
	for _, s := range p.status(t).Stacks {
		if s.Project == f.project {
			return s.Name
		}
	}
	t.Fatalf("no stack has the project %s", f.project)
	return ""
}

//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// step is one block of commands of a tutorial.
type step struct {
	heading string
	script  string
}

// tutorial takes the console blocks out of a page. "$ " stands before each
// command; other lines belong to the command above them.
func tutorial(t *testing.T, file string) []step {
	t.Helper()
	var steps []step
	heading, inside := "", false
	for _, line := range strings.Split(string(read(t, file)), "\n") {
		switch {
		case inside && line == "```":
			inside = false
		case inside:
			s := &steps[len(steps)-1]
			s.script += strings.TrimPrefix(line, "$ ") + "\n"
		case line == "```console":
			inside = true
			steps = append(steps, step{heading: heading})
		case strings.HasPrefix(line, "#"):
			heading = strings.TrimLeft(line, "# ")
		}
	}
	return steps
}

// TestAddAStackWordForWord runs docs/add-a-stack.md on the platform that all
// tests share, and looks after each step whether what the page says is so.
func TestAddAStackWordForWord(t *testing.T) {
	p := shared(t)
	others := p.others(t, "pages/", "authelia/")
	b := p.signedIn(t)
	steps := tutorial(t, "../../../docs/add-a-stack.md")
	if len(steps) < 6 {
		t.Fatalf("%d steps", len(steps))
	}
	after := map[string]func(){
		"3. Apply": func() {
			c := p.container(t, "pages", "web")
			if len(c.NetworkSettings.Networks) != 1 || published(c, 8080) {
				t.Errorf("a plain stack: networks %v, ports %v", c.NetworkSettings.Networks, c.HostConfig.PortBindings)
			}
		},
		"4. An address": func() {
			got := p.browser(t).get(t, p.url("pages", "/"))
			if !strings.Contains(got.header.Get("Location"), "https://auth.") {
				t.Errorf("without a session: %s", got)
			}
			b.finds(t, p.url("pages", "/"), "It works")
			found := false
			for _, s := range p.status(t).Stacks {
				for _, svc := range s.Services {
					found = found || s.Name == "pages" && svc.URL+"/" == p.url("pages", "/")
				}
			}
			if !found {
				t.Errorf("status does not show %s", p.url("pages", ""))
			}
		},
		"5. An open path": func() {
			p.browser(t).finds(t, p.url("pages", "/news/"), "News")
			if got := p.browser(t).get(t, p.url("pages", "/")); got.status == 200 {
				t.Errorf("the rest of it: %s", got)
			}
		},
		"6. A question and a template": func() {
			b.finds(t, p.url("pages", "/"), fmt.Sprintf("Pages of Ada on %s.localhost", p.name))
		},
		"And away again": func() {
			for _, c := range p.containers(t) {
				if c.stack() == "pages" {
					t.Errorf("%s is still there", c)
				}
			}
			// Traefik hears of it within seconds.
			if !eventually(func() bool { return b.get(t, p.url("pages", "/")).status == 404 }) {
				t.Errorf("the address: %s", b.get(t, p.url("pages", "/")))
			}
			if r := p.run(t, "plan", "--detailed-exitcode"); r.code != exitDone {
				t.Errorf("%s", r)
			}
		},
	}
	for _, s := range steps {
		runStep(t, p, s)
		if check := after[s.heading]; check != nil {
			check()
			delete(after, s.heading)
		}
		// A new address is a new rule of Authelia's; nothing else is touched.
		now := p.others(t, "pages/", "authelia/")
		if now != others {
			t.Errorf("%s: other stacks were touched: they were\n%s\nand are\n%s", s.heading, others, now)
		}
	}
	for heading := range after {
		t.Errorf("the page has no step %q", heading)
	}
}

// finds wants a page with these words. Traefik may hear of a healthy program a
// moment after croft.
func (b *browser) finds(t *testing.T, url, words string) {
	t.Helper()
	var got page
	if !eventually(func() bool {
		got = b.get(t, url)
		return got.status == 200 && strings.Contains(got.body, words)
	}) {
		t.Errorf("%s: want %q: %s", url, words, got)
	}
}

// others gives the containers of all stacks but those named.
func (p *platform) others(t *testing.T, but ...string) string {
	t.Helper()
	var kept strings.Builder
	for _, line := range strings.SplitAfter(ids(p.containers(t)), "\n") {
		if !slices.ContainsFunc(but, func(b string) bool { return strings.HasPrefix(line, b) }) {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

func runStep(t *testing.T, p *platform, s step) {
	t.Helper()
	binary, err := croftBinary()
	if err != nil {
		t.Fatal(err)
	}
	// The page says croft, wherever it lies.
	bin := filepath.Join(scratch, "tutorial-bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(filepath.Join(bin, "croft"))
	if err := os.Symlink(binary, filepath.Join(bin, "croft")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", s.script)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "CROFT_STATE="+p.state)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s\n%s", s.heading, err, s.script, clip(string(out)))
	}
}

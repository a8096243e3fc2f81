package stacks_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/croft-sh/croft/stacks"
)

func plainStack(t *testing.T, text string) *stacks.Stack {
	t.Helper()
	s, problems := stacks.LoadStack(fstest.MapFS{"stacks/wiki/compose.yaml": {Data: []byte(text), Mode: 0o644}}, "wiki",
		stacks.LoadEnv{Dir: "/srv/home", ProjectName: "home-wiki"})
	if err := problems.Err(); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return s
}

func TestProposeHardening(t *testing.T) {
	root := stacks.Seen{Image: true, Checked: true}
	running := func(change func(*stacks.Seen)) stacks.Seen {
		s := stacks.Seen{Image: true, ImageUser: "1000", Checked: true, Running: true, UIDs: []int{1000}, GID: 1000}
		change(&s)
		return s
	}
	drops := []string{"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"}
	for _, c := range []struct {
		name, service string
		seen          stacks.Seen
		answer        stacks.HardenSpec
		lines         string
		note          string // part of one
	}{
		{name: "nothing seen", note: "nothing is known of its user"},
		{name: "nothing seen of a user of its own", service: `user: "70:70"`, note: "not seen running"},
		{name: "an image that starts as root", seen: root,
			answer: stacks.HardenSpec{Root: true, Caps: drops, Why: "its image starts as root; it was not seen running, and may need none of these"}},
		{name: "changes user", seen: running(func(s *stacks.Seen) { s.ImageUser, s.UIDs = "", []int{999} }),
			answer: stacks.HardenSpec{Root: true, Caps: drops, Why: "starts as root and changes to user 999 by itself"}},
		{name: "looks after others", seen: running(func(s *stacks.Seen) { s.ImageUser, s.UIDs = "root", []int{0, 101} }),
			answer: stacks.HardenSpec{Root: true, Caps: []string{"CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID"}, Why: "a process of root looks after others that run as 101"}},
		{name: "root for ever", seen: running(func(s *stacks.Seen) { s.ImageUser, s.UIDs = "0:0", []int{0} }),
			answer: stacks.HardenSpec{Root: true, Why: "runs as root all the time"}, note: "caps: [DAC_OVERRIDE]"},
		{name: "its author chose capabilities", service: "cap_drop: [NET_RAW]", seen: root, answer: stacks.HardenSpec{Root: true, Why: "starts as root"}},
		{name: "privileged", service: "privileged: true", seen: root, note: "leaves its capabilities alone"},
		{name: "a named user", seen: running(func(s *stacks.Seen) { s.ImageUser, s.UIDs, s.GID = "grafana", []int{472}, 0 }), lines: "[{user 472:0}]"},
		{name: "a named user of its author's", service: "user: node", seen: running(func(s *stacks.Seen) { s.UIDs = []int{1000} }), note: "user: node stays"},
		{name: "wrote nothing", seen: running(func(s *stacks.Seen) {}), note: "has written nothing"},
		{name: "wrote to /tmp and a volume", service: "volumes: [data:/data]", note: "has written nothing",
			seen: running(func(s *stacks.Seen) { s.Wrote = []string{"/data", "/tmp/x"} })},
		{name: "wrote what memory can hold", lines: "[{tmpfs [/run /var/cache/nginx]}]",
			seen: running(func(s *stacks.Seen) { s.Wrote = []string{"/run/nginx.pid", "/var/cache/nginx/a", "/var/cache/nginx/b"} })},
		{name: "the same, with tmpfs of its author's", service: "tmpfs: [/cache]",
			seen: running(func(s *stacks.Seen) { s.Wrote = []string{"/run/a", "/cache/b"} }), answer: stacks.HardenSpec{Writable: true, Why: "has written to /run"}},
		{name: "wrote elsewhere", seen: running(func(s *stacks.Seen) { s.Wrote = []string{"/etc/a", "/opt/b", "/run/c", "/var/log/d", "/x"} }),
			answer: stacks.HardenSpec{Writable: true, Why: "has written to /etc/a, /opt/b, /run and 2 more"}},
		{name: "read-only already", service: "read_only: true", seen: running(func(s *stacks.Seen) { s.Wrote = []string{"/x"} })},
		{name: "uses much", seen: running(func(s *stacks.Seen) { s.Memory, s.Pids = 300<<20, 200 }), lines: "[{mem_limit 640m} {pids_limit 448}]"},
		{name: "uses much, with limits of its author's", service: "mem_limit: 1g\n    pids_limit: 500", seen: running(func(s *stacks.Seen) { s.Memory, s.Pids = 300<<20, 200 })},
		{name: "a check that works", seen: running(func(s *stacks.Seen) { s.Checked, s.Probe = false, []string{"pg_isready", "-q"} }),
			lines: "[{healthcheck map[interval:30s retries:5 start_period:30s test:[CMD pg_isready -q] timeout:5s]}]"},
		{name: "no check", seen: running(func(s *stacks.Seen) { s.Checked = false }), note: "no health check is known"},
		{name: "a check of its author's", service: "healthcheck: {test: [CMD, \"true\"]}", seen: running(func(s *stacks.Seen) { s.Checked, s.Probe = false, []string{"x"} })},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := "services:\n  web:\n    image: a:1\n    " + c.service + "\n"
			if strings.Contains(c.service, "data:") {
				text += "volumes: {data: {}}\n"
			}
			s := plainStack(t, text)
			h := stacks.ProposeHardening(s, map[string]stacks.Seen{"web": c.seen})
			got := h.Services[0]
			if !reflect.DeepEqual(got.Answer, c.answer) {
				t.Errorf("answer %+v, want %+v", got.Answer, c.answer)
			}
			if lines := fmt.Sprint(got.Lines); lines != c.lines && !(c.lines == "" && lines == "[]") {
				t.Errorf("lines %s, want %s", lines, c.lines)
			}
			if !strings.Contains(strings.Join(got.Notes, "\n"), c.note) {
				t.Errorf("notes %q, want %q", got.Notes, c.note)
			}
			edited, err := stacks.EditHardening("stacks/wiki/compose.yaml", []byte(text), h)
			if err != nil || len(edited.ByHand) > 0 {
				t.Fatal(err, edited.ByHand)
			}
			if err := stacks.SameButHardened(s, plainStack(t, string(edited.Text)), h); err != nil {
				t.Errorf("%v:\n%s", err, edited.Text)
			}
		})
	}
	t.Run("a job", func(t *testing.T) {
		h := stacks.ProposeHardening(plainStack(t, "services: {a: {image: b}, c: {image: b, restart: always}}\n"),
			map[string]stacks.Seen{"a": {Image: true, Ended: true}, "c": {Image: true, Ended: true}})
		if !reflect.DeepEqual(h.Jobs, []string{"a"}) {
			t.Errorf("jobs %v", h.Jobs)
		}
	})
}

// TestEditHardeningKeepsTheFile compares with golden files: whatever the author
// wrote stands there as it stood.
func TestEditHardeningKeepsTheFile(t *testing.T) {
	seen := map[string]stacks.Seen{
		"web": {Image: true, Running: true, UIDs: []int{0, 101}, Wrote: []string{"/run/nginx.pid", "/var/cache/nginx/x"}, Memory: 200 << 20,
			Probe: []string{"wget", "-q", "-O", "/dev/null", "http://127.0.0.1:80/"}},
		"db":   {Image: true, Running: true, Checked: true, UIDs: []int{999}, Wrote: []string{"/etc/motd"}},
		"once": {Image: true, Ended: true, ImageUser: "1000"},
	}
	inputs, err := filepath.Glob("testdata/harden/*.in.yaml")
	if err != nil || len(inputs) < 4 {
		t.Fatalf("%d inputs (%v)", len(inputs), err)
	}
	for _, in := range inputs {
		t.Run(filepath.Base(in), func(t *testing.T) {
			text, err := os.ReadFile(in)
			if err != nil {
				t.Fatal(err)
			}
			s := plainStack(t, string(text))
			out, err := stacks.EditHardening("stacks/wiki/compose.yaml", text, stacks.ProposeHardening(s, seen))
			if err != nil {
				t.Fatal(err)
			}
			got := string(out.Text)
			for _, b := range out.ByHand {
				got += "# by hand " + b + "\n"
			}
			golden := strings.Replace(in, ".in.", ".out.", 1)
			if os.Getenv("UPDATE") != "" {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || got != string(want) {
				t.Errorf("%v, got\n%s", err, got)
			}
			if err := stacks.SameButHardened(s, plainStack(t, string(out.Text)), out.Hardening); err != nil {
				t.Error(err)
			}
			if windows := strings.ReplaceAll(string(text), "\n", "\r\n"); strings.HasSuffix(windows, "\n") {
				w, err := stacks.EditHardening("stacks/wiki/compose.yaml", []byte(windows), stacks.ProposeHardening(s, seen))
				if want := strings.ReplaceAll(string(out.Text), "\n", "\r\n"); err != nil || string(w.Text) != want {
					t.Errorf("with the line ends of Windows: %v\n%q", err, w.Text)
				}
			}
			for _, line := range strings.Split(string(text), "\n") {
				if strings.Contains(line, "{image") {
					continue // a service in one line is written anew
				}
				if !strings.Contains(got, line) {
					t.Errorf("the line %q is gone", line)
				}
			}
		})
	}
}

func TestEditHardeningRefuses(t *testing.T) {
	h := stacks.Hardening{Title: "Wiki"}
	for _, text := range []string{"{services: {a: {image: b}}}\n", "services: {a: {image: b}}\n---\nservices: {c: {image: d}}\n", "- a\n", ""} {
		if out, err := stacks.EditHardening("compose.yaml", []byte(text), h); err == nil {
			t.Errorf("%q becomes %q", text, out.Text)
		}
	}
}

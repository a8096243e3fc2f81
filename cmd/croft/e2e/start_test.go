//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// plainService is one that starts without waiting for anybody.
const plainService = `{image: "croft-test/echo:1", healthcheck: {test: [CMD, echo, check, "http://127.0.0.1:8080/healthz"], interval: 1s, timeout: 5s, retries: 5}`

// TestFirstStartIsWhatComposeStarts starts new stacks with croft, and then from
// the same files with the real docker compose: the engine must know the same.
func TestFirstStartIsWhatComposeStarts(t *testing.T) {
	compose, err := composeBinary()
	if err != nil {
		t.Fatal(err)
	}
	p := newPlatform(t, "first", map[string]string{
		"stacks/one/compose.yaml": "services:\n" +
			"  a: " + plainService + `, networks: {in: {aliases: [store]}, out: {}}, volumes: ["data:/d", "./conf:/conf:ro"], environment: {A: "1"}}` + "\n" +
			"  b: " + plainService + `, networks: [in], read_only: true, tmpfs: [/tmp], mem_limit: 64m, user: "1000:1000", stop_grace_period: 2s, labels: {own: "x"}}` + "\n" +
			"networks: {in: {internal: true}, out: {}}\nvolumes: {data: {}}\n",
		"stacks/one/conf/x": "x\n",
		"stacks/two/compose.yaml": "services:\n  c: " + plainService + `, scale: 2, cap_drop: [ALL], ulimits: {nofile: 1000}}` + "\n" +
			"  d: " + plainService + `, restart: always, hostname: dee}` + "\n",
	})
	p.writeConfig(t, "one", "two")
	p.must(t, "apply", "-y")
	want := p.inspected(t)
	if len(want) != 5 {
		t.Fatalf("%d containers, want 5", len(want))
	}
	p.must(t, "destroy", "-y")
	for _, name := range []string{"one", "two"} {
		file := filepath.Join(p.state, "live", name, "compose.yaml")
		if out, err := exec.Command(compose, "-f", file, "up", "-d").CombinedOutput(); err != nil {
			t.Fatalf("docker compose up of %s: %v\n%s", name, err, out)
		}
	}
	got := p.inspected(t)
	for name, a := range want {
		if b := got[name]; a != b {
			t.Errorf("%s differs, of croft and of docker compose:\n%s", name, differences(a, b))
		}
	}
}

// differences lists the lines that only one of two texts has.
func differences(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	var out []string
	for _, line := range x {
		if !slices.Contains(y, line) {
			out = append(out, "- "+line)
		}
	}
	for _, line := range y {
		if !slices.Contains(x, line) {
			out = append(out, "+ "+line)
		}
	}
	return strings.Join(out, "\n")
}

// inspected gives, by container, what croft and docker compose decide about it.
func (p *platform) inspected(t *testing.T) map[string]string {
	t.Helper()
	ids := strings.Fields(docker(t, "ps", "-aq", "--no-trunc", "--filter", "label=croft.platform="+p.name))
	if len(ids) == 0 {
		return nil
	}
	out := map[string]string{}
	for _, c := range decode[[]inspection](t, docker(t, append([]string{"inspect"}, ids...)...)) {
		if c.State.Status != "running" {
			t.Errorf("%s is %s", c.Name, c.State.Status)
		}
		delete(c.Config.Labels, "com.docker.compose.version") // set when the program is built
		slices.Sort(c.Config.Env)                             // these come in any order from either
		for _, list := range []string{"Binds", "Mounts"} {
			if all, ok := c.HostConfig[list].([]any); ok {
				slices.SortFunc(all, func(a, b any) int { return strings.Compare(text(a), text(b)) })
			}
		}
		slices.SortFunc(c.Mounts, func(a, b map[string]any) int { return strings.Compare(text(a["Destination"]), text(b["Destination"])) })
		for name, n := range c.NetworkSettings.Networks {
			n.Aliases = slices.DeleteFunc(n.Aliases, func(a string) bool { return a == c.ID[:12] })
			slices.Sort(n.Aliases)
			c.NetworkSettings.Networks[name] = n
		}
		raw, err := json.MarshalIndent([]any{c.Config, c.HostConfig, c.Mounts, c.NetworkSettings}, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		out[c.Name] = strings.ReplaceAll(string(raw), c.ID[:12], "ID") // the host name nobody gave
	}
	return out
}

type inspection struct {
	ID     string `json:"Id"`
	Name   string
	State  struct{ Status string }
	Config struct {
		Hostname, User, Image, WorkingDir, StopSignal string
		Cmd, Entrypoint, Env                          []string
		Labels                                        map[string]string
		Healthcheck, ExposedPorts, StopTimeout        any
	}
	HostConfig      map[string]any
	Mounts          []map[string]any
	NetworkSettings struct {
		Ports    any
		Networks map[string]struct {
			Aliases           []string
			IPAMConfig, Links any
		}
	}
}

// TestKilledFirstStart kills croft while containers are created and not yet
// started. The next apply starts those very containers.
func TestKilledFirstStart(t *testing.T) {
	p := newPlatform(t, "killed", nil)
	var names []string
	for i := range 4 {
		name := fmt.Sprintf("s%d", i)
		names = append(names, name)
		text := "services:\n"
		for j := range 4 {
			text += fmt.Sprintf("  app%d: %s}\n", j, plainService)
		}
		p.write(t, "stacks/"+name+"/compose.yaml", text)
	}
	p.writeConfig(t, names...)
	waiting := p.killWhenCreated(t)
	for range 4 {
		if len(waiting) == 0 {
			waiting = p.killWhenCreated(t)
		}
	}
	if len(waiting) == 0 {
		t.Fatal("nothing was waiting for its start: the test proves nothing")
	}
	t.Logf("killed with %d containers created and not started", len(waiting))
	p.must(t, "apply", "-y")
	p.must(t, "plan", "--detailed-exitcode")
	running := strings.Fields(docker(t, "ps", "-q", "--no-trunc", "--filter", "label=croft.platform="+p.name))
	if len(running) != 16 {
		t.Errorf("%d containers run, want 16", len(running))
	}
	for _, id := range waiting {
		if !slices.Contains(running, id) {
			t.Errorf("%s was made anew, or does not run", id[:12])
		}
	}
}

// killWhenCreated applies, and kills that as soon as containers wait for their
// start; it gives those.
func (p *platform) killWhenCreated(t *testing.T) []string {
	t.Helper()
	binary, err := croftBinary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "apply", "-y")
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "CROFT_STATE="+p.state, "CROFT_DIR="+p.dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	created := func() []string {
		return strings.Fields(docker(t, "ps", "-aq", "--no-trunc", "--filter", "label=croft.platform="+p.name, "--filter", "status=created"))
	}
	for deadline := time.Now().Add(time.Minute); len(created()) < 3 && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	time.Sleep(3 * time.Second) // the engine ends what was begun
	left := created()
	if len(left) == 0 { // the engine was quicker: everything runs, so once more from nothing
		p.must(t, "destroy", "-y")
	}
	return left
}

// TestFirstStartNamesWhoCannotStart has one bad service among many new ones.
func TestFirstStartNamesWhoCannotStart(t *testing.T) {
	p := newPlatform(t, "guilty", map[string]string{
		"stacks/good/compose.yaml": "services:\n  a: " + plainService + "}\n",
		"stacks/bad/compose.yaml": "services:\n  a: " + plainService + "}\n  b: " + plainService + "}\n" +
			"  nope: {image: \"croft-test/echo:1\", entrypoint: [/nowhere]}\n",
	})
	p.writeConfig(t, "good", "bad")
	r := p.run(t, "apply", "-y")
	if r.code != exitPartly || !strings.Contains(r.said(), "bad/nope") || !strings.Contains(r.said(), "/nowhere") {
		t.Errorf("%s", r)
	}
	if got := docker(t, "inspect", "-f", "{{.State.Status}}", p.name+"-good-a-1"); strings.TrimSpace(got) != "running" {
		t.Errorf("the neighbour is %s", got)
	}
}

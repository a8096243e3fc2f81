//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// plainEcho is the smallest stack that could be applied.
const plainEcho = "services:\n  echo:\n    image: croft-test/echo:1\n"

// routed is a stack with a route of that host.
func routed(host string) string {
	return "x-croft:\n  title: Routed\n  routes:\n    web: {port: 8080, host: " + host + ", access: public}\n" + plainEcho
}

// before remembers what must not change.
type before struct{ dir, state, data, engine string }

func (p *platform) snapshot(t *testing.T) before {
	t.Helper()
	return before{treeHash(t, p.dir), treeHash(t, p.state), treeHash(t, p.storage),
		docker(t, "ps", "-a", "-q", "--no-trunc", "--filter", "name=^"+p.name+"-") +
			docker(t, "network", "ls", "-q", "--no-trunc", "--filter", "name=^"+p.name+"-") +
			docker(t, "volume", "ls", "-q", "--filter", "name=^"+p.name+"-")}
}

// refuses runs croft, which must end with the code, say each of the words, and
// change nothing.
func (p *platform) refuses(t *testing.T, code int, args []string, words ...string) result {
	t.Helper()
	was := p.snapshot(t)
	r := p.run(t, args...)
	if r.code != code {
		t.Errorf("exit code %d, want %d\n%s", r.code, code, r)
	}
	for _, word := range append(words, "hint:") {
		if !strings.Contains(r.said(), word) {
			t.Errorf("the message lacks %q\n%s", word, r)
		}
	}
	noTrace(t, r)
	if now := p.snapshot(t); now != was {
		t.Errorf("something was changed: was %+v, is %+v\n%s", was, now, r)
	}
	return r
}

// noTrace makes sure that a bug does not pass for a message.
func noTrace(t *testing.T, r result) {
	t.Helper()
	for _, word := range []string{"goroutine ", "panic:", ".go:", "its makers did not think of", "%!"} {
		if strings.Contains(r.said(), word) {
			t.Errorf("this is a bug, not a message: %s", r)
		}
	}
}

func TestBrokenPlatformsAreRefused(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "outside")
	writeFile(t, secret, "outside=1\n")
	for name, c := range map[string]struct {
		stacks []string
		files  map[string]string
		links  map[string]string // path in the platform -> where it leads
		words  []string
	}{
		"unknown key":         {nil, map[string]string{"croft.yaml": "version: 1\nname: x\nadmin: {name: ada, email: a@b.de}\ndomian: example.com\nstacks: {}\n"}, nil, []string{"croft.yaml:4:1", "domian", "domain"}},
		"not YAML":            {nil, map[string]string{"croft.yaml": "version: 1\nname: [\n"}, nil, []string{"croft.yaml:"}},
		"wrong type":          {nil, map[string]string{"croft.yaml": "version: 1\nname: x\nadmin: ada\nstacks: {}\n"}, nil, []string{"croft.yaml:3"}},
		"missing stack":       {[]string{"nowhere"}, nil, nil, []string{"croft.yaml", "nowhere"}},
		"missing need":        {[]string{"a"}, map[string]string{"stacks/a/compose.yaml": "x-croft: {needs: [b]}\n" + plainEcho}, nil, []string{"stacks/b"}},
		"cycle":               {[]string{"a", "b", "c"}, map[string]string{"stacks/a/compose.yaml": "x-croft: {needs: [b]}\n" + plainEcho, "stacks/b/compose.yaml": "x-croft: {needs: [c]}\n" + plainEcho, "stacks/c/compose.yaml": "x-croft: {needs: [a]}\n" + plainEcho}, nil, []string{"a", "b", "c", "compose.yaml:1"}},
		"two routes one host": {[]string{"a", "b"}, map[string]string{"stacks/a/compose.yaml": routed("same"), "stacks/b/compose.yaml": routed("same")}, nil, []string{"same", "stacks/b/compose.yaml:4", "stack a"}},
		"unknown x-croft key": {[]string{"a"}, map[string]string{"stacks/a/compose.yaml": "x-croft:\n  titel: A\n" + plainEcho}, nil, []string{"stacks/a/compose.yaml:2:3", "titel", "title"}},
		"unknown compose key": {[]string{"a"}, map[string]string{"stacks/a/compose.yaml": plainEcho + "    restrat: always\n"}, nil, []string{"stacks/a/compose.yaml:4", "restrat"}},
		"no services":         {[]string{"a"}, map[string]string{"stacks/a/compose.yaml": "x-croft: {title: A}\n"}, nil, []string{"stacks/a/compose.yaml"}},
		"no compose file":     {[]string{"a"}, map[string]string{"stacks/a/readme.txt": "hello"}, nil, []string{"stacks/a", "compose.yaml"}},
		"traversal env_file":  {[]string{"a"}, map[string]string{"stacks/a/compose.yaml": plainEcho + "    env_file: ../../../../../../../../" + secret + "\n"}, nil, []string{"stacks/a/compose.yaml:4"}},
		"absolute env_file":   {[]string{"a"}, map[string]string{"stacks/a/compose.yaml": plainEcho + "    env_file: " + secret + "\n"}, nil, []string{"stacks/a/compose.yaml:4"}},
		"traversal extends":   {[]string{"a"}, map[string]string{"stacks/a/compose.yaml": plainEcho + "    extends: {file: ../b/compose.yaml, service: x}\n"}, nil, []string{"stacks/a/compose.yaml"}},
		"traversal include":   {[]string{"a"}, map[string]string{"stacks/a/compose.yaml": "include: [../../../x.yaml]\n" + plainEcho}, nil, []string{"stacks/a/compose.yaml"}},
		"remote include":      {[]string{"a"}, map[string]string{"stacks/a/compose.yaml": "include: [\"https://github.com/example/x.git\"]\n" + plainEcho}, nil, []string{"stacks/a/compose.yaml"}},
		"remote extends":      {[]string{"a"}, map[string]string{"stacks/a/compose.yaml": plainEcho + "    extends: {file: \"oci://example.com/x\", service: x}\n"}, nil, []string{"stacks/a/compose.yaml"}},
		"stack name leads up": {nil, map[string]string{"croft.yaml": "version: 1\nname: x\nadmin: {name: ada, email: a@b.de}\nstacks: {\"../a\": {}}\n"}, nil, []string{"croft.yaml:4"}},
		"symlink compose":     {[]string{"a"}, map[string]string{"stacks/a/x.txt": ""}, map[string]string{"stacks/a/compose.yaml": secret}, []string{"stacks/a/compose.yaml", "link"}},
		"symlink file":        {[]string{"a"}, map[string]string{"stacks/a/compose.yaml": plainEcho + "    env_file: env\n"}, map[string]string{"stacks/a/env": secret}, []string{"stacks/a/env", "link"}},
		"symlink in bind":     {[]string{"a"}, map[string]string{"stacks/a/compose.yaml": plainEcho + "    volumes: [\"./conf:/conf\"]\n", "stacks/a/conf/x": ""}, map[string]string{"stacks/a/conf/passwd": "/etc/passwd"}, []string{"stacks/a/conf/passwd", "link"}},
		"symlink stack":       {[]string{"a"}, map[string]string{"stacks/b/compose.yaml": plainEcho}, map[string]string{"stacks/a": "/etc"}, []string{"stacks/a"}},
		"symlink croft.yaml":  {nil, nil, map[string]string{"croft.yaml": secret}, []string{"croft.yaml"}},
		"unset variable":      {[]string{"a"}, map[string]string{"stacks/a/compose.yaml": "services:\n  echo:\n    image: ${IMAGE:?an image is needed}\n"}, nil, []string{"stacks/a/compose.yaml", "IMAGE"}},
		"bad option":          {nil, map[string]string{"croft.yaml": "version: 1\nname: x\nadmin: {name: ada, email: a@b.de}\nstacks:\n  a: {options: {PORT: many}}\n", "stacks/a/compose.yaml": "x-croft: {options: {PORT: {ask: Port, check: port}}}\n" + plainEcho}, nil, []string{"croft.yaml:5", "PORT"}},
		"unknown option":      {nil, map[string]string{"croft.yaml": "version: 1\nname: x\nadmin: {name: ada, email: a@b.de}\nstacks:\n  a: {options: {PROT: \"1\"}}\n", "stacks/a/compose.yaml": "x-croft: {options: {PORT: {ask: Port, default: \"1\", check: port}}}\n" + plainEcho}, nil, []string{"croft.yaml:5", "PROT", "PORT"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t, "bad", nil)
			p.writeConfig(t, c.stacks...)
			for path, content := range c.files {
				p.write(t, path, content)
			}
			for path, to := range c.links {
				full := filepath.Join(p.dir, path)
				_ = os.Remove(full)
				if err := os.Symlink(to, full); err != nil {
					t.Fatal(err)
				}
			}
			for _, command := range []string{"validate", "plan", "apply"} {
				args := []string{command}
				if command == "apply" {
					args = append(args, "-y")
				}
				r := p.refuses(t, exitRefused, args, c.words...)
				if strings.Contains(r.said(), "outside=1") || strings.Contains(r.said(), "root:") {
					t.Errorf("what lies outside was shown: %s", r)
				}
			}
		})
	}
}

// TestInputBrokenAtAnyByte cuts and damages the two files that people write at
// every byte. Each result is valid or refused with a place; nothing else.
func TestInputBrokenAtAnyByte(t *testing.T) {
	p := newPlatform(t, "byte", nil)
	config := "version: 1\nname: " + p.name + "\nadmin: {name: ada, email: ada@example.com}\nstacks:\n  a: {options: {P: \"80\"}}\n"
	compose := "x-croft:\n  options: {P: {ask: Port, default: \"80\", check: port}}\n  harden: {e: {root: true}}\nservices:\n  e:\n    image: croft-test/echo:1\n    command: [\"-listen\", \":${P}\"]\n"
	place := regexp.MustCompile(`(croft|compose)\.yaml(:\d+(:\d+)?)?: `)
	var wait sync.WaitGroup
	slots := make(chan struct{}, 4)
	n := 0
	try := func(path, content, what string) {
		n++
		dir := filepath.Join(p.root, "try", fmt.Sprint(n))
		files := map[string]string{"croft.yaml": config, "stacks/a/compose.yaml": compose}
		files[path] = content
		for path, content := range files {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o755); err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(dir, path), content)
		}
		wait.Add(1)
		slots <- struct{}{}
		go func() {
			defer func() { <-slots; wait.Done() }()
			if t.Failed() {
				return // one broken input is enough to look at
			}
			r, err := croft(dir, p.state, "validate")
			switch {
			case err != nil:
				t.Error(err)
			case r.code == exitDone:
			case r.code != exitRefused || !place.MatchString(r.said()):
				t.Errorf("%s: %s\n%q", what, r, content)
			default:
				noTrace(t, r)
			}
		}()
	}
	for path, content := range map[string]string{"croft.yaml": config, "stacks/a/compose.yaml": compose} {
		for i := range len(content) {
			try(path, content[:i], fmt.Sprintf("%s cut at byte %d", path, i))
			for _, bad := range []string{"\x00", "\xff", "\t", "{", "\"", "&", "*", ":", "$"} {
				if i%5 == n%5 || bad == "\x00" {
					try(path, content[:i]+bad+content[i+1:], fmt.Sprintf("%s with %q at byte %d", path, bad, i))
				}
			}
		}
	}
	wait.Wait()
	if _, err := os.Stat(p.state); err == nil {
		t.Error("validate made a state directory")
	}
	t.Logf("%d broken inputs", n)
}

func TestAPortThatIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
	p := newPlatform(t, "port", map[string]string{"stacks/a/compose.yaml": plainEcho + "    ports: [\"127.0.0.1:" + port + ":8080\"]\n"})
	p.writeConfig(t, "a")
	p.refuses(t, exitRefused, []string{"apply", "-y"}, port)
}

func TestNoEngine(t *testing.T) {
	p := newPlatform(t, "gone", map[string]string{"stacks/a/compose.yaml": plainEcho})
	p.writeConfig(t, "a")
	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(p.root, "no.sock"))
	was := treeHash(t, p.root)
	for _, args := range [][]string{{"plan"}, {"apply", "-y"}, {"status"}, {"destroy", "-y"}} {
		r := p.run(t, args...)
		if r.code != exitRefused || !strings.Contains(r.stderr, "hint:") || !strings.Contains(r.stderr, "no.sock") {
			t.Errorf("want %d, the socket's name and a hint: %s", exitRefused, r)
		}
		noTrace(t, r)
	}
	for _, args := range [][]string{{"validate"}, {"render"}, {"stack", "list"}} {
		p.must(t, args...)
	}
	if treeHash(t, p.root) != was {
		t.Error("something was written")
	}
}

// TestNoRights runs croft as somebody who may neither use the engine nor read
// the state.
func TestNoRights(t *testing.T) {
	p := newPlatform(t, "nob", map[string]string{"stacks/a/compose.yaml": plainEcho})
	p.writeConfig(t, "a")
	binary, err := croftBinary()
	if err != nil {
		t.Fatal(err)
	}
	// The program may lie where nobody may look.
	copied := filepath.Join(p.root, "croft")
	if err := os.WriteFile(copied, read(t, binary), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(copied, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(p.state, 0o700); err != nil {
		t.Fatal(err)
	}
	was := p.snapshot(t)
	for _, args := range [][]string{{"apply", "-y"}, {"plan"}, {"destroy", "-y"}} {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, "setpriv", append([]string{"--reuid=65534", "--regid=65534", "--clear-groups", copied}, args...)...)
		cmd.Dir = p.dir
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "CROFT_STATE=" + p.state, "CROFT_DIR=" + p.dir}
		r, err := start(cmd, args)
		if err != nil {
			t.Fatal(err)
		}
		if r.code != exitRefused || !strings.Contains(r.stderr, "hint:") {
			t.Errorf("want %d and a hint: %s", exitRefused, r)
		}
		noTrace(t, r)
	}
	if now := p.snapshot(t); now != was {
		t.Error("something was changed")
	}
}

func TestNoPlatform(t *testing.T) {
	dir := t.TempDir()
	for _, args := range [][]string{{"plan"}, {"apply", "-y"}, {"status"}, {"validate"}} {
		r, err := croft(dir, filepath.Join(dir, "state"), args...)
		if err != nil {
			t.Fatal(err)
		}
		if r.code != exitNoPlatform || !strings.Contains(r.stderr, "hint:") {
			t.Errorf("want %d and a hint: %s", exitNoPlatform, r)
		}
	}
}

func TestUsage(t *testing.T) {
	dir := t.TempDir()
	for _, args := range [][]string{{"aply"}, {"plan", "--no-such-flag"}, {"apply", "a", "b"}, {"status", "-o", "xml"}, {"init", "--set", "nonsense"}, {"stack", "add"}} {
		r, err := croft(dir, filepath.Join(dir, "state"), args...)
		if err != nil {
			t.Fatal(err)
		}
		if r.code != exitUsage || !strings.Contains(r.stderr, "hint:") {
			t.Errorf("want %d and a hint: %s", exitUsage, r)
		}
	}
}

func TestLockedByAnotherRun(t *testing.T) {
	p := newPlatform(t, "lock", map[string]string{"stacks/a/compose.yaml": plainEcho})
	p.writeConfig(t, "a")
	if err := os.MkdirAll(p.state, 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(p.state, "flock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	p.refuses(t, exitLocked, []string{"apply", "-y"})
}

// TestWithoutATerminalNothingIsAsked: what would be a question is an error.
func TestWithoutATerminalNothingIsAsked(t *testing.T) {
	p := newPlatform(t, "ask", map[string]string{"stacks/a/compose.yaml": plainEcho})
	p.writeConfig(t, "a")
	binary, err := croftBinary()
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"apply"}, {"destroy"}, {"init", "--dir", filepath.Join(p.root, "new")}} {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		cmd := exec.CommandContext(ctx, "setsid", append([]string{"--wait", binary}, args...)...)
		cmd.Dir = p.dir
		cmd.Stdin = bytes.NewReader(nil)
		cmd.Env = append(os.Environ(), "CROFT_STATE="+p.state)
		r, err := start(cmd, args)
		if ctx.Err() != nil {
			t.Errorf("%v hangs", args)
		} else if err != nil {
			t.Error(err)
		} else if r.code != exitUsage || !strings.Contains(r.stderr, "hint:") {
			t.Errorf("want %d and a hint: %s", exitUsage, r)
		}
		cancel()
	}
	if n := docker(t, "ps", "-aq", "--filter", "name=^"+p.name+"-"); n != "" {
		t.Error("something was made")
	}
}

// TestDestroyKeepsData: destroy removes what croft made, and data only by name.
func TestDestroyKeepsData(t *testing.T) {
	p := newPlatform(t, "gone", map[string]string{"stacks/a/compose.yaml": "services:\n  echo:\n    image: croft-test/echo:1\n    volumes: [\"data:/data\"]\nvolumes:\n  data:\n"})
	p.writeConfig(t, "a")
	p.must(t, "apply", "-y", "--wait-timeout", "1m")
	if n := len(p.containers(t)); n != 1 {
		t.Fatalf("%d containers", n)
	}
	data := filepath.Join(p.storage, "containers")
	var kept string
	err := filepath.WalkDir(data, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			kept = path
		}
		return err
	})
	if err != nil || kept == data {
		t.Fatalf("the volume is not a directory under its storage root %s: %v", data, err)
	}
	writeFile(t, filepath.Join(kept, "row"), "acknowledged\n")
	p.must(t, "destroy", "-y")
	if left := docker(t, "ps", "-aq", "--filter", "name=^"+p.name+"-") + docker(t, "network", "ls", "-q", "--filter", "name=^"+p.name+"-"); left != "" {
		t.Errorf("destroy left %q", left)
	}
	if string(read(t, filepath.Join(kept, "row"))) != "acknowledged\n" {
		t.Error("destroy changed data")
	}
	// The data is found again.
	p.must(t, "apply", "-y", "--wait-timeout", "1m")
	if string(read(t, filepath.Join(kept, "row"))) != "acknowledged\n" {
		t.Error("apply changed data")
	}
}

//go:build e2e

package e2e

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// platform is one platform under test: everything it writes is below root,
// but for the tmpfs that croft mounts under /run.
type platform struct {
	name    string
	root    string
	dir     string // croft.yaml and stacks/
	state   string
	storage string
	https   int
	http    int
}

func makePlatform(prefix string) (*platform, error) {
	name := prefix + strings.ToLower(rand.Text()[:5])
	p := &platform{name: name, root: filepath.Join(scratch, name)}
	p.dir, p.state, p.storage = filepath.Join(p.root, "platform"), filepath.Join(p.root, "state"), filepath.Join(p.root, "data")
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return nil, err
	}
	var err error
	if p.https, err = freePort(); err != nil {
		return nil, err
	}
	p.http, err = freePort()
	return p, err
}

// newPlatform makes a platform of the given stacks, with croft.yaml written by
// hand. It applies nothing; what a test applies goes away with the test.
func newPlatform(t *testing.T, prefix string, files map[string]string) *platform {
	t.Helper()
	p, err := makePlatform(prefix)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.remove(); err != nil {
			t.Error(err)
		}
	})
	p.writeConfig(t)
	for path, content := range files {
		p.write(t, path, content)
	}
	return p
}

// config is croft.yaml of a platform of these stacks.
func (p *platform) config(stacks ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\nname: %s\nadmin: {name: ada, email: ada@example.com}\nexpose: loopback\n%sstacks:", p.name, p.storageBlock())
	if len(stacks) == 0 {
		b.WriteString(" {}")
	}
	for _, s := range stacks {
		fmt.Fprintf(&b, "\n  %s: {}", s)
	}
	return b.String() + "\n"
}

func (p *platform) storageBlock() string {
	return fmt.Sprintf("storage:\n  containers: %[1]s/containers\n  projects: %[1]s/projects\n  databases: %[1]s/databases\n", p.storage)
}

func (p *platform) writeConfig(t *testing.T, stacks ...string) {
	t.Helper()
	p.write(t, "croft.yaml", p.config(stacks...))
}

func (p *platform) write(t *testing.T, path, content string) {
	t.Helper()
	full := filepath.Join(p.dir, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// copyStack copies a directory as stacks/<name> and makes it the only stack.
func (p *platform) copyStack(t *testing.T, from, name string) {
	t.Helper()
	if err := os.CopyFS(filepath.Join(p.dir, "stacks", name), os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	p.writeConfig(t, name)
}

// run runs croft on the platform.
func (p *platform) run(t *testing.T, args ...string) result {
	t.Helper()
	r, err := croft(p.dir, p.state, args...)
	if err != nil {
		t.Fatalf("croft %s: %v", strings.Join(args, " "), err)
	}
	return r
}

// must runs croft and wants exit code 0.
func (p *platform) must(t *testing.T, args ...string) result {
	t.Helper()
	r := p.run(t, args...)
	if r.code != exitDone {
		t.Fatalf("%s", r)
	}
	return r
}

// remove takes everything of the platform off the machine, with whatever means:
// it is for cleaning up, not a test of destroy.
func (p *platform) remove() error {
	var errs []error
	if _, err := os.Stat(p.state); err == nil {
		_, err := croft(p.dir, p.state, "destroy", "-y")
		errs = append(errs, err)
	}
	for _, kind := range []struct{ list, remove []string }{
		{[]string{"ps", "-aq", "--filter", "label=croft.platform=" + p.name}, []string{"rm", "-f"}},
		{[]string{"ps", "-aq", "--filter", "name=^" + p.name + "-"}, []string{"rm", "-f"}},
		{[]string{"network", "ls", "-q", "--filter", "name=^" + p.name + "-"}, []string{"network", "rm"}},
		{[]string{"volume", "ls", "-q", "--filter", "name=^" + p.name + "-"}, []string{"volume", "rm"}},
	} {
		out, err := exec.Command("docker", kind.list...).Output()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if ids := strings.Fields(string(out)); len(ids) > 0 {
			if out, err := exec.Command("docker", append(kind.remove, ids...)...).CombinedOutput(); err != nil {
				errs = append(errs, fmt.Errorf("docker %v: %s", kind.remove, out))
			}
		}
	}
	run := filepath.Join("/run/croft", p.name)
	if mounted(run) {
		if out, err := exec.Command("umount", run).CombinedOutput(); err != nil {
			errs = append(errs, fmt.Errorf("umount %s: %s", run, out))
		}
	}
	errs = append(errs, os.RemoveAll(run), os.RemoveAll(p.root))
	return errors.Join(errs...)
}

func mounted(dir string) bool {
	raw, err := os.ReadFile("/proc/self/mounts")
	return err == nil && strings.Contains(string(raw), " "+dir+" ")
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// eventually tries for a while: files are watched, probes come in turns.
func eventually(check func() bool) bool {
	for range 20 {
		if check() {
			return true
		}
		time.Sleep(time.Second)
	}
	return false
}

// treeHash names what is in a directory: paths, modes, contents, links.
func treeHash(t *testing.T, dir string) string {
	t.Helper()
	h := sha256.New()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path == dir {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%s %s\n", path, info.Mode())
		switch {
		case info.Mode().IsRegular():
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(h, "%d ", len(raw))
			h.Write(raw)
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			fmt.Fprintln(h, to)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// The platform that most tests look at: the default catalogue and four own
// stacks, applied once.
var (
	sharedOnce     sync.Once
	sharedPlatform *platform
	sharedErr      error
	sharedApply    result
	sharedInit     result
)

// ownStacks are the stacks beside the catalogue's.
var ownStacks = []string{"echo", "ledger", "neighbour", "quiet"}

func shared(t *testing.T) *platform {
	t.Helper()
	sharedOnce.Do(func() { sharedErr = applyShared() })
	if sharedErr != nil {
		t.Fatalf("the platform was not applied: %v", sharedErr)
	}
	return sharedPlatform
}

func applyShared() error {
	p, err := makePlatform("e2e")
	if err != nil {
		return err
	}
	sharedPlatform = p
	run := func(args ...string) (result, error) {
		r, err := croft(p.dir, p.state, args...)
		if err == nil && r.code != exitDone {
			err = errors.New(r.String())
		}
		return r, err
	}
	if sharedInit, err = run("init", "--defaults", "-o", "json", "--set", "name="+p.name,
		"--set", "admin.name=ada", "--set", "admin.email=ada@example.com",
		"--set", "stacks.traefik.options.HTTPS_PORT="+fmt.Sprint(p.https),
		"--set", "stacks.traefik.options.HTTP_PORT="+fmt.Sprint(p.http)); err != nil {
		return err
	}
	for _, name := range ownStacks {
		if err := os.CopyFS(filepath.Join(p.dir, "stacks", name), os.DirFS(filepath.Join("testdata/stacks", name))); err != nil {
			return err
		}
	}
	if err := p.addToConfig(); err != nil {
		return err
	}
	sharedApply, err = run("apply", "-y", "-o", "json")
	return err
}

// addToConfig writes the own stacks and the storage roots into the croft.yaml
// that init made, as an admin would with an editor.
func (p *platform) addToConfig() error {
	path := filepath.Join(p.dir, "croft.yaml")
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text := string(raw)
	var own strings.Builder
	for _, name := range ownStacks {
		fmt.Fprintf(&own, "\n  %s: {}", name)
	}
	edited := strings.Replace(text, "\nstacks:", "\n"+p.storageBlock()+"stacks:"+own.String(), 1)
	if edited == text || strings.Contains(text, "\nstorage:") {
		return fmt.Errorf("croft.yaml of init is not as these tests expect:\n%s", text)
	}
	return os.WriteFile(path, []byte(edited), 0o644)
}

func removeShared() error {
	if sharedPlatform == nil {
		return nil
	}
	return sharedPlatform.remove()
}

//go:build e2e

package docker

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"golang.org/x/sys/unix"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/provision/registrytest"
)

// secondEngine starts an engine of this test's own, with so many bytes of disk:
// a second machine, as far as images go. It runs no containers.
func secondEngine(t *testing.T, size string) *Engine {
	t.Helper()
	// Short, as a socket's path has a limit.
	dir, err := os.MkdirTemp("", "croft-second-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	data, socket := filepath.Join(dir, "data"), filepath.Join(dir, "docker.sock")
	if err := os.Mkdir(data, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", data, "tmpfs", 0, "size="+size); err != nil {
		t.Fatalf("a second engine needs root: %v", err)
	}
	t.Cleanup(func() { unmount(t, data) })
	config := filepath.Join(dir, "daemon.json")
	if err := os.WriteFile(config, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	// Without a bridge of its own, or with none, it would take docker0 away from the
	// engine of this machine.
	bridge := fmt.Sprintf("croft%d", os.Getpid())
	if out, err := exec.Command("ip", "link", "add", bridge, "type", "bridge").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("ip", "link", "delete", bridge).Run() }) // its engine may have done so
	if out, err := exec.Command("ip", "addr", "add", "10.215.0.1/24", "dev", bridge).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.Command("dockerd", "--config-file", config, "--data-root", data, "--exec-root", filepath.Join(dir, "exec"),
		"--pidfile", filepath.Join(dir, "pid"), "-H", "unix://"+socket, "--bridge="+bridge, "--iptables=false", "--ip6tables=false",
		"--ip-forward=false", "--ip-masq=false", "--storage-driver=vfs")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		_ = cmd.Wait()
		_ = log.Close()
	})
	for range 60 {
		api, err := client.New(client.WithHost("unix://" + socket))
		if err != nil {
			t.Fatal(err)
		}
		if e, err := connect(t.Context(), api); err == nil {
			e.patience = patience{answer: 10 * time.Second, stall: 30 * time.Second, pause: 20 * time.Millisecond, tries: 3, asks: 2}
			t.Cleanup(func() { _ = e.Close() })
			return e
		}
		_ = api.Close()
		time.Sleep(500 * time.Millisecond)
	}
	said, _ := os.ReadFile(log.Name()) // all there is to say why
	t.Fatalf("the second engine does not answer:\n%s", said)
	return nil
}

// unmount waits until the engine's own helpers let go.
func unmount(t *testing.T, path string) {
	for range 20 {
		if err := unix.Unmount(path, 0); err == nil {
			return
		}
		time.Sleep(250 * time.Millisecond)
	}
	t.Errorf("%s is still busy", path)
}

func TestASecondMachineGetsTheLockedImage(t *testing.T) {
	s := newShop(t, registrytest.Options{})
	ref := s.ref("shop/app:1")
	locked := s.push(ref, 1000)
	newer := s.push(ref, 1000)
	first := s.Engine
	s.Engine = secondEngine(t, "64m")
	defer func() { s.Engine = first }()
	if err := s.pull(provision.PullRequest{Reference: ref, Locked: locked}); err != nil {
		t.Fatal(err)
	}
	if got := s.lockOf(ref); got.Digest != locked.Digest || got.ID == newer.ID {
		t.Errorf("the second machine has %+v, locked is %+v, the tag is %+v", got, locked, newer)
	}
	if err := s.pull(provision.PullRequest{Reference: ref, Locked: locked, Fresh: true}); err != nil {
		t.Fatal(err)
	}
	if got := s.lockOf(ref); got.Digest != newer.Digest {
		t.Errorf("asked for freshly it is %+v, want %+v", got, newer)
	}
}

func TestADiskThatIsTooSmallIsSeenBefore(t *testing.T) {
	s := newShop(t, registrytest.Options{})
	large, small, hollow := s.ref("shop/large:1"), s.ref("shop/small:1"), s.ref("shop/hollow:1")
	s.push(large, 12<<20)
	s.push(small, 1<<20)
	s.pushText(hollow, strings.Repeat("nothing\n", 6<<20))
	first := s.Engine
	s.Engine = secondEngine(t, "36m")
	defer func() { s.Engine = first }()
	before, err := s.ImageBytes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	why := s.checked(provision.PullRequest{Reference: large})
	t.Log(why)
	for _, w := range []string{"disk: ", "to download need about", "are free", "hint: make room"} {
		if !strings.Contains(why, w) {
			t.Errorf("%q lacks %q", why, w)
		}
	}
	if after, err := s.ImageBytes(t.Context()); err != nil || len(after) != len(before) {
		t.Errorf("images are %v now, %v", after, err)
	}
	if why := s.checked(provision.PullRequest{Reference: small}); why != "" {
		t.Errorf("one that fits: %s", why)
	}
	if err := s.pull(provision.PullRequest{Reference: small}); err != nil {
		t.Error(err)
	}
	// What the check cannot know is how well a layer was packed.
	if why := s.checked(provision.PullRequest{Reference: hollow}); why != "" {
		t.Errorf("one whose size is not known: %s", why)
	}
	err = s.pull(provision.PullRequest{Reference: hollow})
	if err == nil || !strings.Contains(err.Error(), "no space left on device") || !strings.Contains(hintOf(err), "disk is full") {
		t.Errorf("got %v, hint %s", err, hintOf(err))
	}
	if got := s.lockOf(small); got.ID == "" {
		t.Error("what was here is gone")
	}
}

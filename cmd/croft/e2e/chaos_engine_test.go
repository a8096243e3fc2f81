//go:build e2e

package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// engine is a second Docker engine, under the test's control: the installed
// dockerd in a network namespace of its own, so that killing it harms nobody
// else's containers. As on a real machine, containerd is a service of its own.
type engine struct {
	home   string
	space  string // name of the network namespace
	data   *disk
	live   bool // live-restore: containers outlive the daemon
	daemon *exec.Cmd
	ended  chan struct{}

	containerd      *exec.Cmd
	containerdEnded chan struct{}
}

// newEngine starts one, with its data on a small disk. It goes away with the test.
func newEngine(t *testing.T) *engine {
	t.Helper()
	e := &engine{home: filepath.Join(scratch, "engine"), space: fmt.Sprintf("croft-chaos-%d", os.Getpid())}
	if err := os.MkdirAll(e.home, 0o711); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.remove(); err != nil {
			t.Error(err)
		}
	})
	e.data = newDisk(t, filepath.Join(e.home, "data"), 3<<30, "")
	for _, args := range [][]string{{"ip", "netns", "add", e.space}, {"ip", "-n", e.space, "link", "set", "lo", "up"}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	for name, content := range map[string][]byte{"daemon.json": []byte("{}"), "containerd.toml": e.containerdConfig()} {
		if err := os.WriteFile(filepath.Join(e.home, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e.up(t)
	for _, version := range []string{"2", "3", "bad"} {
		e.importRows(t, version)
	}
	return e
}

// start starts the daemon, as its unit would after a crash.
func (e *engine) start() (err error) {
	at := func(name string) string { return filepath.Join(e.home, name) }
	e.daemon, e.ended, err = e.service("dockerd", "--config-file", at("daemon.json"), "-H", e.host(), "--containerd", at("containerd.sock"),
		"--data-root", at("data/docker"), "--exec-root", at("exec"), "--pidfile", at("docker.pid"), fmt.Sprintf("--live-restore=%t", e.live),
		"--default-address-pool", "base=10.215.0.0/16,size=24", "--bip", "10.215.250.1/24")
	return err
}

func (e *engine) startContainerd() (err error) {
	e.containerd, e.containerdEnded, err = e.service("containerd", "--config", filepath.Join(e.home, "containerd.toml"))
	return err
}

// containerdConfig keeps containerd below the engine's home.
func (e *engine) containerdConfig() []byte {
	return fmt.Appendf(nil, "version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\n  address = %q\n",
		e.home+"/data/containerd", e.home+"/exec/containerd", e.home+"/containerd.sock")
}

// service starts a program in the engine's namespace and says when it has ended.
func (e *engine) service(args ...string) (*exec.Cmd, chan struct{}, error) {
	log, err := os.OpenFile(filepath.Join(e.home, args[0]+".log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, err
	}
	defer log.Close()
	cmd, ended := e.within(context.Background(), args...), make(chan struct{})
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	go func() { _ = cmd.Wait(); close(ended) }() // how it ended does not matter: it is killed
	return cmd, ended, nil
}

// up makes sure that the engine answers. A daemon that gives up, because what was
// killed with it still holds a lock, is started again, as systemd does.
func (e *engine) up(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(90 * time.Second)
	for time.Now().Before(deadline) {
		if !alive(e.containerdEnded) {
			if err := e.startContainerd(); err != nil {
				t.Fatal(err)
			}
		}
		if !e.running() {
			if err := e.start(); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		err := e.within(ctx, "docker", "version").Run()
		cancel()
		if err == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	raw, _ := os.ReadFile(filepath.Join(e.home, "dockerd.log"))
	t.Fatalf("the second engine does not start:\n%s", clip(string(raw)))
}

func (e *engine) running() bool { return alive(e.ended) }

// alive tells whether a program that was started has not ended yet.
func alive(ended chan struct{}) bool {
	if ended == nil {
		return false
	}
	select {
	case <-ended:
		return false
	default:
		return true
	}
}

// kill kills the daemon. Containers outlive it, until it starts again.
func (e *engine) kill() {
	_ = e.daemon.Process.Kill()
	<-e.ended
}

// killContainerd leaves the daemon without it, until up starts it again.
func (e *engine) killContainerd() {
	_ = e.containerd.Process.Kill()
	<-e.containerdEnded
}

func (e *engine) host() string { return "unix://" + filepath.Join(e.home, "docker.sock") }

// within prepares a command in the engine's network namespace. nsenter becomes the
// program, so its process can be killed.
func (e *engine) within(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--net=/run/netns/" + e.space, "--"}, args...)...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+e.host(), "NO_COLOR=1")
	return cmd
}

func (e *engine) docker(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // also in a cleanup
	defer cancel()
	out, err := e.within(ctx, append([]string{"docker"}, args...)...).Output()
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, stderrOf(err))
	}
	return string(out)
}

// importRows makes an image of the row writer; each version has its own ID.
func (e *engine) importRows(t *testing.T, version string) {
	t.Helper()
	program := filepath.Join(e.home, "rows")
	if _, err := os.Stat(program); err != nil {
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, "./testdata/rows")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("building rows: %v\n%s", err, out)
		}
	}
	raw, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	var image bytes.Buffer
	w := tar.NewWriter(&image)
	for name, content := range map[string][]byte{"rows": raw, "version": []byte(version)} {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := e.within(t.Context(), "docker", "import", "--change", `ENTRYPOINT ["/rows"]`, "-", "croft-chaos/rows:"+version)
	cmd.Stdin = &image
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("docker import: %v\n%s", err, out)
	}
}

// remove ends the engine and whatever it left: daemons, shims, mounts, namespace.
func (e *engine) remove() error {
	if e.running() {
		_ = e.daemon.Process.Signal(syscall.SIGTERM)
		select {
		case <-e.ended:
		case <-time.After(30 * time.Second):
			e.kill()
		}
	}
	if alive(e.containerdEnded) {
		e.killContainerd()
	}
	for range 50 { // shims end with their containers; what does not is killed
		left := e.processes()
		if len(left) == 0 {
			break
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(100 * time.Millisecond)
	}
	errs := []error{unmountBelow(e.home)}
	if out, err := exec.Command("ip", "netns", "delete", e.space).CombinedOutput(); err != nil {
		errs = append(errs, fmt.Errorf("ip netns delete: %s", out))
	}
	return errors.Join(append(errs, os.RemoveAll(e.home))...)
}

// processes gives those that name the engine's own directory: its daemons, its
// shims, and what those started.
func (e *engine) processes() []int {
	commands, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	var out []int
	shims := map[int]bool{}
	for _, path := range commands {
		raw, err := os.ReadFile(path)
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil && pid != os.Getpid() && bytes.Contains(raw, []byte(e.home+"/containerd")) {
			out, shims[pid] = append(out, pid), true
		}
	}
	for _, path := range commands {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		raw, err := os.ReadFile(filepath.Join(filepath.Dir(path), "stat"))
		if _, rest, ok := strings.Cut(string(raw), ") "); err == nil && ok {
			if fields := strings.Fields(rest); len(fields) > 1 {
				if parent, _ := strconv.Atoi(fields[1]); shims[parent] && !shims[pid] {
					out = append(out, pid)
				}
			}
		}
	}
	return out
}

package host

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/croft-sh/croft/stacks"
)

func TestPathsFor(t *testing.T) {
	root := PathsFor("home", PathOptions{Root: true})
	user := PathsFor("home", PathOptions{Home: "/home/ada", RuntimeDir: "/run/user/1000"})
	xdg := PathsFor("home", PathOptions{Home: "/home/ada", StateHome: "/s", ConfigHome: "/c"})
	given := PathsFor("home", PathOptions{Root: true, State: "/tmp/x"})
	for _, c := range []struct{ got, want string }{
		{root.State, "/var/lib/croft/home"},
		{root.Live("gitea"), "/var/lib/croft/home/live/gitea"},
		{root.HostKey, "/etc/croft/home.key"},
		{root.Policy, "/etc/croft/home.policy"},
		{root.Platforms, "/etc/croft/platforms"},
		{root.SecretFile("gitea", "web", "key"), "/run/croft/home/secrets/gitea/web/key"},
		{user.State, "/home/ada/.local/state/croft/home"},
		{user.HostKey, "/home/ada/.config/croft/home.key"},
		{user.Run, "/run/user/1000/croft/home"},
		{xdg.State, "/s/croft/home"},
		{xdg.HostKey, "/c/croft/home.key"},
		{xdg.Run, ""},
		{xdg.Secrets, ""},
		{given.State, "/tmp/x"},
		{given.HostKey, "/tmp/x/host.key"},
		{given.Platforms, "/tmp/x/platforms"},
		{given.Run, "/run/croft/home"},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
}

func TestAcquire(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "flock")
	release, err := Acquire(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Acquire(path)
	var locked *LockedError
	if !errors.Is(err, ErrLocked) || !errors.As(err, &locked) {
		t.Fatalf("error %v", err)
	}
	if locked.PID != os.Getpid() || locked.Command == "" || time.Since(locked.Since) > time.Minute {
		t.Errorf("holder %+v", locked)
	}
	var problem stacks.Problem
	if !errors.As(err, &problem) || problem.Hint == "" {
		t.Error("no hint")
	}
	release()
	again, err := Acquire(path)
	if err != nil {
		t.Fatal(err)
	}
	again()
}

func TestAcquireAfterKill(t *testing.T) {
	const variable = "CROFT_TEST_LOCK"
	if path := os.Getenv(variable); path != "" {
		if _, err := Acquire(path); err != nil {
			t.Fatal(err)
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	path := filepath.Join(t.TempDir(), "flock")
	cmd := exec.Command(os.Args[0], "-test.run=^TestAcquireAfterKill$")
	cmd.Env = append(os.Environ(), variable+"="+path)
	if err := cmd.Run(); err == nil {
		t.Fatal("the helper was not killed")
	}
	release, err := Acquire(path)
	if err != nil {
		t.Fatalf("the lock outlived its holder: %v", err)
	}
	release()
}

func TestCommandName(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"/usr/bin/croft", "backup", "run", "x"}, "croft backup run"},
		{[]string{"croft", "apply", "--yes"}, "croft apply"},
		{[]string{"croft", "init", "token=abc"}, "croft init"},
		{[]string{"croft"}, "croft"},
		{nil, ""},
	} {
		if got := commandName(c.args); got != c.want {
			t.Errorf("%v: %q", c.args, got)
		}
	}
}

func TestAppend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.jsonl")
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if err := Append(path, map[string]int{"n": i}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	f, _ := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	_, _ = f.WriteString(`{"half`) // killed while writing
	_ = f.Close()
	if err := Append(path, map[string]int{"n": 99}); err != nil {
		t.Fatal(err)
	}
	raw, _ := os.ReadFile(path)
	good, bad := 0, 0
	for line := range strings.Lines(string(raw)) {
		if json.Valid([]byte(line)) {
			good++
		} else {
			bad++
		}
	}
	if good != 21 || bad != 1 || !strings.HasSuffix(string(raw), "{\"n\":99}\n") {
		t.Errorf("%d good, %d bad:\n%s", good, bad, raw)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if err := Append(path, func() {}); err == nil {
		t.Error("wrote a function")
	}
}

func TestPlatforms(t *testing.T) {
	file := filepath.Join(t.TempDir(), "etc", "platforms")
	if _, ok, err := SolePlatform(file); ok || err != nil {
		t.Fatalf("without a file: %v, %v", ok, err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(AddPlatform(file, Known{"home", "/srv/my home"}))
	if p, ok, err := SolePlatform(file); !ok || err != nil || p.Dir != "/srv/my home" {
		t.Errorf("sole %v, %v, %v", p, ok, err)
	}
	raw, _ := os.ReadFile(file)
	must(os.WriteFile(file, append([]byte("# mine\n"), raw...), 0o644))
	must(AddPlatform(file, Known{"work", "/srv/work"}))
	must(AddPlatform(file, Known{"home", "/srv/moved"}))
	raw, _ = os.ReadFile(file)
	if string(raw) != "# mine\nhome\t/srv/moved\nwork\t/srv/work\n" {
		t.Errorf("file:\n%s", raw)
	}
	if _, ok, _ := SolePlatform(file); ok {
		t.Error("two are not one")
	}
	must(RemovePlatform(file, "home"))
	must(RemovePlatform(file, "nobody"))
	if p, ok, _ := SolePlatform(file); !ok || p.Name != "work" {
		t.Errorf("sole %v", p)
	}
	for _, p := range []Known{{"", "/x"}, {"a\tb", "/x"}, {"a", "x"}, {"a", "/x\n/y"}} {
		if err := AddPlatform(file, p); err == nil {
			t.Errorf("%q was written", p)
		}
	}
	must(os.WriteFile(file, []byte("nonsense\n"), 0o644))
	if err := AddPlatform(file, Known{"a", "/x"}); err == nil || !strings.Contains(err.Error(), ":1") {
		t.Errorf("error %v", err)
	}
}

func TestEnsureDir(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to give directories away")
	}
	root := filepath.Join(t.TempDir(), "containers")
	path := filepath.Join(root, "gitea", "data")
	d, err := EnsureDir(root, path, "1000:1001", 0o750)
	if err != nil || !d.Made || d.Owner != "1000:1001" {
		t.Fatalf("%+v, %v", d, err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o750 {
		t.Errorf("mode %v", info.Mode())
	}
	if d, err = EnsureDir(root, path, "5:5", 0o700); err != nil || d.Made || d.Owner != "5:5" {
		t.Errorf("an empty one: %+v, %v", d, err)
	}
	_ = os.WriteFile(filepath.Join(path, "row"), nil, 0o600)
	if d, err = EnsureDir(root, path, "6:6", 0o777); err != nil || d.Owner != "5:5" {
		t.Errorf("one with data: %+v, %v", d, err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o700 {
		t.Errorf("mode of one with data changed to %v", info.Mode())
	}

	outside := t.TempDir()
	_ = os.Symlink(outside, filepath.Join(root, "out"))
	_ = os.Symlink("gitea", filepath.Join(root, "in"))
	_ = os.WriteFile(filepath.Join(root, "file"), nil, 0o600)
	for _, bad := range []string{"out", "out/x", "file", "file/x", "../x", "."} {
		if _, err := EnsureDir(root, filepath.Join(root, bad), "1:1", 0o700); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
	if left, _ := os.ReadDir(outside); len(left) != 0 {
		t.Error("wrote outside of the root")
	}
	if d, err := EnsureDir(root, filepath.Join(root, "in/more"), "", 0o700); err != nil || !d.Made {
		t.Errorf("a link inside: %+v, %v", d, err)
	}
	for _, owner := range []string{"a:b", "1", "-1:1", "1:", "99999999999:1"} {
		if _, err := EnsureDir(root, filepath.Join(root, "y"), owner, 0o700); err == nil {
			t.Errorf("owner %q was accepted", owner)
		}
	}
}

func TestMountTmpfs(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount")
	}
	dir := filepath.Join(t.TempDir(), "with space", "home")
	got, err := MountTmpfs(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = UnmountTmpfs(dir) })
	t.Logf("%+v", got)
	if got.Action != "mounted" {
		t.Skip("this sandbox does not mount")
	}
	info, _ := os.Stat(dir)
	if err := OnTmpfs(dir); err != nil || info.Mode().Perm() != 0o711 {
		t.Errorf("%v, mode %v", err, info.Mode())
	}
	_ = os.WriteFile(filepath.Join(dir, "x"), nil, 0o600)
	again, err := MountTmpfs(dir)
	if err != nil || again.Action != "present" || again.NoSwap != got.NoSwap {
		t.Errorf("again: %+v, %v", again, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "x")); err != nil {
		t.Error("mounted over itself")
	}
	if err := UnmountTmpfs(dir); err != nil {
		t.Fatal(err)
	}
	if err := UnmountTmpfs(dir); err != nil {
		t.Errorf("unmounting none: %v", err)
	}
	if _, err := MountTmpfs(""); err == nil {
		t.Error("mounted nowhere")
	}
}

func TestMountTmpfsAsUser(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("is about users; run the test binary as one")
	}
	if _, err := MountTmpfs(filepath.Join(t.TempDir(), "run")); err == nil {
		t.Error("took a disk for memory")
	}
	base, err := os.MkdirTemp("/dev/shm", "croft-test")
	if err != nil || OnTmpfs(base) != nil {
		t.Skip("no tmpfs for users here")
	}
	defer os.RemoveAll(base)
	got, err := MountTmpfs(filepath.Join(base, "croft", "home"))
	if err != nil || got.Action != "inherited" {
		t.Fatalf("%+v, %v", got, err)
	}
	if info, _ := os.Stat(got.Dir); info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v", info.Mode())
	}
}

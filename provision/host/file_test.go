package host

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

var writeSteps = []string{"create", "lock", "write", "owner", "mode", "sync", "rename", "syncdir"}

func TestWriteFileFailsAtEveryStep(t *testing.T) {
	for _, step := range writeSteps {
		t.Run(step, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "f")
			if err := WriteFile(path, []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			err := writeFile(path, []byte("new and longer"), 0o640, -1, -1, func(s string) error {
				if s == step {
					return syscall.ENOSPC
				}
				return nil
			})
			if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), path) {
				t.Fatalf("error %v", err)
			}
			want := "old"
			if step == "syncdir" { // the rename has happened
				want = "new and longer"
			}
			if got, _ := os.ReadFile(path); string(got) != want {
				t.Errorf("content %q, want %q", got, want)
			}
			if left, _ := os.ReadDir(dir); len(left) != 1 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// TestWriteFileKilledAtEveryStep kills a real process inside of a write.
func TestWriteFileKilledAtEveryStep(t *testing.T) {
	const variable = "CROFT_TEST_KILL_AT"
	if spec := os.Getenv(variable); spec != "" {
		step, path, _ := strings.Cut(spec, ":")
		_ = writeFile(path, bytes.Repeat([]byte("new"), 1<<16), 0o600, -1, -1, func(s string) error {
			if s == step {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
			return nil
		})
		t.Fatal("survived")
	}
	for _, step := range writeSteps {
		t.Run(step, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "f")
			if err := WriteFile(path, []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(os.Args[0], "-test.run=^TestWriteFileKilledAtEveryStep$")
			cmd.Env = append(os.Environ(), variable+"="+step+":"+path)
			var exit *exec.ExitError
			if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != -1 {
				t.Fatalf("the helper was not killed: %v", err)
			}
			got, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			want := []byte("old")
			if step == "syncdir" {
				want = bytes.Repeat([]byte("new"), 1<<16)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%d bytes, want %d", len(got), len(want))
			}
			removed, err := RemoveStale(dir)
			if err != nil {
				t.Fatal(err)
			}
			if stale := step != "create" && step != "syncdir"; (len(removed) == 1) != stale {
				t.Errorf("removed %v", removed)
			}
			if left, _ := os.ReadDir(dir); len(left) != 1 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestWriteFileMode(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	path := filepath.Join(t.TempDir(), "f")
	for _, mode := range []fs.FileMode{0o644, 0o400, 0o666} {
		if err := WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode() != mode {
			t.Errorf("mode %v, want %v (%v)", info.Mode(), mode, err)
		}
	}
	if os.Geteuid() == 0 {
		if err := WriteFileAs(path, nil, 0o600, 1234, 4321); err != nil {
			t.Fatal(err)
		}
		info, _ := os.Stat(path)
		if st := info.Sys().(*syscall.Stat_t); st.Uid != 1234 || st.Gid != 4321 {
			t.Errorf("owner %d:%d", st.Uid, st.Gid)
		}
	}
}

func TestWriteFileReplacesSymlink(t *testing.T) {
	dir := t.TempDir()
	victim, link := filepath.Join(dir, "victim"), filepath.Join(dir, "link")
	_ = os.WriteFile(victim, []byte("v"), 0o600)
	_ = os.Symlink(victim, link)
	if err := WriteFile(link, []byte("n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(victim); string(got) != "v" {
		t.Error("wrote through the link")
	}
}

func TestWriteFileFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount")
	}
	dir := t.TempDir()
	if err := syscall.Mount("croft-test", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip(err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	path := filepath.Join(dir, "f")
	if err := WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := WriteFile(path, make([]byte, 1<<20), 0o600)
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "full") {
		t.Fatalf("error %v", err)
	}
	if got, _ := os.ReadFile(path); string(got) != "old" {
		t.Errorf("content %q", got)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestRemoveStaleLeavesWriters(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	err := writeFile(path, []byte("x"), 0o600, -1, -1, func(step string) error {
		if step == "rename" {
			if removed, err := RemoveStale(dir); err != nil || len(removed) != 0 {
				t.Errorf("removed %v, %v", removed, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".croft-a-1.tmp", "other.tmp", ".croft-b"} {
		_ = os.WriteFile(filepath.Join(dir, name), nil, 0o600)
	}
	_ = os.Symlink("/etc/passwd", filepath.Join(dir, ".croft-l-1.tmp"))
	removed, err := RemoveStale(dir)
	if err != nil || len(removed) != 1 || filepath.Base(removed[0]) != ".croft-a-1.tmp" {
		t.Errorf("removed %v, %v", removed, err)
	}
	if removed, err := RemoveStale(filepath.Join(dir, "missing")); err != nil || removed != nil {
		t.Errorf("missing: %v, %v", removed, err)
	}
}

func TestMkdirAll(t *testing.T) {
	dir := t.TempDir()
	_ = os.Chmod(dir, 0o750)
	deep := filepath.Join(dir, "a", "b")
	if err := MkdirAll(deep, 0o711); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{dir: 0o750, filepath.Dir(deep): 0o711, deep: 0o711} {
		if info, _ := os.Stat(path); info.Mode().Perm() != want {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
	}
	file := filepath.Join(dir, "file")
	_ = os.WriteFile(file, nil, 0o600)
	if err := MkdirAll(filepath.Join(file, "x"), 0o700); err == nil {
		t.Error("made a directory below a file")
	}
}

package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	tempPrefix = ".croft-"
	tempSuffix = ".tmp"
)

// fault is asked before each step of a write; tests fail or die there. Nil in
// the program.
type fault func(step string) error

func (f fault) at(step string) error {
	if f == nil {
		return nil
	}
	return f(step)
}

// WriteFile replaces path with data, whole or not at all: after a crash at any
// point the old content or the new one is there, and once it returned nil the
// new one survives a power cut. Mode is set exactly, whatever the umask. A
// symlink at path is replaced, not followed.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	return writeFile(path, data, mode, -1, -1, nil)
}

// WriteFileAs is WriteFile with an owner, set before the file appears; -1
// leaves the owner as it comes.
func WriteFileAs(path string, data []byte, mode fs.FileMode, uid, gid int) error {
	return writeFile(path, data, mode, uid, gid, nil)
}

func writeFile(path string, data []byte, mode fs.FileMode, uid, gid int, f fault) (err error) {
	dir := filepath.Dir(path)
	if err := f.at("create"); err != nil {
		return wrap(path, err)
	}
	// Killed from here to the rename: path is untouched, a temporary file stays
	// until RemoveStale.
	tmp, err := os.CreateTemp(dir, tempPrefix+filepath.Base(path)+"-*"+tempSuffix)
	if err != nil {
		return wrap(path, err)
	}
	renamed := false
	defer func() {
		_ = tmp.Close() // twice is harmless; the first one's error was looked at
		if !renamed {
			_ = os.Remove(tmp.Name())
		}
	}()
	if err := fill(tmp, data, mode, uid, gid, f); err != nil {
		return wrap(path, err)
	}
	if err := f.at("rename"); err != nil {
		return wrap(path, err)
	}
	// Killed right after: the new file is there, and after a power cut it is the
	// old or the new one, because the directory was not written out yet.
	if err := os.Rename(tmp.Name(), path); err != nil {
		return wrap(path, err)
	}
	renamed = true
	if err := f.at("syncdir"); err != nil {
		return wrap(path, err)
	}
	return wrap(path, syncDir(dir))
}

// fill makes the temporary file complete and durable. Its lock lives as long as
// the writer, which is how RemoveStale tells a leftover from work in progress.
func fill(tmp *os.File, data []byte, mode fs.FileMode, uid, gid int, f fault) error {
	steps := []struct {
		name string
		do   func() error
	}{
		{"lock", func() error { return syscall.Flock(int(tmp.Fd()), syscall.LOCK_EX) }},
		{"write", func() error { _, err := tmp.Write(data); return err }},
		// Owner before mode: chown clears setuid bits.
		{"owner", func() error {
			if uid < 0 && gid < 0 {
				return nil
			}
			return tmp.Chown(uid, gid)
		}},
		{"mode", func() error { return tmp.Chmod(mode) }},
		{"sync", tmp.Sync},
	}
	for _, s := range steps {
		if err := f.at(s.name); err != nil {
			return err
		}
		if err := s.do(); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func wrap(path string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return failed(path, "cannot write: the file system is full; the file is as it was",
			"free space (croft clean --dry-run says what could go) and run the command again", err)
	case errors.Is(err, syscall.EROFS):
		return failed(path, "cannot write: the file system is read-only", "look at dmesg: a file system turns read-only after disk errors", err)
	case errors.Is(err, fs.ErrPermission):
		return failed(path, "cannot write", "run as root, or as the user who owns the state directory", err)
	}
	return failed(path, "cannot write", "", err)
}

// syncDir makes a rename or a new name in dir survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	// Some file systems cannot sync a directory and say EINVAL; they have no
	// stronger promise to give.
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

// MkdirAll makes path and its missing parents with exactly this mode, durably.
// What exists is left as it is. Killed in between: some parents exist, and the
// next call makes the rest.
func MkdirAll(path string, mode fs.FileMode) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return failed(path, "is a file where a directory is needed", "move it away", nil)
	case !errors.Is(err, fs.ErrNotExist):
		return wrap(path, err)
	}
	parent := filepath.Dir(path)
	if err := MkdirAll(parent, mode); err != nil {
		return err
	}
	if err := os.Mkdir(path, mode); err != nil {
		if errors.Is(err, fs.ErrExist) { // another process was quicker
			return nil
		}
		return wrap(path, err)
	}
	if err := os.Chmod(path, mode); err != nil { // the umask took bits away
		return wrap(path, err)
	}
	return wrap(parent, syncDir(parent))
}

// Stale gives the temporary files in dir whose writer is gone. A writer still at
// work holds a lock on its file, so it is left out.
func Stale(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, failed(dir, "cannot look for leftovers", "", err)
	}
	var out []string
	for _, e := range entries {
		if !e.Type().IsRegular() || !strings.HasPrefix(e.Name(), tempPrefix) || !strings.HasSuffix(e.Name(), tempSuffix) {
			continue
		}
		if path := filepath.Join(dir, e.Name()); abandoned(path) {
			out = append(out, path)
		}
	}
	return out, nil
}

// RemoveStale removes what Stale gives, and says which. Killed in between: the
// rest goes the next time.
func RemoveStale(dir string) (removed []string, err error) {
	stale, err := Stale(dir)
	if err != nil {
		return nil, err
	}
	for _, path := range stale {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return removed, failed(path, "cannot remove a leftover", "", err)
		}
		removed = append(removed, path)
	}
	return removed, nil
}

func abandoned(path string) bool {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}

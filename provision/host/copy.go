package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// spare is what a copy must leave free, in bytes: a full disk stops everything.
const spare = 1 << 30

// Aside copies volumes aside and puts them back.
type Aside struct{}

// Fits tells whether copies of the paths have room beside them, and more besides.
// Where the file system shares blocks a copy costs next to nothing.
func (Aside) Fits(paths []string, more map[string]int64) error {
	need := map[uint64]uint64{} // device -> bytes
	where := map[uint64]string{}
	add := func(path string, bytes func() (uint64, error)) error {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		n, err := bytes()
		device := info.Sys().(*syscall.Stat_t).Dev
		need[device] += n
		where[device] = path
		return err
	}
	for _, path := range paths {
		if reflinks(filepath.Dir(path)) {
			continue
		}
		if err := add(path, func() (uint64, error) { return treeBytes(context.Background(), path) }); err != nil {
			return err
		}
	}
	for path, bytes := range more {
		if err := add(path, func() (uint64, error) { return uint64(bytes), nil }); err != nil {
			return err
		}
	}
	for device, bytes := range need {
		free, _, err := DiskFree(where[device])
		if err != nil {
			return err
		}
		if bytes > 0 && bytes+spare > free {
			return fmt.Errorf("%s needs %d MiB and %d MiB are free", where[device], (bytes+spare)>>20, free>>20)
		}
	}
	return nil
}

// treeBytes gives the bytes a directory takes on disk, as far as ctx lasts.
func treeBytes(ctx context.Context, root string) (uint64, error) {
	var total uint64
	err := filepath.WalkDir(root, func(_ string, entry fs.DirEntry, err error) error {
		if err := errors.Join(ctx.Err(), ignoreGone(err)); err != nil {
			return err
		}
		if entry == nil {
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return ignoreGone(err) // programs write and remove meanwhile
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			total += uint64(st.Blocks) * 512
		}
		return nil
	})
	return total, err
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// reflinks tells whether files of a directory can share blocks.
func reflinks(dir string) bool {
	a, err := os.CreateTemp(dir, ".croft-probe-")
	if err != nil {
		return false
	}
	defer func() { _ = a.Close(); _ = os.Remove(a.Name()) }()
	b, err := os.CreateTemp(dir, ".croft-probe-")
	if err != nil {
		return false
	}
	defer func() { _ = b.Close(); _ = os.Remove(b.Name()) }()
	if _, err := a.WriteString("probe"); err != nil {
		return false
	}
	return unix.IoctlFileClone(int(b.Fd()), int(a.Fd())) == nil
}

// Copy makes a whole copy of a directory or file. cp does it: it keeps owners, modes,
// times, links, holes, attributes and ACLs, and shares blocks where it can. The
// copy appears under its name only when all of it is on disk; killed before
// that, the next run begins anew.
func (Aside) Copy(ctx context.Context, from, to string) error {
	part := to + ".part"
	if err := os.RemoveAll(part); err != nil {
		return err
	}
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, "cp", "-a", "--reflink=auto", "--sparse=auto", "--", from, part).CombinedOutput()
	if err != nil {
		return errors.Join(fmt.Errorf("cp: %w: %s", err, firstLine(out)), os.RemoveAll(part))
	}
	if err := syncFS(part); err != nil {
		return err
	}
	if err := os.Rename(part, to); err != nil {
		return err
	}
	return syncDir(filepath.Dir(to))
}

func firstLine(out []byte) string {
	for i, b := range out {
		if b == '\n' {
			return string(out[:i])
		}
	}
	return string(out)
}

// syncFS writes everything of the file system below path to disk.
func syncFS(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(dir.Fd())), dir.Close())
}

// Swap puts aside in the place of path; what was there goes to failed. Each step
// can be seen on disk, so that a run after a kill finishes what was begun:
// nothing at path means that only the second rename is missing, and no aside
// means that all is done.
func (Aside) Swap(path, aside, failed string) error {
	if _, err := os.Lstat(aside); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(path); err != nil {
			return fmt.Errorf("neither %s nor its copy %s is there", path, aside)
		}
		return nil
	}
	if _, err := os.Lstat(path); err == nil {
		if err := os.RemoveAll(failed); err != nil {
			return err
		}
		if err := os.Rename(path, failed); err != nil {
			return err
		}
	}
	if err := os.Rename(aside, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

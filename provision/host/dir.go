package host

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Dir is a volume's directory as EnsureDir left it.
type Dir struct {
	Path  string
	Made  bool   // it was not there before
	Owner string // uid:gid it has now; not the one asked for where data was found
}

// EnsureDir makes the directory of a volume below a storage root. Symlinks are
// followed as long as they stay inside of the root. Owner ("uid:gid", "" leaves
// it) and mode are set only while the directory is empty: who owns data is the
// program's decision once there is some. Killed in between: an empty directory
// stays, and the next call finishes it.
func EnsureDir(root, path, owner string, mode fs.FileMode) (Dir, error) {
	rel, err := filepath.Rel(root, path)
	if err != nil || !filepath.IsAbs(root) || !filepath.IsLocal(rel) || rel == "." {
		return Dir{}, failed(path, fmt.Sprintf("is not a directory below the storage root %s", root), "", nil)
	}
	uid, gid, err := parseOwner(owner)
	if err != nil {
		return Dir{}, failed(path, err.Error(), `write the owner as "uid:gid" in numbers, as in "999:999"`, nil)
	}
	if err := MkdirAll(root, 0o711); err != nil {
		return Dir{}, err
	}
	r, err := os.OpenRoot(root)
	if err != nil {
		return Dir{}, wrap(root, err)
	}
	defer r.Close()
	_, err = r.Lstat(rel)
	made := errors.Is(err, fs.ErrNotExist)
	if err := r.MkdirAll(rel, 0o711); err != nil {
		return Dir{}, failed(path, "cannot make the directory",
			"no part of the path may be a file or a symlink that leads out of "+root, err)
	}
	d, err := r.Open(rel)
	if err != nil {
		return Dir{}, failed(path, "cannot open the directory", "a symlink must not lead out of "+root, err)
	}
	defer d.Close()
	if err := own(d, uid, gid, mode); err != nil {
		return Dir{}, failed(path, "cannot set owner and mode", "run as root", err)
	}
	if made {
		if err := syncDir(filepath.Dir(path)); err != nil {
			return Dir{}, wrap(path, err)
		}
	}
	now, err := ownerOf(d)
	return Dir{Path: path, Made: made, Owner: now}, err
}

// own works on the open directory, so nothing can be put in its place meanwhile.
func own(d *os.File, uid, gid int, mode fs.FileMode) error {
	if _, err := d.Readdirnames(1); !errors.Is(err, io.EOF) {
		return err // nil: it has content
	}
	if uid >= 0 {
		if now, err := ownerOf(d); err != nil || now != fmt.Sprintf("%d:%d", uid, gid) {
			if err := d.Chown(uid, gid); err != nil {
				return err
			}
		}
	}
	return d.Chmod(mode)
}

func ownerOf(f *os.File) (string, error) {
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", errors.New("this system does not tell owners")
	}
	return fmt.Sprintf("%d:%d", st.Uid, st.Gid), nil
}

func parseOwner(owner string) (uid, gid int, err error) {
	if owner == "" {
		return -1, -1, nil
	}
	u, g, ok := strings.Cut(owner, ":")
	uid64, errU := strconv.ParseUint(u, 10, 31)
	gid64, errG := strconv.ParseUint(g, 10, 31)
	if !ok || errU != nil || errG != nil {
		return 0, 0, fmt.Errorf("owner %q is not uid:gid", owner)
	}
	return int(uid64), int(gid64), nil
}

package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/croft-sh/croft/stacks"
)

// PlatformFiles refuses a platform that somebody may change who could not be
// root anyway: what is in there, root makes run. Owners may be root, whoever
// runs croft, and those named. Every file croft reads is looked at, and every
// directory above, since who may rename a directory may replace it.
func PlatformFiles(dir string, owners []int) error {
	owners = withRoot(owners)
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return failed(dir, "cannot look at the platform", "", err)
	}
	for up := filepath.Dir(real); ; up = filepath.Dir(up) {
		if err := trusted(up, owners, true); err != nil {
			return err
		}
		if up == filepath.Dir(up) {
			break
		}
	}
	if err := trusted(real, owners, false); err != nil {
		return err
	}
	for _, part := range []string{stacks.PlatformFile, "secrets.yaml", "stacks", ".git/config", ".git/hooks"} {
		err := filepath.WalkDir(filepath.Join(real, part), func(path string, _ fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return failed(path, "cannot look at it", "", err)
			}
			return trusted(path, owners, false)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// withRoot adds who may write in any case: root, and whoever runs croft.
func withRoot(owners []int) []int { return append(slices.Clone(owners), 0, os.Geteuid()) }

// trusted looks at what path leads to. In a sticky directory (/tmp) only the
// owner may rename, which is enough for one that is merely above.
func trusted(path string, owners []int, above bool) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a dangling link: nothing to run
	}
	if err != nil {
		return failed(path, "cannot look at it", "", err)
	}
	st, isUnix := info.Sys().(*syscall.Stat_t)
	if !isUnix {
		return nil
	}
	if !slices.Contains(owners, int(st.Uid)) {
		return failed(path, fmt.Sprintf("belongs to uid %d, who could make root run anything through it", st.Uid), "chown -R root "+path+", or run croft by sudo as its owner", nil)
	}
	perm := info.Mode().Perm()
	if above && info.Mode()&fs.ModeSticky != 0 {
		return nil
	}
	if perm&0o002 != 0 || (perm&0o020 != 0 && st.Gid != 0 && !ownGroup(st.Uid, st.Gid)) {
		return failed(path, fmt.Sprintf("can be written by others (mode %04o), who could make root run anything through it", perm), "chmod -R go-w "+path, nil)
	}
	return nil
}

// ownGroup tells whether a group is the owner's alone, as Ubuntu and Fedora make
// one for every account; with their umask all of a clone is writable by it.
func ownGroup(uid, gid uint32) bool {
	if uid != gid {
		return false
	}
	raw, err := os.ReadFile("/etc/group")
	if err != nil {
		return false
	}
	for line := range strings.SplitSeq(string(raw), "\n") {
		f := strings.Split(line, ":") // name:password:gid:members
		if len(f) == 4 && f[2] == strconv.FormatUint(uint64(gid), 10) {
			return f[3] == ""
		}
	}
	return true // without a name nobody was added to it
}

package host

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/croft-sh/croft/stacks"
)

// Look tells what lies at a path that a container can write, and whether it can be
// copied aside: a plain directory or file that can be renamed where it lies.
func (Aside) Look(ctx context.Context, path string) (stacks.Place, error) {
	real := filepath.Clean(path)
	info, err := os.Lstat(real)
	if err == nil && info.Mode()&fs.ModeSymlink != 0 { // the link stays, what it means is copied
		if real, err = filepath.EvalSymlinks(path); err == nil {
			info, err = os.Lstat(real)
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return stacks.Place{Path: path}, nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return stacks.Place{Path: path, Data: true, Why: "croft may not look into it"}, nil
	}
	if err != nil {
		return stacks.Place{}, err
	}
	out := stacks.Place{Path: real}
	if !info.IsDir() && !info.Mode().IsRegular() || ofSystem(real, info.IsDir()) {
		return out, nil
	}
	out.Data = true
	switch beside, err := os.Lstat(filepath.Dir(real)); {
	case slices.Contains(wide(), real):
		out.Why = "it is a directory of the system"
	case err != nil:
		return out, err
	case device(beside) != device(info) || mountPoint(real):
		out.Why = "a file system is mounted there, which cannot be copied beside itself"
	}
	if bytes, err := treeBytes(ctx, real); err == nil {
		out.Bytes = int64(bytes)
	}
	return out, nil
}

func device(info fs.FileInfo) uint64 { return uint64(info.Sys().(*syscall.Stat_t).Dev) }

// mountPoint also sees what was mounted from the same file system. Kernels before
// 5.8 do not say it of a path, only in their list.
func mountPoint(path string) bool {
	var st unix.Statx_t
	if unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, 0, &st) == nil && st.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0 {
		return st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
	}
	raw, err := os.ReadFile("/proc/self/mountinfo")
	return err == nil && slices.ContainsFunc(strings.Split(string(raw), "\n"), func(line string) bool {
		f := strings.Fields(line)
		return len(f) > 4 && f[4] == path
	})
}

// ofSystem tells whether a path is the system's own and no program's data: what
// the kernel shows, sockets' places, libraries, and single files of /etc, which
// are mounted for the time zone or the list of hosts.
func ofSystem(path string, dir bool) bool {
	for _, root := range []string{"/proc", "/sys", "/dev", "/run", "/var/run", "/usr", "/lib", "/lib64", "/bin", "/sbin", "/boot",
		"/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/alternatives", "/tmp/.X11-unix", "/var/lib/docker/containers"} {
		if stacks.Within(root, path) && !stacks.Within("/usr/local", path) {
			return true
		}
	}
	return !dir && filepath.Dir(path) == "/etc"
}

// wide are directories that belong to everybody: a copy put back in their place
// would take along what others wrote meanwhile.
func wide() []string {
	return []string{"/", "/etc", "/home", "/media", "/mnt", "/opt", "/root", "/srv", "/tmp", "/usr/local", "/var", "/var/cache",
		"/var/lib", "/var/lib/docker", "/var/lib/docker/volumes", "/var/log", "/var/opt", "/var/tmp"}
}

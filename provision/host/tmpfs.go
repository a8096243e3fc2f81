package host

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const (
	tmpfsMagic   = 0x01021994
	cgroup2Magic = 0x63677270
	tmpfsFlags   = syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC
	tmpfsOptions = "size=16m,mode=0711"
)

// Tmpfs says what MountTmpfs found or did.
type Tmpfs struct {
	Dir    string
	Action string // mounted: now; present: it was; inherited: a directory of a tmpfs that is not croft's
	NoSwap bool   // its pages never reach a swap device
}

// MountTmpfs makes dir a tmpfs of croft's own (root), or a directory on the
// user's runtime tmpfs. It fails rather than leave dir on a disk. Killed after
// the directory was made: the next call mounts over it.
func MountTmpfs(dir string) (Tmpfs, error) {
	if dir == "" {
		return Tmpfs{}, failed("run directory", "there is no place in memory for secrets",
			"log in as this user so that XDG_RUNTIME_DIR is set (loginctl enable-linger keeps it), or run croft as root", nil)
	}
	if os.Geteuid() != 0 {
		return userTmpfs(dir)
	}
	if m, ok := mountAt(dir); ok && m.kind == "tmpfs" {
		return Tmpfs{Dir: dir, Action: "present", NoSwap: m.has("noswap")}, nil
	}
	if err := MkdirAll(dir, 0o711); err != nil {
		return Tmpfs{}, err
	}
	// Kernels before 6.4 do not know noswap and answer EINVAL.
	err := syscall.Mount("croft", dir, "tmpfs", tmpfsFlags, tmpfsOptions+",noswap")
	if err == nil {
		return Tmpfs{Dir: dir, Action: "mounted", NoSwap: true}, nil
	}
	if errors.Is(err, syscall.EINVAL) {
		err = syscall.Mount("croft", dir, "tmpfs", tmpfsFlags, tmpfsOptions)
	}
	if err == nil {
		return Tmpfs{Dir: dir, Action: "mounted"}, nil
	}
	// Root of a container may not mount; a tmpfs somebody else mounted will do.
	if OnTmpfs(dir) == nil {
		return Tmpfs{Dir: dir, Action: "inherited"}, nil
	}
	return Tmpfs{}, failed(dir, "cannot mount a tmpfs for secrets",
		"croft needs the right to mount (CAP_SYS_ADMIN), or /run must be a tmpfs", err)
}

func userTmpfs(dir string) (Tmpfs, error) {
	if err := OnTmpfs(dir); err != nil {
		return Tmpfs{}, err
	}
	// 0700: a user cannot give files to other users, so the directory is what
	// keeps them out.
	if err := MkdirAll(dir, 0o700); err != nil {
		return Tmpfs{}, err
	}
	return Tmpfs{Dir: dir, Action: "inherited"}, nil
}

// OnTmpfs is nil if dir, or its nearest parent that exists, is in memory.
func OnTmpfs(dir string) error {
	st, err := statfs(dir)
	if err != nil {
		return failed(dir, "cannot tell whether it is in memory", "", err)
	}
	if int64(st.Type) != tmpfsMagic {
		return failed(dir, "is on a disk; secrets are kept in memory only",
			"croft mounts a tmpfs as root; a user needs XDG_RUNTIME_DIR on one", nil)
	}
	return nil
}

// UnmountTmpfs takes croft's own mount away. A directory that is none is left.
func UnmountTmpfs(dir string) error {
	if m, ok := mountAt(dir); !ok || m.kind != "tmpfs" {
		return nil
	}
	if err := syscall.Unmount(dir, 0); err != nil {
		return failed(dir, "cannot unmount", "stop the containers that read secrets from it", err)
	}
	return nil
}

// statfs asks about path, or about the nearest parent that exists.
func statfs(path string) (syscall.Statfs_t, error) {
	var st syscall.Statfs_t
	for {
		err := syscall.Statfs(path, &st)
		if !errors.Is(err, fs.ErrNotExist) || path == filepath.Dir(path) {
			return st, err
		}
		path = filepath.Dir(path)
	}
}

// mount is one line of /proc/self/mountinfo.
type mount struct {
	point   string
	kind    string
	options string // of the file system
}

func (m mount) has(option string) bool {
	for o := range strings.SplitSeq(m.options, ",") {
		if o == option {
			return true
		}
	}
	return false
}

func mountAt(dir string) (mount, bool) {
	raw, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return mount{}, false
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	// The last one mounted at a point is the one that is seen.
	var found mount
	for _, m := range parseMounts(string(raw)) {
		if m.point == dir {
			found = m
		}
	}
	return found, found.point != ""
}

// parseMounts reads mountinfo; lines it does not understand are skipped.
func parseMounts(text string) []mount {
	var out []mount
	for line := range strings.SplitSeq(text, "\n") {
		left, right, ok := strings.Cut(line, " - ")
		before, after := strings.Fields(left), strings.Fields(right)
		if !ok || len(before) < 5 || len(after) < 3 {
			continue
		}
		out = append(out, mount{point: unescape(before[4]), kind: after[0], options: after[2]})
	}
	return out
}

// unescape undoes the kernel's \040 for a space.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

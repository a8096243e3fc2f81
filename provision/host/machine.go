package host

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// Machine is what croft sizes things by.
type Machine struct {
	CPUs            int    `json:"cpus"`
	MemoryTotal     uint64 `json:"memory_total"`
	MemoryAvailable uint64 `json:"memory_available"`
	SwapTotal       uint64 `json:"swap_total"`
}

// ReadMachine reads the facts from /proc.
func ReadMachine() (Machine, error) {
	raw, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return Machine{}, failed("memory", "cannot read /proc/meminfo", "", err)
	}
	m := parseMeminfo(string(raw))
	m.CPUs = runtime.NumCPU()
	if m.MemoryTotal == 0 {
		return m, failed("memory", "/proc/meminfo does not say how much there is", "", nil)
	}
	return m, nil
}

func parseMeminfo(text string) Machine {
	var m Machine
	fields := map[string]*uint64{"MemTotal": &m.MemoryTotal, "MemAvailable": &m.MemoryAvailable, "SwapTotal": &m.SwapTotal}
	for line := range strings.SplitSeq(text, "\n") {
		name, rest, _ := strings.Cut(line, ":")
		into := fields[name]
		words := strings.Fields(rest)
		if into == nil || len(words) == 0 {
			continue
		}
		if kib, err := strconv.ParseUint(words[0], 10, 54); err == nil {
			*into = kib << 10
		}
	}
	return m
}

// SocketGroup gives the group that may use the engine's socket.
func SocketGroup(path string) (gid int, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, failed(path, "cannot look at the engine's socket", "is Docker installed and running?", err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode()&os.ModeSocket == 0 {
		return 0, failed(path, "is no socket", "is Docker installed and running?", nil)
	}
	return int(st.Gid), nil
}

// DiskFree gives what an ordinary user may still write at path, or where its
// nearest parent is that exists.
func DiskFree(path string) (free, total uint64, err error) {
	st, err := statfs(path)
	if err != nil {
		return 0, 0, failed(path, "cannot tell the free space", "", err)
	}
	size := uint64(st.Bsize)
	return st.Bavail * size, st.Blocks * size, nil
}

// CgroupVersion is 2 on any current system, 1 on old or hybrid ones.
func CgroupVersion() (int, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs("/sys/fs/cgroup", &st); err != nil {
		return 0, failed("cgroups", "cannot look at /sys/fs/cgroup", "", err)
	}
	if int64(st.Type) == cgroup2Magic {
		return 2, nil
	}
	return 1, nil
}

// bytesText gives a size for people.
func bytesText(n uint64) string {
	const unit = 1024
	if n < unit*unit {
		return fmt.Sprintf("%d KiB", n/unit)
	}
	value, suffix := float64(n)/(unit*unit), "MiB"
	for _, next := range []string{"GiB", "TiB"} {
		if value < unit {
			break
		}
		value, suffix = value/unit, next
	}
	return fmt.Sprintf("%.1f %s", value, suffix)
}

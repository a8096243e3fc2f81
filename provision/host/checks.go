package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/croft-sh/croft/stacks"
)

const (
	gib           = 1 << 30
	diskTooLittle = 2 * gib
	diskLow       = 10 * gib
	memoryLow     = 2 * gib
)

func (p Preflight) rights(context.Context) Result {
	if os.Geteuid() == 0 {
		return ok("root")
	}
	const readWrite = 6
	if err := syscall.Access(p.Socket, readWrite); err != nil {
		return fail("run as root (sudo croft ...), or join the group of "+p.Socket, "neither root nor allowed to use %s", p.Socket)
	}
	return warn("run as root for a service that survives a reboot",
		"a user who may use Docker: no units at boot, no files given to other users; secrets are kept under the runtime directory")
}

func (p Preflight) engine(ctx context.Context) Result {
	if p.Engine == nil {
		return warn("", "not checked")
	}
	version, err := p.Engine(ctx)
	if err != nil {
		return fail("start it: systemctl start docker; is the socket the right one (DOCKER_HOST)?", "the engine does not answer: %v", err)
	}
	return ok("version %s", version)
}

func (p Preflight) ports(context.Context) Result {
	listeners, err := Listening()
	if err != nil {
		return warn("", "%v", err)
	}
	if taken := takenPorts(p.Ports, p.Held, listeners); len(taken) > 0 {
		return fail("stop the program, or choose other ports (croft stack info shows the option)", "%s", strings.Join(taken, "; "))
	}
	return ok("%d ports wanted, all free", len(p.Ports))
}

// takenPorts tells which wanted ports somebody else holds.
func takenPorts(wanted, held []stacks.PublishedPort, listeners []Listener) []string {
	var out []string
	for _, w := range wanted {
		if heldByUs(w, held) {
			continue
		}
		for _, l := range listeners {
			if l.Addr.Port() != w.Port || l.Protocol != protocolOf(w) || !meets(w.HostIP, l.Addr.Addr()) {
				continue
			}
			by := "another program"
			if l.Program != "" {
				by = fmt.Sprintf("%s (process %d)", l.Program, l.PID)
			}
			out = append(out, fmt.Sprintf("port %d/%s is taken by %s on %s", w.Port, protocolOf(w), by, l.Addr))
			break
		}
	}
	return out
}

func protocolOf(p stacks.PublishedPort) string {
	if p.Protocol == "" {
		return "tcp"
	}
	return p.Protocol
}

func heldByUs(w stacks.PublishedPort, held []stacks.PublishedPort) bool {
	for _, h := range held {
		if h.Port == w.Port && protocolOf(h) == protocolOf(w) && (h.HostIP == w.HostIP || anyAddress(h.HostIP)) {
			return true
		}
	}
	return false
}

func anyAddress(ip string) bool { return ip == "" || ip == "0.0.0.0" || ip == "::" }

// meets tells whether two cannot listen side by side.
func meets(hostIP string, taken netip.Addr) bool {
	if anyAddress(hostIP) || taken.IsUnspecified() {
		return true
	}
	a, err := netip.ParseAddr(hostIP)
	return err != nil || a.Unmap() == taken
}

func (p Preflight) disk(context.Context) Result {
	worst := ok("no storage yet")
	var details []string
	for _, root := range append([]string{p.Paths.State}, p.Storage...) {
		if root == "" {
			continue
		}
		free, total, err := DiskFree(root)
		if err != nil {
			return fail("is the file system mounted?", "%v", err)
		}
		details = append(details, fmt.Sprintf("%s: %s of %s free", root, bytesText(free), bytesText(total)))
		r := diskResult(root, free)
		if worst.State == OK || (worst.State == Warning && r.State == Failed) {
			worst = r
		}
	}
	if len(details) > 0 {
		worst.Detail = strings.Join(details, "; ")
	}
	return worst
}

func diskResult(root string, free uint64) Result {
	const hint = "croft clean --dry-run says what could go from "
	switch {
	case free < diskTooLittle:
		return fail(hint+root, "")
	case free < diskLow:
		return warn(hint+root, "")
	}
	return ok("")
}

func (p Preflight) memory(context.Context) Result {
	m, err := ReadMachine()
	if err != nil {
		return warn("", "%v", err)
	}
	detail := fmt.Sprintf("%s, %s available, %d CPUs", bytesText(m.MemoryTotal), bytesText(m.MemoryAvailable), m.CPUs)
	if m.MemoryTotal < memoryLow {
		return warn("choose few stacks: the small default set needs about 1 GiB", "%s", detail)
	}
	return ok("%s", detail)
}

func (p Preflight) tmpfs(context.Context) Result {
	if p.Paths.Run == "" {
		return fail("log in as this user so that XDG_RUNTIME_DIR is set, or run croft as root", "there is no place in memory for secrets")
	}
	m, mounted := mountAt(p.Paths.Run)
	if OnTmpfs(p.Paths.Run) != nil {
		if os.Geteuid() == 0 {
			return ok("%s will be mounted by apply", p.Paths.Run)
		}
		return fail("XDG_RUNTIME_DIR must be on a tmpfs", "%s is on a disk", p.Paths.Run)
	}
	facts, err := ReadMachine()
	if (mounted && m.has("noswap")) || (err == nil && facts.SwapTotal == 0) {
		return ok("%s is in memory and is never swapped out", p.Paths.Run)
	}
	return warn("encrypt the swap, or use a kernel from 6.4 on", "%s is in memory, but may be swapped out to a disk", p.Paths.Run)
}

func (p Preflight) stateDirectory(context.Context) Result {
	info, err := os.Stat(p.Paths.State)
	if errors.Is(err, fs.ErrNotExist) {
		return ok("%s will be made", p.Paths.State)
	}
	if err != nil {
		return fail("run as the user who owns it", "%v", err)
	}
	st, isUnix := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return fail("move it away", "%s is no directory", p.Paths.State)
	case isUnix && int(st.Uid) != os.Geteuid():
		return fail(fmt.Sprintf("chown %d %s, or run as its owner", os.Geteuid(), p.Paths.State), "%s belongs to uid %d", p.Paths.State, st.Uid)
	case info.Mode().Perm()&0o077 != 0:
		return fail("chmod 0700 "+p.Paths.State, "%s can be entered by others (mode %04o)", p.Paths.State, info.Mode().Perm())
	}
	return ok("%s", p.Paths.State)
}

func (p Preflight) platformFiles(context.Context) Result {
	if p.Dir == "" || os.Geteuid() != 0 {
		return ok("not needed")
	}
	err := PlatformFiles(p.Dir, p.Owners)
	for dir, files := range p.Adopted {
		if err == nil {
			err = AdoptedFiles(dir, files, p.Owners)
		}
	}
	if err != nil {
		hint := ""
		var problem stacks.Problem
		if errors.As(err, &problem) {
			hint = problem.Hint
		}
		return fail(hint, "%v", err)
	}
	return ok("only root and its owners may write %s", p.Dir)
}

// boot tells what follows a restart of the machine.
func (p Preflight) boot(context.Context) Result {
	switch {
	case !Systemd():
		return warn("after a restart of the machine run croft boot; croft schedule show says what to do before Docker starts",
			"no systemd: nothing fills the memory for secrets at boot, and containers that read them do not start")
	case os.Geteuid() != 0:
		return warn("after a restart of the machine run croft boot", "without root there are no units that start with the machine")
	case len(p.Units) == 0:
		return ok("systemd runs; croft schedule install makes the units of a platform")
	}
	dir := p.UnitDir
	if dir == "" {
		dir = UnitDir
	}
	if missing := MissingUnits(dir, p.Units); len(missing) > 0 {
		return warn("croft schedule install", "not there as they should be: %s; after a restart of the machine, containers that read secrets do not start",
			strings.Join(missing, ", "))
	}
	return ok("%s are installed", strings.Join(unitNamesOf(p.Units), ", "))
}

func unitNamesOf(units []Unit) []string {
	out := make([]string, len(units))
	for i, u := range units {
		out[i] = u.Name
	}
	return out
}

// clockFloor is before the first release: a clock behind it was never set.
func clockFloor() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

func (p Preflight) clock(context.Context) Result {
	const hint = "set the time: timedatectl set-ntp true"
	now := p.Now().UTC()
	if now.Before(clockFloor()) {
		return fail(hint, "the clock says %s: certificates and sign-in codes would be wrong", now.Format(time.RFC3339))
	}
	if info, err := os.Stat(p.Paths.Journal); err == nil && info.ModTime().After(now.Add(24*time.Hour)) {
		return warn(hint, "the clock says %s, but the journal was written at %s", now.Format(time.RFC3339), info.ModTime().UTC().Format(time.RFC3339))
	}
	const unsynchronised = 5 // TIME_ERROR of adjtimex(2)
	if state, err := syscall.Adjtimex(&syscall.Timex{}); err == nil && state == unsynchronised {
		return warn(hint, "%s; the kernel does not know of a time server", now.Format(time.RFC3339))
	}
	return ok("%s, synchronised", now.Format(time.RFC3339))
}

func (p Preflight) cgroups(context.Context) Result {
	v, err := CgroupVersion()
	if err != nil {
		return warn("", "%v", err)
	}
	if v == 1 {
		return warn("boot with systemd.unified_cgroup_hierarchy=1", "version 1: limits hold, but figures on memory and pressure are coarse")
	}
	return ok("version 2")
}

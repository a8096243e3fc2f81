package host

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Routes gives the subnets that this machine reaches or is in, without the
// default route and loopback: a network of croft's must not overlap one. Docker's
// own networks are among them, croft's too. Routes in other tables than the main
// one (some VPNs) are seen by their interface's address only.
func Routes() ([]netip.Prefix, error) {
	raw, err := os.ReadFile("/proc/net/route")
	if err != nil {
		return nil, failed("routes", "cannot read /proc/net/route", "", err)
	}
	found := parseRoutes(string(raw))
	// All at once: asked for each interface, the kernel lists them all each time.
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, failed("routes", "cannot list network interfaces", "", err)
	}
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() {
			found = append(found, p.Masked())
		}
	}
	slices.SortFunc(found, netip.Prefix.Compare)
	return slices.Compact(found), nil
}

// parseRoutes reads /proc/net/route; lines it does not understand are skipped.
func parseRoutes(text string) []netip.Prefix {
	var out []netip.Prefix
	for line := range strings.SplitSeq(text, "\n") {
		f := strings.Fields(line)
		if len(f) < 8 {
			continue
		}
		dest, okD := hexAddr(f[1])
		mask, okM := hexAddr(f[7])
		if !okD || !okM || !dest.Is4() || !mask.Is4() {
			continue
		}
		m := mask.As4()
		ones, bits := net.IPMask(m[:]).Size()
		if bits == 0 || ones == 0 { // not a mask; the default route
			continue
		}
		if p := netip.PrefixFrom(dest, ones).Masked(); !p.Addr().IsLoopback() {
			out = append(out, p)
		}
	}
	return out
}

// hexAddr reads an address as the kernel prints it: 32-bit words in the byte
// order of a little-endian machine.
func hexAddr(s string) (netip.Addr, bool) {
	raw, err := hex.DecodeString(s)
	if err != nil || (len(raw) != 4 && len(raw) != 16) {
		return netip.Addr{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		slices.Reverse(raw[i : i+4])
	}
	a, ok := netip.AddrFromSlice(raw)
	return a.Unmap(), ok
}

// Listener is a port of this machine that a program waits on.
type Listener struct {
	Protocol string         `json:"protocol"` // tcp, udp
	Addr     netip.AddrPort `json:"addr"`
	PID      int            `json:"pid,omitempty"` // 0: not readable
	Program  string         `json:"program,omitempty"`
	inode    string
}

// Listening gives the open ports, with their owner where /proc shows it (root
// sees all). Ports that the engine forwards without a proxy process are not
// among them: no socket belongs to those.
func Listening() ([]Listener, error) {
	var out []Listener
	for _, source := range []struct{ file, protocol, state string }{
		{"/proc/net/tcp", "tcp", "0A"}, {"/proc/net/tcp6", "tcp", "0A"},
		{"/proc/net/udp", "udp", "07"}, {"/proc/net/udp6", "udp", "07"},
	} {
		raw, err := os.ReadFile(source.file)
		if os.IsNotExist(err) { // no IPv6
			continue
		}
		if err != nil {
			return nil, failed("ports", "cannot read "+source.file, "", err)
		}
		out = append(out, parseSockets(string(raw), source.protocol, source.state)...)
	}
	nameOwners(out)
	return out, nil
}

// parseSockets reads /proc/net/tcp and its siblings.
func parseSockets(text, protocol, state string) []Listener {
	var out []Listener
	for line := range strings.SplitSeq(text, "\n") {
		f := strings.Fields(line)
		if len(f) < 10 || f[3] != state {
			continue
		}
		addr, port, ok := strings.Cut(f[1], ":")
		a, okA := hexAddr(addr)
		p, err := strconv.ParseUint(port, 16, 16)
		if !ok || !okA || err != nil {
			continue
		}
		out = append(out, Listener{Protocol: protocol, Addr: netip.AddrPortFrom(a, uint16(p)), inode: f[9]})
	}
	return out
}

// nameOwners looks for the sockets among the open files of all processes. What
// cannot be read stays without an owner.
func nameOwners(listeners []Listener) {
	wanted := map[string][]int{}
	for i, l := range listeners {
		link := fmt.Sprintf("socket:[%s]", l.inode)
		wanted[link] = append(wanted[link], i)
	}
	files, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return // the pattern is constant
	}
	for _, file := range files {
		link, err := os.Readlink(file)
		if err != nil || wanted[link] == nil {
			continue
		}
		dir := filepath.Dir(filepath.Dir(file))
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		name, err := os.ReadFile(filepath.Join(dir, "comm"))
		if err != nil {
			continue
		}
		for _, i := range wanted[link] {
			// The parent that passed a socket on has the lower number.
			if listeners[i].PID == 0 || pid < listeners[i].PID {
				listeners[i].PID, listeners[i].Program = pid, strings.TrimSpace(string(name))
			}
		}
	}
}

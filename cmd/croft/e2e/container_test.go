//go:build e2e

package e2e

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// container is what docker inspect tells about one container, as far as the
// tests need it.
type container struct {
	ID    string `json:"Id"`
	Name  string
	State struct {
		Pid    int
		Status string
		Health *struct{ Status string }
	}
	RestartCount int
	Config       struct {
		Image  string
		Labels map[string]string
	}
	HostConfig struct {
		NetworkMode  string
		Privileged   bool
		PortBindings map[string][]portBinding
	}
	NetworkSettings struct {
		Ports    map[string][]portBinding
		Networks map[string]struct{ IPAddress, Gateway string }
	}
}

type portBinding struct{ HostIp, HostPort string }

func (c container) stack() string   { return c.Config.Labels["croft.stack"] }
func (c container) service() string { return c.Config.Labels["com.docker.compose.service"] }
func (c container) String() string  { return c.stack() + "/" + c.service() }

// containers gives every container of the platform, running or not.
func (p *platform) containers(t *testing.T) []container {
	t.Helper()
	ids := strings.Fields(docker(t, "ps", "-aq", "--no-trunc", "--filter", "label=croft.platform="+p.name))
	if len(ids) == 0 {
		return nil
	}
	all := decode[[]container](t, docker(t, append([]string{"inspect"}, ids...)...))
	slices.SortFunc(all, func(a, b container) int { return strings.Compare(a.String(), b.String()) })
	return all
}

func (p *platform) container(t *testing.T, stack, service string) container {
	t.Helper()
	for _, c := range p.containers(t) {
		if c.stack() == stack && c.service() == service {
			return c
		}
	}
	t.Fatalf("there is no container of %s/%s", stack, service)
	return container{}
}

// addresses gives the container's IPv4 addresses by network.
func (c container) addresses() map[string]netip.Addr {
	out := map[string]netip.Addr{}
	for network, n := range c.NetworkSettings.Networks {
		if a, err := netip.ParseAddr(n.IPAddress); err == nil {
			out[network] = a
		}
	}
	return out
}

// listening gives what the container's processes listen on, from the kernel's
// own tables; a loopback address is nobody's business but its own.
func (c container) listening(t *testing.T) []netip.AddrPort {
	t.Helper()
	var out []netip.AddrPort
	for _, file := range []string{"tcp", "tcp6"} {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", c.State.Pid, file))
		if err != nil {
			t.Fatalf("%s: %v", c, err)
		}
		for _, line := range strings.Split(string(raw), "\n") {
			fields := strings.Fields(line)
			const listen = "0A"
			if len(fields) < 4 || fields[3] != listen {
				continue
			}
			if ap := socketAddress(t, fields[1]); !ap.Addr().IsLoopback() && !slices.Contains(out, ap) {
				out = append(out, ap)
			}
		}
	}
	return out
}

// socketAddress reads "0100007F:1F90" and its IPv6 form: words in host order.
func socketAddress(t *testing.T, text string) netip.AddrPort {
	t.Helper()
	host, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(host)
	if err != nil {
		t.Fatalf("%q in the kernel's table: %v", text, err)
	}
	for i := 0; i+4 <= len(raw); i += 4 {
		slices.Reverse(raw[i : i+4])
	}
	addr, ok := netip.AddrFromSlice(raw)
	n, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil {
		t.Fatalf("%q in the kernel's table", text)
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(n))
}

// reachable gives every address and port under which others might reach it.
func (c container) reachable(t *testing.T) []netip.AddrPort {
	t.Helper()
	var out []netip.AddrPort
	for _, l := range c.listening(t) {
		for _, a := range c.addresses() {
			if l.Addr().IsUnspecified() || l.Addr() == a {
				if ap := netip.AddrPortFrom(a, l.Port()); !slices.Contains(out, ap) {
					out = append(out, ap)
				}
			}
		}
	}
	return out
}

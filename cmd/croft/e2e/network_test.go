//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v4"
)

// declared is what the stacks of a platform say about who needs whom, read
// anew from their files: the test does not ask croft.
type declared map[string]declaration // by stack

type declaration struct {
	Services map[string]any `yaml:"services"`
	X        *struct {
		Serves []string `yaml:"serves"`
		Hub    string   `yaml:"hub"`
		Entry  []string `yaml:"entry"`
		Routes map[string]struct {
			Service string `yaml:"service"`
			Port    uint16 `yaml:"port"`
		} `yaml:"routes"`
		Metrics []struct {
			Service string `yaml:"service"`
			Port    uint16 `yaml:"port"`
		} `yaml:"metrics"`
		Databases map[string]struct {
			Engine  string `yaml:"engine"`
			Service string `yaml:"service"`
		} `yaml:"databases"`
	} `yaml:"x-croft"`
}

func (p *platform) declared(t *testing.T) declared {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(p.dir, "stacks", "*", "compose.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no stacks in %s: %v", p.dir, err)
	}
	out := declared{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d declaration
		if err := yaml.Unmarshal(raw, &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		out[filepath.Base(filepath.Dir(file))] = d
	}
	return out
}

// only gives the service that is meant where none is named.
func (d declaration) only(service string) string {
	if service == "" && len(d.Services) == 1 {
		for name := range d.Services {
			return name
		}
	}
	return service
}

// isHub tells whether a container serves something to all stacks.
func (d declared) isHub(c container, what string) bool {
	x := d[c.stack()].X
	return x != nil && x.Hub == c.service() && slices.Contains(x.Serves, what)
}

// databasePorts are those of the engines that stacks may ask for.
var databasePorts = map[string]uint16{"postgres": 5432, "valkey": 6379}

// need says why a container may reach a port of another, or "".
func (d declared) need(from, to container, port uint16) string {
	source, target := d[from.stack()], d[to.stack()]
	if target.X != nil {
		for _, r := range target.X.Routes {
			if target.only(r.Service) == to.service() && r.Port == port && d.isHub(from, "routes") {
				return "route"
			}
		}
		for _, m := range target.X.Metrics {
			if target.only(m.Service) == to.service() && m.Port == port && d.isHub(from, "metrics") {
				return "metrics"
			}
		}
	}
	if source.X != nil {
		for _, db := range source.X.Databases {
			if source.only(db.Service) == from.service() && databasePorts[db.Engine] == port && d.isHub(to, db.Engine) {
				return "database"
			}
		}
		routed := slices.Contains(source.X.Entry, from.service())
		for _, r := range source.X.Routes {
			routed = routed || source.only(r.Service) == from.service()
		}
		if routed && d.isHub(to, "routes") && published(to, port) {
			return "entry"
		}
	}
	return ""
}

// serves tells whether one serves the other, so that they share a network. A
// network has no direction: on it the server reaches whatever the program
// listens on there. The catalogue's programs listen on one address alone; of
// others croft cannot know. docs/decisions/0011 says so.
func (d declared) serves(server, to container) bool {
	x := d[to.stack()].X
	if x == nil {
		return false
	}
	for _, db := range x.Databases {
		if d[to.stack()].only(db.Service) == to.service() && d.isHub(server, db.Engine) {
			return true
		}
	}
	for _, m := range x.Metrics {
		if d[to.stack()].only(m.Service) == to.service() && d.isHub(server, "metrics") {
			return true
		}
	}
	for _, r := range x.Routes {
		if d[to.stack()].only(r.Service) == to.service() && d.isHub(server, "routes") {
			return true
		}
	}
	return false
}

// published tells whether the port is one of the container's public ones.
func published(c container, port uint16) bool {
	return len(c.HostConfig.PortBindings[fmt.Sprintf("%d/tcp", port)]) > 0
}

// together tells whether an address of a container is on a network that another
// one of the same stack is on too: the stack's own business.
func together(from, to container, addr netip.Addr) bool {
	if from.stack() == "" || from.stack() != to.stack() {
		return false
	}
	for network, a := range to.addresses() {
		if _, on := from.NetworkSettings.Networks[network]; on && a == addr {
			return true
		}
	}
	return false
}

func TestContainersReachOnlyWhatIsDeclared(t *testing.T) {
	p := shared(t)
	dial := farm(t, "echo")
	needs, all := p.declared(t), p.containers(t)

	type target struct {
		to   container
		addr netip.AddrPort
	}
	var targets []target
	for _, c := range all {
		for _, ap := range c.reachable(t) {
			targets = append(targets, target{c, ap})
		}
	}
	if len(targets) < len(all) {
		t.Fatalf("only %d listening addresses of %d containers found", len(targets), len(all))
	}

	found := make([]map[netip.AddrPort]bool, len(all))
	var wait sync.WaitGroup
	slots := make(chan struct{}, 24)
	for i, from := range all {
		found[i] = map[netip.AddrPort]bool{}
		var lock sync.Mutex
		var addrs []netip.AddrPort
		for _, tg := range targets {
			if tg.to.ID != from.ID {
				addrs = append(addrs, tg.addr)
			}
		}
		const atOnce = 6
		for chunk := range slices.Chunk(addrs, atOnce) {
			wait.Add(1)
			slots <- struct{}{}
			go func() {
				defer func() { <-slots; wait.Done() }()
				open, err := dialFrom(from, dial, chunk)
				if err != nil {
					t.Errorf("from %s: %v", from, err)
				}
				lock.Lock()
				defer lock.Unlock()
				for _, ap := range open {
					found[i][ap] = true
				}
			}()
		}
	}
	wait.Wait()

	connections, ways, declaredOnes := 0, 0, map[string]int{}
	for i, from := range all {
		reached := map[string]bool{} // a declared need is met on one address at least
		wanted := map[string]string{}
		for _, tg := range targets {
			if tg.to.ID == from.ID {
				continue
			}
			why := needs.need(from, tg.to, tg.addr.Port())
			key := fmt.Sprintf("%s port %d", tg.to, tg.addr.Port())
			if why != "" {
				wanted[key] = why
			}
			if !found[i][tg.addr] {
				continue
			}
			connections++
			reached[key] = true
			if why != "" || together(from, tg.to, tg.addr.Addr()) {
				continue
			}
			if needs.serves(from, tg.to) && slices.Contains(ownStacks, tg.to.stack()) {
				ways++
				continue
			}
			t.Errorf("%s reaches %s at %s, which nothing declares", from, tg.to, tg.addr)
		}
		for key, why := range wanted {
			declaredOnes[why]++
			if !reached[key] {
				t.Errorf("%s does not reach %s, which it needs (%s)", from, key, why)
			}
		}
	}
	t.Logf("%d containers, %d listening addresses, %d connections, declared: %v", len(all), len(targets), connections, declaredOnes)
	t.Logf("a server reaches a program it serves, on another port than declared: %d", ways)
	for _, why := range []string{"route", "metrics", "database", "entry"} {
		if declaredOnes[why] == 0 {
			t.Errorf("nothing declares a need of kind %q: this test sees too little", why)
		}
	}
}

// dialFrom tries addresses from within a container's network namespace and
// gives those that accept a connection.
func dialFrom(c container, dial string, addrs []netip.AddrPort) ([]netip.AddrPort, error) {
	args := []string{"-t", strconv.Itoa(c.State.Pid), "-n", dial, "dial"}
	for _, a := range addrs {
		args = append(args, a.String())
	}
	out, err := exec.Command("nsenter", args...).Output()
	if err != nil {
		return nil, fmt.Errorf("nsenter: %w: %s", err, stderrOf(err))
	}
	var open []netip.AddrPort
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != len(addrs) {
		return nil, fmt.Errorf("%d answers for %d addresses", len(lines), len(addrs))
	}
	for _, line := range lines {
		state, addr, _ := strings.Cut(line, " ")
		if state != "open" {
			continue
		}
		ap, err := netip.ParseAddrPort(addr)
		if err != nil {
			return nil, err
		}
		open = append(open, ap)
	}
	return open, nil
}

// TestNobodyReachesThePlatformByWayOfTheMachine: a container knows the machine as its
// gateway; nothing of the platform answers there.
func TestNobodyReachesThePlatformByWayOfTheMachine(t *testing.T) {
	p := shared(t)
	dial := farm(t, "echo")
	for _, c := range p.containers(t) {
		var addrs []netip.AddrPort
		for _, n := range c.NetworkSettings.Networks {
			gateway, err := netip.ParseAddr(n.Gateway)
			if err != nil {
				continue
			}
			for _, port := range []int{p.https, p.http} {
				addrs = append(addrs, netip.AddrPortFrom(gateway, uint16(port)))
			}
		}
		if len(addrs) == 0 {
			continue
		}
		open, err := dialFrom(c, dial, addrs)
		if err != nil {
			t.Fatal(err)
		}
		for _, ap := range open {
			t.Errorf("%s reaches the platform at %s", c, ap)
		}
	}
}

func TestNothingIsPublishedBeyondTheDeclaredPorts(t *testing.T) {
	p := shared(t)
	want := map[string]bool{
		fmt.Sprintf("127.0.0.1:%d", p.https): true,
		fmt.Sprintf("127.0.0.1:%d", p.http):  true,
	}
	got := map[string]bool{}
	for _, c := range p.containers(t) {
		if c.HostConfig.NetworkMode == "host" {
			t.Errorf("%s is on the host's network", c)
		}
		if c.HostConfig.Privileged {
			t.Errorf("%s is privileged", c)
		}
		for port, bindings := range c.NetworkSettings.Ports {
			for _, b := range bindings {
				at := net.JoinHostPort(b.HostIp, b.HostPort)
				got[at] = true
				if !want[at] {
					t.Errorf("%s publishes %s at %s", c, port, at)
				}
			}
		}
	}
	for at := range want {
		if !got[at] {
			t.Errorf("nothing is published at %s", at)
		}
	}
	// What the machine itself says, of any process.
	host := container{Name: "host"}
	host.State.Pid = 1
	for _, ap := range host.listening(t) {
		if int(ap.Port()) == p.https || int(ap.Port()) == p.http {
			t.Errorf("the machine listens on %s", ap)
		}
	}
}

package host

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/croft-sh/croft/stacks"
)

func TestParseRoutes(t *testing.T) {
	text := `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	010200C0	0003	0	0	0	00000000	0	0	0
docker0	000011AC	00000000	0001	0	0	0	0000FFFF	0	0	0
eth0	000200C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
wg0	0100000A	00000000	0005	0	0	0	FFFFFFFF	0	0	0
odd	000200C0	00000000	0001	0	0	0	00FF00FF	0	0	0
short	1
`
	want := []string{"172.17.0.0/16", "192.0.2.0/24", "10.0.0.1/32"}
	var got []string
	for _, p := range parseRoutes(text) {
		got = append(got, p.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestParseSockets(t *testing.T) {
	text := `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 121 1 0 100 0 0 10 0
   1: 0100007F:0051 0100007F:D2F0 01 00000000:00000000 00:00000000 00000000     0        0 122 1 0 100 0 0 10 0
   2: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 123 1 0
   3: 0000000000000000FFFF00000100007F:01BB 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 124 1 0
   4: zz:zz 0:0 0A a b c d e f
`
	var got []string
	for _, l := range parseSockets(text, "tcp", "0A") {
		got = append(got, l.Addr.String()+" "+l.inode)
	}
	want := []string{"127.0.0.1:80 121", "[::]:8080 123", "127.0.0.1:443 124"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestListening(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	all, err := Listening()
	if err != nil {
		t.Fatal(err)
	}
	port := uint16(l.Addr().(*net.TCPAddr).Port)
	i := slices.IndexFunc(all, func(x Listener) bool { return x.Protocol == "tcp" && x.Addr.Port() == port })
	if i < 0 || all[i].PID != os.Getpid() || all[i].Program == "" {
		t.Errorf("own listener not found in %v", all)
	}
	p := Preflight{Ports: []stacks.PublishedPort{{HostIP: "127.0.0.1", Port: port, Protocol: "tcp"}}}
	if r := p.ports(t.Context()); r.State != Failed || !strings.Contains(r.Detail, all[max(i, 0)].Program) {
		t.Errorf("%+v", r)
	}
	p.Held = p.Ports
	if r := p.ports(t.Context()); r.State != OK {
		t.Errorf("held by us: %+v", r)
	}
}

func TestTakenPorts(t *testing.T) {
	at := func(protocol, addr string) Listener {
		return Listener{Protocol: protocol, Addr: netip.MustParseAddrPort(addr)}
	}
	want := func(ip string, port uint16, protocol string) stacks.PublishedPort {
		return stacks.PublishedPort{HostIP: ip, Port: port, Protocol: protocol}
	}
	for _, c := range []struct {
		name   string
		wanted stacks.PublishedPort
		held   []stacks.PublishedPort
		on     Listener
		taken  bool
	}{
		{"same address", want("127.0.0.1", 80, "tcp"), nil, at("tcp", "127.0.0.1:80"), true},
		{"other address", want("127.0.0.1", 80, "tcp"), nil, at("tcp", "192.0.2.1:80"), false},
		{"other port", want("", 80, "tcp"), nil, at("tcp", "0.0.0.0:81"), false},
		{"other protocol", want("", 53, "udp"), nil, at("tcp", "0.0.0.0:53"), false},
		{"udp", want("", 53, "udp"), nil, at("udp", "127.0.0.53:53"), true},
		{"they have all", want("127.0.0.1", 80, ""), nil, at("tcp", "[::]:80"), true},
		{"we want all", want("0.0.0.0", 80, ""), nil, at("tcp", "127.0.0.1:80"), true},
		{"ours", want("127.0.0.1", 80, ""), []stacks.PublishedPort{want("0.0.0.0", 80, "tcp")}, at("tcp", "0.0.0.0:80"), false},
		{"ours is on another address", want("0.0.0.0", 80, ""), []stacks.PublishedPort{want("127.0.0.1", 80, "tcp")}, at("tcp", "192.0.2.1:80"), true},
	} {
		if got := takenPorts([]stacks.PublishedPort{c.wanted}, c.held, []Listener{c.on}); (len(got) == 1) != c.taken {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestParseMeminfo(t *testing.T) {
	m := parseMeminfo("MemTotal:       24684084 kB\nMemAvailable:  1024 kB\nSwapTotal: 0 kB\nNonsense\nMemFree: x\n")
	if m.MemoryTotal != 24684084<<10 || m.MemoryAvailable != 1<<20 || m.SwapTotal != 0 {
		t.Errorf("%+v", m)
	}
	for n, want := range map[uint64]string{512 << 10: "512 KiB", 3 << 19: "1.5 MiB", 5 << 30: "5.0 GiB", 7 << 40: "7.0 TiB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}

func TestParseMounts(t *testing.T) {
	got := parseMounts("36 35 98:0 / /mnt\\040a rw,noatime master:1 - tmpfs croft rw,size=1k,noswap\nbroken\n1 2 3:4 / /b rw - ext4 /dev/sda rw\n")
	if len(got) != 2 || got[0].point != "/mnt a" || !got[0].has("noswap") || got[0].has("no") || got[1].kind != "ext4" {
		t.Errorf("%+v", got)
	}
}

func TestChecksOnThisMachine(t *testing.T) {
	state := t.TempDir()
	_ = os.Chmod(state, 0o700)
	p := Preflight{
		Paths:   PathsFor("croft-test", PathOptions{Root: true, State: state}),
		Storage: []string{filepath.Join(state, "not", "made", "yet")},
		Engine:  func(context.Context) (string, error) { return "", errors.New("connection refused") },
	}
	for _, f := range RunChecks(t.Context(), p.Checks()) {
		t.Logf("%-16s %-8s %s | %s", f.Name, f.State, f.Detail, f.Hint)
		if f.State != OK && f.State != Warning && f.State != Failed {
			t.Errorf("%s has state %q", f.Name, f.State)
		}
		if f.State == Failed && f.Hint == "" {
			t.Errorf("%s failed without a hint", f.Name)
		}
		if f.Name == "engine" && f.State != Failed {
			t.Error("the engine was reached")
		}
	}
}

func TestStateDirectoryCheck(t *testing.T) {
	state := filepath.Join(t.TempDir(), "s")
	p := Preflight{Paths: Paths{State: state}}
	if r := p.stateDirectory(t.Context()); r.State != OK {
		t.Errorf("missing: %+v", r)
	}
	_ = os.Mkdir(state, 0o700)
	if r := p.stateDirectory(t.Context()); r.State != OK {
		t.Errorf("private: %+v", r)
	}
	_ = os.Chmod(state, 0o755)
	if r := p.stateDirectory(t.Context()); r.State != Failed {
		t.Errorf("open: %+v", r)
	}
	if os.Geteuid() == 0 {
		_ = os.Chmod(state, 0o700)
		_ = os.Chown(state, 1000, 1000)
		if r := p.stateDirectory(t.Context()); r.State != Failed || !strings.Contains(r.Detail, "1000") {
			t.Errorf("of another: %+v", r)
		}
	}
}

func TestClockCheck(t *testing.T) {
	p := Preflight{Now: func() time.Time { return time.Unix(0, 0) }}
	if r := p.clock(t.Context()); r.State != Failed {
		t.Errorf("1970: %+v", r)
	}
	journal := filepath.Join(t.TempDir(), "j")
	_ = os.WriteFile(journal, nil, 0o600)
	back := clockFloor().Add(time.Hour)
	_ = os.Chtimes(journal, time.Time{}, back.Add(48*time.Hour))
	p = Preflight{Paths: Paths{Journal: journal}, Now: func() time.Time { return back }}
	if r := p.clock(t.Context()); r.State != Warning || !strings.Contains(r.Detail, "journal") {
		t.Errorf("went back: %+v", r)
	}
}

func TestDiskResult(t *testing.T) {
	for free, want := range map[uint64]CheckState{1 << 30: Failed, 2 << 30: Warning, 9 << 30: Warning, 10 << 30: OK} {
		if r := diskResult("/x", free); r.State != want {
			t.Errorf("%d: %+v", free, r)
		}
	}
}

func TestRunChecksGivesUp(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	got := RunChecks(ctx, []Check{{"hangs", func(context.Context) Result { select {} }}})
	if got[0].State != Failed {
		t.Errorf("%+v", got)
	}
}

func TestPlatformFiles(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("is about root")
	}
	make := func(t *testing.T) string {
		dir := t.TempDir()
		_ = os.MkdirAll(filepath.Join(dir, "stacks", "a"), 0o755)
		_ = os.WriteFile(filepath.Join(dir, "croft.yaml"), nil, 0o644)
		_ = os.WriteFile(filepath.Join(dir, "stacks", "a", "compose.yaml"), nil, 0o644)
		return dir
	}
	if err := PlatformFiles(make(t), nil); err != nil {
		t.Fatalf("a clean one: %v", err)
	}
	for name, spoil := range map[string]func(dir string){
		"file for all":     func(d string) { _ = os.Chmod(filepath.Join(d, "croft.yaml"), 0o666) },
		"file for a group": func(d string) { f := filepath.Join(d, "croft.yaml"); _ = os.Chown(f, 0, 7); _ = os.Chmod(f, 0o664) },
		"directory":        func(d string) { _ = os.Chmod(filepath.Join(d, "stacks", "a"), 0o777) },
		"owner":            func(d string) { _ = os.Chown(filepath.Join(d, "stacks", "a", "compose.yaml"), 1000, 1000) },
		"itself":           func(d string) { _ = os.Chmod(d, 0o777) },
		"hooks": func(d string) {
			_ = os.MkdirAll(filepath.Join(d, ".git", "hooks"), 0o755)
			_ = os.Chmod(filepath.Join(d, ".git", "hooks"), 0o777)
		},
		"link to another's": func(d string) {
			f := filepath.Join(d, "other")
			_ = os.WriteFile(f, nil, 0o666)
			_ = os.Chmod(f, 0o666)
			_ = os.Symlink(f, filepath.Join(d, "stacks", "a", "link"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := make(t)
			spoil(dir)
			if err := PlatformFiles(dir, nil); err == nil {
				t.Error("was accepted")
			}
		})
	}
	dir := make(t)
	_ = os.Chown(filepath.Join(dir, "croft.yaml"), 61000, 61000)
	_ = os.Chmod(filepath.Join(dir, "croft.yaml"), 0o664)
	if err := PlatformFiles(dir, []int{61000}); err != nil {
		t.Errorf("of the one who ran sudo: %v", err)
	}
}

func TestFactsHere(t *testing.T) {
	routes, err := Routes()
	t.Log(routes, err)
	if err != nil {
		t.Error(err)
	}
	m, err := ReadMachine()
	if err != nil || m.CPUs == 0 {
		t.Errorf("%+v, %v", m, err)
	}
	if free, total, err := DiskFree("/no/such/place"); err != nil || free == 0 || total < free {
		t.Errorf("%d of %d, %v", free, total, err)
	}
	if _, err := SocketGroup("/etc/passwd"); err == nil {
		t.Error("a file is no socket")
	}
	if gid, err := SocketGroup("/var/run/docker.sock"); err == nil {
		t.Log("docker group", gid)
	}
}

func FuzzKernelTables(f *testing.F) {
	f.Add("a 000011AC 0 1 0 0 0 0000FFFF\n0: 0100007F:0050 0 0A 1 2 3 4 5 6\n1 2 3 4 /\\040 x - tmpfs a b\n")
	f.Fuzz(func(t *testing.T, text string) {
		parseRoutes(text)
		parseSockets(text, "tcp", "0A")
		parseMounts(text)
		parseMeminfo(text)
		if all, err := parsePlatforms("f", text); err == nil {
			for _, p := range all {
				if p.Name == "" || !filepath.IsAbs(p.Dir) {
					t.Errorf("%q", p)
				}
			}
		}
	})
}

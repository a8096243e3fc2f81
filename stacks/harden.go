package stacks

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// Bounds of what x-croft brings, above half of which a service is given more.
const (
	usualMemory = 256 << 20
	usualPids   = 256
)

// Seen is what was seen of a service, to propose answers that fit it. The zero
// value has seen nothing.
type Seen struct {
	Image     bool   // its image was looked at: ImageUser and Checked are known
	ImageUser string // as the image says; "" is root
	Checked   bool   // it has a health check, if only the image's
	Running   bool   // what follows is known
	UIDs      []int  // of its processes, the main one first
	GID       int    // of the main one
	Wrote     []string
	Memory    int64
	Pids      int
	Ended     bool // it ran to its end with exit code 0
	// Probe is a command that was seen to succeed in it.
	Probe []string
}

// Hardening is what is proposed for a plain stack: an x-croft block, which brings
// the defaults, the answers that its services need, and lines of their own.
type Hardening struct {
	Title    string
	Jobs     []string
	Services []HardenedService
}

// HardenedService is what is proposed for one service.
type HardenedService struct {
	Name   string       `json:"name"`
	Seen   bool         `json:"seen"` // running
	Answer HardenSpec   `json:"answer"`
	Lines  []HardenLine `json:"lines"`
	Notes  []string     `json:"notes"`
}

// HardenLine is a key of Compose that the author did not set.
type HardenLine struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
}

// ProposeHardening says how a plain stack gets the defaults of x-croft. What its
// author set is never part of it.
func ProposeHardening(s *Stack, seen map[string]Seen) Hardening {
	h := Hardening{Title: titleOf(s.Name)}
	for _, name := range s.Project.ServiceNames() {
		p := proposal{svc: s.Project.Services[name], seen: seen[name], out: HardenedService{Name: name, Lines: []HardenLine{}, Notes: []string{}}}
		p.out.Seen = p.seen.Running
		p.user()
		p.files()
		p.limits()
		p.check()
		if p.job() {
			h.Jobs = append(h.Jobs, name)
		}
		h.Services = append(h.Services, p.out)
	}
	return h
}

func titleOf(name string) string {
	return strings.ToUpper(name[:1]) + strings.ReplaceAll(name[1:], "-", " ")
}

// proposal is under way for one service.
type proposal struct {
	svc  types.ServiceConfig
	seen Seen
	out  HardenedService
}

func (p *proposal) note(format string, args ...any) {
	p.out.Notes = append(p.out.Notes, fmt.Sprintf(format, args...))
}

func (p *proposal) line(key string, value any) {
	p.out.Lines = append(p.out.Lines, HardenLine{key, value})
}

func (p *proposal) why(text string) {
	if p.out.Answer.Why != "" {
		text = p.out.Answer.Why + "; " + text
	}
	p.out.Answer.Why = text
}

// user decides about root, the capabilities that it evidently needs, and the
// number of a user that the image only names.
func (p *proposal) user() {
	user := firstText(p.svc.User, p.seen.ImageUser)
	switch {
	case p.svc.Privileged:
		p.note("it is privileged: x-croft leaves its capabilities alone")
	case p.svc.User == "" && !p.seen.Image:
		p.note("its image is not here, so nothing is known of its user: one that starts as root and changes to another needs caps: [CHOWN, DAC_OVERRIDE, FOWNER, SETGID, SETUID]")
	case isRoot(user):
		p.root()
	case p.svc.User == "" && !isNumber(user) && p.seen.Running && len(p.seen.UIDs) > 0 && p.seen.UIDs[0] > 0:
		p.line("user", fmt.Sprintf("%d:%d", p.seen.UIDs[0], p.seen.GID))
		p.note("it runs as %s, which is %d:%d here: as numbers, so that it can be given secrets; other groups of that user do not come along", user, p.seen.UIDs[0], p.seen.GID)
	case p.svc.User != "" && !isNumber(user):
		p.note("user: %s stays as it is; files of secrets need a numeric one", user)
	}
	if p.svc.NetworkMode == "host" && !p.svc.Privileged {
		p.note("it shares the host's network: below port 1024 it needs caps: [NET_BIND_SERVICE]")
	}
}

func (p *proposal) root() {
	p.out.Answer.Root = true
	others := slices.DeleteFunc(slices.Clone(p.seen.UIDs), func(uid int) bool { return uid == 0 })
	if len(p.svc.CapDrop) > 0 {
		p.why("starts as root")
		return // its author chose the capabilities
	}
	drops := []string{"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"}
	switch {
	case !p.seen.Running:
		p.out.Answer.Caps = drops
		p.why("its image starts as root; it was not seen running, and may need none of these")
	case len(others) == 0:
		p.why("runs as root all the time")
		p.note("it keeps no capability: should it fail on files of other users, answer caps: [DAC_OVERRIDE], or give it a user")
	case len(others) < len(p.seen.UIDs):
		p.out.Answer.Caps = append([]string{"CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL"}, "SETGID", "SETUID")
		p.why(fmt.Sprintf("a process of root looks after others that run as %d", others[0]))
	default:
		p.out.Answer.Caps = drops
		p.why(fmt.Sprintf("starts as root and changes to user %d by itself", others[0]))
	}
}

// files decides whether the root file system can be read-only.
func (p *proposal) files() {
	if p.svc.ReadOnly {
		return
	}
	if !p.seen.Running {
		p.note("not seen running: besides its volumes it may write to /tmp alone; if it writes elsewhere, answer writable: true")
		return
	}
	var dirs, rest []string
	for _, file := range p.seen.Wrote {
		switch dir := memoryDir(file); {
		case p.mounted(file):
		case dir == "":
			rest = append(rest, file)
		case !slices.Contains(dirs, dir):
			dirs = append(dirs, dir)
		}
	}
	switch {
	case len(rest) == 0 && len(dirs) == 0:
		p.note("it has written nothing outside of its volumes and /tmp so far")
	case len(rest) == 0 && len(p.svc.Tmpfs) == 0:
		slices.Sort(dirs)
		p.line("tmpfs", dirs)
		p.note("it has written to %s: in memory from now on, empty after each start", strings.Join(dirs, ", "))
	default:
		p.out.Answer.Writable = true
		rest = append(rest, dirs...)
		slices.Sort(rest)
		shown := strings.Join(rest[:min(3, len(rest))], ", ")
		if more := len(rest) - 3; more > 0 {
			shown += fmt.Sprintf(" and %d more", more)
		}
		p.why("has written to " + shown)
	}
}

// mounted tells whether a path lies in what is mounted anyway, or only leads there.
func (p *proposal) mounted(file string) bool {
	targets := []string{"/tmp", "/dev", "/proc", "/sys"}
	for _, v := range p.svc.Volumes {
		targets = append(targets, v.Target)
	}
	for _, t := range p.svc.Tmpfs {
		dir, _, _ := strings.Cut(t, ":")
		targets = append(targets, dir)
	}
	for _, c := range p.svc.Configs {
		targets = append(targets, firstText(c.Target, "/"+c.Source))
	}
	for range p.svc.Secrets {
		targets = append(targets, "/run/secrets")
	}
	return slices.ContainsFunc(targets, func(t string) bool { return within(path.Clean(t), file) || within(file, path.Clean(t)) })
}

// memoryDir gives the directory that may live in memory for a path: what lies
// there is worth nothing after a restart. "" for any other.
func memoryDir(file string) string {
	for _, root := range []string{"/run", "/var/run", "/var/cache", "/var/tmp", "/var/lock"} {
		rest, below := strings.CutPrefix(file, root+"/")
		switch {
		case !below:
		case root == "/var/run": // a link to /run in most images
			return memoryDir("/run/" + rest)
		case strings.Contains(rest, "/"):
			first, _, _ := strings.Cut(rest, "/")
			return root + "/" + first
		case root == "/var/cache":
			return file
		default:
			return root
		}
	}
	return ""
}

func (p *proposal) limits() {
	if p.svc.Deploy != nil && p.svc.Deploy.Resources.Limits != nil || !p.seen.Running {
		return
	}
	if p.svc.MemLimit == 0 && p.seen.Memory > usualMemory/2 {
		const step = 128 << 20
		mib := (2*p.seen.Memory + step - 1) / step * step >> 20
		p.line("mem_limit", fmt.Sprintf("%dm", mib))
		p.note("it uses %d MB now: twice that, instead of 256 MB", p.seen.Memory>>20)
	}
	if p.svc.PidsLimit == 0 && p.seen.Pids > usualPids/2 {
		p.line("pids_limit", (2*p.seen.Pids+63)/64*64)
		p.note("it has %d processes and threads now: twice that, instead of 256", p.seen.Pids)
	}
}

func (p *proposal) check() {
	switch {
	case p.svc.HealthCheck != nil || p.seen.Checked || p.seen.Ended:
	case len(p.seen.Probe) > 0:
		p.line("healthcheck", map[string]any{"test": append([]string{"CMD"}, p.seen.Probe...), "interval": "30s", "timeout": "5s", "retries": 5, "start_period": "30s"})
		p.note("%s was tried in it and succeeds", strings.Join(p.seen.Probe, " "))
	default:
		p.note("no health check is known: its gate is ten seconds without a restart; a healthcheck with a program of the image says more")
	}
}

func (p *proposal) job() bool {
	if p.svc.Restart != "" || p.svc.Deploy != nil && p.svc.Deploy.RestartPolicy != nil {
		return false
	}
	if p.seen.Ended {
		p.note("it ran to its end: it is a job")
	}
	return p.seen.Ended
}

func firstText(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}

func isRoot(user string) bool {
	name, _, _ := strings.Cut(user, ":")
	return name == "" || name == "root" || name == "0"
}

func isNumber(user string) bool {
	name, _, _ := strings.Cut(user, ":")
	_, err := strconv.Atoi(name)
	return err == nil
}

// HealthProbes gives commands that tell whether a service answers, the most
// telling first. Whether one works is seen by running it.
func HealthProbes(svc types.ServiceConfig) [][]string {
	out := [][]string{
		{"pg_isready", "-q", "-h", "127.0.0.1"}, {"redis-cli", "ping"}, {"valkey-cli", "ping"},
	}
	var ports []string
	for _, p := range svc.Ports {
		if p.Protocol != "udp" {
			ports = append(ports, strconv.Itoa(int(p.Target)))
		}
	}
	ports = append(ports, svc.Expose...)
	for i, port := range ports {
		if slices.Contains(ports[:i], port) {
			continue
		}
		url := "http://127.0.0.1:" + port + "/"
		out = append(out, []string{"wget", "-q", "-O", "/dev/null", url}, []string{"curl", "-fsS", "-o", "/dev/null", url})
	}
	return out
}

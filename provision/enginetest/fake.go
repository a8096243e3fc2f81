// Package enginetest stands in for a container engine in tests: Fake keeps
// containers, networks, volumes and images in memory, and RunEngine is the
// contract that Fake and the real engine both pass.
//
// It is for tests alone and starts nothing.
package enginetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/stacks"
)

// Engine is all of the engine that package provision knows.
type Engine interface {
	provision.Engine
	provision.Networks
	provision.Containers
	provision.Repairs
	Adopt(projects map[string]string)
	provision.Halts
}

var _ Engine = (*Fake)(nil)

// Behaviour says how containers turn out. The zero value runs, and is healthy
// where the service has a health check.
type Behaviour struct {
	Health      string // unhealthy or starting; "" is healthy
	HealthLog   string
	Exit        *int // it ended with this code
	Restarts    int
	Logs        string
	CreateError error // Up fails with it and this service is untouched
	StartError  error // Up fails with it; the old container is gone, the new one only created
	Exec        func(cmd []string, stdin string) provision.ExecResult
	Started     func() // what the program does first, as to its data
}

// Exited is a Behaviour.Exit.
func Exited(code int) *int { return &code }

// Fake is an engine in memory. It is safe for use by several goroutines.
type Fake struct {
	mu         sync.Mutex
	made       int // counts IDs and start times
	calls      []string
	failures   map[string]error
	behaviours map[string]Behaviour
	unknown    map[string]bool // references that no registry has
	served     registry
	containers map[string]*box
	networks   map[string]stacks.Network
	internal   map[string]bool
	volumes    map[string]stacks.Volume
	images     map[string]string
	adopted    map[string]string   // Compose project -> stack
	declared   map[string][]string // image reference -> paths it declares as volumes
	root       string              // where volumes without a name lie
}

// box is one container.
type box struct {
	stacks.Container
	hash    string
	number  int
	started time.Time
	fail    string // why it could not start
	checked bool   // has a health check
	behaves Behaviour
	signals []string
	aliases map[string][]string
	policy  string
}

// New gives an engine with nothing on it, whose registry has every image.
func New() *Fake {
	return &Fake{
		failures: map[string]error{}, behaviours: map[string]Behaviour{}, unknown: map[string]bool{},
		containers: map[string]*box{}, networks: map[string]stacks.Network{}, internal: map[string]bool{},
		volumes: map[string]stacks.Volume{}, images: map[string]string{}, served: registry{}, declared: map[string][]string{},
	}
}

// id gives the next ID, which looks like one of an engine.
func (f *Fake) id(of string) string {
	f.made++
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", of, f.made))
	return hex.EncodeToString(sum[:])
}

// called records a call and gives the failure set for it.
func (f *Fake) called(ctx context.Context, parts ...string) error {
	call := strings.Join(parts, " ")
	f.calls = append(f.calls, call)
	if err := ctx.Err(); err != nil {
		return err
	}
	return f.failure(call)
}

func (f *Fake) failure(call string) error {
	for prefix, err := range f.failures {
		if call == prefix || strings.HasPrefix(call, prefix+" ") {
			return err
		}
	}
	return nil
}

// Calls gives what was asked of the engine, in order, one line each:
// "observe home", "pull nginx:1", "up home-gitea db,web", "up home-gitea/web"
// for each service Up comes to, "remove <name>", "create-network home-front",
// "remove-network home-front", "connect home-front <container name> alias,...",
// "inspect", "start <name>", "exec <name> cmd...", "signal <name> HUP", "tail <name>".
func (f *Fake) Calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.calls...)
}

// Forget forgets the calls so far.
func (f *Fake) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = nil
}

// Fail makes every call that is, or begins with the words of, call fail; a nil
// err ends that. "up home-gitea/web" fails when Up comes to that service.
func (f *Fake) Fail(call string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		delete(f.failures, call)
		return
	}
	f.failures[call] = err
}

// Behave says how containers made from now on turn out. of is "project/service",
// or an image reference, with which one version of a service can fail and the
// other not. What is said of a service goes before what is said of its image.
func (f *Fake) Behave(of string, b Behaviour) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.behaviours[of] = b
	if strings.Contains(of, ":") {
		f.behaviours[normal(of)] = b
	}
}

// AddContainer puts a container there that Up did not make, and gives its ID.
func (f *Fake) AddContainer(c stacks.Container) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.ID == "" {
		c.ID = f.id(c.Name)
	}
	if c.State == "" {
		c.State = "running"
	}
	f.containers[c.ID] = &box{Container: c, number: 1, started: f.now(), aliases: map[string][]string{}}
	return c.ID
}

// AddNetwork puts a network there that was made by hand, in place of one of
// that name, and gives its ID.
func (f *Fake) AddNetwork(n stacks.Network) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n.ID == "" {
		n.ID = f.id(n.Name)
	}
	f.networks[n.Name] = n
	f.internal[n.Name] = n.Internal
	return n.ID
}

// AddVolume puts a volume there.
func (f *Fake) AddVolume(v stacks.Volume) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.volumes[v.Name] = v
}

// Container gives the only container of a service, "" as ID where there is none.
func (f *Fake) Container(project, service string) stacks.Container {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range f.of(project, service) {
		return b.shown()
	}
	return stacks.Container{}
}

// Set changes a container as time would: its state, health and exit code.
func (f *Fake) Set(id, state, health string, exit int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b := f.containers[id]; b != nil {
		b.State, b.Health, b.ExitCode = state, health, exit
	}
}

// Signals gives the signals a container got.
func (f *Fake) Signals(id string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b := f.containers[id]; b != nil {
		return append([]string(nil), b.signals...)
	}
	return nil
}

// Aliases gives the names a container was joined to a network with.
func (f *Fake) Aliases(id, network string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b := f.containers[id]; b != nil {
		return append([]string(nil), b.aliases[network]...)
	}
	return nil
}

// Volumes gives the names of all volumes, sorted.
func (f *Fake) Volumes() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]string, 0, len(f.volumes))
	for name := range f.volumes {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}

// now gives a time that passes with everything made, so that tests are the
// same each time.
func (f *Fake) now() time.Time {
	f.made++
	return time.Date(2026, 1, 1, 0, 0, f.made, 0, time.UTC)
}

// of gives the containers of a service by number.
func (f *Fake) of(project, service string) []*box {
	var out []*box
	for _, b := range f.containers {
		if b.Project == project && b.Service == service && !b.OneOff {
			out = append(out, b)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].number < out[j].number })
	return out
}

// join puts the container on a network.
func (b *box) join(network, id string) {
	b.Networks = append(b.Networks, network)
	if b.NetworkIDs == nil {
		b.NetworkIDs = map[string]string{}
	}
	b.NetworkIDs[network] = id
}

// shown is what a list shows of a container.
func (b *box) shown() stacks.Container {
	c := b.Container
	c.Restarts = 0
	c.Networks = append([]string{}, c.Networks...)
	sort.Strings(c.Networks)
	c.NetworkIDs = maps.Clone(c.NetworkIDs)
	return c
}

// normal gives references one form, as far as tests write them.
func normal(ref string) string {
	ref = strings.TrimPrefix(strings.TrimPrefix(ref, "docker.io/"), "library/")
	last := ref[strings.LastIndex(ref, "/")+1:]
	if name, digest, ok := strings.Cut(ref, "@"); ok {
		if i := strings.LastIndex(name, ":"); i > strings.LastIndex(name, "/") {
			name = name[:i]
		}
		return name + "@" + digest
	}
	if !strings.Contains(last, ":") {
		return ref + ":latest"
	}
	return ref
}

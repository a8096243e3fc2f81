package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/provision/docker"
	"github.com/croft-sh/croft/provision/host"
	"github.com/croft-sh/croft/provision/secrets"
	"github.com/croft-sh/croft/stacks"
)

// machine is a platform together with the engine it runs on.
type machine struct {
	*platform
	app    *app
	engine *docker.Engine
	prov   *provision.Provisioner
}

// connect finds the platform, then the engine.
func (a *app) connect(ctx context.Context) (*machine, error) {
	p, err := a.openPlatform()
	if err != nil {
		return nil, err
	}
	m, err := a.connectTo(ctx, p)
	if err != nil {
		p.close()
		return nil, err
	}
	if p.broken != nil {
		a.note("warning: %s is not valid; croft validate says why", stacks.PlatformFile)
	}
	return m, nil
}

func (a *app) connectTo(ctx context.Context, p *platform) (*machine, error) {
	engine, err := docker.Dial(ctx)
	if err != nil {
		return nil, err
	}
	prov := a.offline(p)
	if p.broken != nil { // what was adopted is known from the last apply alone
		if prov.Adopted, err = prov.AppliedProjects(); err != nil {
			return nil, errJoin(err, engine.Close())
		}
	}
	engine.Adopt(prov.Adopted)
	prov.Engine, prov.Networks, prov.Containers = engine, engine, engine
	prov.Repairs, prov.Volumes, prov.Registries, prov.Halts = engine, host.Aside{}, engine, engine
	prov.Databases = provision.Postgres{Containers: engine}
	prov.Watch = engine.Watch
	return &machine{platform: p, app: a, engine: engine, prov: prov}, nil
}

func (m *machine) close() {
	_ = m.engine.Close() // its connections end with the program
	m.platform.close()
}

// offline makes a Provisioner that can do what needs no engine.
func (a *app) offline(p *platform) *provision.Provisioner {
	return &provision.Provisioner{
		Platform: p.Name, StateDir: p.paths.State, RunDir: p.paths.Run, UsersDir: p.paths.Users,
		Adopted:    p.AdoptedProjects(),
		Secrets:    p.keeper(a.now),
		WriteFile:  host.WriteFile,
		MakeVolume: p.makeVolume,
		PortHolder: portHolder,
		Journal:    func(entry any) error { return host.Append(p.paths.Journal, entry) },
		Routes:     host.Routes,
		Leases:     host.Leases{Dir: p.paths.Leases},
		Now:        a.now,
		InputSum:   p.sum,
		Program:    host.Program(),
	}
}

// keeper keeps the platform's secrets.
func (p *platform) keeper(now func() time.Time) *secrets.Keeper {
	return &secrets.Keeper{File: p.paths.SecretsFile, HostKey: p.paths.HostKey, Dir: p.paths.Secrets,
		Domain: p.BaseDomain(), Write: host.WriteFile, Guard: host.OnTmpfs, Now: now}
}

// rendered gives what would run. It looks at the state, but needs no engine.
func (a *app) rendered(_ context.Context, p *platform, d stacks.Desired) (stacks.Rendered, error) {
	r, _, err := a.offline(p).Render(d)
	return r, err
}

// lock keeps other runs of croft away from the machine.
func (m *machine) lock() (release func(), err error) { return host.Acquire(m.paths.Flock) }

// makeReady brings what an apply stands on: the state directory, a key where
// there are no secrets yet, memory for secrets, the first account. All of it is
// there already after the first time.
func (m *machine) makeReady(d stacks.Desired) error {
	if err := host.MkdirAll(m.paths.State, 0o700); err != nil {
		return err
	}
	if err := ensureKey(m.paths); err != nil {
		return err
	}
	if err := m.register(); err != nil {
		return err
	}
	if _, err := host.MountTmpfs(m.paths.Run); err != nil {
		return err
	}
	account, err := m.app.seedAdmin(d, m.paths)
	if err != nil {
		return err
	}
	m.app.showAccount(account)
	return nil
}

// register writes a platform down that was made without init. One that is known
// elsewhere stays there: this may be another work tree of it.
func (m *machine) register() error {
	known, err := host.KnownPlatforms(m.paths.Platforms)
	if err != nil {
		return err
	}
	for _, k := range known {
		if k.Name == m.Name && needPlatformFile(k.Dir, "") == nil {
			return nil
		}
	}
	return host.AddPlatform(m.paths.Platforms, host.Known{Name: m.Name, Dir: m.dir})
}

// ensureKey makes the host key, unless there are secrets: those need the key
// that they were encrypted to.
func ensureKey(paths host.Paths) error {
	if _, err := os.Lstat(paths.SecretsFile); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_, err := secrets.EnsureHostKey(paths.HostKey)
	return err
}

// inputs is what the admin wrote, as it is kept with the revision.
func (m *machine) inputs(d stacks.Desired) (map[string][]byte, error) {
	text, err := fs.ReadFile(m.files(), stacks.PlatformFile)
	if err != nil {
		return nil, err
	}
	in := map[string][]byte{stacks.PlatformFile: text}
	for _, s := range d.Stacks {
		for _, f := range s.Files {
			in[path.Join(stacksDir, s.Name, f.Path)] = f.Content
		}
	}
	return in, nil
}

// makeVolume makes a volume's directory below the storage root it belongs to.
func (p *platform) makeVolume(dir, owner string) error {
	for _, class := range []string{"databases", "projects", "containers"} {
		if root := p.Root(class); within(root, dir) {
			return ensureVolume(root, dir, owner)
		}
	}
	// Made below a root that croft.yaml does not name any more: it stays there.
	return ensureVolume(filepath.Dir(dir), dir, owner)
}

// ensureVolume lets the owner in, and his group; without an owner it is as the
// engine makes its own volumes.
func ensureVolume(root, dir, owner string) error {
	mode := fs.FileMode(0o750)
	if owner == "" {
		mode = 0o755
	}
	_, err := host.EnsureDir(root, dir, owner, mode)
	return err
}

// within tells whether dir lies below root.
func within(root, dir string) bool {
	rel, err := filepath.Rel(root, dir)
	return err == nil && rel != "." && filepath.IsLocal(rel)
}

// portHolder names the program that holds a port of this machine, "" for none.
func portHolder(p stacks.PublishedPort) string {
	listeners, err := host.Listening()
	if err != nil {
		return "" // then the engine says it
	}
	for _, l := range listeners {
		if l.Addr.Port() != p.Port || l.Protocol != p.Protocol || !sameAddress(p.HostIP, l.Addr.Addr()) {
			continue
		}
		if l.Program != "" {
			return fmt.Sprintf("%s (process %d)", l.Program, l.PID)
		}
		return "another program"
	}
	return ""
}

// sameAddress tells whether two cannot listen side by side.
func sameAddress(hostIP string, taken netip.Addr) bool {
	a, err := netip.ParseAddr(hostIP)
	return err != nil || a.IsUnspecified() || taken.IsUnspecified() || a.Unmap() == taken.Unmap()
}

// preflight refuses what would fail half way. Ports are in the plan.
func (m *machine) preflight(ctx context.Context) error {
	stopping := map[string]bool{"rights": true, "disk": true, "tmpfs": true, "state-directory": true, "platform-files": true, "clock": true}
	var checks []host.Check
	for _, c := range m.app.preflightOf(m.platform).Checks() {
		if stopping[c.Name] {
			checks = append(checks, c)
		}
	}
	for _, f := range host.RunChecks(ctx, checks) {
		if f.State == host.Failed {
			return &refusedError{err: fmt.Errorf("%s: %s", f.Name, f.Detail), hint: f.Hint}
		}
	}
	return nil
}

// preflightOf is what the checks of the machine need to know.
func (a *app) preflightOf(p *platform) host.Preflight {
	pre := host.Preflight{Paths: p.paths, Dir: p.dir, Now: a.now, Adopted: adoptedFiles(p.Platform),
		Storage: []string{p.Storage.Containers, p.Storage.Projects, p.Storage.Databases}}
	if socket, ok := strings.CutPrefix(a.env["DOCKER_HOST"], "unix://"); ok {
		pre.Socket = socket
	}
	if uid, err := strconv.Atoi(a.env["SUDO_UID"]); err == nil {
		pre.Owners = []int{uid}
	}
	return pre
}

package main

import (
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/croft-sh/croft/provision/host"
	"github.com/croft-sh/croft/stacks"
)

// platform is a platform's directory, opened: nothing outside of it can be
// reached through it, not by a symlink either.
type platform struct {
	stacks.Platform
	dir   string
	root  *os.Root
	paths host.Paths
	facts map[string]string
	// broken says what is wrong with croft.yaml; then only Name is known.
	broken error
}

// openPlatform finds the platform and reads croft.yaml.
func (a *app) openPlatform() (*platform, error) {
	dir, err := a.findPlatform()
	if err != nil {
		return nil, err
	}
	return a.openPlatformIn(dir)
}

func (a *app) openPlatformIn(dir string) (*platform, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, &noPlatformError{why: fmt.Sprintf("cannot open the platform: %v", err), hint: "check its rights, or run croft as root"}
	}
	read, problems := stacks.LoadPlatform(root.FS())
	broken := problems.Err()
	if broken != nil {
		// What runs can be looked at and stopped all the same, if it is known
		// under which name it runs.
		name := a.knownAs(dir)
		if name == "" {
			return nil, errJoin(broken, root.Close())
		}
		read = stacks.Platform{Name: name}
	}
	p := &platform{Platform: read, dir: dir, root: root, paths: a.pathsFor(read.Name), broken: broken}
	p.facts = a.facts(p.paths)
	return p, nil
}

// knownAs gives the name under which a directory was set up, or nothing.
func (a *app) knownAs(dir string) string {
	known, err := host.KnownPlatforms(a.pathsFor("").Platforms)
	if err != nil {
		return "" // then croft.yaml's own problem is the one to tell
	}
	for _, k := range known {
		if k.Dir == dir {
			return k.Name
		}
	}
	return ""
}

func (p *platform) close() {
	if p.root != nil { // a boot does without
		_ = p.root.Close() // was only read
	}
}

func (p *platform) files() fs.FS { return p.root.FS() }

// desired reads and checks everything as it is written. Warnings are in Desired.
func (p *platform) desired() (stacks.Desired, error) { return p.load(nil) }

// load is desired with some stacks taken from elsewhere: it is a
// [provision.Loader].
func (p *platform) load(instead map[string]fs.FS) (stacks.Desired, error) {
	if p.broken != nil {
		return stacks.Desired{}, p.broken
	}
	d, problems := stacks.LoadDesired(p.files(), p.loadOptions(instead))
	if err := problems.Err(); err != nil {
		return stacks.Desired{}, err
	}
	d.Warnings = append(d.Warnings, problems.Warnings()...)
	return d, nil
}

func (p *platform) loadOptions(instead map[string]fs.FS) stacks.LoadOptions {
	return stacks.LoadOptions{Dir: p.dir, Facts: p.facts, Instead: instead, Machine: machineFiles()}
}

// machineFiles is where adopted projects are read: they lie anywhere.
func machineFiles() fs.FS { return os.DirFS("/") }

// sum names what load would read for these stacks.
func (p *platform) sum(stackNames []string) (string, error) {
	return stacks.InputSum(p.files(), stackNames, p.loadOptions(nil))
}

// stackNames gives the stacks of the platform that match what was typed; none
// typed means all.
func stackNames(d stacks.Desired, wanted []string) error {
	for _, name := range wanted {
		if _, ok := d.Stack(name); !ok {
			return noSuchStack(name, d)
		}
	}
	return nil
}

func noSuchStack(name string, d stacks.Desired) error {
	names := make([]string, len(d.Stacks))
	for i, s := range d.Stacks {
		names[i] = s.Name
	}
	return &usageError{err: fmt.Errorf("the platform has no stack %q", name),
		hint: "it has " + strings.Join(names, ", ")}
}

// facts is what Compose files may know of the machine.
func (a *app) facts(paths host.Paths) map[string]string {
	facts := map[string]string{"CROFT_USERS_DIR": paths.Users, "CROFT_DOCKER_GID": "0"}
	socket, ok := strings.CutPrefix(a.env["DOCKER_HOST"], "unix://")
	if !ok {
		socket = defaultSocket
	}
	// Where there is no engine yet, 0 stands in: nothing is applied without one.
	if gid, err := host.SocketGroup(socket); err == nil {
		facts["CROFT_DOCKER_GID"] = strconv.Itoa(gid)
	}
	return facts
}

// defaultSocket is where the engine listens unless DOCKER_HOST says otherwise.
const defaultSocket = "/var/run/docker.sock"

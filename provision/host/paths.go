package host

import "path/filepath"

// PathOptions is what the caller read from flags and environment.
type PathOptions struct {
	State      string // --state or CROFT_STATE: the state directory itself; "" for the usual place
	Run        string // another run directory, for tests; "" for the usual place
	Root       bool   // croft runs as root
	Home       string // HOME
	StateHome  string // XDG_STATE_HOME
	ConfigHome string // XDG_CONFIG_HOME
	RuntimeDir string // XDG_RUNTIME_DIR
}

// Paths is where a platform's things are on this machine. All are absolute.
type Paths struct {
	Name        string
	State       string // 0700
	LiveRoot    string
	Revisions   string
	SecretsFile string
	Users       string // directory of Authelia's users file
	Lock        string // lock.json: subnets, places, images
	Journal     string
	Flock       string // held by whoever changes the machine
	Leases      string // a file a stack, locked by who works on it
	Checkouts   string
	Cache       string
	Run         string // tmpfs; "" where a user has no runtime directory
	Secrets     string // <run>/secrets/<stack>/<service>/<secret>
	HostKey     string
	Policy      string // what commits may not grant themselves
	Platforms   string // known platforms
}

// Live is the directory of what runs of one stack.
func (p Paths) Live(stack string) string { return filepath.Join(p.LiveRoot, stack) }

// SecretFile is where one service of a stack reads one secret.
func (p Paths) SecretFile(stack, service, secret string) string {
	return filepath.Join(p.Secrets, stack, service, secret)
}

// PathsFor gives the places of the platform of that name, which stacks has
// checked already. A state directory that was asked for takes the host key and
// the known platforms with it, so that nothing outside of it is touched.
func PathsFor(name string, opt PathOptions) Paths {
	state, config := opt.state(name), opt.config()
	p := Paths{
		Name:        name,
		State:       state,
		LiveRoot:    filepath.Join(state, "live"),
		Revisions:   filepath.Join(state, "revisions"),
		SecretsFile: filepath.Join(state, "secrets.age"),
		Users:       filepath.Join(state, "users"),
		Lock:        filepath.Join(state, "lock.json"),
		Journal:     filepath.Join(state, "journal.jsonl"),
		Flock:       filepath.Join(state, "flock"),
		Leases:      filepath.Join(state, "leases"),
		Checkouts:   filepath.Join(state, "checkouts"),
		Cache:       filepath.Join(state, "cache"),
		Run:         opt.run(name),
		HostKey:     filepath.Join(config, name+".key"),
		Policy:      filepath.Join(config, name+".policy"),
		Platforms:   filepath.Join(config, "platforms"),
	}
	if p.Run != "" {
		p.Secrets = filepath.Join(p.Run, "secrets")
	}
	if opt.State != "" {
		p.HostKey = filepath.Join(state, "host.key")
		p.Policy = filepath.Join(state, "host.policy")
		p.Platforms = filepath.Join(state, "platforms")
	}
	return p
}

func (o PathOptions) state(name string) string {
	switch {
	case o.State != "":
		return absolute(o.State)
	case o.Root:
		return filepath.Join("/var/lib/croft", name)
	case o.StateHome != "":
		return filepath.Join(absolute(o.StateHome), "croft", name)
	}
	return filepath.Join(absolute(o.Home), ".local/state/croft", name)
}

func (o PathOptions) config() string {
	switch {
	case o.Root:
		return "/etc/croft"
	case o.ConfigHome != "":
		return filepath.Join(absolute(o.ConfigHome), "croft")
	}
	return filepath.Join(absolute(o.Home), ".config/croft")
}

// run gives "" for a user without a runtime directory: MountTmpfs then says
// what is missing, and no secret is put on a disk instead.
func (o PathOptions) run(name string) string {
	switch {
	case o.Run != "":
		return absolute(o.Run)
	case o.Root:
		return filepath.Join("/run/croft", name)
	case o.RuntimeDir != "":
		return filepath.Join(absolute(o.RuntimeDir), "croft", name)
	}
	return ""
}

// absolute is needed because the engine resolves bind sources itself. Abs fails
// only where the current directory is gone, and then every later step fails
// with a better message.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return filepath.Clean(path)
}

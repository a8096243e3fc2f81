package stacks

// Rendered is what would run: per stack an ordinary Compose project and the
// configuration files beside it, and the networks that stacks share. It is a
// value; the same inputs give the same bytes.
type Rendered struct {
	Platform string
	Stacks   []RenderedStack // in dependency order
	Networks []SharedNetwork // sorted by name
	Warnings Problems
}

// Stack gives one stack by name.
func (r Rendered) Stack(name string) (RenderedStack, bool) {
	for _, s := range r.Stacks {
		if s.Name == name {
			return s, true
		}
	}
	return RenderedStack{}, false
}

// RenderedStack is one Compose project and its files.
type RenderedStack struct {
	Name    string
	Project string // Compose project: <platform>-<stack>
	Wave    int    // stacks of one wave do not need each other; 0 goes first
	Files   []RenderedFile
	Volumes []RenderedVolume
	// Networks are those that its own Compose file makes.
	Networks []RenderedNetwork
	// Services in dependency order.
	Services []RenderedService
	Setup    []Setup
	// Adopted says that the project ran before croft did: its volumes and networks
	// are as its author has them. Plain, that its services are too, so that only
	// the hashes of docker compose tell whether one differs.
	Adopted, Plain bool
	Hashes         []ComposeNetwork // of a plain one's own networks, sorted by name
	// Disposable is what backup.volumes says skip of.
	Disposable []string
	// Databases are those it has on shared servers.
	Databases []RenderedDatabase
}

// Compose gives the text of compose.yaml.
func (s RenderedStack) Compose() []byte {
	for _, f := range s.Files {
		if f.Path == ComposeFile {
			return f.Content
		}
	}
	return nil
}

// Service gives one service by name.
func (s RenderedStack) Service(name string) (RenderedService, bool) {
	for _, svc := range s.Services {
		if svc.Name == name {
			return svc, true
		}
	}
	return RenderedService{}, false
}

// ComposeFile is the name under which a stack's rendered project is written.
const ComposeFile = "compose.yaml"

// RenderedFile is a file under live/<stack>/.
type RenderedFile struct {
	Path    string // slash path within the stack's live directory
	Content []byte
	Mode    uint32 // permission bits
}

// RenderedNetwork is a network of one project.
type RenderedNetwork struct {
	Name     string // on the engine
	Subnet   string // CIDR; "" leaves it to the engine
	Internal bool
}

// RenderedVolume is a named volume: a directory under a storage root.
type RenderedVolume struct {
	Key   string // "<stack>/<volume>" in the lock
	Name  string // the volume's name on the engine
	Path  string // absolute host directory; "" for one that croft does not place
	Class string // containers, projects, databases
	Owner string // "uid:gid"; "" leaves what the engine copies from the image
	// Kept says that it is an adopted project's: croft never makes or moves it.
	Kept bool
}

// RenderedService is what decides about one service.
type RenderedService struct {
	Name      string
	Container string // container_name, where its author gave one
	Image     string // reference
	Build     bool   // built here, not pulled
	Spec      string // hash of the rendered service
	Files     string // hash of the mounted files it cannot reload
	Secrets   string // keyed fingerprint of its secrets
	// Reload is the hash of what it takes without being recreated: files it
	// reloads and what its setup commands read. "" if there is nothing.
	Reload      string
	Signal      string   // makes it read them again; "" if it watches them
	ConfigPaths []string // live files behind Files, sorted
	ReloadPaths []string // live files behind Reload, sorted
	Grants      []Grant
	Networks    []string // names on the engine that its own Compose file attaches
	Hubs        []string // shared networks that croft joins it to after it started
	DependsOn   []string // services of the same stack
	// Volumes are the keys of the stack's volumes that it mounts.
	Volumes []string
	// Follows names services whose network, process or volume space it shares: it
	// would stay on a dead container when they are replaced.
	Follows []string
	// Restarts names services with which it is restarted when they are replaced.
	Restarts []string
	Job      bool // runs to the end; exit 0 is success
	Healthy  bool // has a health check
	// Mounts is data that it can write and that croft did not place.
	Mounts []RenderedMount
	// Stateless is declared: it changes no data of other services.
	Stateless bool
	HostNet   bool // uses the host's network, and so reaches every service
	Ports     []PublishedPort
	Replicas  int
	// Compose is what docker compose hashes of a service of a plain stack.
	Compose ComposeText
}

// PublishedPort is a port opened on the host.
type PublishedPort struct {
	HostIP   string `json:"host_ip"`
	Port     uint16 `json:"port"`
	Protocol string `json:"protocol"`
}

// Grant is one secret that one service reads as a file.
type Grant struct {
	Secret string // "<stack>/<name>"
	Path   string // absolute path on the tmpfs
	UID    int
	GID    int
	// Template, where set, is the text whose placeholders are filled with
	// secrets to make the file; it exists on the tmpfs alone.
	Template []byte
}

// SharedNetwork is a network between stacks, made by croft before any project
// starts and external to all of them.
type SharedNetwork struct {
	Name     string // on the engine: <platform>-<key>
	Key      string // within the platform: hello-front
	Subnet   string // CIDR
	Gateway  string
	Range    string // CIDR from which the engine gives dynamic addresses
	Internal bool   // no way out of the machine
	// Hubs are joined through the Engine, after they started.
	Hubs []Hub
}

// Hub is a service that croft joins to networks of other stacks.
type Hub struct {
	Stack   string
	Service string
	Aliases []string // names the others reach it by on that network
}

package stacks

// XCroft is the x-croft block of a stack's Compose file: what Compose has no
// words for. It is read from the raw YAML and taken out before the project is
// loaded, so Compose never interpolates it.
type XCroft struct {
	Title     string                  `yaml:"title,omitempty" json:"title,omitempty" jsonschema_description:"Name for people."`
	About     string                  `yaml:"about,omitempty" json:"about,omitempty" jsonschema_description:"One line: what it does."`
	Needs     []string                `yaml:"needs,omitempty" json:"needs,omitempty" jsonschema_description:"Stacks that are brought in, started first and waited for."`
	Options   map[string]Option       `yaml:"options,omitempty" json:"options,omitempty" jsonschema_description:"Questions; each answer is ${NAME} in this file and .Options.NAME in templates."`
	Secrets   map[string]SecretSpec   `yaml:"secrets,omitempty" json:"secrets,omitempty" jsonschema_description:"Secrets; a service that lists one under secrets reads it at /run/secrets/NAME."`
	Databases map[string]DatabaseSpec `yaml:"databases,omitempty" json:"databases,omitempty" jsonschema_description:"Databases on a shared server, each with a role of its own."`
	Routes    map[string]RouteSpec    `yaml:"routes,omitempty" json:"routes,omitempty" jsonschema_description:"Addresses under the platform's domain."`
	Metrics   []MetricsSpec           `yaml:"metrics,omitempty" json:"metrics,omitempty" jsonschema_description:"What Prometheus scrapes."`
	Storage   map[string]VolumeSpec   `yaml:"storage,omitempty" json:"storage,omitempty" jsonschema_description:"Class and owner of named volumes."`
	Addresses map[string]AddressSpec  `yaml:"addresses,omitempty" json:"addresses,omitempty" jsonschema_description:"Fixed addresses of services, each ${NAME} in this file and .Addresses.NAME in templates."`
	Serves    []string                `yaml:"serves,omitempty" json:"serves,omitempty" jsonschema_description:"What this stack does for all others: routes, auth, metrics, postgres."`
	Hub       string                  `yaml:"hub,omitempty" json:"hub,omitempty" jsonschema_description:"The service that does what serves says; croft joins it to the others' networks."`
	Entry     []string                `yaml:"entry,omitempty" json:"entry,omitempty" jsonschema_description:"Services that may reach the platform's own addresses through Traefik, at entry.internal."`
	Reload    map[string]Reload       `yaml:"reload,omitempty" json:"reload,omitempty" jsonschema_description:"Services that take changed files without being recreated."`
	Setup     []Setup                 `yaml:"setup,omitempty" json:"setup,omitempty" jsonschema_description:"Idempotent commands, run once the service is healthy."`
	Jobs      []string                `yaml:"jobs,omitempty" json:"jobs,omitempty" jsonschema_description:"Services that run to the end; exit 0 is success."`
	Stateless []string                `yaml:"stateless,omitempty" json:"stateless,omitempty" jsonschema_description:"Services that change no data of other services, as exporters: before a new image of theirs only what they mount is copied."`
	Harden    map[string]HardenSpec   `yaml:"harden,omitempty" json:"harden,omitempty" jsonschema_description:"Answers to the hardening defaults, by service."`
	Backup    *BackupSpec             `yaml:"backup,omitempty" json:"backup,omitempty" jsonschema_description:"How each volume and database is backed up."`
}

// Option is a question of a stack.
type Option struct {
	Ask     string `yaml:"ask" json:"ask" jsonschema_description:"The question."`
	Help    string `yaml:"help,omitempty" json:"help,omitempty"`
	Default string `yaml:"default,omitempty" json:"default,omitempty" jsonschema:"oneof_type=string;number;boolean"`
	Check   string `yaml:"check,omitempty" json:"check,omitempty" jsonschema_description:"port, host, duration, size, number, boolean, email, url, one-of:a|b, or match:REGEXP."`
}

// SecretSpec says where a secret comes from and how it is replaced. Exactly one
// of Generate, Kind and Template is set.
type SecretSpec struct {
	Generate int    `yaml:"generate,omitempty" json:"generate,omitempty" jsonschema:"minimum=8,maximum=4096" jsonschema_description:"Length in characters of a random value of letters and digits."`
	Kind     string `yaml:"kind,omitempty" json:"kind,omitempty" jsonschema:"enum=tls,enum=rsa,enum=ca" jsonschema_description:"tls: certificate and key for the platform's domain, from its own authority. rsa: a private key. ca: the public certificate of that authority."`
	Template string `yaml:"template,omitempty" json:"template,omitempty" jsonschema_description:"A template of this stack that holds other secrets; it exists on tmpfs alone."`
	Rotate   string `yaml:"rotate,omitempty" json:"rotate,omitempty" jsonschema:"enum=restart,enum=never" jsonschema_description:"How it is replaced."`
	Why      string `yaml:"why,omitempty" json:"why,omitempty" jsonschema_description:"Why it is never rotated."`
}

// DatabaseSpec asks for a database and its owner on a shared server.
type DatabaseSpec struct {
	Engine   string `yaml:"engine" json:"engine" jsonschema:"enum=postgres,enum=valkey"`
	Owner    string `yaml:"owner" json:"owner" jsonschema_description:"The role that owns it; made if missing."`
	Password string `yaml:"password" json:"password" jsonschema_description:"The secret of this stack that is the role's password."`
	Service  string `yaml:"service,omitempty" json:"service,omitempty" jsonschema_description:"The service that connects. Default: the stack's only one."`
}

// Access says who gets through a route.
type Access string

// The accesses, from the default to the most open.
const (
	AccessTwoFactor Access = "two-factor" // any account, password and a second factor
	AccessLogin     Access = "login"      // any account, password
	AccessAdmin     Access = "admin"      // group admins, second factor
	AccessAppLogin  Access = "app-login"  // the program signs people in itself
	AccessPublic    Access = "public"     // anybody
)

// RouteSpec is an address and who gets through.
type RouteSpec struct {
	Service string     `yaml:"service,omitempty" json:"service,omitempty" jsonschema_description:"Default: the stack's only service."`
	Port    uint16     `yaml:"port" json:"port" jsonschema:"minimum=1,maximum=65535" jsonschema_description:"Port inside the container."`
	Host    string     `yaml:"host" json:"host" jsonschema_description:"First label of the address; \"@\" is the domain itself."`
	Access  Access     `yaml:"access,omitempty" json:"access,omitempty" jsonschema:"enum=two-factor,enum=login,enum=admin,enum=app-login,enum=public" jsonschema_description:"Default: two-factor."`
	Paths   []PathSpec `yaml:"paths,omitempty" json:"paths,omitempty" jsonschema_description:"Exceptions, as for webhooks."`
	Scheme  string     `yaml:"scheme,omitempty" json:"scheme,omitempty" jsonschema:"enum=http,enum=h2c" jsonschema_description:"Default: http."`
	Probe   string     `yaml:"probe,omitempty" json:"probe,omitempty" jsonschema_description:"Path that tells whether the program answers. Default: /."`
	Body    string     `yaml:"body,omitempty" json:"body,omitempty" jsonschema_description:"Largest request body, as in 10m. Default: no limit."`
}

// PathSpec gives a path prefix of a route another access.
type PathSpec struct {
	Prefix string `yaml:"prefix" json:"prefix"`
	Access Access `yaml:"access" json:"access" jsonschema:"enum=two-factor,enum=login,enum=admin,enum=app-login,enum=public"`
}

// MetricsSpec is one target of Prometheus.
type MetricsSpec struct {
	Service string `yaml:"service,omitempty" json:"service,omitempty"`
	Port    uint16 `yaml:"port" json:"port" jsonschema:"minimum=1,maximum=65535"`
	Path    string `yaml:"path,omitempty" json:"path,omitempty" jsonschema_description:"Default: /metrics."`
}

// VolumeSpec says what a named volume is.
type VolumeSpec struct {
	Class string `yaml:"class,omitempty" json:"class,omitempty" jsonschema:"enum=containers,enum=projects,enum=databases"`
	Owner string `yaml:"owner,omitempty" json:"owner,omitempty" jsonschema:"pattern=^[0-9]+:[0-9]+$" jsonschema_description:"uid:gid of the directory when it is made."`
}

// SharedKinds names the networks that croft makes between a stack and those
// that serve it; an address may be asked for on them too.
func SharedKinds() []string { return []string{"front", "metrics", "postgres", "valkey"} }

// AddressSpec asks for a fixed address of a service on one of its networks.
type AddressSpec struct {
	Service string `yaml:"service" json:"service"`
	Network string `yaml:"network" json:"network" jsonschema_description:"A network of this file, or front: the one shared with Traefik."`
}

// Reload tells how a service takes changed files without being recreated.
type Reload struct {
	Files  []string `yaml:"files" json:"files" jsonschema_description:"Files or directories of this stack, mounted by directory."`
	Signal string   `yaml:"signal,omitempty" json:"signal,omitempty" jsonschema:"enum=HUP,enum=USR1,enum=USR2" jsonschema_description:"Signal that makes it read them again. None: it watches them."`
}

// Setup is a command run in a container after its service became healthy, at
// every apply that changed the service or the files it reads.
type Setup struct {
	Service string   `yaml:"service" json:"service"`
	Command []string `yaml:"command" json:"command" jsonschema_description:"Program and arguments; never a secret among them."`
	About   string   `yaml:"about,omitempty" json:"about,omitempty"`
}

// HardenSpec answers the hardening defaults that x-croft brings.
type HardenSpec struct {
	Root     bool     `yaml:"root,omitempty" json:"root,omitempty" jsonschema_description:"The image must start as root."`
	Writable bool     `yaml:"writable,omitempty" json:"writable,omitempty" jsonschema_description:"The root file system cannot be read-only."`
	Caps     []string `yaml:"caps,omitempty" json:"caps,omitempty" jsonschema_description:"Capabilities kept."`
	Why      string   `yaml:"why,omitempty" json:"why,omitempty"`
}

// BackupSpec says how data is backed up: files, postgres, sqlite, skip.
type BackupSpec struct {
	Volumes   map[string]string `yaml:"volumes,omitempty" json:"volumes,omitempty" jsonschema:"enum=files,enum=postgres,enum=sqlite,enum=skip"`
	Databases []string          `yaml:"databases,omitempty" json:"databases,omitempty"`
}

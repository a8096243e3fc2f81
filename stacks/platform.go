package stacks

// Expose says how the platform is reached.
type Expose string

// The ways to reach a platform.
const (
	ExposeTunnel   Expose = "tunnel"   // a Cloudflare Tunnel, nothing open on the host
	ExposeLAN      Expose = "lan"      // ports 80 and 443 on every interface, own authority
	ExposeLoopback Expose = "loopback" // ports 80 and 443 on 127.0.0.1, own authority
)

// Platform is everything the admin asked for: croft.yaml.
type Platform struct {
	Version  int                    `yaml:"version" json:"version" jsonschema:"enum=1" jsonschema_description:"Version of this file's format."`
	Name     string                 `yaml:"name" json:"name" jsonschema:"pattern=^[a-z][a-z0-9-]{0,29}$" jsonschema_description:"Prefix of projects and networks. Fixed for life."`
	Domain   string                 `yaml:"domain,omitempty" json:"domain,omitempty" jsonschema_description:"Domain under which routes appear. Not needed with expose: loopback, which uses <name>.localhost."`
	Timezone string                 `yaml:"timezone,omitempty" json:"timezone,omitempty" jsonschema_description:"IANA name, as in Europe/Berlin. Default: UTC."`
	Admin    Admin                  `yaml:"admin" json:"admin" jsonschema_description:"The first account."`
	Expose   Expose                 `yaml:"expose,omitempty" json:"expose,omitempty" jsonschema:"enum=tunnel,enum=lan,enum=loopback" jsonschema_description:"How the platform is reached. Default: loopback."`
	Storage  Storage                `yaml:"storage,omitempty" json:"storage,omitempty" jsonschema_description:"Where data lives on this machine."`
	Stacks   map[string]StackChoice `yaml:"stacks" json:"stacks" jsonschema_description:"The stacks that run, each a directory under stacks/."`
}

// Admin is the first account of the platform.
type Admin struct {
	Name  string `yaml:"name" json:"name" jsonschema:"pattern=^[a-z][a-z0-9._-]{0,31}$" jsonschema_description:"User name at sign-in."`
	Email string `yaml:"email" json:"email" jsonschema:"format=email" jsonschema_description:"Where notices to this account go."`
}

// Storage gives the roots under which volumes are directories. They are read
// when a volume is made; afterwards the lock remembers its place.
type Storage struct {
	Containers string `yaml:"containers,omitempty" json:"containers,omitempty" jsonschema_description:"Ordinary volumes. Default: /srv/croft/<name>/containers."`
	Projects   string `yaml:"projects,omitempty" json:"projects,omitempty" jsonschema_description:"Repositories and artefacts. Default: /srv/croft/<name>/projects."`
	Databases  string `yaml:"databases,omitempty" json:"databases,omitempty" jsonschema_description:"Volumes of database stacks. Default: /srv/croft/<name>/databases."`
}

// StackChoice is what croft.yaml says about one stack.
type StackChoice struct {
	Options map[string]string `yaml:"options,omitempty" json:"options,omitempty" jsonschema_description:"Answers to the stack's questions; croft stack info NAME lists them."`
	Adopt   *Adopt            `yaml:"adopt,omitempty" json:"adopt,omitempty" jsonschema_description:"The stack is a Compose project that ran before croft did; croft stack import DIR writes this."`
}

// PlatformFile is the name of the file an admin edits.
const PlatformFile = "croft.yaml"

// BaseDomain is what every route's host is put in front of.
func (p Platform) BaseDomain() string {
	if p.Expose == ExposeLoopback || p.Domain == "" {
		return p.Name + ".localhost"
	}
	return p.Domain
}

// Root gives the storage root of a class: containers, projects or databases.
func (p Platform) Root(class string) string {
	switch class {
	case "projects":
		return p.Storage.Projects
	case "databases":
		return p.Storage.Databases
	}
	return p.Storage.Containers
}

package provision

import (
	"context"
	"io/fs"
	"net/netip"
	"time"

	"github.com/croft-sh/croft/stacks"
)

// Provisioner changes one platform on one machine.
type Provisioner struct {
	Platform string // name; prefix of projects and networks
	StateDir string // absolute; lock.json, live/, revisions/, journal.jsonl
	RunDir   string // tmpfs for secrets: /run/croft/<name>
	UsersDir string // Authelia's users file
	// Adopted gives the stack of each Compose project that ran before croft did.
	Adopted    map[string]string
	Engine     Engine
	Networks   Networks
	Containers Containers
	Secrets    Secrets
	Repairs    Repairs
	Volumes    Volumes
	Leases     Leases
	Registries Registries
	// Watch listens to the engine until ctx ends; gone tells whether it went away
	// meanwhile. Nil never tells.
	Watch     func(ctx context.Context) (gone func() bool)
	Databases Databases
	Halts     Halts
	// WriteFile replaces a file atomically and durably.
	WriteFile func(path string, data []byte, mode fs.FileMode) error
	// MakeVolume makes a volume's directory with its owner ("uid:gid" or "").
	MakeVolume func(path, owner string) error
	// PortHolder names who holds a port of the host, "" where it is free.
	PortHolder func(stacks.PublishedPort) string
	// Journal appends one entry durably.
	Journal func(entry any) error
	// Routes gives the networks the host reaches, so that subnets avoid them.
	Routes func() ([]netip.Prefix, error)
	Now    func() time.Time
	// InputSum names what a Loader would read for these stacks, as Desired.Inputs,
	// without loading it. Without it, or Program, nothing is kept of a render.
	InputSum func(stacks []string) (string, error)
	// Program names the program that runs: what another one rendered does not count.
	Program string
}

// Prepared is a plan and everything it was made from.
type Prepared struct {
	Plan     stacks.Plan
	Desired  stacks.Desired
	Rendered stacks.Rendered
	State    stacks.State
	Lock     stacks.Lock
	Options  PlanOptions

	backs    map[string]held   // the ways back it was made with
	meanings map[string]string // reference -> image ID it must mean again
	rollback *rollback         // nil for an ordinary plan
}

// ApplyOptions is what an apply may be told.
type ApplyOptions struct {
	WaitTimeout time.Duration     // per service until healthy; 0: 5 minutes
	Inputs      map[string][]byte // what the admin wrote, kept with the revision
	// Load reads the platform anew with some stacks taken from elsewhere. Without
	// it a failed stack stays as it is.
	Load Loader
}

// Loader reads what is desired; stacks named in instead come from there.
type Loader func(instead map[string]fs.FS) (stacks.Desired, error)

// Revision is one applied change as it is kept under revisions/.
type Revision struct {
	Number  int               `json:"number"`
	At      time.Time         `json:"at"`
	Result  string            `json:"result"` // applied, partial, failed, taken-back, interrupted
	Commit  string            `json:"commit,omitempty"`
	Hash    string            `json:"hash"`              // Plan.Revision
	Stacks  map[string]string `json:"stacks"`            // stack -> applied, failed, skipped, taken-back
	Images  map[string]string `json:"images"`            // reference -> ID
	Digests map[string]string `json:"digests,omitempty"` // reference -> digest, of those that came from a registry
	// Inputs is the Stack.InputHash that each stack had.
	Inputs map[string]string `json:"inputs,omitempty"`
	// ReadFrom names, for held stacks, the earlier revision whose inputs ran.
	ReadFrom map[string]int `json:"read_from,omitempty"`
	Failure  string         `json:"failure,omitempty"` // one line
	Duration string         `json:"duration"`

	unfinished bool // killed: what is written of its result is what it had done
}

// PlanOptions narrows a plan.
type PlanOptions struct {
	Stacks        []string // only these and what they need; empty: all
	RemoveOrphans bool
	WithoutCopy   []string // data that may meet a new image without a copy

	backs map[string]held // instead of what held.json says
	exact bool            // without what they need
}

// scope gives the stacks that a plan may change; none is all.
func (o PlanOptions) scope(d stacks.Desired) []string {
	if o.exact {
		return o.Stacks
	}
	return withNeeds(d, o.Stacks)
}

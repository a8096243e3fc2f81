package provision

import (
	"context"
	"io"
	"time"

	"github.com/croft-sh/croft/stacks"
)

// Engine is the container engine as apply needs it.
type Engine interface {
	// Observe lists containers, networks, volumes and images in four calls,
	// however many services there are. Containers and networks are those that
	// carry the platform's labels or belong to a Compose project named
	// <platform>-*; State.Live is left empty.
	Observe(ctx context.Context, platform string) (stacks.State, error)
	// Pull makes every image present that is not, as PullRequest says. It builds
	// nothing.
	Pull(ctx context.Context, wants []PullRequest, ev stacks.Events) error
	// Up makes exactly the named services of a written Compose file run, and
	// touches no other. One that is paused goes on. It does not wait for health.
	Up(ctx context.Context, req UpRequest, ev stacks.Events) error
	// Remove stops and removes containers by ID with the stop timeout they ask
	// for. It never removes a volume. One that is gone is no error.
	Remove(ctx context.Context, ids []string) error
}

// UpRequest names what Up makes run.
type UpRequest struct {
	File     string   // absolute path of the rendered compose.yaml
	Project  string   // Compose project name
	Services []string // exactly these
	// SideBySide allows containers to start at the same time, where the engine
	// finds that safe. Each start takes longer then: it is for stacks whose
	// services do not run, while none that runs is replaced.
	SideBySide bool
	// Anew names those of them that get a new container even where Compose sees
	// no difference: what somebody did to the old one is in no label.
	Anew []string
}

// Networks makes and joins the networks that stacks share.
type Networks interface {
	// CreateNetwork makes a network with its subnet and croft's labels. One of
	// that name with the same subnet is left as it is.
	CreateNetwork(ctx context.Context, platform string, n stacks.SharedNetwork) error
	// RemoveNetwork removes one nobody uses; a missing one is no error.
	RemoveNetwork(ctx context.Context, name string) error
	// Connect joins a container; one that is joined already is no error.
	Connect(ctx context.Context, network, containerID string, aliases []string) error
	// Disconnect takes a container off; one that is not joined, or gone, is no
	// error.
	Disconnect(ctx context.Context, network, containerID string) error
}

// Containers looks into and acts on single containers.
type Containers interface {
	// Inspect gives what lists do not show, in the order of ids; one that is
	// gone has State "gone".
	Inspect(ctx context.Context, ids []string) ([]Inspected, error)
	// Exec runs a command and gives its output, bounded to 1 MiB. A secret goes
	// in by stdin, never by cmd.
	Exec(ctx context.Context, id string, cmd []string, stdin io.Reader) (ExecResult, error)
	// Signal sends a signal such as HUP to the main process.
	Signal(ctx context.Context, id, signal string) error
	// Tail gives the last lines of a container's log.
	Tail(ctx context.Context, id string, lines int) (string, error)
}

// Repairs is what the way back and a boot need beside an ordinary apply.
type Repairs interface {
	// Settle waits until the project's containers stop changing: a run that
	// failed or was killed may have left stops going on in the engine.
	Settle(ctx context.Context, project string) error
	// Start starts containers as they are, in the order given. One that runs is no
	// error.
	Start(ctx context.Context, ids []string) error
	// Tag makes a reference mean an image that is present, by its ID.
	Tag(ctx context.Context, imageID, reference string) error
	// Untag forgets a reference; the image goes with its last one. A missing
	// reference is no error.
	Untag(ctx context.Context, reference string) error
}

// Volumes copies data aside and puts it back. Paths are absolute, of directories
// or files.
type Volumes interface {
	// Look tells what lies at a path and whether it can be copied aside. Its bytes
	// are counted as long as ctx lasts.
	Look(ctx context.Context, path string) (stacks.Place, error)
	// Fits tells whether copies of the paths have room beside them: by sharing
	// blocks where the file system can, else by free space. more is what comes
	// into the file system of a path besides.
	Fits(paths []string, more map[string]int64) error
	// Copy makes a whole copy that appears under its name only when complete.
	Copy(ctx context.Context, from, to string) error
	// Swap puts aside in the place of path, whose old content goes to failed.
	// Run again after a kill it finishes what it began.
	Swap(path, aside, failed string) error
}

// Leases keeps apply and whoever copies data off the same stack. A lease ends with
// the process that holds it.
type Leases interface {
	// Take takes the lease of a stack without waiting. The error says who holds it.
	Take(stack, why string) (release func(), err error)
	// Held says who holds a stack now, "" where nobody does.
	Held(stack string) string
}

// Inspected is one container in detail.
type Inspected struct {
	ID        string
	State     string // as stacks.Container.State, or "gone"
	Health    string
	ExitCode  int
	OOMKilled bool
	Restarts  int
	StartedAt time.Time
	Error     string // why the engine could not start it
	HealthLog string // last output of the health check
	// RestartPolicy is the engine's word: no, always, unless-stopped, on-failure.
	RestartPolicy string
	RestartMax    int // of on-failure; 0: no limit
}

// ExecResult is how a command in a container ended.
type ExecResult struct {
	ExitCode int
	Stdout   string
	Stderr   string
}

// Secrets keeps values and delivers them as files.
type Secrets interface {
	// Ensure makes the missing ones of specs and saves them durably before it
	// returns. Keys are "<stack>/<name>".
	Ensure(specs map[string]stacks.SecretSpec) (created []string, err error)
	// Fingerprints gives a keyed fingerprint of each existing secret among keys.
	Fingerprints(keys []string) (map[string]string, error)
	// Deliver writes the files of the grants on the tmpfs, atomically, mode
	// 0400, and removes files under the same stack directories that are not
	// granted any more.
	Deliver(grants []stacks.Grant) error
	// Undelivered gives, by path, what is wrong with files that Deliver wrote.
	Undelivered(grants []stacks.Grant) (map[string]stacks.Undelivered, error)
}

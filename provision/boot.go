package provision

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/croft-sh/croft/stacks"
)

// A boot brings back what a restart of the machine took: secrets in memory, what
// an interrupted apply left half done, containers that could not start. It goes by
// the state alone and rolls out nothing that was not applied before.

// bootKept is what a boot goes by. It is there from the first apply to destroy.
type bootKept struct {
	// Grants is by stack what its containers read.
	Grants map[string][]stacks.Grant `json:"grants"`
}

func (p *Provisioner) bootPath() string { return filepath.Join(p.StateDir, "boot.json") }

// Bootable tells whether there is anything that a boot could bring back.
func (p *Provisioner) Bootable() (bool, error) {
	_, err := os.Stat(p.bootPath())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// deliver writes down who reads which secret, then delivers it. A stack whose
// containers this run leaves alone keeps what they were made with: else its next
// start would miss a file. Killed in between, a boot delivers what is written
// down, and finishes the run that needs it.
func (r *run) deliver() error {
	var kept bootKept
	if err := readJSON(r.p.bootPath(), &kept); err != nil {
		return err
	}
	next := bootKept{Grants: map[string][]stacks.Grant{}}
	if !r.prep.Options.RemoveOrphans { // their containers stay, so does what they read
		next = kept
		if next.Grants == nil {
			next.Grants = map[string][]stacks.Grant{}
		}
	}
	var grants []stacks.Grant
	for _, s := range r.prep.Rendered.Stacks {
		old, known := kept.Grants[s.Name]
		if !known || len(r.prep.Plan.Of(s.Name)) > 0 {
			old = grantsOf(s)
		}
		next.Grants[s.Name] = old
		grants = append(grants, old...)
	}
	if err := r.p.writeJSON(r.p.bootPath(), next); err != nil {
		return err
	}
	return r.p.Secrets.Deliver(grants)
}

func grantsOf(s stacks.RenderedStack) []stacks.Grant {
	var out []stacks.Grant
	for _, svc := range s.Services {
		out = append(out, svc.Grants...)
	}
	return out
}

// DeliverKept delivers every secret that running or stopped containers read, and
// needs neither engine nor platform for it. A stack whose secrets cannot be had
// does not keep the others from theirs. It gives how many files there are.
func (p *Provisioner) DeliverKept() (int, error) {
	var kept bootKept
	if err := readJSON(p.bootPath(), &kept); err != nil {
		return 0, err
	}
	var errs []error
	files := 0
	for _, stack := range sortedKeys(kept.Grants) {
		if err := p.Secrets.Deliver(kept.Grants[stack]); err != nil {
			errs = append(errs, fmt.Errorf("secrets of %s: %w", stack, err))
			continue
		}
		files += len(kept.Grants[stack])
	}
	return files, errors.Join(errs...)
}

// BootOptions is what a boot may be told.
type BootOptions struct {
	WaitTimeout time.Duration // per service until healthy; 0: 5 minutes
	// Load reads a platform as a revision kept it; stacks in instead come from
	// elsewhere.
	Load func(inputs fs.FS, instead map[string]fs.FS) (stacks.Desired, error)
	// Written reads the platform as it is written now; nil where its directory is
	// not there.
	Written Loader
}

// BootResult says what a boot did; empty where there was nothing to do.
type BootResult struct {
	Secrets   int      // files in memory
	Revision  Revision // of what was finished or taken back; Number 0 for none
	Finished  []string // stacks whose interrupted change was carried to its end
	TakenBack []string // stacks that run as before the interrupted change
	Left      []string // stacks that are half changed and can go neither way
	Started   []string // "stack/service"
	Joined    []string // networks that a hub was joined to again
}

// Empty tells whether nothing was done.
func (b BootResult) Empty() bool {
	return b.Revision.Number == 0 && len(b.Finished)+len(b.TakenBack)+len(b.Started)+len(b.Joined) == 0
}

// Boot brings the platform back to where it was: it delivers secrets, finishes or
// undoes what was interrupted, and starts what should run and does not. What is
// stopped or held stays as it is. Run again it does nothing; killed at any point,
// it is run again.
func (p *Provisioner) Boot(ctx context.Context, o BootOptions, ev stacks.Events) (BootResult, error) {
	var out BootResult
	if ready, err := p.Bootable(); err != nil || !ready {
		return out, err
	}
	if o.WaitTimeout == 0 {
		o.WaitTimeout = defaultWait
	}
	ev = p.stamped(ev)
	b := &boot{p: p, o: o, ev: ev, out: &out}
	var delivered error
	out.Secrets, delivered = p.DeliverKept()
	if delivered != nil { // only those who read them cannot start
		ev(stacks.Event{Phase: "secrets", State: stacks.Failed, Message: delivered.Error()})
	}
	// What was interrupted goes first: until that is settled, nobody can tell what
	// of those stacks should run.
	resumed := b.resume(ctx)
	if resumed != nil {
		ev(stacks.Event{Phase: "boot", State: stacks.Failed, Message: resumed.Error()})
	}
	started := b.start(ctx)
	if !out.Empty() {
		what := fmt.Sprintf("boot: finished %s, taken back %s, left %s, started %s", list(out.Finished), list(out.TakenBack), list(out.Left), list(out.Started))
		if p.Journal != nil {
			if err := p.Journal(map[string]any{"at": p.Now(), "revision": out.Revision.Number, "what": what}); err != nil {
				return out, err
			}
		}
	}
	for _, err := range []error{ctx.Err(), resumed, started, delivered} {
		if err != nil {
			return out, err
		}
	}
	if len(out.Left) > 0 {
		return out, &FailedError{Stack: out.Left[0], Reason: leftReason, Partial: true}
	}
	return out, nil
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// boot is one boot under way.
type boot struct {
	p  *Provisioner
	o  BootOptions
	ev stacks.Events

	mu  sync.Mutex
	out *BootResult
}

// alone tells whether a stack is to be left as it is.
func alone(stack string, state stacks.State) bool {
	_, held := state.Held[stack]
	return held || slices.Contains(state.Stopped, stack)
}

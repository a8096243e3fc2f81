package provision

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/croft-sh/croft/stacks"
)

// aside is a copy of data from before a new image met it.
type aside struct {
	Stack    string                   `json:"stack,omitempty"`
	Volume   string                   `json:"volume"`           // stacks.DataChange.Name
	Engine   string                   `json:"engine,omitempty"` // the volume's name on the engine
	Path     string                   `json:"path"`             // where the data lies; of a database its name
	Copy     string                   `json:"copy"`             // where the copy lies
	Revision int                      `json:"revision"`
	Database *stacks.RenderedDatabase `json:"database,omitempty"`
	// Ran is the image that each service of the stack last ran well with.
	Ran map[string]string `json:"ran,omitempty"`
	// From is a copy that takes the place of the data: a rollback to data of then.
	From string `json:"from,omitempty"`
	// Met is written before the new image is started, when all copies are whole.
	// From then on the copy is the good one, and is never made anew.
	Met bool `json:"met,omitempty"`
	// Left is data that a person let go without a copy.
	Left bool `json:"left,omitempty"`
	// Failed turns it round: at Copy lies what a failed version left.
	Failed bool `json:"failed,omitempty"`
}

// named gives the copy the name that a revision's copies bear.
func (a aside) named(revision int) aside {
	a.Revision = revision
	a.Copy = asideName(a, "aside", revision)
	return a
}

// failed is where that which a failed version left goes.
func (a aside) failed() aside {
	a.Copy, a.From, a.Met, a.Failed = asideName(a, "failed", a.Revision), "", false, true
	return a
}

func asideName(a aside, what string, revision int) string {
	if a.Database != nil {
		return databaseName(a.Path, what, revision)
	}
	return fmt.Sprintf("%s.croft-%s-%d", a.Path, what, revision)
}

// databaseName gives the name of a copy on the server. PostgreSQL cuts names
// after 63 bytes without a word, so a long one is shortened by hand.
func databaseName(name, what string, revision int) string {
	end := fmt.Sprintf("_croft_%s_%d", what, revision)
	if len(name)+len(end) > 63 {
		sum := sha256.Sum256([]byte(name))
		name = name[:30] + "_" + hex.EncodeToString(sum[:4])
	}
	return name + end
}

// open tells whether a container has the data open.
func (a aside) open(c stacks.Container) bool {
	if a.Database != nil {
		return c.Service == a.Database.Service
	}
	return stacks.DataChange{Path: a.Path, Volume: a.Engine}.MountedBy(c)
}

// met tells whether a new image may have met any of the data.
func (p pending) met() bool { return slices.ContainsFunc(p.Data, func(a aside) bool { return a.Met }) }

// left names what a new image may have met without a copy.
func (p pending) left() []string {
	var out []string
	for _, a := range p.Data {
		if a.Left && a.Met {
			out = append(out, a.Volume)
		}
	}
	return out
}

// copied gives the copies that are the good ones.
func (p pending) copied() []aside {
	return slices.DeleteFunc(slices.Clone(p.Data), func(a aside) bool { return !a.Met || a.Left })
}

// atRisk gives the data of the stack that a new image is about to meet.
func (r *run) atRisk(stack string) []aside {
	var out []aside
	for _, c := range r.prep.Plan.Data {
		if c.Stack != stack || c.Action != stacks.DataCopy && !c.Asked {
			continue
		}
		s, _ := r.prep.Rendered.Stack(stack)
		a := aside{Stack: stack, Volume: c.Name, Engine: c.Volume, Path: c.Path, Database: c.Database, Left: c.Asked,
			Ran: r.ranOf(s), From: r.prep.backs[stack].From[c.Name]}
		if c.Database != nil {
			a.Path = c.Database.Name
		}
		out = append(out, a.named(r.rev.Number))
	}
	return out
}

// copyOne copies data aside and tells whether there was any.
func (r *run) copyOne(ctx context.Context, a aside) (bool, error) {
	if a.Database == nil {
		if _, err := os.Lstat(a.Path); errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return true, r.p.Volumes.Copy(ctx, a.Path, a.Copy)
	}
	server, err := r.p.server(ctx, *a.Database)
	if err != nil {
		return false, err
	}
	if _, there, err := r.p.Databases.Size(ctx, server, a.Path); err != nil || !there {
		return false, err
	}
	return true, r.p.Databases.Copy(ctx, server, a.Path, a.Copy)
}

// putOne puts what lies under a name in the place of data, whose old content goes
// to old. Run again after a kill it finishes what it began.
func (r *run) putOne(ctx context.Context, a aside, from, old string) error {
	if a.Database == nil {
		return r.p.Volumes.Swap(a.Path, from, old)
	}
	server, err := r.p.server(ctx, *a.Database)
	if err != nil {
		return err
	}
	return r.p.Databases.Swap(ctx, server, a.Path, from, old)
}

// there tells whether a copy of the data lies under a name.
func (p *Provisioner) there(ctx context.Context, a aside, name string) (bool, error) {
	if a.Database == nil {
		_, err := os.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return err == nil, err
	}
	server, err := p.server(ctx, *a.Database)
	if err != nil {
		return false, err
	}
	_, there, err := p.Databases.Size(ctx, server, name)
	return there, err
}

// server gives the running container that serves a database.
func (p *Provisioner) server(ctx context.Context, db stacks.RenderedDatabase) (string, error) {
	state, err := p.Engine.Observe(ctx, p.Platform)
	if err != nil {
		return "", err
	}
	for _, c := range state.Containers {
		if serves(c, db) {
			return c.ID, nil
		}
	}
	return "", fmt.Errorf("the server of database %s, %s/%s, does not run: croft start %s", db.Name, db.Server, db.Hub, db.Server)
}

func serves(c stacks.Container, db stacks.RenderedDatabase) bool {
	return c.Stack == db.Server && c.Service == db.Hub && c.Running() && !c.OneOff
}

// listAsides adds to what clean knows of. One that is listed twice counts once.
func (p *Provisioner) listAsides(more []aside) error {
	var kept []aside
	if err := readJSON(p.asidesPath(), &kept); err != nil {
		return err
	}
	for _, a := range more {
		if !slices.ContainsFunc(kept, func(k aside) bool { return k.Copy == a.Copy && k.Volume == a.Volume }) {
			kept = append(kept, a)
		}
	}
	return p.writeJSON(p.asidesPath(), kept)
}

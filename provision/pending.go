package provision

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/croft-sh/croft/stacks"
)

// pending is a stack whose change has begun and has neither passed the gate nor
// been taken back. It is written before the first container is touched.
type pending struct {
	Revision int      `json:"revision"`
	Services []string `json:"services"`
	// Target is the Stack.InputHash that the stack is being changed to.
	Target string `json:"target,omitempty"`
	// Data lists what is copied aside before a new image meets it.
	Data []aside `json:"data,omitempty"`
	// Halted are containers that were stopped and stay, with the restart policy
	// that is to be given back to them.
	Halted map[string]string `json:"halted,omitempty"`
}

func (p *Provisioner) pendingPath() string { return filepath.Join(p.StateDir, "pending.json") }
func (p *Provisioner) asidesPath() string  { return filepath.Join(p.StateDir, "asides.json") }

func (p *Provisioner) readPending() (map[string]pending, error) {
	out := map[string]pending{}
	err := readJSON(p.pendingPath(), &out)
	return out, err
}

func (r *run) setPending(stack string, pend pending) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	all, err := r.p.readPending()
	if err != nil {
		return err
	}
	all[stack] = pend
	return r.p.writeJSON(r.p.pendingPath(), all)
}

// clearPending ends a stack's change. Its copies are kept, and listed.
func (r *run) clearPending(stack string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	all, err := r.p.readPending()
	if err != nil {
		return err
	}
	pend, ok := all[stack]
	if !ok {
		return nil
	}
	if kept := pend.copied(); len(kept) > 0 {
		if err := r.p.listAsides(kept); err != nil {
			return err
		}
	}
	delete(all, stack)
	return r.p.writeJSON(r.p.pendingPath(), all)
}

// copiesFit refuses, before anything is touched, a change whose data cannot be
// copied aside.
func (r *run) copiesFit(ctx context.Context) error {
	if r.p.Volumes == nil {
		return nil
	}
	var paths []string
	more := map[string]int64{}
	for _, c := range r.prep.Plan.Data {
		switch {
		case c.Action != stacks.DataCopy:
		case c.Database == nil:
			paths = append(paths, firstOf(r.prep.backs[c.Stack].From[c.Name], c.Path)) // what is copied
		default:
			place, bytes, err := r.databaseNeeds(ctx, *c.Database)
			if err != nil {
				return err
			}
			if place != "" {
				more[place] += bytes
			}
		}
	}
	if len(paths)+len(more) == 0 {
		return nil
	}
	slices.Sort(paths)
	if err := r.p.Volumes.Fits(slices.Compact(paths), more); err != nil {
		return &BlockedError{Blocked: []stacks.Blocked{{
			Subject: "data", Why: "a new image would meet data that cannot be copied aside first: " + err.Error(),
			Hint: "make room (croft clean), or take the change of image out",
		}}}
	}
	return nil
}

// databaseNeeds gives where the copy of a database will lie and its bytes. A
// server that does not run yet is asked when the copy is made.
func (r *run) databaseNeeds(ctx context.Context, db stacks.RenderedDatabase) (place string, bytes int64, err error) {
	server, err := r.p.server(ctx, db)
	if err != nil || r.p.Databases == nil {
		return "", 0, nil // the copy itself tells
	}
	s, _ := r.prep.Rendered.Stack(db.Server)
	hub, _ := s.Service(db.Hub)
	for _, v := range s.Volumes {
		if slices.Contains(hub.Volumes, v.Key) {
			place = v.Path
		}
	}
	bytes, _, err = r.p.Databases.Size(ctx, server, db.Name)
	return place, bytes, err
}

// begin notes that a stack changes, and copies its data aside where a new image
// is about to meet it. It gives the services to start: those asked for, and those
// whose containers had to let go of the data. Killed before Met is written, the
// copies are made again: the new image has not been started.
func (r *run) begin(ctx context.Context, s stacks.RenderedStack, services []string) ([]string, error) {
	all, err := r.p.readPending()
	if err != nil {
		return nil, err
	}
	pend, unfinished := all[s.Name]
	target := r.target(s.Name)
	switch {
	case !unfinished:
		pend = pending{Revision: r.rev.Number, Target: target, Data: r.atRisk(s.Name)}
	case pend.met():
		if pend, err = r.resume(ctx, s, pend, target); err != nil {
			return nil, err
		}
	default:
		// No new image has met the data yet; the one that comes now may be the
		// first that needs it.
		pend.Data = addData(forTarget(pend, target), r.atRisk(s.Name))
		pend.Target = target
	}
	// A service that has gone from the stack since needs nothing any more.
	pend.Services = slices.DeleteFunc(pend.Services, func(name string) bool { _, ok := s.Service(name); return !ok })
	pend.Services = union(pend.Services, services)
	if err := r.setPending(s.Name, pend); err != nil {
		return nil, err
	}
	if err := r.forgetFrom(s.Name); err != nil {
		return nil, err
	}
	if err := r.removeOrphans(ctx, s.Name); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(pend.Data, func(a aside) bool { return !a.Met }) && r.p.Volumes != nil {
		if pend, err = r.copyAside(ctx, s, pend); err != nil {
			return nil, err
		}
	}
	if err := r.putInPlace(ctx, s, pend); err != nil {
		return nil, err
	}
	return union(services, pend.Services), nil
}

// addData adds what b has and a lacks.
func addData(a, b []aside) []aside {
	out := slices.Clone(a)
	for _, v := range b {
		if !slices.ContainsFunc(out, func(have aside) bool { return have.Volume == v.Volume }) {
			out = append(out, v)
		}
	}
	return out
}

// target names what a stack is being changed to.
func (r *run) target(stack string) string {
	if s, ok := r.prep.Desired.Stack(stack); ok {
		return s.InputHash()
	}
	return ""
}

func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// resume goes on with an interrupted change. The copy from before it is the good
// one: where the change is another now, or its way back had begun, the data goes
// back first and is copied anew. No image but the one it was copied for may see
// what that one left. Data that only now meets a new image is copied in addition.
func (r *run) resume(ctx context.Context, s stacks.RenderedStack, pend pending, target string) (pending, error) {
	backs, err := r.p.readHeld()
	if err != nil {
		return pend, err
	}
	// A copy that is not there was put back already, by a way back that was killed
	// before it could say so.
	gone := false
	for _, a := range pend.copied() {
		there, err := r.p.there(ctx, a, a.Copy)
		if err != nil {
			return pend, err
		}
		gone = gone || !there
	}
	if back := backs[s.Name].Inputs == pend.Target; !back && !gone && pend.Target == target {
		pend.Data = addData(pend.Data, r.atRisk(s.Name))
		return pend, nil
	}
	return r.restoreData(ctx, s, pend, func(pend pending) pending {
		again := pending{Revision: r.rev.Number, Target: target, Halted: pend.Halted, Services: following(s, union(pend.Services, r.readers(s, pend.Data)))}
		for _, a := range addData(forTarget(pend, target), r.atRisk(s.Name)) {
			a = a.named(r.rev.Number)
			a.Met = a.Met && a.Left
			again.Data = append(again.Data, a)
		}
		return again
	})
}

// following adds the services that share a space of one of the names: they would
// stay on a dead container.
func following(s stacks.RenderedStack, names []string) []string {
	for _, svc := range s.Services { // in dependency order: those followed come first
		if slices.ContainsFunc(svc.Follows, func(f string) bool { return slices.Contains(names, f) }) {
			names = union(names, []string{svc.Name})
		}
	}
	return names
}

// copyAside stops everybody who can write the data, and copies it.
func (r *run) copyAside(ctx context.Context, s stacks.RenderedStack, pend pending) (pending, error) {
	// Written down first: who is stopped for the copy must be started again, by
	// whichever run comes to it.
	pend.Services = following(s, union(pend.Services, r.readers(s, pend.Data)))
	if err := r.setPending(s.Name, pend); err != nil {
		return pend, err
	}
	if err := r.fetchThen(ctx, s, pend); err != nil {
		return pend, err
	}
	pend, err := r.release(ctx, s, pend)
	if err != nil {
		return pend, err
	}
	var data []aside
	for _, a := range pend.Data {
		if !a.Met && !a.Left && a.From == "" { // else it is moved aside whole
			r.ev(stacks.Event{Stack: s.Name, Phase: "copy", State: stacks.Working, Message: "data of " + a.Volume})
			there, err := r.copyOne(ctx, a)
			if err != nil {
				return pend, fmt.Errorf("copy of %s: %w", a.Volume, err)
			}
			if !there {
				continue
			}
		}
		a.Met = true
		data = append(data, a)
	}
	r.ev(stacks.Event{Stack: s.Name, Phase: "copy", State: stacks.Done})
	pend.Data = data
	return pend, r.setPending(s.Name, pend)
}

// readers gives the services that have some of the data open as they are written
// now.
func (r *run) readers(s stacks.RenderedStack, data []aside) []string {
	var out []string
	for _, svc := range s.Services {
		if slices.ContainsFunc(data, func(a aside) bool {
			return !a.Left && (slices.Contains(svc.Volumes, a.Volume) || a.Database != nil && a.Database.Service == svc.Name ||
				slices.ContainsFunc(svc.Mounts, func(m stacks.RenderedMount) bool { return m.Key == a.Volume }))
		}) {
			out = append(out, svc.Name)
		}
	}
	return out
}

// interrupted gives, by stack, the services of changes that never ended.
func (p *Provisioner) interrupted() (map[string][]string, error) {
	all, err := p.readPending()
	if err != nil {
		return nil, err
	}
	out := map[string][]string{}
	for _, stack := range slices.Sorted(maps.Keys(all)) {
		out[stack] = all[stack].Services
	}
	return out, nil
}

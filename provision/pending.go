package provision

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
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
	// Data lists what is copied aside before a new image meets it. The new image
	// is never started before Copied is true.
	Data   []aside `json:"data,omitempty"`
	Copied bool    `json:"copied,omitempty"`
}

// aside is a copy of a volume's data from before a new image met it.
type aside struct {
	Volume   string `json:"volume"` // key
	Path     string `json:"path"`   // where the volume lies
	Copy     string `json:"copy"`   // where the copy lies
	Revision int    `json:"revision"`
	// Ran is the image that each service of the stack last ran well with.
	Ran map[string]string `json:"ran,omitempty"`
	// From is a copy that takes the place of the data: a rollback to data of then.
	From string `json:"from,omitempty"`
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
	if pend.Copied && len(pend.Data) > 0 {
		var kept []aside
		if err := readJSON(r.p.asidesPath(), &kept); err != nil {
			return err
		}
		if err := r.p.writeJSON(r.p.asidesPath(), append(kept, pend.Data...)); err != nil {
			return err
		}
	}
	delete(all, stack)
	return r.p.writeJSON(r.p.pendingPath(), all)
}

// atRisk gives the volumes of the stack that a new image is about to meet.
func (r *run) atRisk(s stacks.RenderedStack) []aside {
	keys := map[string]bool{}
	for _, c := range r.prep.Plan.Of(s.Name) {
		if c.Risk != stacks.RiskData {
			continue
		}
		svc, _ := s.Service(c.Service)
		for _, key := range svc.Volumes {
			keys[key] = true
		}
	}
	var out []aside
	for _, v := range r.located(s) {
		if keys[v.Key] && v.Path != "" {
			out = append(out, aside{Volume: v.Key, Path: v.Path, Copy: fmt.Sprintf("%s.croft-aside-%d", v.Path, r.rev.Number), Revision: r.rev.Number,
				Ran: r.ranOf(s), From: r.prep.backs[s.Name].From[v.Key]})
		}
	}
	return out
}

// copiesFit refuses, before anything is touched, a change whose data cannot be
// copied aside.
func (r *run) copiesFit() error {
	var paths []string
	for _, s := range r.prep.Rendered.Stacks {
		for _, a := range r.atRisk(s) {
			paths = append(paths, firstOf(a.From, a.Path)) // what is copied
		}
	}
	if len(paths) == 0 || r.p.Volumes == nil {
		return nil
	}
	slices.Sort(paths)
	if err := r.p.Volumes.Fits(slices.Compact(paths)); err != nil {
		return &BlockedError{Blocked: []stacks.Blocked{{
			Subject: "data", Why: "a new image would meet data that cannot be copied aside first: " + err.Error(),
			Hint: "make room, or take the change of image out",
		}}}
	}
	return nil
}

// begin notes that a stack changes, and copies its data aside where a new image
// is about to meet it. It gives the services to start: those asked for, and those
// whose containers had to let go of the data. Killed before Copied is written,
// the copy is made again: the new image has not been started.
func (r *run) begin(ctx context.Context, s stacks.RenderedStack, services []string) ([]string, error) {
	all, err := r.p.readPending()
	if err != nil {
		return nil, err
	}
	pend, unfinished := all[s.Name]
	target := r.target(s.Name)
	switch {
	case !unfinished:
		pend = pending{Revision: r.rev.Number, Target: target, Data: r.atRisk(s)}
	case pend.Copied && len(pend.Data) > 0:
		if pend, err = r.resume(ctx, s, pend, target); err != nil {
			return nil, err
		}
	default:
		// Nothing was copied yet, so no new image has met the data either; the one
		// that comes now may be the first that needs it.
		pend.Data = addVolumes(forTarget(pend, target), r.atRisk(s))
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
	if len(pend.Data) > 0 && !pend.Copied && r.p.Volumes != nil {
		if pend, err = r.copyAside(ctx, s, pend); err != nil {
			return nil, err
		}
	}
	if err := r.putInPlace(s, pend); err != nil {
		return nil, err
	}
	return union(services, pend.Services), nil
}

// addVolumes adds the volumes of b that a lacks.
func addVolumes(a, b []aside) []aside {
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
// what that one left.
func (r *run) resume(ctx context.Context, s stacks.RenderedStack, pend pending, target string) (pending, error) {
	backs, err := r.p.readHeld()
	if err != nil {
		return pend, err
	}
	// A copy that is not there was put back already, by a way back that was killed
	// before it could say so.
	gone := slices.ContainsFunc(pend.Data, func(a aside) bool { _, err := os.Lstat(a.Copy); return errors.Is(err, fs.ErrNotExist) })
	if back := backs[s.Name].Inputs == pend.Target; !back && !gone && pend.Target == target {
		return pend, nil
	}
	again := forTarget(pend, target)
	emptied := r.readers(s, pend.Data)
	if err := r.restoreData(ctx, s); err != nil {
		return pend, err
	}
	for i := range again {
		again[i].Copy, again[i].Revision = fmt.Sprintf("%s.croft-aside-%d", again[i].Path, r.rev.Number), r.rev.Number
	}
	return pending{Revision: r.rev.Number, Target: target, Services: union(pend.Services, emptied), Data: again}, nil
}

func (r *run) copyAside(ctx context.Context, s stacks.RenderedStack, pend pending) (pending, error) {
	// Written down first: who is removed for the copy must be started again, by
	// whichever run comes to it.
	pend.Services = union(pend.Services, r.readers(s, pend.Data))
	if err := r.setPending(s.Name, pend); err != nil {
		return pend, err
	}
	if err := r.fetchThen(ctx, s, pend); err != nil {
		return pend, err
	}
	if err := r.release(ctx, s, pend.Data); err != nil {
		return pend, err
	}
	for _, a := range pend.Data {
		if a.From != "" {
			continue // it is moved aside whole
		}
		r.ev(stacks.Event{Stack: s.Name, Phase: "copy", State: stacks.Working, Message: "data of " + a.Volume})
		if err := r.p.Volumes.Copy(ctx, a.Path, a.Copy); err != nil {
			return pend, fmt.Errorf("copy of %s: %w", a.Volume, err)
		}
	}
	r.ev(stacks.Event{Stack: s.Name, Phase: "copy", State: stacks.Done})
	pend.Copied = true
	return pend, r.setPending(s.Name, pend)
}

// readers gives the services that mount one of the volumes.
func (r *run) readers(s stacks.RenderedStack, data []aside) []string {
	var out []string
	for _, svc := range s.Services {
		if slices.ContainsFunc(data, func(a aside) bool { return slices.Contains(svc.Volumes, a.Volume) }) {
			out = append(out, svc.Name)
		}
	}
	return out
}

// release removes the containers that have the volumes open.
func (r *run) release(ctx context.Context, s stacks.RenderedStack, data []aside) error {
	state, err := r.p.Engine.Observe(ctx, r.p.Platform)
	if err != nil {
		return err
	}
	var ids []string
	for _, name := range r.readers(s, data) {
		for _, c := range state.Of(s.Project, name) {
			ids = append(ids, c.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return r.p.Engine.Remove(ctx, ids)
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

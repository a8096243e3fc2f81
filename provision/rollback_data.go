package provision

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/croft-sh/croft/stacks"
)

// An earlier program must never start unasked on data that a later one may have
// migrated. Where a rollback changes the image of a service with data, a person
// says what becomes of the data; croft offers what it has.

// data finds the services whose image and data would part, and either does what
// was asked about them or refuses.
func (b *backward) data(ctx context.Context) error {
	var kept []aside
	if err := readJSON(b.p.asidesPath(), &kept); err != nil {
		return err
	}
	for _, name := range b.out.Back {
		s, _ := b.out.Rendered.Stack(name)
		changed := b.otherProgram(s)
		if len(changed) == 0 {
			continue
		}
		from, missing, err := b.copies(ctx, s, kept)
		if err != nil {
			return err
		}
		if len(from)+len(missing) == 0 {
			continue
		}
		b.orphansOf(s)
		subject := name + "/" + strings.Join(changed, ", "+name+"/")
		then := b.words(DataThen, name) + " puts the copy from before that change in its place"
		if len(missing) > 0 {
			then = fmt.Sprintf("no copy of %s from before that change is kept, so there is nothing to put in its place", strings.Join(missing, ", "))
		}
		switch {
		case b.o.Data == "":
			b.block(subject, fmt.Sprintf("revision %d ran another image, and the one of today may have changed the data so that the earlier cannot read it", b.to.Number),
				b.words(DataNow, name)+" starts the earlier program on today's data; "+then)
		case b.o.Data == DataThen && len(missing) > 0:
			b.block(subject, then, b.words(DataNow, name)+" starts the earlier program on today's data, which is copied aside first")
		case b.o.Data == DataThen:
			h := b.backs[name]
			if h == nil { // forward again to what is written: it needs a place to say so, too
				now, _ := b.written.Stack(name)
				h = b.p.standIn(now, b.sources[name].Number, b.to.Number)
			}
			h.From = from
			b.backs[name], b.out.backs[name] = h, *h
		}
	}
	return nil
}

func (b *backward) words(data, stack string) string {
	more := ""
	if len(b.o.Stacks) > 0 {
		more = " --stack " + stack
	}
	return fmt.Sprintf("croft rollback --to %d%s --data %s", b.to.Number, more, data)
}

// otherProgram gives the services of a stack that the plan gives another image
// than they run on, or ran on last. With data, that is the risk.
func (b *backward) otherProgram(s stacks.RenderedStack) []string {
	var out []string
	for _, c := range b.out.Plan.Changes {
		svc, ok := s.Service(c.Service)
		if !ok || c.Stack != s.Name || c.Action != stacks.ActionCreate && c.Action != stacks.ActionRecreate {
			continue
		}
		id := b.out.State.Images[svc.Image]
		var ran []string
		for _, box := range b.out.State.Of(s.Project, svc.Name) {
			ran = append(ran, box.ImageID)
		}
		if len(ran) == 0 {
			ran = []string{b.out.State.Ran[s.Name+"/"+svc.Name]}
		}
		if !slices.ContainsFunc(ran, func(was string) bool { return was != "" && was != id }) {
			continue
		}
		out = append(out, svc.Name)
	}
	return out
}

// copies finds for all data that the services can reach the copy from before the
// later program first met it, and names the data that has none. A copy counts only
// where the services ran well on the image of then before it was made.
func (b *backward) copies(ctx context.Context, s stacks.RenderedStack, kept []aside) (from map[string]string, missing []string, err error) {
	from = map[string]string{}
	for _, c := range b.out.Plan.Data {
		if c.Stack != s.Name || c.Action != stacks.DataCopy {
			continue
		}
		best := aside{}
		for _, a := range kept {
			if a.Failed || a.Volume != c.Name || c.Database == nil && a.Path != c.Path || a.Revision <= b.to.Number || best.Copy != "" && a.Revision > best.Revision {
				continue
			}
			if slices.ContainsFunc(c.By, func(name string) bool { svc, _ := s.Service(name); return !b.ranThen(s.Name, svc, a) }) {
				continue
			}
			there, err := b.p.there(ctx, a, a.Copy)
			if err != nil {
				return nil, nil, fmt.Errorf("copy of %s: %w", a.Volume, err)
			}
			if there {
				best = a
			}
		}
		if best.Copy == "" {
			missing = append(missing, c.Name)
			continue
		}
		from[c.Name] = best.Copy
	}
	return from, missing, nil
}

func (b *backward) ranThen(stack string, svc stacks.RenderedService, a aside) bool {
	id := b.sources[stack].Images[svc.Image]
	return id != "" && a.Ran[svc.Name] == id
}

// orphansOf refuses while a service runs on that the revision did not have: it
// would go on writing to data that is copied or moved.
func (b *backward) orphansOf(s stacks.RenderedStack) {
	if b.o.RemoveOrphans {
		return
	}
	for _, c := range b.state.Containers {
		if _, wanted := s.Service(c.Service); c.Project == s.Project && !wanted && !c.OneOff {
			b.block(s.Name+"/"+c.Service, fmt.Sprintf("revision %d did not have it, and it may write to the data of the others", b.to.Number),
				"croft rollback with --remove-orphans takes it away first; its data stays")
		}
	}
}

// removeOrphans takes services away that a rolled back stack does not have, before
// its data is copied or moved. Killed after it, nobody misses them: the plan did
// not want them either.
func (r *run) removeOrphans(ctx context.Context, stack string) error {
	if r.prep.rollback == nil {
		return nil
	}
	for _, c := range r.prep.Plan.Of(stack) {
		if c.Action == stacks.ActionRemove {
			if err := r.p.Engine.Remove(ctx, c.Containers); err != nil {
				return err
			}
		}
	}
	return nil
}

// Kept gives where the data of today lies once the rollback was applied as the
// revision: volume -> directory.
func (r Rollback) Kept(revision int) map[string]string {
	out := map[string]string{}
	for _, name := range r.Back {
		s, _ := r.Rendered.Stack(name)
		one := run{prep: r.Prepared, rev: Revision{Number: revision}}
		for _, a := range one.atRisk(s.Name) {
			if a.Database == nil && there(a.Copy) {
				out[a.Volume] = a.Copy
			}
		}
	}
	return out
}

// ranOf gives the images that the services of the stack last ran well with.
func (r *run) ranOf(s stacks.RenderedStack) map[string]string {
	out := map[string]string{}
	for _, svc := range s.Services {
		if id := r.prep.State.Ran[s.Name+"/"+svc.Name]; id != "" {
			out[svc.Name] = id
		}
	}
	return out
}

// forTarget gives what a change was to copy aside. What it was to put in place
// was meant for its own target alone.
func forTarget(pend pending, target string) []aside {
	out := slices.Clone(pend.Data)
	for i := range out {
		if pend.Target != target {
			out[i].From = ""
		}
	}
	return out
}

// forgetFrom takes out of held.json which copies are put in place: pending.json
// has it by now. Killed before it, both say the same, and pending.json is read.
func (r *run) forgetFrom(stack string) error {
	if len(r.prep.backs[stack].From) == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	all, err := r.p.readHeld()
	if err != nil {
		return err
	}
	h, ok := all[stack]
	if !ok || len(h.From) == 0 {
		return nil
	}
	h.From = nil
	all[stack] = h
	return r.p.writeJSON(r.p.heldPath(), all)
}

// then is where a copy of the earlier data waits to be put in place.
func (a aside) then() string { return asideName(a, "then", a.Revision) }

// fetchThen copies the kept copies: the earlier program will change what it gets,
// and a rollback that fails must be possible again. Nothing runs on them, so the
// services stay up meanwhile. Killed in between, it is done again.
func (r *run) fetchThen(ctx context.Context, s stacks.RenderedStack, pend pending) error {
	for _, a := range pend.Data {
		if a.From == "" || a.Met {
			continue
		}
		r.ev(stacks.Event{Stack: s.Name, Phase: "copy", State: stacks.Working, Message: "data of " + a.Volume + " as it was then, from " + a.From})
		kept := a
		kept.Path, kept.Copy = a.From, a.then()
		if a.Database != nil { // nothing but this list tells clean of one that was given up
			left := a.failed()
			left.Copy = a.then()
			if err := r.p.listAsides([]aside{left}); err != nil {
				return err
			}
		}
		if _, err := r.copyOne(ctx, kept); err != nil {
			return fmt.Errorf("copy of %s: %w", a.From, err)
		}
	}
	return nil
}

// putInPlace gives data its form of then; what was written since lies under the
// name of an ordinary copy, so that a way back finds it. It begins when all copies
// are whole and pending.json says so, and only then does anything start.
//
// Killed before the first rename, both are where they were. Between the two the
// volume has no directory, or an empty one that the next apply made: that one goes
// first, and the second rename follows. After it the copy is not there any more,
// and nothing is left to do.
func (r *run) putInPlace(ctx context.Context, s stacks.RenderedStack, pend pending) error {
	for _, a := range pend.Data {
		if a.From == "" || !a.Met {
			continue
		}
		waits, err := r.p.there(ctx, a, a.then())
		if err != nil {
			return fmt.Errorf("data of %s: %w", a.Volume, err)
		}
		if !waits {
			continue
		}
		if a.Database == nil && there(a.Copy) {
			if err := os.Remove(a.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("data of %s: %w", a.Volume, err)
			}
		}
		if err := r.putOne(ctx, a, a.then(), a.Copy); err != nil {
			return fmt.Errorf("data of %s: %w", a.Volume, err)
		}
		r.ev(stacks.Event{Stack: s.Name, Phase: "copy", State: stacks.Done, Message: "data of " + a.Volume + " as it was then; what was written since is at " + a.Copy})
	}
	return nil
}

func there(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

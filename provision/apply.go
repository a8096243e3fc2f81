package provision

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/croft-sh/croft/stacks"
)

// defaultWait is how long a service may take until it is healthy.
const defaultWait = 5 * time.Minute

// run is one apply under way.
type run struct {
	p    *Provisioner
	prep Prepared
	o    ApplyOptions
	ev   stacks.Events
	rev  Revision

	mu     sync.Mutex
	memory memory
	failed map[string]*FailedError
	pace   pace // of the wave under way
	lost   bool // the engine went away
	back   bool // the way back: nothing is copied aside, nothing taken back again
}

// Apply carries out a plan. It decides nothing: it refuses a plan that is
// blocked or was made from another state, prepares everything that can fail
// (secrets, images, directories, networks), and only then touches services,
// wave by wave, each behind the health gate.
//
// Killed before the first wave, nothing that runs was touched. Killed later, the
// next plan shows what is left; files, secrets and networks are written before
// the containers that use them.
func (p *Provisioner) Apply(ctx context.Context, prep Prepared, o ApplyOptions, ev stacks.Events) (Revision, error) {
	if len(prep.Plan.Blocked) > 0 {
		return Revision{}, &BlockedError{Blocked: prep.Plan.Blocked}
	}
	// What a killed run had begun may still go on in the engine.
	if err := p.settle(ctx, prep, func(stack string) bool { return prep.State.Interrupted[stack] != nil }); err != nil {
		return Revision{}, err
	}
	state, err := p.Observe(ctx)
	if err != nil {
		return Revision{}, err
	}
	state = state.For(prep.Rendered)
	maps.Copy(state.Images, prep.meanings)
	if err := p.lookAt(prep.Rendered, &state); err != nil {
		return Revision{}, err
	}
	if state.Token() != prep.State.Token() {
		return Revision{}, &StaleError{}
	}
	r := &run{p: p, prep: prep, o: o, ev: p.stamped(ev), failed: map[string]*FailedError{}, pace: careful()}
	if r.o.WaitTimeout == 0 {
		r.o.WaitTimeout = defaultWait
	}
	release, err := p.lease(prep)
	if err != nil {
		return Revision{}, err
	}
	defer release()
	started := p.Now()
	gone, endWatch := p.watch(ctx)
	defer endWatch()
	if err := r.prepare(ctx); err != nil {
		return r.rev, r.giveUp(started, ctx.Err() != nil, err)
	}
	if err := r.goEarlier(ctx); err != nil {
		// Else the revision would count as killed, and a boot would finish it.
		return r.rev, r.giveUp(started, ctx.Err() != nil, err)
	}
	r.waves(ctx)
	r.lost = len(r.failed) > 0 && gone()
	if r.lost {
		return r.finish(ctx, started)
	}
	if ctx.Err() == nil { // an interrupted apply goes on with the next one
		r.forgetSkipped()
		r.takeBack(ctx)
	}
	if err := r.removals(ctx); err != nil {
		r.note("removals", err)
	}
	return r.finish(ctx, started)
}

// Settle waits until the stacks that a plan touches stop changing by themselves.
func (p *Provisioner) Settle(ctx context.Context, prep Prepared) error {
	return p.settle(ctx, prep, func(stack string) bool { return len(prep.Plan.Of(stack)) > 0 })
}

func (p *Provisioner) settle(ctx context.Context, prep Prepared, concerns func(stack string) bool) error {
	if p.Repairs == nil {
		return nil
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range prep.Rendered.Stacks {
		if concerns(s.Name) {
			group.Go(func() error { return p.Repairs.Settle(ctx, s.Project) })
		}
	}
	return group.Wait()
}

// stamped gives events their time and survives a nil sink.
func (p *Provisioner) stamped(ev stacks.Events) stacks.Events {
	return func(e stacks.Event) {
		if ev == nil {
			return
		}
		if e.At.IsZero() {
			e.At = p.Now()
		}
		ev(e)
	}
}

// prepare does everything that can fail without touching what runs.
func (r *run) prepare(ctx context.Context) error {
	p := r.p
	if err := r.copiesFit(ctx); err != nil {
		return err
	}
	if err := r.imagesCanBeHad(ctx); err != nil {
		return err
	}
	// The lock goes first: an address given out must never be given twice, and
	// the render below must find what the plan was made with.
	if err := p.writeLock(r.prep.Lock); err != nil {
		return err
	}
	created, err := p.Secrets.Ensure(SecretSpecs(r.prep.Desired))
	if err != nil {
		return err
	}
	if len(created) > 0 { // labels hold fingerprints, which exist only now
		r.ev(stacks.Event{Phase: "secrets", State: stacks.Done, Message: fmt.Sprintf("%d generated", len(created))})
		if r.prep.Rendered, _, err = p.Render(r.prep.Desired); err != nil {
			return err
		}
	}
	if r.memory, err = p.readMemory(); err != nil {
		return err
	}
	if r.rev.Number, err = p.nextRevision(); err != nil {
		return err
	}
	r.rev.At, r.rev.Hash = p.Now(), r.prep.Rendered.Hash()
	if err := p.beginRevision(r.rev.Number, r.prep, r.o.Inputs); err != nil {
		return err
	}
	if err := r.openResult(); err != nil {
		return err
	}
	if err := r.journal("apply begins", ""); err != nil {
		return err
	}
	if err := r.tags(ctx); err != nil {
		return err
	}
	if err := p.Engine.Pull(ctx, r.wants(), r.ev); err != nil {
		return err
	}
	if err := r.volumes(); err != nil {
		return err
	}
	if err := r.networks(ctx); err != nil {
		return err
	}
	return r.deliver()
}

func (r *run) journal(what, stack string) error {
	if r.p.Journal == nil {
		return nil
	}
	return r.p.Journal(map[string]any{"at": r.p.Now(), "revision": r.rev.Number, "what": what, "stack": stack})
}

// volumes makes directories, and remembers where each volume lies before
// anything is written into it.
func (r *run) volumes() error {
	for _, s := range r.prep.Rendered.Stacks {
		if len(r.prep.Plan.Of(s.Name)) == 0 {
			continue
		}
		for _, v := range r.located(s) {
			if v.Kept {
				r.keepPlace(v)
				continue
			}
			if err := r.p.MakeVolume(v.Path, v.Owner); err != nil {
				return fmt.Errorf("volume %s: %w", v.Key, err)
			}
			r.prep.Lock.Volumes[v.Key] = stacks.VolumeLock{Class: v.Class, Path: v.Path}
		}
	}
	return r.p.writeLock(r.prep.Lock)
}

// networks makes the shared ones and joins hubs that keep running.
func (r *run) networks(ctx context.Context) error {
	gone, err := r.mendedNetworks(ctx)
	if err != nil {
		return err
	}
	for _, n := range r.prep.Rendered.Networks {
		if _, exists := r.prep.State.Network(n.Name); exists && !gone[n.Name] {
			continue
		}
		r.ev(stacks.Event{Phase: "networks", State: stacks.Working, Message: n.Name})
		if err := r.p.Networks.CreateNetwork(ctx, r.p.Platform, n); err != nil {
			return fmt.Errorf("network %s: %w", n.Name, err)
		}
	}
	for _, n := range r.prep.Rendered.Networks {
		for _, h := range n.Hubs {
			s, _ := r.prep.Rendered.Stack(h.Stack)
			for _, c := range r.prep.State.Of(s.Project, h.Service) {
				if !c.Running() || slices.Contains(c.Networks, n.Name) && !gone[n.Name] {
					continue
				}
				if err := r.p.Networks.Connect(ctx, n.Name, c.ID, h.Aliases); err != nil {
					return fmt.Errorf("network %s: %w", n.Name, err)
				}
			}
		}
	}
	return nil
}

// waves changes stack after stack. A stack whose needs failed is skipped; the
// others go on.
func (r *run) waves(ctx context.Context) {
	last := 0
	for _, s := range r.prep.Rendered.Stacks {
		last = max(last, s.Wave)
	}
	for wave := 0; wave <= last; wave++ {
		r.pace = r.paceOf(wave)
		var group errgroup.Group
		for _, s := range r.prep.Rendered.Stacks {
			if s.Wave != wave || !r.touches(s) {
				continue
			}
			if need := r.failedNeed(s.Name); need != "" {
				r.fail(&FailedError{Stack: s.Name, Reason: "skipped, because " + need + " failed", Skipped: true})
				continue
			}
			group.Go(func() error {
				if err := r.stack(ctx, s); err != nil {
					r.note(s.Name, err)
				}
				return nil
			})
		}
		_ = group.Wait() // failures are kept per stack
	}
}

// touches tells whether the plan changes the stack or its files.
func (r *run) touches(s stacks.RenderedStack) bool {
	if len(r.prep.Plan.Of(s.Name)) > 0 {
		return true
	}
	return slices.ContainsFunc(r.prep.Plan.Files, func(f string) bool { return len(f) > len(s.Name) && f[:len(s.Name)+1] == s.Name+"/" }) &&
		(len(r.prep.Options.Stacks) == 0 || slices.Contains(r.prep.Options.scope(r.prep.Desired), s.Name))
}

func (r *run) failedNeed(stack string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, need := range withNeeds(r.prep.Desired, []string{stack}) {
		if need != stack && r.failed[need] != nil {
			return need
		}
	}
	return ""
}

func (r *run) fail(f *FailedError) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed[f.Stack] = f
	r.ev(stacks.Event{Stack: f.Stack, Service: f.Service, Phase: "result", State: stacks.Failed, Message: f.Reason})
}

func (r *run) note(stack string, err error) {
	if f, ok := err.(*FailedError); ok {
		r.fail(f)
		return
	}
	r.fail(&FailedError{Stack: stack, Reason: err.Error()})
}

// removals takes away what the plan says nobody wants any more.
func (r *run) removals(ctx context.Context) error {
	for _, c := range r.prep.Plan.Changes {
		if c.Action != stacks.ActionRemove {
			continue
		}
		r.ev(stacks.Event{Stack: c.Stack, Service: c.Service, Phase: "remove", State: stacks.Working})
		if err := r.p.Engine.Remove(ctx, c.Containers); err != nil {
			return err
		}
		r.ev(stacks.Event{Stack: c.Stack, Service: c.Service, Phase: "remove", State: stacks.Done})
	}
	for _, n := range r.prep.Plan.Networks {
		if n.Action == stacks.ActionRemove {
			// Hubs were joined to it; they stay, and would keep it.
			for _, c := range r.prep.State.Containers {
				if slices.Contains(c.Networks, n.Name) {
					if err := r.p.Networks.Disconnect(ctx, n.Name, c.ID); err != nil {
						return err
					}
				}
			}
			if err := r.p.Networks.RemoveNetwork(ctx, n.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

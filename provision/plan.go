package provision

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/croft-sh/croft/stacks"
	"github.com/croft-sh/croft/templates"
)

// Observe looks at the engine and at live/ in one pass.
func (p *Provisioner) Observe(ctx context.Context) (stacks.State, error) {
	state, err := p.Engine.Observe(ctx, p.Platform)
	if err != nil {
		return stacks.State{}, err
	}
	if err := p.readLive(&state); err != nil {
		return stacks.State{}, fmt.Errorf("state directory: %w", err)
	}
	m, err := p.readMemory()
	if err != nil {
		return stacks.State{}, err
	}
	if state.Locked, err = p.lockedImages(); err != nil {
		return state, err
	}
	if err := p.remembered(&state, m); err != nil {
		return stacks.State{}, err
	}
	state.Interrupted, err = p.interrupted()
	return state, err
}

// Render gives what would run, and the lock with what it had to give anew. It
// writes nothing.
func (p *Provisioner) Render(d stacks.Desired) (stacks.Rendered, stacks.Lock, error) {
	lock, err := p.readLock()
	if err != nil {
		return stacks.Rendered{}, lock, err
	}
	return p.render(d, lock)
}

// render is Render with a lock of which nothing need be written yet.
func (p *Provisioner) render(d stacks.Desired, lock stacks.Lock) (stacks.Rendered, stacks.Lock, error) {
	var err error
	var host []netip.Prefix
	if p.Routes != nil {
		if host, err = p.Routes(); err != nil {
			return stacks.Rendered{}, lock, fmt.Errorf("networks of this host: %w", err)
		}
	}
	lock, err = stacks.Allocate(lock, p.Platform, templates.Networks(d), host)
	if err != nil {
		return stacks.Rendered{}, lock, err
	}
	prints := map[string]string{}
	if p.Secrets != nil {
		if prints, err = p.Secrets.Fingerprints(slices.Sorted(maps.Keys(SecretSpecs(d)))); err != nil {
			return stacks.Rendered{}, lock, err
		}
	}
	rendered, problems := templates.Render(templates.Input{
		Desired: d, Lock: lock, Fingerprints: prints,
		Host: templates.Host{LiveDir: p.liveDir(""), SecretsDir: p.secretsDir()},
	})
	return rendered, lock, problems.Err()
}

func (p *Provisioner) secretsDir() string { return p.RunDir + "/secrets" }

// SecretSpecs gives every secret the platform needs by "<stack>/<name>".
func SecretSpecs(d stacks.Desired) map[string]stacks.SecretSpec {
	out := map[string]stacks.SecretSpec{}
	for _, s := range d.Stacks {
		if s.X == nil {
			continue
		}
		for name, spec := range s.X.Secrets {
			out[s.Name+"/"+name] = spec
		}
	}
	return out
}

// Plan observes and compares. It takes no lock and changes nothing.
func (p *Provisioner) Plan(ctx context.Context, d stacks.Desired, o PlanOptions) (Prepared, error) {
	return p.planOf(ctx, o, func() (stacks.Desired, stacks.Rendered, stacks.Lock, error) {
		rendered, lock, err := p.renderAdopting(ctx, d)
		return d, rendered, lock, err
	})
}

// renderer gives what is desired, what would run, and the lock with what is new.
type renderer func() (stacks.Desired, stacks.Rendered, stacks.Lock, error)

// planOf is Plan of what render gives, which works while the machine is observed.
func (p *Provisioner) planOf(ctx context.Context, o PlanOptions, render renderer) (Prepared, error) {
	var (
		d        stacks.Desired
		rendered stacks.Rendered
		lock     stacks.Lock
		state    stacks.State
		both     errgroup.Group
	)
	both.Go(func() (err error) { d, rendered, lock, err = render(); return })
	both.Go(func() (err error) { state, err = p.Observe(ctx); return })
	if err := both.Wait(); err != nil {
		return Prepared{}, err
	}
	backs, meanings, err := p.backsAndMeanings(d, o, rendered, state)
	if err != nil {
		return Prepared{}, err
	}
	state = state.For(rendered)
	maps.Copy(state.Images, meanings)
	if err := p.lookAt(rendered, &state); err != nil {
		return Prepared{}, err
	}
	for _, name := range o.Stacks {
		if _, ok := d.Stack(name); !ok {
			return Prepared{}, fmt.Errorf("there is no stack %s on this platform", name)
		}
	}
	consent, err := p.consent(d, o.WithoutCopy)
	if err != nil {
		return Prepared{}, err
	}
	diff := stacks.DiffOptions{Stacks: o.scope(d), RemoveOrphans: o.RemoveOrphans, WithoutCopy: consent}
	plan := stacks.Diff(rendered, state, diff)
	if len(plan.Data) > 0 {
		if state.NoData, err = p.noData(plan); err != nil {
			return Prepared{}, err
		}
		plan = stacks.Diff(rendered, state, diff)
	}
	plan.Blocked = append(plan.Blocked, p.portsTaken(rendered, plan, state)...)
	plan.Warnings = append(plan.Warnings, p.leaseWarnings(plan)...)
	prep := Prepared{Plan: plan, Desired: d, Rendered: rendered, State: state, Lock: lock, Options: o, backs: backs, meanings: meanings}
	err = p.assess(ctx, &prep)
	return prep, err
}

// withNeeds adds what the named stacks need, so that a narrowed apply can work.
func withNeeds(d stacks.Desired, names []string) []string {
	if len(names) == 0 {
		return nil
	}
	set := map[string]bool{}
	var add func(name string)
	add = func(name string) {
		s, ok := d.Stack(name)
		if !ok || set[name] {
			return
		}
		set[name] = true
		if s.X == nil {
			return
		}
		for _, n := range s.X.Needs {
			add(n)
		}
		for _, db := range s.X.Databases {
			if server, ok := d.Server(db.Engine); ok {
				add(server.Name)
			}
		}
	}
	for _, n := range names {
		add(n)
	}
	return slices.Sorted(maps.Keys(set))
}

// takesPorts tells whether a change lets a service take its ports anew.
func takesPorts(c stacks.Change, state stacks.State) bool {
	switch c.Action {
	case stacks.ActionCreate:
		return true
	case stacks.ActionStart, stacks.ActionRecreate:
		return !slices.ContainsFunc(state.Containers, func(have stacks.Container) bool {
			return slices.Contains(c.Containers, have.ID) && have.State != "exited" && have.State != "created"
		})
	}
	return false
}

// portsTaken blocks what cannot start because someone else holds its port. A
// service that runs already holds its own.
func (p *Provisioner) portsTaken(r stacks.Rendered, plan stacks.Plan, state stacks.State) []stacks.Blocked {
	if p.PortHolder == nil {
		return nil
	}
	var out []stacks.Blocked
	for _, c := range plan.Changes {
		if !takesPorts(c, state) {
			continue
		}
		s, _ := r.Stack(c.Stack)
		svc, _ := s.Service(c.Service)
		for _, port := range svc.Ports {
			if holder := p.PortHolder(port); holder != "" {
				out = append(out, stacks.Blocked{
					Subject: c.Stack + "/" + c.Service,
					Why:     fmt.Sprintf("port %d of this machine is taken by %s", port.Port, holder),
					Hint:    "stop that program, or give the stack another port (croft stack info " + c.Stack + " lists its options)",
				})
			}
		}
	}
	return out
}

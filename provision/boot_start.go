package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/croft-sh/croft/stacks"
)

// start starts the containers that were applied and do not run, as they are: no
// file is written and no container is made anew, whatever a render would say
// today. Wave by wave, each behind the gate.
func (b *boot) start(ctx context.Context) error {
	var a applied
	if err := readJSON(b.p.appliedPath(), &a); err != nil {
		return err
	}
	state, err := b.p.Observe(ctx)
	if err != nil {
		return err
	}
	var failures []error
	last := 0
	for _, s := range a.Stacks {
		last = max(last, s.Wave)
		if alone(s.Name, state) {
			continue
		}
		if err := b.rejoin(ctx, s, state); err != nil {
			failures = append(failures, err)
		}
	}
	for wave := 0; wave <= last; wave++ {
		failures = append(failures, b.startWave(ctx, a, wave, state)...)
	}
	for _, err := range failures {
		b.ev(stacks.Event{Phase: "boot", State: stacks.Failed, Message: err.Error()})
	}
	if len(failures) == 0 {
		return nil
	}
	var first *FailedError
	if errors.As(failures[0], &first) {
		first.Partial = true
	}
	return failures[0]
}

func (b *boot) startWave(ctx context.Context, a applied, wave int, state stacks.State) []error {
	var (
		group    errgroup.Group
		mu       sync.Mutex
		failures []error
	)
	for _, s := range a.Stacks {
		_, halfDone := state.Interrupted[s.Name]
		if s.Wave != wave || alone(s.Name, state) || halfDone {
			continue // what is half changed may be about to meet other data
		}
		down := down(s, state)
		if len(down) == 0 {
			continue
		}
		group.Go(func() error {
			if err := b.startStack(ctx, s, down); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failures = append(failures, err)
			}
			return nil
		})
	}
	_ = group.Wait() // failures are kept
	return failures
}

// stillContainer is one that should run and does not.
type stillContainer struct{ service, id string }

// down gives the containers of a stack that should run and do not. What a person
// paused stays so; a job that ended well has done its work.
func down(s appliedStack, state stacks.State) []stillContainer {
	var out []stillContainer
	for _, svc := range s.Services {
		if svc.Replicas == 0 {
			continue
		}
		for _, c := range state.Of(s.Project, svc.Name) {
			ended := c.ExitCode == 0 && (svc.Job || state.Ended[s.Name+"/"+svc.Name])
			if c.State == "created" || c.State == "exited" && !ended {
				out = append(out, stillContainer{svc.Name, c.ID})
			}
		}
	}
	return out
}

// startStack starts containers of one stack and waits for them. It holds the
// stack: a backup may have stopped it for a copy.
func (b *boot) startStack(ctx context.Context, s appliedStack, still []stillContainer) error {
	if b.p.Leases != nil {
		release, err := b.p.Leases.Take(s.Name, "a boot that starts it")
		if err != nil {
			return err
		}
		defer release()
	}
	rendered := stacks.RenderedStack{Name: s.Name, Project: s.Project}
	for _, svc := range s.Services {
		rendered.Services = append(rendered.Services, stacks.RenderedService{Name: svc.Name, Job: svc.Job})
	}
	r := &run{p: b.p, o: ApplyOptions{WaitTimeout: b.o.WaitTimeout}, ev: b.ev}
	ids := map[string][]string{}
	var first error
	for _, c := range still {
		b.ev(stacks.Event{Stack: s.Name, Service: c.service, Phase: "start", State: stacks.Working})
		if err := b.p.Repairs.Start(ctx, []string{c.id}); err != nil {
			if first == nil {
				first = &FailedError{Stack: s.Name, Service: c.service, Reason: err.Error()}
			}
			continue // the others of the stack may do without it
		}
		ids[c.service] = append(ids[c.service], c.id)
		b.started(s.Name + "/" + c.service)
	}
	if err := r.gate(ctx, rendered, ids); err != nil && first == nil {
		first = err
	}
	return first
}

func (b *boot) started(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.out.Started = append(b.out.Started, name)
	slices.Sort(b.out.Started)
}

// rejoin joins hubs to the networks they serve, where a container of theirs is not
// on one that is there.
func (b *boot) rejoin(ctx context.Context, s appliedStack, state stacks.State) error {
	for _, svc := range s.Services {
		for _, join := range svc.Joins {
			if _, there := state.Network(join.Network); !there {
				continue // the next apply makes it
			}
			for _, c := range state.Of(s.Project, svc.Name) {
				if slices.Contains(c.Networks, join.Network) {
					continue
				}
				if err := b.p.Networks.Connect(ctx, join.Network, c.ID, join.Aliases); err != nil {
					return fmt.Errorf("network %s: %w", join.Network, err)
				}
				b.out.Joined = append(b.out.Joined, join.Network)
			}
		}
	}
	return nil
}

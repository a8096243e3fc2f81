package provision

import (
	"context"
	"fmt"
	"slices"

	"github.com/croft-sh/croft/stacks"
)

// Halts stops containers that must stay: with them would go the volumes that only
// they know by name.
type Halts interface {
	// Halt stops containers and takes their restart policy away, so that the
	// engine does not start them with itself. One that is gone is no error.
	Halt(ctx context.Context, ids []string) error
	// Unhalt gives containers a restart policy back, as "always" or "on-failure:3".
	// One that is gone is no error.
	Unhalt(ctx context.Context, policies map[string]string) error
}

// release makes everybody let go of the data of a change: whoever has it mounted,
// and every service that changes, which may write it over the network. They are
// removed, so that not even a restart of the machine brings them back; those with
// volumes that have no name are stopped, because a container made in their place
// inherits these from them alone.
//
// Killed under way, the services are noted as changing and are started again.
func (r *run) release(ctx context.Context, s stacks.RenderedStack, pend pending) (pending, error) {
	state, err := r.p.Engine.Observe(ctx, r.p.Platform)
	if err != nil {
		return pend, err
	}
	closing := union(pend.Services, r.readers(s, pend.Data))
	var remove, halt []string
	for _, c := range state.Containers {
		opened := slices.ContainsFunc(pend.Data, func(a aside) bool { return !a.Left && a.open(c) })
		if c.Project != s.Project || c.OneOff || !opened && !slices.Contains(closing, c.Service) {
			continue
		}
		if r.p.Halts != nil && hasUnnamed(s, c) {
			halt = append(halt, c.ID)
		} else {
			remove = append(remove, c.ID)
		}
	}
	if pend, err = r.halt(ctx, s.Name, pend, halt); err != nil || len(remove) == 0 {
		return pend, err
	}
	return pend, r.p.Engine.Remove(ctx, remove)
}

// hasUnnamed tells whether a container has a volume that the stack's file does not
// name.
func hasUnnamed(s stacks.RenderedStack, c stacks.Container) bool {
	named := map[string]bool{}
	for _, v := range s.Volumes {
		named[v.Name] = true
	}
	for _, svc := range s.Services {
		for _, m := range svc.Mounts {
			named[m.Volume] = true
		}
	}
	return slices.ContainsFunc(c.Mounts, func(m stacks.Mount) bool { return m.Volume != "" && !named[m.Volume] })
}

// halt writes down the restart policies before it takes them away.
func (r *run) halt(ctx context.Context, stack string, pend pending, ids []string) (pending, error) {
	if len(ids) == 0 {
		return pend, nil
	}
	seen, err := r.p.Containers.Inspect(ctx, ids)
	if err != nil {
		return pend, err
	}
	if pend.Halted == nil {
		pend.Halted = map[string]string{}
	}
	for _, c := range seen {
		if policy := c.policy(); policy != "" {
			pend.Halted[c.ID] = policy
		}
	}
	if err := r.setPending(stack, pend); err != nil {
		return pend, err
	}
	return pend, r.p.Halts.Halt(ctx, ids)
}

// policy gives the restart policy as Unhalt takes it, "" for none.
func (c Inspected) policy() string {
	switch {
	case c.RestartPolicy == "no":
		return ""
	case c.RestartPolicy == "on-failure" && c.RestartMax > 0:
		return fmt.Sprintf("%s:%d", c.RestartPolicy, c.RestartMax)
	}
	return c.RestartPolicy
}

// unhalt gives containers that were only stopped their restart policy back. Those
// that were made anew have the one of their file.
func (r *run) unhalt(ctx context.Context, stack string) error {
	all, err := r.p.readPending()
	if err != nil {
		return err
	}
	pend := all[stack]
	if len(pend.Halted) == 0 || r.p.Halts == nil {
		return nil
	}
	if err := r.p.Halts.Unhalt(ctx, pend.Halted); err != nil {
		return err
	}
	pend.Halted = nil
	return r.setPending(stack, pend)
}

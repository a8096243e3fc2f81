package provision

import (
	"context"
	"fmt"
	"slices"

	"github.com/croft-sh/croft/stacks"
)

// tags makes references mean again what the plan says.
func (r *run) tags(ctx context.Context) error {
	for _, i := range r.prep.Plan.Images {
		if err := r.p.Repairs.Tag(ctx, i.ImageID, i.Name); err != nil {
			return fmt.Errorf("image %s: %w", i.Name, err)
		}
	}
	return nil
}

// mendedNetworks takes containers off networks that they do not ask for, and
// removes networks that are made anew. It forgets them first: killed after that,
// whoever makes them is believed. Killed between a disconnect and the new
// network, the next plan sees containers that miss one, and replaces them.
func (r *run) mendedNetworks(ctx context.Context) (gone map[string]bool, err error) {
	gone = map[string]bool{}
	forget := false
	for _, c := range r.prep.Plan.Networks {
		if c.Action == stacks.ActionCreate || c.Action == stacks.ActionRecreate {
			delete(r.memory.Networks, c.Name)
			forget = true
		}
	}
	if forget {
		if err := r.p.writeMemory(r.memory); err != nil {
			return gone, err
		}
	}
	for _, n := range r.prep.Plan.Networks {
		switch n.Action {
		case stacks.ActionDisconnect:
			for _, id := range n.Containers {
				if err := r.p.Networks.Disconnect(ctx, n.Name, id); err != nil {
					return gone, fmt.Errorf("network %s: %w", n.Name, err)
				}
			}
		case stacks.ActionRecreate:
			if err := r.emptyNetwork(ctx, n.Name); err != nil {
				return gone, fmt.Errorf("network %s: %w", n.Name, err)
			}
			gone[n.Name] = true
		}
	}
	return gone, nil
}

// emptyNetwork takes everything of the platform off a network and removes it.
func (r *run) emptyNetwork(ctx context.Context, name string) error {
	r.ev(stacks.Event{Phase: "networks", State: stacks.Working, Message: name + " is made anew"})
	for _, c := range r.prep.State.Containers {
		if !slices.Contains(c.Networks, name) {
			continue
		}
		if err := r.p.Networks.Disconnect(ctx, name, c.ID); err != nil {
			return err
		}
	}
	return r.p.Networks.RemoveNetwork(ctx, name)
}

// anew gives, of the services to bring up, those that the plan replaces.
func (r *run) anew(stack string, services []string) []string {
	var out []string
	for _, c := range r.prep.Plan.Of(stack) {
		if c.Action == stacks.ActionRecreate && slices.Contains(services, c.Service) {
			out = append(out, c.Service)
		}
	}
	return out
}

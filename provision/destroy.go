package provision

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/croft-sh/croft/stacks"
)

// Destroy removes the platform's containers and networks and its secrets on the
// tmpfs. Data, state, keys and the platform's own files stay. Killed in the
// middle, running it again removes the rest.
func (p *Provisioner) Destroy(ctx context.Context, ev stacks.Events) error {
	state, err := p.Observe(ctx)
	if err != nil {
		return err
	}
	tell := p.stamped(ev)
	for _, c := range state.Containers {
		tell(stacks.Event{Stack: c.Stack, Service: c.Service, Phase: "remove", State: stacks.Working})
		if err := p.Engine.Remove(ctx, []string{c.ID}); err != nil {
			return err
		}
	}
	for _, n := range state.Networks {
		if err := p.Networks.RemoveNetwork(ctx, n.Name); err != nil {
			return err
		}
	}
	if err := p.dropKept(ctx, state); err != nil {
		return err
	}
	if err := os.RemoveAll(p.secretsDir()); err != nil {
		return err
	}
	// What was reloaded, stopped, begun and applied is about containers that are gone.
	for _, name := range []string{"memory.json", "applied.json", "pending.json"} {
		if err := os.Remove(filepath.Join(p.StateDir, name)); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	tell(stacks.Event{Phase: "remove", State: stacks.Done})
	return nil
}

// dropKept lets go of the images that croft kept for the way back.
func (p *Provisioner) dropKept(ctx context.Context, state stacks.State) error {
	if p.Repairs == nil {
		return nil
	}
	for tag := range state.Images {
		if !strings.HasPrefix(tag, keepRepository+p.Platform+":") {
			continue
		}
		if err := p.Repairs.Untag(ctx, tag); err != nil {
			return err
		}
	}
	return nil
}

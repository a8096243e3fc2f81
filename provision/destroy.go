package provision

import (
	"context"
	"maps"
	"os"
	"slices"
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
		if !c.Owned(p.Platform) {
			continue
		}
		tell(stacks.Event{Stack: c.Stack, Service: c.Service, Phase: "remove", State: stacks.Working})
		if err := p.Engine.Remove(ctx, []string{c.ID}); err != nil {
			return err
		}
	}
	for _, n := range p.ownNetworks(state) {
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
	if err := p.forget(p.staying(state)); err != nil {
		return err
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
		if !strings.HasPrefix(tag, stacks.KeepRepository+p.Platform+":") {
			continue
		}
		if err := p.Repairs.Untag(ctx, tag); err != nil {
			return err
		}
	}
	return nil
}

// ownNetworks gives the shared networks and those of the platform's own projects,
// not those of a project whose name merely begins alike.
func (p *Provisioner) ownNetworks(state stacks.State) []stacks.Network {
	projects := map[string]bool{}
	for stack := range state.Live {
		projects[p.Platform+"-"+stack] = true
	}
	var out []stacks.Network
	for _, n := range state.Networks {
		if n.Labels[stacks.LabelPlatform] == p.Platform || projects[n.Labels["com.docker.compose.project"]] || p.decorated(state, n) {
			out = append(out, n)
		}
	}
	return out
}

// forget drops what is about containers that are gone. What is about data and
// files stays: which image met the data last, what was begun on it, what croft
// wrote, what is held. So does what is about stacks that stay.
func (p *Provisioner) forget(staying map[string]bool) error {
	m, err := p.readMemory()
	if err != nil {
		return err
	}
	gone := func(key string) bool { stack, _, _ := strings.Cut(key, "/"); return !staying[stack] }
	maps.DeleteFunc(m.Reloaded, func(key, _ string) bool { return gone(key) })
	maps.DeleteFunc(m.Made, func(key string, _ []string) bool { return gone(key) })
	maps.DeleteFunc(m.Ended, func(key string, _ bool) bool { return gone(key) })
	m.Stopped = slices.DeleteFunc(m.Stopped, gone)
	m.Networks = map[string]string{}
	if err := p.writeMemory(m); err != nil {
		return err
	}
	// A boot must not bring back what was destroyed, whatever was interrupted.
	if err := os.Remove(p.bootPath()); err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := p.forgetApplied(staying); err != nil {
		return err
	}
	return syncDir(p.StateDir)
}

// Doomed gives what Destroy would remove.
func (p *Provisioner) Doomed(ctx context.Context) (containers, networks []string, err error) {
	state, err := p.Observe(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range state.Containers {
		if c.Owned(p.Platform) {
			containers = append(containers, c.Name)
		}
	}
	for _, n := range p.ownNetworks(state) {
		networks = append(networks, n.Name)
	}
	return containers, networks, nil
}

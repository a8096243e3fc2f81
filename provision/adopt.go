package provision

import (
	"context"
	"slices"

	"github.com/croft-sh/croft/stacks"
	"github.com/croft-sh/croft/templates"
)

// renderAdopting is Render that takes over the subnets of networks which are
// there and the lock does not know: where lock.json was lost, what runs stays as
// it is. It looks at the engine only where the lock lacks something.
func (p *Provisioner) renderAdopting(ctx context.Context, d stacks.Desired) (stacks.Rendered, stacks.Lock, error) {
	lock, err := p.readLock()
	if err != nil {
		return stacks.Rendered{}, lock, err
	}
	lacks := slices.ContainsFunc(templates.Networks(d), func(n stacks.NetworkNeed) bool { return lock.Subnets[n.Key] == "" })
	if lacks {
		state, err := p.Engine.Observe(ctx, p.Platform)
		if err != nil {
			return stacks.Rendered{}, lock, err
		}
		lock = stacks.AdoptSubnets(lock, p.Platform, state.Networks)
	}
	return p.render(d, lock)
}

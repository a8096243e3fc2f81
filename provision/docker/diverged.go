package docker

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/docker/compose/v5/pkg/compose"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

// replaceNetworks makes way for networks of the project whose definition
// changed. Left to the SDK, containers are joined to the new network without
// their aliases and fixed addresses, and a run that breaks off in the middle
// can wedge the project for good. Removing the containers and the network
// first, and letting Up make both, gives the right result. It refuses, before
// it touches anything, when a service that is not named is on such a network.
func (e *Engine) replaceNetworks(ctx context.Context, p *types.Project, existing []container.Summary, pr *progress) error {
	changed, err := e.divergedNetworks(ctx, p)
	if err != nil || len(changed) == 0 {
		return err
	}
	if err := e.roomFor(ctx, p, changed); err != nil {
		return err
	}
	var doomed []container.Summary
	for _, n := range changed {
		attached, err := e.attached(ctx, p, existing, n)
		if err != nil {
			return err
		}
		doomed = append(doomed, attached...)
	}
	var ids []string
	for _, c := range doomed {
		if !slices.Contains(ids, c.ID) { // it may be on two of them
			ids = append(ids, c.ID)
			pr.warn(c.Labels[api.ServiceLabel], "removed first, as a network of it changed; anonymous volumes are left behind")
		}
	}
	if err := e.Remove(ctx, ids); err != nil {
		return err
	}
	for _, n := range changed {
		if err := e.RemoveNetwork(ctx, n.ID); err != nil {
			return err
		}
	}
	return nil
}

// divergedNetworks gives the networks the project made from another definition
// than the one it has now.
func (e *Engine) divergedNetworks(ctx context.Context, p *types.Project) ([]network.Network, error) {
	if len(p.Networks) == 0 {
		return nil, nil
	}
	list, err := e.api.NetworkList(ctx, client.NetworkListOptions{
		Filters: make(client.Filters).Add("label", api.ProjectLabel+"="+p.Name),
	})
	if err != nil {
		return nil, fmt.Errorf("list networks of %s: %w", p.Name, err)
	}
	var out []network.Network
	for key, want := range p.Networks {
		if want.External {
			continue
		}
		hash, err := compose.NetworkHash(&want)
		if err != nil {
			return nil, fmt.Errorf("network %s: %w", key, err)
		}
		for _, n := range list.Items {
			have := n.Labels[api.ConfigHashLabel]
			if n.Name == want.Name && have != "" && have != hash {
				out = append(out, n.Network)
			}
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, nil
}

// roomFor refuses a new subnet that another network has: by the time the
// engine would say so, the old network is gone.
func (e *Engine) roomFor(ctx context.Context, p *types.Project, changed []network.Network) error {
	list, err := e.api.NetworkList(ctx, client.NetworkListOptions{})
	if err != nil {
		return fmt.Errorf("list networks: %w", err)
	}
	going := map[string]bool{}
	for _, n := range changed {
		going[n.Name] = true
	}
	for _, want := range p.Networks {
		for _, pool := range want.Ipam.Config {
			subnet, err := netip.ParsePrefix(pool.Subnet)
			if err != nil || !going[want.Name] {
				continue // no subnet asked for, or one the engine will refuse by itself
			}
			for _, other := range list.Items {
				for _, c := range other.IPAM.Config {
					if !going[other.Name] && c.Subnet.IsValid() && c.Subnet.Overlaps(subnet) {
						return &Error{
							Doing:  "replace network " + want.Name,
							Err:    fmt.Errorf("its new subnet %s overlaps %s of network %s", subnet, c.Subnet, other.Name),
							Advice: "choose another subnet; nothing was touched",
						}
					}
				}
			}
		}
	}
	return nil
}

// attached gives the containers on a network, stopped ones too, all of which
// must be of services in p.
func (e *Engine) attached(ctx context.Context, p *types.Project, existing []container.Summary, n network.Network) ([]container.Summary, error) {
	var out []container.Summary
	var others []string
	ours := map[string]bool{}
	for _, c := range existing {
		if c.NetworkSettings == nil || c.NetworkSettings.Networks[n.Name] == nil {
			continue
		}
		ours[c.ID] = true
		if _, ok := p.Services[c.Labels[api.ServiceLabel]]; ok {
			out = append(out, c)
		} else {
			others = append(others, nameOf(c))
		}
	}
	res, err := e.api.NetworkInspect(ctx, n.ID, client.NetworkInspectOptions{})
	if err != nil {
		return nil, fmt.Errorf("inspect network %s: %w", n.Name, err)
	}
	for id, ep := range res.Network.Containers {
		if !ours[id] {
			others = append(others, ep.Name)
		}
	}
	if len(others) == 0 {
		return out, nil
	}
	sort.Strings(others)
	return nil, &Error{
		Doing:  "replace network " + n.Name,
		Err:    fmt.Errorf("its definition changed, and %s would lose it too", strings.Join(others, ", ")),
		Advice: "bring up all services of the network together; nothing was touched",
	}
}

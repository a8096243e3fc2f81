package docker

import (
	"context"
	"net/netip"
	"slices"

	"github.com/moby/moby/client"
)

// Reach is where a running container can be reached from this machine.
type Reach struct {
	Addresses []netip.Addr // on its networks, sorted; loopback where it shares the machine's
	Ports     []uint16     // TCP ports that it exposes, sorted
}

// Reach looks up the addresses of a container. The machine is on every bridge
// network itself, also on those without a way out.
func (e *Engine) Reach(ctx context.Context, id string) (Reach, error) {
	res, err := e.api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return Reach{}, failed("inspect container "+short(id), err)
	}
	var out Reach
	c := res.Container
	if c.HostConfig != nil && c.HostConfig.NetworkMode.IsHost() {
		out.Addresses = append(out.Addresses, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	}
	if c.NetworkSettings != nil {
		for _, n := range c.NetworkSettings.Networks {
			if n != nil && n.IPAddress.IsValid() {
				out.Addresses = append(out.Addresses, n.IPAddress)
			}
		}
	}
	if c.Config != nil {
		for port := range c.Config.ExposedPorts {
			if port.Proto() == "tcp" {
				out.Ports = append(out.Ports, port.Num())
			}
		}
	}
	slices.SortFunc(out.Addresses, netip.Addr.Compare)
	slices.Sort(out.Ports)
	return out, nil
}

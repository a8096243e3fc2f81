package docker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/croft-sh/croft/stacks"
)

// CreateNetwork makes a bridge network with the subnet asked for. One of that
// name with the same subnet is left as it is; one with another subnet, or open
// to the outside where it must not be, is an error: croft gives a network its
// definition once and never changes it under running containers.
func (e *Engine) CreateNetwork(ctx context.Context, platform string, n stacks.SharedNetwork) error {
	doing := "create network " + n.Name
	ipam, err := ipamOf(n)
	if err != nil {
		return &Error{Doing: doing, Err: err}
	}
	found, ok, err := e.networkNamed(ctx, n.Name)
	if err != nil {
		return failed(doing, err)
	}
	if ok {
		return sameNetwork(doing, found, n)
	}
	_, err = e.api.NetworkCreate(ctx, n.Name, client.NetworkCreateOptions{
		Driver: "bridge", Internal: n.Internal, IPAM: ipam,
		Labels: map[string]string{
			stacks.LabelPlatform: platform,
			stacks.LabelNetwork:  n.Key,
			stacks.LabelSubnet:   n.Subnet,
		},
	})
	if err == nil {
		return nil
	}
	// Somebody else may have made it in between.
	if found, ok, again := e.networkNamed(ctx, n.Name); again == nil && ok {
		return sameNetwork(doing, found, n)
	}
	return failed(doing, err)
}

// ipamOf gives the first address of the subnet to the gateway: left alone the
// engine takes it from the range of dynamic addresses.
func ipamOf(n stacks.SharedNetwork) (*network.IPAM, error) {
	subnet, err := netip.ParsePrefix(n.Subnet)
	if err != nil {
		return nil, fmt.Errorf("subnet: %w", err)
	}
	subnet = subnet.Masked()
	c := network.IPAMConfig{Subnet: subnet, Gateway: subnet.Addr().Next()}
	if n.Range != "" {
		if c.IPRange, err = netip.ParsePrefix(n.Range); err != nil {
			return nil, fmt.Errorf("range: %w", err)
		}
		c.IPRange = c.IPRange.Masked()
		if !subnet.Contains(c.IPRange.Addr()) || c.IPRange.Bits() < subnet.Bits() {
			return nil, fmt.Errorf("range %s lies outside of subnet %s", n.Range, n.Subnet)
		}
	}
	return &network.IPAM{Driver: "default", Config: []network.IPAMConfig{c}}, nil
}

func sameNetwork(doing string, found network.Network, want stacks.SharedNetwork) error {
	wanted, err := netip.ParsePrefix(want.Subnet)
	if err != nil {
		return &Error{Doing: doing, Err: err}
	}
	if have := subnetOf(found); have != wanted.Masked().String() {
		return &Error{Doing: doing, Err: fmt.Errorf("it exists with subnet %s, wanted is %s", have, want.Subnet),
			Advice: "a network keeps its subnet for life: restore the subnet in lock.json, " +
				"or stop its containers and docker network rm " + want.Name}
	}
	if found.Internal != want.Internal {
		return &Error{Doing: doing, Err: fmt.Errorf("it exists with internal=%t, wanted is internal=%t", found.Internal, want.Internal),
			Advice: "stop its containers and docker network rm " + want.Name + ", the next apply makes it anew"}
	}
	return nil
}

// networkNamed looks for a network by its exact name: the engine's filter
// matches parts of a name, and its inspect also takes the start of an ID.
func (e *Engine) networkNamed(ctx context.Context, name string) (network.Network, bool, error) {
	list, err := e.api.NetworkList(ctx, client.NetworkListOptions{Filters: make(client.Filters).Add("name", name)})
	if err != nil {
		return network.Network{}, false, err
	}
	for _, n := range list.Items {
		if n.Name == name {
			return n.Network, true, nil
		}
	}
	return network.Network{}, false, nil
}

// RemoveNetwork removes a network that nobody uses; a missing one is no error.
func (e *Engine) RemoveNetwork(ctx context.Context, name string) error {
	_, err := e.api.NetworkRemove(ctx, name, client.NetworkRemoveOptions{})
	if isNotFound(err) {
		return nil
	}
	return failed("remove network "+name, err)
}

// Connect joins a container to a network. One that is joined already keeps the
// aliases it has.
func (e *Engine) Connect(ctx context.Context, networkName, containerID string, aliases []string) error {
	_, err := e.api.NetworkConnect(ctx, networkName, client.NetworkConnectOptions{
		Container: containerID, EndpointConfig: &network.EndpointSettings{Aliases: aliases},
	})
	if err == nil {
		return nil
	}
	// Asked instead of read from the error's text: the text differs between
	// engines, and "already exists" may also mean the leftover of a container
	// of the same name.
	joined, again := e.joined(ctx, networkName, containerID)
	if again == nil && joined {
		return nil
	}
	return failed(fmt.Sprintf("join container %s to network %s", short(containerID), networkName), errors.Join(err, ignoreNotFound(again)))
}

// Disconnect takes a container off a network.
func (e *Engine) Disconnect(ctx context.Context, networkName, containerID string) error {
	_, err := e.api.NetworkDisconnect(ctx, networkName, client.NetworkDisconnectOptions{Container: containerID})
	if err == nil || isNotFound(err) {
		return nil
	}
	// Asked, as for Connect: engines say "is not connected" in several ways.
	if joined, again := e.joined(ctx, networkName, containerID); isNotFound(again) || again == nil && !joined {
		return nil
	}
	return failed(fmt.Sprintf("take container %s off network %s", short(containerID), networkName), err)
}

func (e *Engine) joined(ctx context.Context, networkName, containerID string) (bool, error) {
	res, err := e.api.ContainerInspect(ctx, containerID, client.ContainerInspectOptions{})
	if err != nil {
		return false, err
	}
	if res.Container.NetworkSettings == nil {
		return false, nil
	}
	_, ok := res.Container.NetworkSettings.Networks[networkName]
	return ok, nil
}

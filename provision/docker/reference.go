package docker

import (
	"net"
	"net/netip"
	"slices"

	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/system"
)

// registryOf names the registry that a reference is pulled from.
func registryOf(ref string) string {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return ""
	}
	return reference.Domain(named)
}

// pinned tells whether a reference names one exact image.
func pinned(ref string) bool {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return false
	}
	_, ok := named.(reference.Digested)
	return ok
}

// full gives a reference with its registry, and a tag where it has neither tag
// nor digest.
func full(ref string) string {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return ref
	}
	return reference.TagNameOnly(named).String()
}

// insecure tells whether the engine speaks to a registry without encryption.
func insecure(in system.Info, host string) bool {
	if in.RegistryConfig == nil {
		return false
	}
	if index := in.RegistryConfig.IndexConfigs[host]; index != nil {
		return !index.Secure
	}
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	addr, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && slices.ContainsFunc(in.RegistryConfig.InsecureRegistryCIDRs, func(p netip.Prefix) bool { return p.Contains(addr) })
}

package templates

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/croft-sh/croft/stacks"
)

// EntryAlias is the name under which a stack on a front network reaches the
// platform's own addresses at Traefik.
const EntryAlias = "entry.internal"

// link is a network between one stack and the stack that serves it. A link has
// one consumer, so no two consumers ever share a network.
type link struct {
	key     string              // hello-front
	stack   string              // the consumer
	kind    string              // front, metrics, postgres, valkey
	members map[string][]string // services of the consumer -> aliases
	hubs    []stacks.Hub
	// hubHere is the hub where it belongs to the consumer itself; it is attached
	// by its own Compose file.
	hubHere string
}

func (l link) composeKey() string { return "croft-" + l.kind }

// linksOf derives every link from what the stacks declare, sorted by key.
func linksOf(d stacks.Desired) []link {
	var out []link
	for _, s := range d.Stacks {
		if s.X == nil {
			continue
		}
		front := map[string][]string{}
		for _, route := range d.Routes {
			if route.Stack == s.Name {
				front[route.Service] = nil
			}
		}
		for _, name := range s.X.Entry {
			front[name] = nil
		}
		scraped := map[string][]string{}
		for _, m := range d.Metrics {
			if m.Stack == s.Name {
				scraped[m.Service] = []string{stacks.InternalName(s.Name, m.Service)}
			}
		}
		out = append(out, makeLink(d, s, "front", "routes", front, EntryAlias)...)
		out = append(out, makeLink(d, s, "metrics", "metrics", scraped, "")...)
		for _, engine := range []string{"postgres", "valkey"} {
			users := map[string][]string{}
			for _, db := range d.Databases {
				if db.Stack == s.Name && db.Engine == engine {
					users[db.Service] = nil
				}
			}
			out = append(out, makeLink(d, s, engine, engine, users, engine)...)
		}
	}
	slices.SortFunc(out, func(a, b link) int { return cmp.Compare(a.key, b.key) })
	return out
}

func makeLink(d stacks.Desired, s *stacks.Stack, kind, serves string, members map[string][]string, alias string) []link {
	server, ok := d.Server(serves)
	if len(members) == 0 || (!ok && kind != "front") {
		return nil
	}
	l := link{key: s.Name + "-" + kind, stack: s.Name, kind: kind, members: members}
	if ok && server.X.Hub != "" {
		if server.Name == s.Name {
			l.hubHere = server.X.Hub
			if _, member := members[l.hubHere]; !member {
				l.members = maps.Clone(members)
				l.members[l.hubHere] = aliases(alias)
			}
		} else {
			l.hubs = []stacks.Hub{{Stack: server.Name, Service: server.X.Hub, Aliases: aliases(alias)}}
		}
	}
	return []link{l}
}

func aliases(one string) []string {
	if one == "" {
		return nil
	}
	return []string{one}
}

// linksFor gives the links that a service is attached to by its Compose file.
func (r *renderer) linksFor(stack, service string) []link {
	var out []link
	for _, l := range r.links {
		if _, member := l.members[service]; l.stack == stack && member {
			out = append(out, l)
		}
	}
	return out
}

// hubsFor gives the engine names of the networks croft joins a service to.
func (r *renderer) hubsFor(stack, service string) []string {
	var out []string
	for _, l := range r.links {
		for _, h := range l.hubs {
			if h.Stack == stack && h.Service == service {
				out = append(out, r.engineName(l.key))
			}
		}
	}
	return out
}

func (r *renderer) engineName(key string) string {
	return r.in.Desired.Platform.Name + "-" + key
}

// resolveAddresses gives every x-croft address its IPv4, by network and name.
func (r *renderer) resolveAddresses() error {
	r.addresses = map[string]map[string]string{}
	for _, s := range r.in.Desired.Stacks {
		if s.X == nil || len(s.X.Addresses) == 0 {
			continue
		}
		got := map[string]string{}
		next := map[string]int{}
		given := map[string]string{} // network + service -> address
		for _, name := range slices.Sorted(maps.Keys(s.X.Addresses)) {
			spec := s.X.Addresses[name]
			key := r.addressNetwork(s, spec.Network)
			if address, ok := given[key+" "+spec.Service]; ok {
				got[name] = address
				continue
			}
			cidr, ok := r.in.Lock.Subnets[key]
			if !ok {
				if strings.HasPrefix(key, s.Name+"-") {
					// A link that nobody serves on this platform: nobody can
					// come by it either, so any loopback address will do.
					got[name] = "127.0.0.1"
					continue
				}
				return fmt.Errorf("stack %s: address %s: there is no network %s with addresses of croft's", s.Name, name, spec.Network)
			}
			address, err := stacks.FixedAddress(cidr, next[key])
			if err != nil {
				return fmt.Errorf("stack %s: address %s: %w", s.Name, name, err)
			}
			next[key]++
			got[name] = address
			given[key+" "+spec.Service] = address
		}
		r.addresses[s.Name] = got
	}
	return nil
}

func (r *renderer) addressNetwork(s *stacks.Stack, network string) string {
	switch network {
	case "front", "metrics", "postgres", "valkey":
		return s.Name + "-" + network
	}
	return ownNetworkKey(s.Name, network)
}

// fixedAddress gives the address a service asked for on a network, or "".
func (r *renderer) fixedAddress(s *stacks.Stack, service, networkKey string) string {
	if s.X == nil {
		return ""
	}
	for name, spec := range s.X.Addresses {
		if _, have := r.in.Lock.Subnets[networkKey]; have && spec.Service == service && r.addressNetwork(s, spec.Network) == networkKey {
			return r.addresses[s.Name][name]
		}
	}
	return ""
}

// sharedNetworks describes the links as the networks that croft makes.
func (r *renderer) sharedNetworks() error {
	for _, l := range r.links {
		plan, err := stacks.PlanSubnet(r.in.Lock.Subnets[l.key])
		if err != nil {
			return fmt.Errorf("%s: %w", l.key, err)
		}
		r.out.Networks = append(r.out.Networks, stacks.SharedNetwork{
			Name: r.engineName(l.key), Key: l.key, Subnet: plan.Subnet, Gateway: plan.Gateway, Range: plan.Dynamic,
			Internal: true, Hubs: l.hubs,
		})
	}
	return nil
}

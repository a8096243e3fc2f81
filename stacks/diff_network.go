package stacks

import (
	"fmt"
	"slices"
	"strings"
)

// networks compares the shared ones, and who is on them.
func (d *differ) networks() {
	d.anew = map[string]bool{}
	for _, n := range d.want.Networks {
		got, exists := d.have.Network(n.Name)
		if !exists {
			cause := "not there yet"
			if d.have.KnownNetworks[n.Name] != "" {
				cause = "it is gone"
				d.drifted("network "+n.Name, cause)
			}
			d.plan.Networks = append(d.plan.Networks, ResourceChange{Name: n.Name, Action: ActionCreate, Causes: []string{cause}})
			continue
		}
		for _, guest := range got.Guests {
			d.odd("network "+n.Name, "container "+guest+" is on it and is not croft's", "docker network disconnect "+n.Name+" "+guest)
		}
		causes := differences(got, n.Subnet, n.Internal)
		if d.remade(got) || got.Labels[LabelNetwork] == "" {
			d.remake(got, causes)
			continue
		}
		if len(causes) > 0 {
			d.plan.Blocked = append(d.plan.Blocked, Blocked{
				Subject: "network " + n.Name, Why: strings.Join(causes, ", "),
				Hint: "docker network rm " + n.Name + " once nothing uses it, then apply again",
			})
			continue
		}
		for _, h := range n.Hubs {
			d.hub(n, h)
		}
	}
}

// ownNetworks finds networks of a stack's own project that somebody removed or
// made again.
func (d *differ) ownNetworks(s RenderedStack) {
	for _, n := range s.Networks {
		got, exists := d.have.Network(n.Name)
		switch {
		case !exists && d.have.KnownNetworks[n.Name] != "":
			d.drifted("network "+n.Name, "it is gone")
		case exists && d.remade(got) && len(d.have.Interrupted[s.Name]) == 0:
			d.remake(got, differences(got, n.Subnet, n.Internal))
		}
	}
}

// remade tells whether a network is another one than croft's last apply left.
func (d *differ) remade(n Network) bool {
	known := d.have.KnownNetworks[n.Name]
	return known != "" && known != n.ID
}

// differences says in what a network is not as it must be. That its ID is
// another covers the rest, such as options of its driver.
func differences(got Network, subnet string, internal bool) []string {
	var causes []string
	if got.Subnet != "" && subnet != "" && got.Subnet != subnet {
		causes = append(causes, fmt.Sprintf("it exists with subnet %s, not %s", got.Subnet, subnet))
	}
	if got.Driver != "" && got.Driver != "bridge" {
		causes = append(causes, "its driver is "+got.Driver)
	}
	switch {
	case got.Internal && !internal:
		causes = append(causes, "it is internal, and must lead outside")
	case !got.Internal && internal:
		causes = append(causes, "it leads outside, and must be internal")
	}
	return causes
}

// remake makes a network anew that somebody else made: what is on it lacks its
// names and addresses there. Where that would touch what must not be touched it
// is left to the admin.
func (d *differ) remake(got Network, causes []string) {
	causes = append([]string{"it was made again by hand"}, causes...)
	d.drifted("network "+got.Name, causes...)
	if len(got.Guests) > 0 || d.heldOn(got.Name) {
		who := strings.Join(got.Guests, ", ")
		if who == "" {
			who = "a held stack"
		}
		d.plan.Blocked = append(d.plan.Blocked, Blocked{
			Subject: "network " + got.Name, Why: causes[0] + ", and " + who + " is on it",
			Hint: "docker network disconnect takes a container off, croft release ends a hold; then apply again",
		})
		return
	}
	for _, c := range d.have.Containers {
		if slices.Contains(c.Networks, got.Name) && !d.selected(c.Stack) {
			return // a narrowed plan leaves it to the next whole one
		}
	}
	d.anew[got.Name] = true
	d.plan.Networks = append(d.plan.Networks, ResourceChange{Name: got.Name, Action: ActionRecreate, Causes: causes})
}

func (d *differ) hub(n SharedNetwork, h Hub) {
	s, ok := d.want.Stack(h.Stack)
	if !ok {
		return
	}
	for _, g := range d.of(s.Project, h.Service) {
		if !g.Running() || slices.Contains(g.Networks, n.Name) {
			continue
		}
		cause := fmt.Sprintf("%s/%s is not on it", h.Stack, h.Service)
		d.plan.Networks = append(d.plan.Networks, ResourceChange{Name: n.Name, Action: ActionConnect, Causes: []string{cause}})
		if d.have.KnownNetworks[n.Name] != "" { // else it is new, and nobody could be on it
			d.drifted("network "+n.Name, cause)
		}
	}
}

// strays takes containers off networks that their service does not ask for. One
// that is made anew leaves them anyway.
func (d *differ) strays(s RenderedStack, svc RenderedService, c Change) {
	if c.Action == ActionCreate || c.Action == ActionRecreate || s.Plain {
		return // docker compose leaves a plain one where somebody joined it to
	}
	for _, g := range d.of(s.Project, svc.Name) {
		if c.Action == ActionRemove && slices.Contains(c.Containers, g.ID) {
			continue
		}
		for _, name := range g.Networks {
			if slices.Contains(svc.Networks, name) || slices.Contains(svc.Hubs, name) || modeNetwork(g) == name || d.forgotten(name) {
				continue
			}
			cause := fmt.Sprintf("%s/%s is on it and does not ask for it", s.Name, svc.Name)
			d.plan.Networks = append(d.plan.Networks, ResourceChange{
				Name: name, Action: ActionDisconnect, Causes: []string{cause}, Containers: []string{g.ID},
			})
			d.drifted("network "+name, cause)
		}
	}
}

// modeNetwork gives the network that a container without any of Compose's own is
// on.
func modeNetwork(c Container) string {
	if c.NetworkMode == "default" || c.NetworkMode == "" {
		return "bridge"
	}
	return c.NetworkMode
}

// forgotten tells whether a network is the platform's and no longer wanted: hubs
// stay on it until it is removed.
func (d *differ) forgotten(name string) bool {
	n, ok := d.have.Network(name)
	return ok && n.Labels[LabelNetwork] != "" && !d.wantsNetwork(name)
}

func (d *differ) wantsNetwork(name string) bool {
	return slices.ContainsFunc(d.want.Networks, func(n SharedNetwork) bool { return n.Name == name })
}

package stacks

import "slices"

// What keeps the time of a Diff in proportion to the platform: nothing is looked
// for in a list once for each service, and no text is read that no cause needs.

// index finds what was observed by name. It is made when it is first asked.
type index struct {
	containers map[[2]string][]Container
	volumeOf   map[string]Volume
}

// of is State.Of.
func (d *differ) of(project, service string) []Container {
	if d.containers == nil {
		d.containers = make(map[[2]string][]Container, len(d.have.Containers))
		for _, c := range d.have.Containers {
			if !c.OneOff {
				key := [2]string{c.Project, c.Service}
				d.containers[key] = append(d.containers[key], c)
			}
		}
	}
	return d.containers[[2]string{project, service}]
}

// byName gives the volumes by their names.
func (d *differ) byName() map[string]Volume {
	if d.volumeOf == nil {
		d.volumeOf = make(map[string]Volume, len(d.have.Volumes))
		for _, v := range d.have.Volumes {
			d.volumeOf[v.Name] = v
		}
	}
	return d.volumeOf
}

// texts reads a stack's services as they are written on disk and as they would
// be, for the words of a cause. Where all containers are made from what would be,
// no cause is about the text, and neither is read.
func (d *differ) texts(s RenderedStack) (old, fresh map[string]map[string]any) {
	for _, svc := range s.Services {
		got := d.of(s.Project, svc.Name)
		another := func(c Container) bool {
			return c.Spec() != svc.Spec || c.ImageID != d.have.Images[svc.Image] || d.otherwise(s, svc, c)
		}
		if len(got) != svc.Replicas || slices.ContainsFunc(got, another) {
			return composeServices(d.have.LiveCompose[s.Name]), composeServices(s.Compose())
		}
	}
	return nil, nil
}

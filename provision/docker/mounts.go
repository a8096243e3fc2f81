package docker

import (
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/volume"

	"github.com/croft-sh/croft/stacks"
)

// placesOf gives the directory of each volume that has one on this machine. A
// local volume with a device is mounted only while a container runs; what counts
// is the directory behind it.
func placesOf(all []volume.Volume) map[string]string {
	out := map[string]string{}
	for _, v := range all {
		if path := (stacks.Volume{Driver: v.Driver, Mountpoint: v.Mountpoint, Options: v.Options}).DataPath(); path != "" {
			out[v.Name] = path
		}
	}
	return out
}

// mountsOf gives what a container can write of the host.
func mountsOf(c container.Summary, places map[string]string) []stacks.Mount {
	var out []stacks.Mount
	for _, m := range c.Mounts {
		if !m.RW {
			continue
		}
		switch m.Type {
		case mount.TypeBind:
			out = append(out, stacks.Mount{Path: m.Source, Target: m.Destination})
		case mount.TypeVolume:
			out = append(out, stacks.Mount{Volume: m.Name, Path: places[m.Name], Target: m.Destination})
		}
	}
	return out
}

// others gives the containers that are not the platform's and can write something
// of the host now.
func (o owned) others(all []container.Summary) []stacks.Container {
	var out []stacks.Container
	for _, c := range all {
		if o.belongs(c.Labels) || c.State == container.StateExited || c.State == container.StateCreated || c.State == container.StateDead {
			continue
		}
		if one := containerOf(c, o.places); len(one.Mounts) > 0 {
			out = append(out, one)
		}
	}
	return out
}

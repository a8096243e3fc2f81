package templates

import (
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/croft-sh/croft/stacks"
)

// outside gives the data of a service that lies where croft did not put it:
// directories of the machine, and volumes that its author placed himself. What is
// mounted for reading alone is configuration.
func (d *decorator) outside(p *types.Project, svc types.ServiceConfig) []stacks.RenderedMount {
	placed := d.use(svc.Name).volumes
	var out []stacks.RenderedMount
	for _, v := range d.s.Project.Services[svc.Name].Volumes { // as its author wrote it
		if v.ReadOnly {
			continue
		}
		switch v.Type {
		case types.VolumeTypeBind:
			if _, inside := d.relative(v.Source); !inside {
				out = append(out, stacks.RenderedMount{Key: v.Source, Path: v.Source})
			}
		case types.VolumeTypeVolume:
			def, named := p.Volumes[v.Source]
			key := d.s.Name + "/" + v.Source
			if !named || v.Source == "" || !slices.Contains(placed, key) || ordinary(d.s.Project.Volumes[v.Source]) {
				continue
			}
			if one := outsideVolume(key, def); one.Remote != "tmpfs" { // what is in memory ends with its container
				out = append(out, one)
			}
		}
	}
	return out
}

// ordinary tells whether croft places a volume: its author said nothing about
// where it lies.
func ordinary(v types.VolumeConfig) bool {
	return !bool(v.External) && (v.Driver == "" || v.Driver == "local") && len(v.DriverOpts) == 0
}

// outsideVolume describes a volume that its author placed.
func outsideVolume(key string, v types.VolumeConfig) stacks.RenderedMount {
	out := stacks.RenderedMount{Key: key, Volume: v.Name}
	switch kind := v.DriverOpts["type"]; {
	case v.Driver != "" && v.Driver != "local":
		out.Remote = "the driver " + v.Driver
	case len(v.DriverOpts) == 0: // external, or of the engine's own
	case kind == "none" || kind == "bind" || kind == "":
		out.Path = v.DriverOpts["device"]
	case kind == "tmpfs":
		out.Remote = kind
	default:
		out.Remote = "a file system of kind " + kind
	}
	return out
}

// disposable is what backup.volumes says skip of.
func disposable(x *stacks.XCroft) []string {
	if x.Backup == nil {
		return nil
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(x.Backup.Volumes)) {
		if x.Backup.Volumes[name] == "skip" {
			if rel, ok := strings.CutPrefix(name, "./"); ok {
				name = bindKey(rel)
			}
			out = append(out, name)
		}
	}
	return out
}

// databases gives those of a stack on shared servers, with the server.
func (r *renderer) databases(stack string) []stacks.RenderedDatabase {
	var out []stacks.RenderedDatabase
	for _, db := range r.in.Desired.Databases {
		server, ok := r.in.Desired.Server(db.Engine)
		if db.Stack == stack && ok {
			out = append(out, stacks.RenderedDatabase{Name: db.Name, Engine: db.Engine, Service: db.Service, Server: server.Name, Hub: server.X.Hub})
		}
	}
	return out
}

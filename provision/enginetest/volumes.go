package enginetest

import (
	"context"
	"os"
	"path/filepath"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/croft-sh/croft/stacks"
)

// Declare makes containers of an image have a volume without a name at target, as
// VOLUME in a Dockerfile does. Such volumes lie below root.
func (f *Fake) Declare(ref, target, root string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.declared[normal(ref)] = append(f.declared[normal(ref)], target)
	f.root = root
}

// Unnamed gives the directory of the volume without a name that a service's only
// container has at target.
func (f *Fake) Unnamed(project, service, target string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range f.of(project, service) {
		for _, m := range b.Mounts {
			if m.Target == target {
				return m.Path
			}
		}
	}
	return ""
}

// mounts gives what a container can write. A volume without a name is that of the
// container in whose place it comes, else a new one.
func (f *Fake) mounts(p *types.Project, s types.ServiceConfig, ref string, inherited []stacks.Mount) []stacks.Mount {
	var out []stacks.Mount
	unnamed := slices.Clone(f.declared[normal(ref)])
	for _, v := range s.Volumes {
		if v.Type == types.VolumeTypeVolume && v.Source == "" {
			unnamed = append(unnamed, v.Target)
			continue
		}
		unnamed = slices.DeleteFunc(unnamed, func(t string) bool { return t == v.Target })
		switch {
		case v.ReadOnly:
		case v.Type == types.VolumeTypeBind:
			out = append(out, stacks.Mount{Path: v.Source, Target: v.Target})
		case v.Type == types.VolumeTypeVolume:
			name := p.Volumes[v.Source].Name
			out = append(out, stacks.Mount{Volume: name, Path: f.volumes[name].DataPath(), Target: v.Target})
		}
	}
	for _, target := range unnamed {
		at := slices.IndexFunc(inherited, func(m stacks.Mount) bool { return m.Target == target })
		if at >= 0 {
			out = append(out, inherited[at])
			continue
		}
		name := f.id("volume")
		path := filepath.Join(f.root, name, "_data")
		if err := os.MkdirAll(path, 0o755); err != nil {
			panic(err) // the test gave the root
		}
		f.volumes[name] = stacks.Volume{Name: name, Driver: "local", Mountpoint: path}
		out = append(out, stacks.Mount{Volume: name, Path: path, Target: target})
	}
	return out
}

// Halt stops containers, which stay.
func (f *Fake) Halt(ctx context.Context, ids []string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		b := f.containers[id]
		if b == nil {
			continue
		}
		if err := f.called(ctx, "halt", b.Name); err != nil {
			return err
		}
		b.State, b.Health, b.policy = "exited", "", "no"
	}
	return nil
}

// Unhalt gives restart policies back.
func (f *Fake) Unhalt(ctx context.Context, policies map[string]string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, policy := range policies {
		if b := f.containers[id]; b != nil {
			if err := f.called(ctx, "unhalt", b.Name, policy); err != nil {
				return err
			}
			b.policy = policy
		}
	}
	return nil
}

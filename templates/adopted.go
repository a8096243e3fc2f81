package templates

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/croft-sh/croft/stacks"
)

// plain renders an adopted stack that nobody asked to decorate: the project as
// docker compose reads it, in its canonical form, with nothing added. Its hashes
// are those of that form read again, as Compose takes them at an Up.
func (r *renderer) plain(s *stacks.Stack, rs *stacks.RenderedStack) error {
	project, err := s.Project.WithServicesTransform(func(_ string, svc types.ServiceConfig) (types.ServiceConfig, error) {
		svc.Profiles = nil // which services there are is decided here; not part of the hash
		return svc, nil
	})
	if err != nil {
		return err
	}
	delete(project.Extensions, "x-croft")
	raw, err := project.MarshalYAML()
	if err != nil {
		return fmt.Errorf("compose.yaml: %w", err)
	}
	raw = bytes.ReplaceAll(raw, []byte("$"), []byte("$$"))
	rs.Files = []stacks.RenderedFile{{Path: stacks.ComposeFile, Content: raw, Mode: 0o600}}
	again, err := readBack(s.Project.Name, raw)
	if err != nil {
		return fmt.Errorf("compose.yaml does not read back: %w", err)
	}
	d := decorator{r: r, s: s, files: &liveFiles{used: map[string]bool{}}}
	for _, name := range inOrder(again) {
		svc := again.Services[name]
		if err := d.mounts(name, &svc); err != nil {
			return err
		}
		out := d.describe(again, svc)
		out.Files = "" // inline configs: Compose does not look at them once they are there
		if out.Compose, err = composeText(svc); err != nil {
			return fmt.Errorf("service %s: %w", name, err)
		}
		rs.Services = append(rs.Services, out)
	}
	rs.Volumes = d.kept(again)
	rs.Hashes, err = composeNetworks(again)
	return err
}

// readBack reads a canonical project: nothing in it leads to another file.
func readBack(name string, text []byte) (*types.Project, error) {
	return loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir:  "/",
		ConfigFiles: []types.ConfigFile{{Filename: "/" + stacks.ComposeFile, Content: text}},
	}, func(o *loader.Options) {
		o.SetProjectName(name, true)
		o.SkipResolveEnvironment = true
	})
}

// composeText gives what the SDK's ServiceHash hashes: a service without what
// takes no new container. References to other services are left open. The SDK
// itself stays out of this package: it sets flags of the program when it is
// loaded. A test beside the SDK holds the two equal.
func composeText(svc types.ServiceConfig) (stacks.ComposeText, error) {
	svc.Build, svc.PullPolicy, svc.Scale, svc.DependsOn, svc.Profiles = nil, "", nil, nil, nil
	if svc.Deploy != nil {
		deploy := *svc.Deploy
		deploy.Replicas = nil
		svc.Deploy = &deploy
	}
	for _, mode := range []*string{&svc.NetworkMode, &svc.Ipc, &svc.Pid} {
		if name, ok := strings.CutPrefix(*mode, types.ServicePrefix); ok {
			*mode = types.ContainerPrefix + stacks.ContainerPlace(name)
		}
	}
	svc.VolumesFrom = slices.Clone(svc.VolumesFrom)
	for i, from := range svc.VolumesFrom {
		name, rest, _ := strings.Cut(from, ":")
		if name == "container" {
			svc.VolumesFrom[i], _, _ = strings.Cut(rest, ":")
			continue
		}
		svc.VolumesFrom[i] = stacks.ContainerPlace(name)
	}
	raw, err := json.Marshal(svc)
	return stacks.ComposeText(raw), err
}

// composeNetworks gives the networks that the project makes itself.
func composeNetworks(p *types.Project) ([]stacks.ComposeNetwork, error) {
	var out []stacks.ComposeNetwork
	for key, n := range p.Networks {
		if n.External {
			continue
		}
		raw, err := json.Marshal(n)
		if err != nil {
			return nil, fmt.Errorf("network %s: %w", key, err)
		}
		out = append(out, stacks.ComposeNetwork{Name: n.Name, Hash: stacks.ContentSum(raw)})
	}
	slices.SortFunc(out, func(a, b stacks.ComposeNetwork) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// kept gives the volumes of an adopted project: they stay where the engine has
// them, under the names they have.
func (d *decorator) kept(p *types.Project) []stacks.RenderedVolume {
	out := slices.Clone(d.data)
	for _, key := range slices.Sorted(maps.Keys(p.Volumes)) {
		out = append(out, stacks.RenderedVolume{Key: d.s.Name + "/" + key, Name: p.Volumes[key].Name, Kept: true})
	}
	slices.SortFunc(out, func(a, b stacks.RenderedVolume) int { return strings.Compare(a.Key, b.Key) })
	return slices.CompactFunc(out, func(a, b stacks.RenderedVolume) bool { return a.Key == b.Key })
}

// keepBind notes data that lies in the directory of an adopted project. A
// container that may not write there changes nothing.
func (d *decorator) keepBind(use *usage, rel string, v types.ServiceVolumeConfig) {
	if v.ReadOnly {
		return
	}
	place := stacks.RenderedVolume{Key: d.s.Name + "/.binds/" + rel, Path: v.Source, Kept: true}
	use.volumes = append(use.volumes, place.Key)
	d.data = append(d.data, place)
}

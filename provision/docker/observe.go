package docker

import (
	"context"
	"sort"
	"strings"

	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/volume"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"github.com/croft-sh/croft/stacks"
)

// Observe lists what there is in four calls. A container whose tag has moved
// since shows its image's ID as Image: the engine's list does so.
func (e *Engine) Observe(ctx context.Context, platform string) (stacks.State, error) {
	var (
		containers client.ContainerListResult
		networks   client.NetworkListResult
		volumes    client.VolumeListResult
		images     client.ImageListResult
	)
	// No label filters: the engine cannot say "ours, or of a project named so",
	// and 300 containers take 30 ms.
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		containers, err = e.api.ContainerList(gctx, client.ContainerListOptions{All: true})
		return failed("list containers", err)
	})
	g.Go(func() (err error) {
		networks, err = e.api.NetworkList(gctx, client.NetworkListOptions{})
		return failed("list networks", err)
	})
	g.Go(func() (err error) {
		volumes, err = e.api.VolumeList(gctx, client.VolumeListOptions{})
		return failed("list volumes", err)
	})
	g.Go(func() (err error) {
		images, err = e.api.ImageList(gctx, client.ImageListOptions{})
		return failed("list images", err)
	})
	if err := g.Wait(); err != nil {
		return stacks.State{}, err
	}
	o := owned{platform: platform, adopted: e.adopted, places: placesOf(volumes.Items)}
	return stacks.State{
		Engine:     e.api.ClientVersion(),
		Containers: o.containers(containers.Items),
		Networks:   o.networks(networks.Items, containers.Items),
		Volumes:    o.volumes(volumes.Items, o.mounted(containers.Items)),
		Images:     imagesOf(images.Items),
		Others:     o.others(containers.Items),
		Places:     o.places,
	}, nil
}

// Adopt tells which Compose projects are the platform's though no label says so,
// and which stack each is.
func (e *Engine) Adopt(projects map[string]string) { e.adopted = projects }

// owned tells what of the engine is a platform's.
type owned struct {
	platform string
	adopted  map[string]string // Compose project -> stack
	places   map[string]string // volume -> directory
}

// belongs tells whether labels make a thing the platform's. The label of
// another platform decides first: platform "home" must not see "home-lab".
func (o owned) belongs(labels map[string]string) bool {
	if p := labels[stacks.LabelPlatform]; p != "" {
		return p == o.platform
	}
	project := labels[api.ProjectLabel]
	return strings.HasPrefix(project, o.platform+"-") || o.adopted[project] != ""
}

func (o owned) containers(all []container.Summary) []stacks.Container {
	var out []stacks.Container
	for _, c := range all {
		if !o.belongs(c.Labels) {
			continue
		}
		one := containerOf(c, o.places)
		if one.Stack == "" {
			one.Stack = o.adopted[one.Project]
		}
		out = append(out, one)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

func containerOf(c container.Summary, places map[string]string) stacks.Container {
	out := stacks.Container{
		ID: c.ID, Name: nameOf(c),
		Project: c.Labels[api.ProjectLabel], Stack: c.Labels[stacks.LabelStack], Service: c.Labels[api.ServiceLabel],
		Image: c.Image, ImageID: c.ImageID,
		State: string(c.State), Health: healthOf(c), ExitCode: exitFromStatus(c.Status),
		OneOff: strings.EqualFold(c.Labels[api.OneoffLabel], "true"),
		Labels: c.Labels, Networks: []string{}, NetworkMode: c.HostConfig.NetworkMode, Mounts: mountsOf(c, places),
	}
	if c.NetworkSettings == nil {
		return out
	}
	for name, n := range c.NetworkSettings.Networks {
		out.Networks = append(out.Networks, name)
		if n != nil && n.NetworkID != "" { // a container that never started has none yet
			if out.NetworkIDs == nil {
				out.NetworkIDs = map[string]string{}
			}
			out.NetworkIDs[name] = n.NetworkID
		}
	}
	sort.Strings(out.Networks)
	return out
}

// nameOf gives the container's own name, not the ones that legacy links add.
func nameOf(c container.Summary) string {
	for _, n := range c.Names {
		if bare := strings.TrimPrefix(n, "/"); !strings.Contains(bare, "/") {
			return bare
		}
	}
	return c.ID
}

// networks also takes networks that only the name gives away: one made again
// by hand has no label, and a plan must not think that it is missing. It notes
// which containers of others are on each.
func (o owned) networks(all []network.Summary, containers []container.Summary) []stacks.Network {
	guests := map[string][]string{}
	for _, c := range containers {
		if c.NetworkSettings == nil || o.belongs(c.Labels) {
			continue
		}
		for name := range c.NetworkSettings.Networks {
			guests[name] = append(guests[name], nameOf(c))
		}
	}
	var out []stacks.Network
	for _, n := range all {
		if !o.named(n.Name, n.Labels) && !o.belongs(n.Labels) {
			continue
		}
		sort.Strings(guests[n.Name])
		out = append(out, stacks.Network{ID: n.ID, Name: n.Name, Subnet: subnetOf(n.Network), Driver: n.Driver,
			Internal: n.Internal, Guests: guests[n.Name], Labels: n.Labels})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// subnetOf gives the first IPv4 subnet of a network.
func subnetOf(n network.Network) string {
	for _, c := range n.IPAM.Config {
		if c.Subnet.IsValid() && c.Subnet.Addr().Is4() {
			return c.Subnet.String()
		}
	}
	return ""
}

// named tells whether a thing without an owner's label is named like the
// platform's.
func (o owned) named(name string, labels map[string]string) bool {
	return labels[stacks.LabelPlatform] == "" && labels[api.ProjectLabel] == "" &&
		(strings.HasPrefix(name, o.platform+"-") || strings.HasPrefix(name, o.platform+"_"))
}

// mounted names the volumes of adopted projects' containers: one that its author
// made by hand has no label of the project.
func (o owned) mounted(all []container.Summary) map[string]bool {
	out := map[string]bool{}
	for _, c := range all {
		if !o.belongs(c.Labels) || o.adopted[c.Labels[api.ProjectLabel]] == "" {
			continue
		}
		for _, m := range c.Mounts {
			if m.Type == mount.TypeVolume {
				out[m.Name] = true
			}
		}
	}
	return out
}

// volumes also takes volumes that only the name gives away: one that was
// restored by hand has no label, and a plan must not think it is missing.
func (o owned) volumes(all []volume.Volume, mounted map[string]bool) []stacks.Volume {
	var out []stacks.Volume
	for _, v := range all {
		if o.named(v.Name, v.Labels) || mounted[v.Name] || o.belongs(v.Labels) {
			out = append(out, stacks.Volume{Name: v.Name, Driver: v.Driver, Mountpoint: v.Mountpoint, Options: v.Options, Labels: v.Labels})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// imagesOf maps every reference of every image, in the form of Reference.
func imagesOf(all []image.Summary) map[string]string {
	out := map[string]string{}
	for _, im := range all {
		for _, refs := range [][]string{im.RepoTags, im.RepoDigests} {
			for _, ref := range refs {
				if !strings.Contains(ref, "<none>") { // how older engines write an untagged image
					out[stacks.Reference(ref)] = im.ID
				}
			}
		}
	}
	return out
}

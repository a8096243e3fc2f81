package templates

import (
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/distribution/reference"

	"github.com/croft-sh/croft/stacks"
)

// describe gives what decides about a service, apart from its spec hash.
func (d *decorator) describe(p *types.Project, svc types.ServiceConfig) stacks.RenderedService {
	use := d.use(svc.Name)
	out := stacks.RenderedService{
		Name: svc.Name, Container: svc.ContainerName, Image: svc.Image, Build: svc.Build != nil, Job: d.isJob(svc.Name), Volumes: use.volumes, Mounts: d.outside(p, svc),
		Healthy: svc.HealthCheck != nil && !svc.HealthCheck.Disable, Grants: use.grants,
		Hubs: d.r.hubsFor(d.s.Name, svc.Name), Replicas: svc.GetScale(), Ports: published(svc),
	}
	if out.Image == "" && out.Build {
		out.Image = p.Name + "-" + svc.Name
	}
	out.Image = familiar(out.Image)
	for dep, how := range svc.DependsOn {
		out.DependsOn = append(out.DependsOn, dep)
		if how.Restart {
			out.Restarts = append(out.Restarts, dep)
		}
	}
	slices.Sort(out.DependsOn)
	slices.Sort(out.Restarts)
	out.Follows = follows(svc)
	out.HostNet = svc.NetworkMode == "host"
	out.Stateless = d.s.X != nil && slices.Contains(d.s.X.Stateless, svc.Name)
	for key := range svc.Networks {
		if n, ok := p.Networks[key]; ok {
			out.Networks = append(out.Networks, n.Name)
		}
	}
	slices.Sort(out.Networks)
	d.hashFiles(p, svc, use, &out)
	d.hashSecrets(svc, use, &out)
	return out
}

// hashFiles splits the files a service mounts into those it reloads and those
// that take a new container.
func (d *decorator) hashFiles(p *types.Project, svc types.ServiceConfig, use *usage, out *stacks.RenderedService) {
	var reload []string
	if d.s.X != nil {
		spec := d.s.X.Reload[svc.Name]
		reload, out.Signal = spec.Files, spec.Signal
	}
	paths := append(slices.Clone(use.mounts), d.objects(p, svc)...)
	slices.Sort(paths)
	var fixed, live [][]byte
	for _, path := range slices.Compact(paths) {
		d.files.used[path] = true
		f := d.files.byPath[path]
		if matches(reload, path) {
			out.ReloadPaths = append(out.ReloadPaths, path)
			live = append(live, []byte(path), f.Content)
			continue
		}
		out.ConfigPaths = append(out.ConfigPaths, path)
		fixed = append(fixed, []byte(path), f.Content)
	}
	for _, ref := range svc.Configs { // inline content is not in the service's own text
		if c := p.Configs[ref.Source]; c.Content != "" {
			fixed = append(fixed, []byte(ref.Source), []byte(c.Content))
		}
	}
	if len(fixed) > 0 {
		out.Files = hash(fixed...)
	}
	if len(live) > 0 {
		out.Reload = hash(live...)
	}
}

// objects gives the live files behind Compose configs and secrets of a service,
// and points the project's definitions at them.
func (d *decorator) objects(p *types.Project, svc types.ServiceConfig) []string {
	var out []string
	point := func(file string, set func(string)) {
		rel, inside := d.relative(file)
		if file == "" || !inside {
			return
		}
		if _, ok := d.files.byPath[rel]; ok {
			set(d.r.in.Host.LiveDir + "/" + d.s.Name + "/" + rel)
			out = append(out, rel)
		}
	}
	for _, ref := range svc.Configs {
		if c, ok := p.Configs[ref.Source]; ok {
			source := d.s.Project.Configs[ref.Source].File
			point(source, func(f string) { c.File = f; p.Configs[ref.Source] = c })
		}
	}
	for _, ref := range svc.Secrets {
		if c, ok := p.Secrets[ref.Source]; ok {
			source := d.s.Project.Secrets[ref.Source].File
			point(source, func(f string) { c.File = f; p.Secrets[ref.Source] = c })
		}
	}
	return out
}

// matches tells whether a live path is one of the listed files or lies in one of
// the listed directories.
func matches(listed []string, path string) bool {
	for _, l := range listed {
		l = strings.TrimSuffix(strings.TrimPrefix(l, "./"), "/")
		l = strings.TrimSuffix(l, templateSuffix)
		if path == l || strings.HasPrefix(path, l+"/") {
			return true
		}
	}
	return false
}

// hashSecrets makes one fingerprint of the secrets that take a new container,
// and adds the others, with the setup commands, to what is reloaded.
func (d *decorator) hashSecrets(svc types.ServiceConfig, use *usage, out *stacks.RenderedService) {
	if d.s.X == nil {
		return
	}
	reload := d.s.X.Reload[svc.Name].Files
	var fixed, live [][]byte
	for _, g := range use.grants {
		name := g.Path[strings.LastIndexByte(g.Path, '/')+1:]
		parts := [][]byte{[]byte(name), g.Template}
		for _, key := range use.keys[g.Path] {
			fp, ok := d.r.in.Fingerprints[key]
			if !ok {
				fp = "pending"
			}
			parts = append(parts, []byte(key), []byte(fp))
		}
		if matches(reload, name) {
			live = append(live, parts...)
		} else {
			fixed = append(fixed, parts...)
		}
	}
	if len(fixed) > 0 {
		out.Secrets = hash(fixed...)
	}
	for _, s := range d.s.X.Setup {
		if s.Service == svc.Name {
			live = append(live, []byte(strings.Join(s.Command, "\x00")))
		}
	}
	if len(live) > 0 {
		out.Reload = hash(append(live, []byte(out.Reload))...)
	}
}

// familiar writes an image reference in the one form under which State.Images
// keeps it. What is no reference stays as it is and fails at the pull.
func familiar(image string) string {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil || strings.HasPrefix(image, "sha256:") {
		return image
	}
	if digested, ok := named.(reference.Digested); ok {
		return reference.FamiliarName(named) + "@" + digested.Digest().String()
	}
	return reference.FamiliarString(reference.TagNameOnly(named))
}

// follows gives the services whose space this one shares.
func follows(svc types.ServiceConfig) []string {
	var out []string
	for _, mode := range []string{svc.NetworkMode, svc.Ipc, svc.Pid} {
		if name, ok := strings.CutPrefix(mode, "service:"); ok {
			out = append(out, name)
		}
	}
	for _, v := range svc.VolumesFrom {
		if name, _, _ := strings.Cut(v, ":"); name != "container" {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func published(svc types.ServiceConfig) []stacks.PublishedPort {
	var out []stacks.PublishedPort
	for _, p := range svc.Ports {
		port := parsePort(p.Published)
		if port == 0 {
			continue
		}
		out = append(out, stacks.PublishedPort{HostIP: p.HostIP, Port: port, Protocol: p.Protocol})
	}
	return out
}

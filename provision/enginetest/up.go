package enginetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/stacks"
)

// Up does to the containers in memory what Compose would do: it reads the
// written file, makes networks and volumes of the named services, leaves what
// is the same, starts what is stopped, and replaces what differs.
func (f *Fake) Up(ctx context.Context, req provision.UpRequest, ev stacks.Events) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.called(ctx, "up", req.Project, strings.Join(req.Services, ",")); err != nil {
		return err
	}
	if len(req.Services) == 0 {
		return nil
	}
	p, err := load(ctx, req)
	if err != nil {
		return err
	}
	if err := f.ready(p); err != nil {
		return err
	}
	return p.ForEachService(p.ServiceNames(), func(name string, s *types.ServiceConfig) error {
		if err := f.called(ctx, "up", p.Name+"/"+name); err != nil {
			return err
		}
		if err := f.dependencies(p.Name, *s); err != nil {
			return err
		}
		if err := f.service(p, *s, slices.Contains(req.Anew, name), ev); err != nil {
			return err
		}
		f.restartDependent(p.Name, *s)
		return nil
	})
}

// restartDependent starts a service again that asks for it with what it depends
// on, where that was replaced.
func (f *Fake) restartDependent(project string, s types.ServiceConfig) {
	for name, d := range s.DependsOn {
		for _, dep := range f.of(project, name) {
			for _, b := range f.of(project, s.Name) {
				if d.Restart && b.started.Before(dep.started) {
					f.start(b, s)
				}
			}
		}
	}
}

func load(ctx context.Context, req provision.UpRequest) (*types.Project, error) {
	opts, err := cli.NewProjectOptions([]string{req.File}, cli.WithName(req.Project),
		cli.WithWorkingDirectory(filepath.Dir(req.File)), cli.WithDefaultProfiles("*"), cli.WithDiscardEnvFile)
	if err != nil {
		return nil, err
	}
	p, err := opts.LoadProject(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range req.Services {
		if _, ok := p.Services[name]; !ok {
			return nil, fmt.Errorf("%s has no service %s", req.File, name)
		}
	}
	p, err = p.WithSelectedServices(req.Services, types.IgnoreDependencies)
	if err != nil {
		return nil, err
	}
	return p.WithoutUnnecessaryResources(), nil
}

// ready checks what Compose checks before it touches anything, and makes the
// networks and volumes.
func (f *Fake) ready(p *types.Project) error {
	for name, s := range p.Services {
		_, err := f.image(imageOf(p, s))
		if err != nil && s.Build == nil {
			return err
		}
		if err != nil {
			f.images[normal(imageOf(p, s))] = "sha256:" + f.id("build "+name)
		}
	}
	for _, n := range p.Networks {
		if _, ok := f.networks[n.Name]; ok {
			continue
		}
		if n.External {
			return fmt.Errorf("network %s declared as external, but could not be found", n.Name)
		}
		subnet := ""
		if len(n.Ipam.Config) > 0 {
			subnet = n.Ipam.Config[0].Subnet
		}
		labels := maps.Clone(map[string]string(n.Labels))
		if labels == nil {
			labels = map[string]string{}
		}
		labels[projectLabel] = p.Name
		f.networks[n.Name] = stacks.Network{ID: f.id(n.Name), Name: n.Name, Subnet: subnet, Driver: "bridge", Internal: n.Internal, Labels: labels}
	}
	for _, v := range p.Volumes {
		if _, ok := f.volumes[v.Name]; ok {
			continue
		}
		if v.External {
			return fmt.Errorf("external volume %q not found", v.Name)
		}
		labels := maps.Clone(map[string]string(v.Labels))
		if labels == nil {
			labels = map[string]string{}
		}
		labels[projectLabel] = p.Name
		f.volumes[v.Name] = stacks.Volume{Name: v.Name, Options: v.DriverOpts, Labels: labels}
	}
	return nil
}

func (f *Fake) image(ref string) (string, error) {
	if id := f.images[normal(ref)]; id != "" {
		return id, nil
	}
	for _, id := range f.images {
		if id == ref {
			return id, nil
		}
	}
	return "", fmt.Errorf("look for images: not present: %s", ref)
}

func imageOf(p *types.Project, s types.ServiceConfig) string {
	if s.Image != "" {
		return s.Image
	}
	return p.Name + "-" + s.Name
}

// dependencies fails where Compose would wait in vain.
func (f *Fake) dependencies(project string, s types.ServiceConfig) error {
	for name, d := range s.DependsOn {
		for _, b := range f.of(project, name) {
			switch {
			case d.Condition == types.ServiceConditionHealthy && b.Health != "healthy":
				return fmt.Errorf("dependency failed to start: container %s is unhealthy", b.Name)
			case d.Condition == types.ServiceConditionCompletedSuccessfully && (b.Running() || b.ExitCode != 0):
				return fmt.Errorf("service %q didn't complete successfully: exit %d", name, b.ExitCode)
			}
		}
	}
	return nil
}

func (f *Fake) service(p *types.Project, s types.ServiceConfig, anew bool, ev stacks.Events) error {
	ref := imageOf(p, s)
	id, err := f.image(ref)
	if err != nil {
		return err
	}
	behaves, ok := f.behaviours[p.Name+"/"+s.Name]
	if !ok {
		behaves = f.behaviours[normal(ref)]
	}
	hash := hashOf(s)
	old := f.of(p.Name, s.Name)
	for n := 1; n <= s.GetScale(); n++ {
		at := stacks.Event{Stack: s.Labels[stacks.LabelStack], Service: s.Name, Phase: "up", State: stacks.Done}
		if len(old) >= n && old[n-1].hash == hash && old[n-1].ImageID == id && !anew {
			at.Message = "Running"
			if !old[n-1].Running() {
				f.start(old[n-1], s)
				at.Message = "Started"
			}
			emit(ev, at)
			continue
		}
		if behaves.CreateError != nil {
			return behaves.CreateError
		}
		var inherited []stacks.Mount
		if len(old) >= n {
			inherited = old[n-1].Mounts
			delete(f.containers, old[n-1].ID)
		}
		b := f.make(p, s, n, ref, id, hash, behaves)
		b.Mounts, b.policy = f.mounts(p, s, ref, inherited), s.Restart
		if behaves.StartError != nil {
			b.fail = behaves.StartError.Error()
			return behaves.StartError
		}
		f.start(b, s)
		at.Message = "Started"
		emit(ev, at)
	}
	for n := s.GetScale(); n < len(old); n++ {
		delete(f.containers, old[n].ID)
	}
	return nil
}

// make makes a container, not started yet.
func (f *Fake) make(p *types.Project, s types.ServiceConfig, n int, ref, imageID, hash string, behaves Behaviour) *box {
	name := s.ContainerName
	if name == "" {
		name = p.Name + "-" + s.Name + "-" + strconv.Itoa(n)
	}
	labels := map[string]string{}
	maps.Copy(labels, s.Labels)
	labels[projectLabel] = p.Name
	labels["com.docker.compose.service"] = s.Name
	labels[stacks.LabelComposeHash] = hash
	b := &box{hash: hash, number: n, behaves: behaves, aliases: map[string][]string{}, Container: stacks.Container{
		ID: f.id(name), Name: name, Project: p.Name, Stack: s.Labels[stacks.LabelStack], Service: s.Name,
		Image: ref, ImageID: imageID, State: "created", Labels: labels, Networks: []string{},
	}}
	for key, cfg := range s.Networks {
		network := p.Networks[key].Name
		b.join(network, f.networks[network].ID)
		b.aliases[network] = []string{s.Name}
		if cfg != nil {
			b.aliases[network] = append(b.aliases[network], cfg.Aliases...)
		}
	}
	if s.NetworkMode == "host" || s.NetworkMode == "none" {
		b.Networks = append(b.Networks, s.NetworkMode)
	}
	sort.Strings(b.Networks)
	f.containers[b.ID] = b
	return b
}

// start starts a container and lets it turn out as it behaves.
func (f *Fake) start(b *box, s types.ServiceConfig) {
	b.checked = s.HealthCheck != nil && !s.HealthCheck.Disable
	f.run(b)
}

// run lets a container turn out as it behaves.
func (f *Fake) run(b *box) {
	b.State, b.ExitCode, b.Health, b.started = "running", 0, "", f.now()
	if b.checked {
		b.Health = "healthy"
		if b.behaves.Health != "" {
			b.Health = b.behaves.Health
		}
	}
	if b.behaves.Exit != nil {
		b.State, b.Health, b.ExitCode = "exited", "", *b.behaves.Exit
	}
	if b.behaves.Started != nil {
		b.behaves.Started()
	}
}

// hashOf is what decides about a replacement, without what Compose leaves out.
func hashOf(s types.ServiceConfig) string {
	s.Build, s.PullPolicy, s.Scale, s.DependsOn, s.Profiles = nil, "", nil, nil, nil
	if s.Deploy != nil {
		deploy := *s.Deploy
		deploy.Replicas = nil
		s.Deploy = &deploy
	}
	raw, err := json.Marshal(s)
	if err != nil {
		panic(err) // it came out of a decoder
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

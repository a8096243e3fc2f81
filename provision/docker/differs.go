package docker

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/croft-sh/croft/stacks"
)

// Differs says, as far as the engine shows it, in what a container is not as its
// service is written. It names no value of the environment: it may be a secret.
// Where docker compose's hash differs and nothing is found here, another release
// of it may have written the same in other words.
func (e *Engine) Differs(ctx context.Context, id string, svc types.ServiceConfig) ([]string, error) {
	res, err := e.api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return nil, failed("inspect container "+short(id), err)
	}
	c := res.Container
	if c.Config == nil || c.HostConfig == nil {
		return nil, nil
	}
	given := map[string]string{} // by the image
	if image, err := e.api.ImageInspect(ctx, c.Image); err == nil && image.Config != nil {
		given = variables(image.Config.Env)
	} else if err != nil && !isNotFound(err) {
		return nil, failed("inspect image "+short(c.Image), err)
	}
	var out []string
	if svc.Image != "" && stacks.Reference(svc.Image) != stacks.Reference(c.Config.Image) {
		out = append(out, fmt.Sprintf("image: runs %s, written is %s", c.Config.Image, svc.Image))
	}
	if names := otherVariables(variables(c.Config.Env), given, svc.Environment); len(names) > 0 {
		out = append(out, "environment: "+strings.Join(names, ", "))
	}
	if svc.Command != nil && !slices.Equal([]string(svc.Command), c.Config.Cmd) {
		out = append(out, "command")
	}
	if svc.Entrypoint != nil && !slices.Equal([]string(svc.Entrypoint), c.Config.Entrypoint) {
		out = append(out, "entrypoint")
	}
	if want := restartOf(svc); want != string(c.HostConfig.RestartPolicy.Name) {
		out = append(out, fmt.Sprintf("restart: runs %s, written is %s", c.HostConfig.RestartPolicy.Name, want))
	}
	out = append(out, otherPorts(c.HostConfig, svc)...)
	return append(out, otherMounts(c.Mounts, svc)...), nil
}

func variables(list []string) map[string]string {
	out := map[string]string{}
	for _, kv := range list {
		key, value, _ := strings.Cut(kv, "=")
		out[key] = value
	}
	return out
}

// otherVariables names what is set otherwise, or on one side alone.
func otherVariables(has, given map[string]string, want types.MappingWithEquals) []string {
	names := map[string]bool{}
	for key, value := range want {
		if got, ok := has[key]; value != nil && (!ok || got != *value) {
			names[key] = true
		}
	}
	for key, value := range has {
		if _, wanted := want[key]; !wanted && given[key] != value {
			names[key] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// restartOf gives the engine's word for what a service asks for.
func restartOf(svc types.ServiceConfig) string {
	if svc.Restart != "" {
		name, _, _ := strings.Cut(svc.Restart, ":")
		return name
	}
	if svc.Deploy == nil || svc.Deploy.RestartPolicy == nil {
		return "no"
	}
	switch svc.Deploy.RestartPolicy.Condition {
	case "none":
		return "no"
	case "on-failure":
		return "on-failure"
	}
	return "always"
}

func otherPorts(h *container.HostConfig, svc types.ServiceConfig) []string {
	has, want := map[string]bool{}, map[string]bool{}
	for port, bindings := range h.PortBindings {
		for _, b := range bindings {
			has[b.HostPort+":"+port.String()] = true
		}
	}
	for _, p := range svc.Ports {
		want[fmt.Sprintf("%s:%d/%s", p.Published, p.Target, p.Protocol)] = true
	}
	if maps.Equal(has, want) {
		return nil
	}
	return []string{fmt.Sprintf("ports: runs %s, written is %s", listed(has), listed(want))}
}

func listed(set map[string]bool) string {
	if len(set) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(set)), " ")
}

// otherMounts compares where things are mounted, and from where a directory is.
func otherMounts(has []container.MountPoint, svc types.ServiceConfig) []string {
	var out []string
	for _, v := range svc.Volumes {
		i := slices.IndexFunc(has, func(m container.MountPoint) bool { return m.Destination == v.Target })
		switch {
		case v.Type != types.VolumeTypeBind && v.Type != types.VolumeTypeVolume:
		case i < 0:
			out = append(out, "volumes: nothing is mounted at "+v.Target)
		case v.Type == types.VolumeTypeBind && has[i].Source != v.Source:
			out = append(out, fmt.Sprintf("volumes: %s is %s, written is %s", v.Target, has[i].Source, v.Source))
		}
	}
	return out
}

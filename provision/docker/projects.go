package docker

import (
	"context"
	"slices"
	"strings"

	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/client"

	"github.com/croft-sh/croft/stacks"
)

// ComposeProject is a Compose project as the labels of its containers tell it.
type ComposeProject struct {
	Name     string
	Platform string   // of croft, where its containers carry croft's label
	Origins  []Origin // from where containers were made, the most of them first
}

// Origin is from where docker compose made containers of a project.
type Origin struct {
	Dir      string   // project directory, absolute
	Files    []string // Compose files in their order, absolute
	EnvFiles []string // given by --env-file; none means the directory's .env
	Services []string // sorted
}

// ComposeProjects gives every Compose project that has containers, sorted by name.
func (e *Engine) ComposeProjects(ctx context.Context) ([]ComposeProject, error) {
	list, err := e.api.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		return nil, failed("list containers", err)
	}
	var out []ComposeProject
	for _, c := range list.Items {
		name := c.Labels[api.ProjectLabel]
		if name == "" || strings.EqualFold(c.Labels[api.OneoffLabel], "true") {
			continue
		}
		i := slices.IndexFunc(out, func(p ComposeProject) bool { return p.Name == name })
		if i < 0 {
			i = len(out)
			out = append(out, ComposeProject{Name: name})
		}
		if platform := c.Labels[stacks.LabelPlatform]; platform != "" {
			out[i].Platform = platform
		}
		out[i].add(c.Labels)
	}
	for _, p := range out {
		for i := range p.Origins {
			slices.Sort(p.Origins[i].Services)
		}
		slices.SortStableFunc(p.Origins, func(a, b Origin) int { return len(b.Services) - len(a.Services) })
	}
	slices.SortFunc(out, func(a, b ComposeProject) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func (p *ComposeProject) add(labels map[string]string) {
	o := Origin{Dir: labels[api.WorkingDirLabel], Files: split(labels[api.ConfigFilesLabel]), EnvFiles: split(labels[api.EnvironmentFileLabel])}
	i := slices.IndexFunc(p.Origins, func(have Origin) bool {
		return have.Dir == o.Dir && slices.Equal(have.Files, o.Files) && slices.Equal(have.EnvFiles, o.EnvFiles)
	})
	if i < 0 {
		i = len(p.Origins)
		p.Origins = append(p.Origins, o)
	}
	if service := labels[api.ServiceLabel]; !slices.Contains(p.Origins[i].Services, service) {
		p.Origins[i].Services = append(p.Origins[i].Services, service)
	}
}

func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

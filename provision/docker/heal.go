package docker

import (
	"context"
	"fmt"
	"regexp"
	"sort"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// replacing is the name Compose gives a container until the one it replaces is
// gone: the start of the old one's ID before the old one's name.
var replacing = regexp.MustCompile(`^([0-9a-f]{12})_(.+)$`)

// settleLimit bounds how long Settle waits; it is longer than any sane
// stop_grace_period.
const settleLimit = 2 * time.Minute

// projectContainers lists all containers of a Compose project.
func (e *Engine) projectContainers(ctx context.Context, project string) ([]container.Summary, error) {
	list, err := e.api.ContainerList(ctx, client.ContainerListOptions{
		All: true, Filters: make(client.Filters).Add("label", api.ProjectLabel+"="+project),
	})
	if err != nil {
		return nil, fmt.Errorf("list containers of %s: %w", project, err)
	}
	return list.Items, nil
}

// Settle waits until two looks at a project one second apart show the same. A
// run that was killed, or that failed, may have left stops going on in the
// engine; older engines show no "stopping", so a list taken at once lies.
func (e *Engine) Settle(ctx context.Context, project string) error {
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	before := ""
	for {
		list, err := e.projectContainers(ctx, project)
		if err != nil {
			return failed("wait for "+project+" to settle", err)
		}
		now := outline(list)
		if now == before {
			return nil
		}
		before = now
		if err := pause(ctx, time.Second); err != nil {
			return failed("wait for "+project+" to settle", err)
		}
	}
}

func outline(list []container.Summary) string {
	lines := make([]string, len(list))
	for i, c := range list {
		lines[i] = c.ID + " " + nameOf(c) + " " + string(c.State)
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n") + "\n"
}

// heal clears what a killed run left: a container still bears the name it had
// while it replaced another. Without this it keeps that name, and Compose can
// take the one never started for a replica. It gives the project's containers.
func (e *Engine) heal(ctx context.Context, p *types.Project) ([]container.Summary, error) {
	list, err := e.projectContainers(ctx, p.Name)
	if err != nil || !hasLeftover(p, list) {
		return list, err
	}
	if err := e.Settle(ctx, p.Name); err != nil {
		return nil, err
	}
	if list, err = e.projectContainers(ctx, p.Name); err != nil {
		return nil, err
	}
	taken := map[string]bool{}
	for _, c := range list {
		taken[nameOf(c)] = true
	}
	for _, c := range list {
		name, ok := properName(p, c)
		switch {
		case !ok:
		case !taken[name]:
			if _, err := e.api.ContainerRename(ctx, c.ID, client.ContainerRenameOptions{NewName: name}); err != nil {
				return nil, fmt.Errorf("rename the leftover container %s to %s: %w", nameOf(c), name, err)
			}
			taken[name] = true
		case c.State == container.StateCreated: // never started: it has no data
			_, err := e.api.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: false})
			if ignoreNotFound(err) != nil {
				return nil, fmt.Errorf("remove the leftover container %s: %w", nameOf(c), err)
			}
		}
	}
	return e.projectContainers(ctx, p.Name)
}

func hasLeftover(p *types.Project, list []container.Summary) bool {
	for _, c := range list {
		if _, ok := properName(p, c); ok {
			return true
		}
	}
	return false
}

// properName gives the name a leftover should have, and whether it is one.
func properName(p *types.Project, c container.Summary) (string, bool) {
	m := replacing.FindStringSubmatch(nameOf(c))
	if m == nil {
		return "", false
	}
	for _, s := range p.AllServices() {
		if s.ContainerName == nameOf(c) {
			return "", false // asked for, odd as it is
		}
	}
	return m[2], true
}

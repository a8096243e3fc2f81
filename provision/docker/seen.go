package docker

import (
	"context"
	"encoding/json"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/croft-sh/croft/stacks"
)

// SeenImage looks at an image that is here; the zero value where it is not.
func (e *Engine) SeenImage(ctx context.Context, ref string) (stacks.Seen, error) {
	image, err := e.api.ImageInspect(ctx, ref)
	if isNotFound(err) {
		return stacks.Seen{}, nil
	}
	if err != nil {
		return stacks.Seen{}, failed("inspect image "+ref, err)
	}
	seen := stacks.Seen{Image: true}
	if image.Config != nil {
		seen.ImageUser = image.Config.User
		seen.Checked = image.Config.Healthcheck != nil && len(image.Config.Healthcheck.Test) > 0 && image.Config.Healthcheck.Test[0] != "NONE"
	}
	return seen, nil
}

// SeenContainer looks at a container from outside, and adds to what is known of
// its image: its users, what it wrote to its root file system, what it uses.
func (e *Engine) SeenContainer(ctx context.Context, id string, seen stacks.Seen) (stacks.Seen, error) {
	res, err := e.api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return seen, failed("inspect container "+short(id), err)
	}
	c := res.Container
	if c.State == nil || !c.State.Running {
		seen.Ended = c.State != nil && c.State.Status == container.StateExited && c.State.ExitCode == 0
		return seen, nil
	}
	if seen.UIDs, seen.GID, err = e.usersOf(ctx, id); err != nil {
		return seen, err
	}
	if seen.Wrote, err = e.wroteTo(ctx, id); err != nil {
		return seen, err
	}
	// A mount point that the engine made is no sign that the program wrote there.
	seen.Wrote = slices.DeleteFunc(seen.Wrote, func(wrote string) bool {
		return slices.ContainsFunc(c.Mounts, func(m container.MountPoint) bool { return m.Destination == wrote })
	})
	stats, err := e.api.ContainerStats(ctx, id, client.ContainerStatsOptions{})
	if err != nil {
		return seen, failed("look at container "+short(id), err)
	}
	defer func() { _ = stats.Body.Close() }() // only read from
	var now container.StatsResponse
	if err := json.NewDecoder(stats.Body).Decode(&now); err != nil {
		return seen, failed("look at container "+short(id), err)
	}
	// What is only cached from files is given back when it is wanted.
	cached := now.MemoryStats.Stats["total_inactive_file"] + now.MemoryStats.Stats["inactive_file"]
	seen.Memory = int64(now.MemoryStats.Usage - min(now.MemoryStats.Usage, cached))
	seen.Pids = int(now.PidsStats.Current)
	seen.Running = true
	return seen, nil
}

// usersOf gives the users of a container's processes, each once, the first
// process's first, and that one's group.
func (e *Engine) usersOf(ctx context.Context, id string) (uids []int, gid int, err error) {
	top, err := e.api.ContainerTop(ctx, id, client.ContainerTopOptions{Arguments: []string{"-eo", "pid,uid,gid"}})
	if err != nil {
		return nil, 0, failed("list processes of container "+short(id), err)
	}
	for i, process := range top.Processes {
		if len(process) < 3 {
			continue
		}
		uid, err := strconv.Atoi(process[1])
		if err != nil {
			continue
		}
		if group, err := strconv.Atoi(process[2]); err == nil && i == 0 {
			gid = group
		}
		if !slices.Contains(uids, uid) {
			uids = append(uids, uid)
		}
	}
	return uids, gid, nil
}

// wroteTo gives what a container changed in its root file system: of a directory
// only where nothing below it is named.
func (e *Engine) wroteTo(ctx context.Context, id string) ([]string, error) {
	diff, err := e.api.ContainerDiff(ctx, id, client.ContainerDiffOptions{})
	if err != nil {
		return nil, failed("look at the files of container "+short(id), err)
	}
	paths := make([]string, 0, len(diff.Changes))
	for _, c := range diff.Changes {
		paths = append(paths, c.Path)
	}
	slices.Sort(paths)
	var out []string
	for _, p := range paths {
		if path.Base(p) == "docker-init" {
			continue // the engine's own, for init: true
		}
		next, _ := slices.BinarySearch(paths, p+"/")
		if next == len(paths) || !strings.HasPrefix(paths[next], p+"/") {
			out = append(out, p)
		}
	}
	return out, nil
}

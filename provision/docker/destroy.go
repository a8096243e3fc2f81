package docker

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/croft-sh/croft/provision"
)

// Stop stops the containers of a Compose project, dependents first, each with
// the stop timeout it asks for. A project without containers is no error.
func (e *Engine) Stop(ctx context.Context, project string) error {
	doing := "stop " + project
	list, err := e.projectContainers(ctx, project)
	if err != nil || len(list) == 0 {
		return failed(doing, err)
	}
	sdk, err := e.sdk(newProgress(emitter(nil)), &tailBuffer{limit: buildOutputLimit})
	if err != nil {
		return failed(doing, err)
	}
	err = sdk.Stop(ctx, project, api.StopOptions{Project: writtenProject(ctx, sdk, project, list)})
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return failed(doing, err)
}

// writtenProject loads the file the containers were made from, if it is still
// there and has all their services: the dependencies that labels tell are those
// within one Up alone. Without it the SDK goes by the labels.
func writtenProject(ctx context.Context, sdk api.Compose, project string, list []container.Summary) *types.Project {
	file := list[0].Labels[api.ConfigFilesLabel]
	if _, err := os.Stat(file); file == "" || strings.Contains(file, ",") || err != nil {
		return nil
	}
	seen := map[string]bool{}
	req := provision.UpRequest{File: file, Project: project}
	for _, c := range list {
		if s := c.Labels[api.ServiceLabel]; !seen[s] {
			seen[s] = true
			req.Services = append(req.Services, s)
		}
	}
	p, err := load(ctx, sdk, req)
	if err != nil {
		return nil // gone, changed or never ours: the labels have to do
	}
	return p
}

// Destroy removes the containers and networks of a Compose project. Volumes
// stay, all of them.
func (e *Engine) Destroy(ctx context.Context, project string) error {
	if err := e.Stop(ctx, project); err != nil {
		return err
	}
	doing := "destroy " + project
	list, err := e.projectContainers(ctx, project)
	if err != nil {
		return failed(doing, err)
	}
	ids := make([]string, len(list))
	for i, c := range list {
		ids[i] = c.ID
	}
	if err := e.Remove(ctx, ids); err != nil {
		return err
	}
	networks, err := e.api.NetworkList(ctx, client.NetworkListOptions{
		Filters: make(client.Filters).Add("label", api.ProjectLabel+"="+project),
	})
	if err != nil {
		return failed(doing, err)
	}
	var errs []error
	for _, n := range networks.Items {
		errs = append(errs, e.RemoveNetwork(ctx, n.ID))
	}
	return errors.Join(errs...)
}

// RemoveVolume removes a volume and what is in it. It is for the command that
// names the volume, and for nothing else. One that does not exist is an error:
// the name may be mistyped.
func (e *Engine) RemoveVolume(ctx context.Context, name string) error {
	_, err := e.api.VolumeRemove(ctx, name, client.VolumeRemoveOptions{})
	return failed("remove volume "+name, err)
}

package docker

import (
	"context"
	"fmt"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/croft-sh/croft/provision"
)

// anewOf gives the services for which the SDK takes the first of its two ways
// to recreate, and that way. Those not among them are recreated where they
// differ. The old container is replaced, not removed first: its anonymous
// volumes go over to the new one.
func anewOf(p *types.Project, req provision.UpRequest) ([]string, string) {
	if len(req.Anew) == 0 {
		return p.ServiceNames(), api.RecreateDiverged
	}
	return req.Anew, api.RecreateForce
}

// unpause lets paused containers of the project's services go on: the SDK
// starts them, which the engine refuses. Killed in between: some go on, and the
// next Up does the rest.
func (e *Engine) unpause(ctx context.Context, p *types.Project, existing []container.Summary) error {
	for _, c := range existing {
		if _, ours := p.Services[c.Labels[api.ServiceLabel]]; !ours || c.State != container.StatePaused {
			continue
		}
		at := time.Now()
		if _, err := e.api.ContainerUnpause(ctx, c.ID, client.ContainerUnpauseOptions{}); ignoreNotFound(err) != nil {
			return fmt.Errorf("let the paused container %s go on: %w", nameOf(c), err)
		}
		if err := e.checkedSince(ctx, c.ID, at); err != nil {
			return fmt.Errorf("let the paused container %s go on: %w", nameOf(c), err)
		}
	}
	return nil
}

// checkedSince waits until a container's health is what its checks found since
// then: one that was paused counts as unhealthy until a check passes.
func (e *Engine) checkedSince(ctx context.Context, id string, at time.Time) error {
	for {
		res, err := e.api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
		if err != nil {
			return ignoreNotFound(err)
		}
		c := res.Container
		if c.State == nil || c.State.Health == nil || c.State.Health.Status != container.Unhealthy || !c.State.Running {
			return nil
		}
		retries, done := 3, 0 // the engine's own default
		if c.Config != nil && c.Config.Healthcheck != nil && c.Config.Healthcheck.Retries > 0 {
			retries = c.Config.Healthcheck.Retries
		}
		for _, probe := range c.State.Health.Log {
			if probe.Start.After(at) {
				done++
			}
		}
		if done >= min(retries, 5) { // the engine keeps five
			return nil
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}

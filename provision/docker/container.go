package docker

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"github.com/croft-sh/croft/provision"
)

// containersAtOnce bounds parallel calls about single containers.
const containersAtOnce = 8

// removalWait is how long a removal that somebody else began may take.
const removalWait = 30 * time.Second

// Inspect gives what lists do not show, in the order of ids.
func (e *Engine) Inspect(ctx context.Context, ids []string) ([]provision.Inspected, error) {
	out := make([]provision.Inspected, len(ids))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(containersAtOnce)
	for i, id := range ids {
		g.Go(func() error {
			res, err := e.api.ContainerInspect(gctx, id, client.ContainerInspectOptions{})
			if isNotFound(err) {
				out[i] = provision.Inspected{ID: id, State: "gone"}
				return nil
			}
			if err != nil {
				return failed("inspect container "+short(id), err)
			}
			out[i] = inspectedOf(res.Container)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return out, nil
}

func inspectedOf(c container.InspectResponse) provision.Inspected {
	out := provision.Inspected{ID: c.ID, Restarts: c.RestartCount}
	if c.HostConfig != nil {
		out.RestartPolicy = string(c.HostConfig.RestartPolicy.Name)
		out.RestartMax = c.HostConfig.RestartPolicy.MaximumRetryCount
	}
	s := c.State
	if s == nil {
		return out
	}
	out.State, out.ExitCode, out.OOMKilled, out.Error = string(s.Status), s.ExitCode, s.OOMKilled, s.Error
	// A container that never started has the year 1 here, which parses to the zero time.
	if at, err := time.Parse(time.RFC3339Nano, s.StartedAt); err == nil {
		out.StartedAt = at
	}
	if s.Health != nil && s.Health.Status != container.NoHealthcheck {
		out.Health = string(s.Health.Status)
		if n := len(s.Health.Log); n > 0 {
			out.HealthLog = strings.TrimSpace(s.Health.Log[n-1].Output)
		}
	}
	return out
}

// Signal sends a signal to the main process of a container.
func (e *Engine) Signal(ctx context.Context, id, signal string) error {
	_, err := e.api.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: signal})
	return failed("send "+signal+" to container "+short(id), err)
}

// Start starts stopped containers, in the order given.
func (e *Engine) Start(ctx context.Context, ids []string) error {
	for _, id := range ids {
		if _, err := e.api.ContainerStart(ctx, id, client.ContainerStartOptions{}); err != nil {
			return failed("start container "+short(id), err)
		}
	}
	return nil
}

// Restart restarts containers in the order given, each with the stop timeout
// it asks for.
func (e *Engine) Restart(ctx context.Context, ids []string) error {
	for _, id := range ids {
		if _, err := e.api.ContainerRestart(ctx, id, client.ContainerRestartOptions{}); err != nil {
			return failed("restart container "+short(id), err)
		}
	}
	return nil
}

// Remove stops and removes containers in parallel, each with the stop timeout
// it asks for. Volumes stay, anonymous ones too.
func (e *Engine) Remove(ctx context.Context, ids []string) error {
	errs := make([]error, len(ids))
	var g errgroup.Group
	g.SetLimit(containersAtOnce)
	for i, id := range ids {
		g.Go(func() error {
			errs[i] = failed("remove container "+short(id), e.remove(ctx, id))
			return nil
		})
	}
	_ = g.Wait() // each keeps its error in errs: one that fails must not spare the others
	return errors.Join(errs...)
}

func (e *Engine) remove(ctx context.Context, id string) error {
	// No timeout given: the engine then takes the container's own.
	_, err := e.api.ContainerStop(ctx, id, client.ContainerStopOptions{})
	if isNotFound(err) {
		return nil
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err() // must not be followed by the forced removal
	}
	// Forced, because one that is restarting or dead does not stop cleanly.
	_, err = e.api.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: false})
	switch {
	case isNotFound(err):
		return nil
	case errdefs.IsConflict(err) && strings.Contains(err.Error(), "already in progress"):
		return e.awaitRemoval(ctx, id, err)
	}
	return err
}

// awaitRemoval waits for a removal that somebody else began.
func (e *Engine) awaitRemoval(ctx context.Context, id string, cause error) error {
	bounded, cancel := context.WithTimeout(ctx, removalWait)
	defer cancel()
	for {
		_, err := e.api.ContainerInspect(bounded, id, client.ContainerInspectOptions{})
		if isNotFound(err) {
			return nil
		}
		if pause(bounded, 200*time.Millisecond) != nil {
			return errors.Join(cause, ctx.Err())
		}
	}
}

// pause waits for d, or gives the context's error.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func isNotFound(err error) bool { return err != nil && errdefs.IsNotFound(err) }

func ignoreNotFound(err error) error {
	if isNotFound(err) {
		return nil
	}
	return err
}

// short gives an ID as people read it; a name stays as it is.
func short(id string) string {
	if len(id) == 64 && strings.Trim(id, "0123456789abcdef") == "" {
		return id[:12]
	}
	return id
}

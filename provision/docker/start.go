package docker

import (
	"context"
	"fmt"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"
)

// startsAtOnce bounds the starts under way, over all stacks. On two cores 4 and 8
// took the same time, 2 a fifth more and 16 no less: each start wants the kernel's
// lock on network devices, and the engine's helper spins while it waits for it.
const startsAtOnce = 8

// startLimit bounds how long one start may go on after nobody wants it any more.
const startLimit = time.Minute

// The SDK starts one container after another in the whole process, behind a
// mutex. What its start does beyond the engine's own call (start.go,
// service_containers.go and pre_start.go of Compose v5.5.1):
//
//   - it waits for depends_on, and starts in that order;
//   - it runs pre_start hooks in containers of their own, and post_start hooks
//     in the started one;
//   - it copies configs and secrets given by content: or environment:, and the
//     login for use_api_socket, into the container;
//   - by the mutex it keeps two containers from getting the same port where the
//     engine chooses one of a range.
//
// Everything else (providers, models, images, networks, volumes, names, labels,
// endpoints) is done by its create. So containers of a project without any of
// the four may be started by us, several at a time.

// startsAlone tells whether the project's containers may be started without the
// SDK. None of its services may run: a recreate removes the old container when it
// creates the new one, and the SDK starts that one sooner.
func startsAlone(p *types.Project, existing []container.Summary) bool {
	for _, c := range existing {
		_, named := p.Services[c.Labels[api.ServiceLabel]]
		if named && c.State != container.StateCreated && c.State != container.StateExited {
			return false
		}
	}
	for _, s := range p.Services {
		if len(s.DependsOn)+len(s.PreStart)+len(s.PostStart)+len(s.Models) > 0 || s.Provider != nil || s.UseAPISocket {
			return false
		}
		if !portsFixed(s) || copiesFiles(p, s) {
			return false
		}
	}
	return true
}

func portsFixed(s types.ServiceConfig) bool {
	for _, port := range s.Ports {
		if port.Published == "" {
			return false
		}
		for _, r := range port.Published {
			if r < '0' || r > '9' {
				return false
			}
		}
	}
	return true
}

func copiesFiles(p *types.Project, s types.ServiceConfig) bool {
	for _, c := range s.Configs {
		if def := p.Configs[c.Source]; def.Content != "" || def.Environment != "" {
			return true
		}
	}
	for _, c := range s.Secrets {
		if def := p.Secrets[c.Source]; def.Content != "" || def.Environment != "" {
			return true
		}
	}
	return false
}

// createAndStart is Up with the starts side by side. Killed between the two, the
// containers are there and "created": the next plan starts them.
func (e *Engine) createAndStart(ctx context.Context, sdk api.Compose, p *types.Project, o api.CreateOptions, ev *progress) error {
	if err := sdk.Create(ctx, p, o); err != nil {
		return err
	}
	list, err := e.projectContainers(ctx, p.Name)
	if err != nil {
		return err
	}
	group, gctx := errgroup.WithContext(ctx) // an error keeps further starts from beginning
	for _, c := range list {
		if _, named := p.Services[c.Labels[api.ServiceLabel]]; !named || c.Labels[api.OneoffLabel] != "False" {
			continue // not asked for, or of a docker compose run
		}
		if c.State != container.StateCreated && c.State != container.StateExited {
			continue
		}
		group.Go(func() error {
			select {
			case e.starts <- struct{}{}:
				defer func() { <-e.starts }()
			case <-gctx.Done():
				return gctx.Err()
			}
			return e.startOne(gctx, c, ev)
		})
	}
	return group.Wait()
}

// startOne starts a container, and sees it through: the engine goes on with a
// start whose caller has left, so leaving would show a state that is not the
// last one.
func (e *Engine) startOne(ctx context.Context, c container.Summary, ev *progress) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	name := nameOf(c)
	ev.On(api.Resource{ID: "Container " + name, Status: api.Working, Text: api.StatusStarting})
	bounded, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(startLimit, cancel) })
	defer stop()
	if _, err := e.api.ContainerStart(bounded, c.ID, client.ContainerStartOptions{}); err != nil {
		return fmt.Errorf("start container %s: %w", name, err)
	}
	ev.On(api.Resource{ID: "Container " + name, Status: api.Done, Text: api.StatusStarted})
	return nil
}

package docker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/docker/cli/cli/command"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/stacks"
)

const (
	pullsAtOnce   = 4
	progressEvery = 200 * time.Millisecond // between two events of one image
)

// Pull makes the missing images present and contacts nothing for the others. It
// tells of every image that fails, not of the first alone; once a registry cannot
// be reached, no further image of it is tried.
//
// Killed in the middle, what was pulled whole is here and is not pulled again.
func (e *Engine) Pull(ctx context.Context, wants []provision.PullRequest, ev stacks.Events) error {
	steps, err := e.missing(ctx, wants)
	if err != nil || len(steps) == 0 {
		return err
	}
	p := &puller{engine: e, emit: emitter(ev), down: map[string]bool{}}
	var g errgroup.Group
	g.SetLimit(pullsAtOnce)
	for _, s := range steps {
		g.Go(func() error {
			p.take(ctx, s)
			return nil
		})
	}
	_ = g.Wait() // the pulls keep their errors in p, all of them
	if ctx.Err() != nil {
		return fmt.Errorf("pull images: %w", ctx.Err())
	}
	return errors.Join(p.errs...)
}

// puller collects what the parallel pulls of one call find out.
type puller struct {
	engine *Engine
	emit   stacks.Events
	mu     sync.Mutex
	down   map[string]bool // registries that do not answer
	errs   []error
}

// take carries out one step.
func (p *puller) take(ctx context.Context, s step) {
	ref := s.want.Reference
	if s.here != "" {
		if err := p.engine.Tag(ctx, s.here, ref); err != nil {
			p.fail(ref, err)
			return
		}
		p.emit(stacks.Event{Phase: "pull", State: stacks.Done, Message: ref + " is the locked image again"})
		return
	}
	p.mu.Lock()
	skip := p.down[registryOf(ref)]
	p.mu.Unlock()
	if skip || ctx.Err() != nil {
		return // the error of the image that found the registry down says it all
	}
	p.emit(stacks.Event{Phase: "pull", State: stacks.Working, Message: ref})
	if err := p.pull(ctx, s); err != nil {
		p.fail(ref, err)
		return
	}
	p.emit(stacks.Event{Phase: "pull", State: stacks.Done, Message: ref})
}

func (p *puller) fail(ref string, err error) {
	p.emit(stacks.Event{Phase: "pull", State: stacks.Failed, Message: ref + ": " + reason(err)})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down[registryOf(ref)] = p.down[registryOf(ref)] || unreachable(err.Error())
	p.errs = append(p.errs, pullError(ref, err))
}

// pull fetches what a step says and gives it its name.
func (p *puller) pull(ctx context.Context, s step) error {
	ref := s.want.Reference
	if stacks.IsImageID(ref) {
		return errors.New("the image is not on this engine, and an image ID cannot be pulled")
	}
	told := func(err error, next time.Duration) {
		p.emit(stacks.Event{Phase: "pull", State: stacks.Warning,
			Message: fmt.Sprintf("%s: %s; once more in %s", ref, reason(err), next.Round(100*time.Millisecond))})
	}
	e := p.engine
	err := e.patience.again(ctx, e.patience.tries, told, func() error { return e.pullOnce(ctx, s, p.emit) })
	if err != nil {
		return err
	}
	if s.exact() {
		return e.Tag(ctx, s.from, ref)
	}
	return e.sameAsLocked(ctx, s)
}

// sameAsLocked compares what a tag gave with an image that is locked without a
// digest: an older lock, or an image that was brought in by hand. Another one
// stays here, and the next plan names it.
func (e *Engine) sameAsLocked(ctx context.Context, s step) error {
	locked := s.want.Locked
	if s.want.Fresh || locked.ID == "" || locked.Digest != "" {
		return nil
	}
	got, err := e.api.ImageInspect(ctx, s.want.Reference)
	if err != nil {
		return err
	}
	if got.ID != locked.ID {
		return &movedError{locked: locked.ID, now: got.ID}
	}
	return nil
}

// pullOnce is one attempt. It is given up where nothing arrives any more.
func (e *Engine) pullOnce(ctx context.Context, s step, emit stacks.Events) error {
	auth, err := e.credentials(s.from)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watched := newDownload(e.patience.stall, func() {
		cancel(&stalledError{registry: registryOf(s.from), after: e.patience.stall})
	})
	defer watched.end()
	err = e.stream(ctx, s, auth, watched, emit)
	var stalled *stalledError
	if err != nil && errors.As(context.Cause(ctx), &stalled) {
		return stalled
	}
	return err
}

func (e *Engine) stream(ctx context.Context, s step, auth string, watched *download, emit stacks.Events) error {
	stream, err := e.api.ImagePull(ctx, s.from, client.ImagePullOptions{RegistryAuth: auth})
	if err != nil {
		return err
	}
	defer stream.Close()
	var last time.Time
	for msg, err := range stream.JSONMessages(ctx) {
		if err != nil {
			return err
		}
		if msg.Error != nil {
			return msg.Error
		}
		if sum := watched.add(msg); sum != nil && time.Since(last) >= progressEvery {
			last = time.Now()
			emit(stacks.Event{Phase: "pull", State: stacks.Working, Message: s.want.Reference, Progress: sum})
		}
	}
	return nil
}

// credentials gives what docker login stored for the registry of ref. Without
// any it is an empty token, which is what the engine expects for anonymous pulls.
func (e *Engine) credentials(ref string) (string, error) {
	cli, err := e.cli()
	if err != nil {
		return "", err
	}
	auth, err := command.RetrieveAuthTokenFromImage(cli.ConfigFile(), ref)
	if err != nil {
		return "", fmt.Errorf("credentials for %s: %w", registryOf(ref), err)
	}
	return auth, nil
}

// emitter fills in the time and takes a nil Events.
func emitter(ev stacks.Events) stacks.Events {
	return func(e stacks.Event) {
		if ev == nil {
			return
		}
		if e.At.IsZero() {
			e.At = time.Now()
		}
		ev(e)
	}
}

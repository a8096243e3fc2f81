package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/docker/cli/cli/command"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"github.com/croft-sh/croft/stacks"
)

const (
	pullsAtOnce   = 4
	progressEvery = 200 * time.Millisecond // between two events of one image
)

// Pull makes the missing references present and contacts nothing for the
// others. It tells of every reference that fails, not of the first alone; once
// a registry cannot be reached, no further image of it is tried.
func (e *Engine) Pull(ctx context.Context, refs []string, ev stacks.Events) error {
	missing, err := e.missing(ctx, refs)
	if err != nil || len(missing) == 0 {
		return err
	}
	p := &puller{engine: e, emit: emitter(ev), down: map[string]bool{}}
	var g errgroup.Group
	g.SetLimit(pullsAtOnce)
	for _, ref := range missing {
		g.Go(func() error {
			p.pull(ctx, ref)
			return nil
		})
	}
	_ = g.Wait() // the pulls keep their errors in p, all of them
	if ctx.Err() != nil {
		return fmt.Errorf("pull images: %w", ctx.Err())
	}
	return errors.Join(p.errs...)
}

// missing gives the references that are not present, each once, in order.
func (e *Engine) missing(ctx context.Context, refs []string) ([]string, error) {
	if len(refs) == 0 {
		return nil, nil
	}
	list, err := e.api.ImageList(ctx, client.ImageListOptions{})
	if err != nil {
		return nil, failed("list images", err)
	}
	present := imagesOf(list.Items)
	for _, im := range list.Items {
		present[im.ID] = im.ID
	}
	var out []string
	for _, ref := range refs {
		key := Reference(ref)
		if present[key] != "" {
			continue
		}
		present[key] = "asked for" // twice in refs is pulled once
		// The engine has the last word: it also knows forms that no list shows.
		ok, err := e.present(ctx, ref)
		if err != nil {
			return nil, err
		}
		if !ok {
			out = append(out, ref)
		}
	}
	return out, nil
}

// present tells whether the engine finds an image under ref.
func (e *Engine) present(ctx context.Context, ref string) (bool, error) {
	_, err := e.api.ImageInspect(ctx, ref)
	if isNotFound(err) {
		return false, nil
	}
	return err == nil, failed("look for image "+ref, err)
}

// puller collects what the parallel pulls of one call find out.
type puller struct {
	engine *Engine
	emit   stacks.Events
	mu     sync.Mutex
	down   map[string]bool // registries that do not answer
	errs   []error
}

func (p *puller) pull(ctx context.Context, ref string) {
	registry := registryOf(ref)
	p.mu.Lock()
	skip := p.down[registry]
	p.mu.Unlock()
	if skip || ctx.Err() != nil {
		return // the error of the image that found the registry down says it all
	}
	p.emit(stacks.Event{Phase: "pull", State: stacks.Working, Message: ref})
	err := p.engine.pullOne(ctx, ref, p.emit)
	if err == nil {
		p.emit(stacks.Event{Phase: "pull", State: stacks.Done, Message: ref})
		return
	}
	p.emit(stacks.Event{Phase: "pull", State: stacks.Failed, Message: ref + ": " + oneLine(err.Error())})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down[registry] = p.down[registry] || unreachable(err.Error())
	p.errs = append(p.errs, &Error{Doing: "pull image " + ref, Err: err, Advice: pullAdvice(ref, err.Error())})
}

func (e *Engine) pullOne(ctx context.Context, ref string, emit stacks.Events) error {
	if isImageID(ref) {
		return errors.New("the image is not on this engine, and an image ID cannot be pulled")
	}
	// Without stored credentials the token is an empty one, which is what the
	// engine expects for anonymous pulls.
	auth, err := command.RetrieveAuthTokenFromImage(e.cli.ConfigFile(), ref)
	if err != nil {
		return fmt.Errorf("credentials for %s: %w", registryOf(ref), err)
	}
	stream, err := e.api.ImagePull(ctx, ref, client.ImagePullOptions{RegistryAuth: auth})
	if err != nil {
		return err
	}
	defer stream.Close()
	layers := layers{}
	var last time.Time
	for msg, err := range stream.JSONMessages(ctx) {
		if err != nil {
			return err
		}
		if msg.Error != nil {
			return msg.Error
		}
		if layers.add(msg) && time.Since(last) >= progressEvery {
			last = time.Now()
			emit(stacks.Event{Phase: "pull", State: stacks.Working, Message: ref, Progress: layers.sum()})
		}
	}
	return nil
}

// layers counts the downloaded bytes of an image's layers.
type layers map[string]jsonstream.Progress

// add takes a message and tells whether it changed the count.
func (l layers) add(m jsonstream.Message) bool {
	switch m.Status {
	case "Downloading":
		if m.Progress == nil {
			return false
		}
		l[m.ID] = *m.Progress
		return true
	case "Download complete", "Pull complete":
		if p, ok := l[m.ID]; ok && p.Current != p.Total {
			p.Current = p.Total
			l[m.ID] = p
			return true
		}
	}
	return false
}

func (l layers) sum() *stacks.Progress {
	var out stacks.Progress
	for _, p := range l {
		out.Current += p.Current
		out.Total += p.Total
	}
	return &out
}

// unreachable tells a registry that does not answer from one that says no.
func unreachable(text string) bool {
	for _, w := range []string{"no such host", "i/o timeout", "connection refused", "network is unreachable",
		"no route to host", "Client.Timeout", "TLS handshake timeout", "server misbehaving", "proxyconnect",
		"Temporary failure in name resolution", "deadline exceeded"} {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}

func pullAdvice(ref, text string) string {
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(strings.ToLower(text), w) {
				return true
			}
		}
		return false
	}
	registry := registryOf(ref)
	switch {
	case unreachable(text):
		return "the registry " + registry + " is not reachable from the engine: check network, DNS and proxy, " +
			"or bring the image in with docker load"
	case has("no matching manifest"):
		return "the image does not exist for this machine's architecture"
	case has("manifest unknown", "manifest for"):
		return "the registry does not know this tag: check the version in the stack"
	case has("toomanyrequests", "rate limit"):
		return "the registry limits pulls: wait, or log in with docker login " + registry
	case has("unauthorized", "denied", "authentication required"):
		return "the repository does not exist or is private: check the name, or docker login " + registry
	case has("x509", "certificate"):
		return "the engine does not trust the certificate of " + registry + ": add its authority to the host"
	case isImageID(ref):
		return "build it again, or restore the image the revision was made with"
	}
	return advice(text)
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

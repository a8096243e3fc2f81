package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/containerd/platforms"
	"github.com/moby/moby/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/stacks"
)

// asksAtOnce bounds how many questions go to registries at the same time.
const asksAtOnce = 8

// found is an image that its registry has for this machine.
type found struct {
	ref  string // what would be pulled
	desc ocispec.Descriptor
}

// Check asks, through the engine and with the credentials of the pull to come,
// for the manifest of each image that is not here: some 20 ms each, and no layer
// is fetched. Then it compares what they need with the room there is.
func (e *Engine) Check(ctx context.Context, wants []provision.PullRequest, ev stacks.Events) ([]stacks.Blocked, error) {
	steps, err := e.missing(ctx, wants)
	if err != nil {
		return nil, err
	}
	steps = slices.DeleteFunc(steps, func(s step) bool { return s.from == "" })
	if len(steps) == 0 {
		return nil, nil
	}
	emitter(ev)(stacks.Event{Phase: "pull", State: stacks.Working, Message: "asking the registries first"})
	c := &checker{engine: e, found: make([]found, len(steps)), errs: make([]error, len(steps)), down: map[string]bool{}}
	var g errgroup.Group
	g.SetLimit(asksAtOnce)
	for i, s := range steps {
		g.Go(func() error {
			c.ask(ctx, i, s)
			return nil
		})
	}
	_ = g.Wait() // what the questions found lies in c
	if ctx.Err() != nil {
		return nil, fmt.Errorf("ask registries: %w", ctx.Err())
	}
	if blocked := c.blocked(steps); len(blocked) > 0 {
		return blocked, nil
	}
	return e.room(ctx, c.found)
}

// checker collects what the questions of one Check find, each at its own place.
type checker struct {
	engine *Engine
	found  []found
	errs   []error
	mu     sync.Mutex
	down   map[string]bool // registries that do not answer
}

// errOther stands for the error of another image of the same registry.
var errOther = errors.New("its registry does not answer")

func (c *checker) ask(ctx context.Context, i int, s step) {
	registry := registryOf(s.from)
	c.mu.Lock()
	skip := c.down[registry]
	c.mu.Unlock()
	if skip {
		c.errs[i] = errOther
		return
	}
	desc, err := c.engine.manifest(ctx, s.from)
	if err != nil && s.exact() && says(err.Error(), "manifest unknown", "not found") {
		err = c.engine.gone(ctx, s)
	}
	c.found[i], c.errs[i] = found{ref: s.from, desc: desc}, err
	if err != nil && unreachable(err.Error()) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.down[registry] = true
	}
}

// gone looks what became of the tag of an image that the registry lost.
func (e *Engine) gone(ctx context.Context, s step) error {
	lost := &goneError{locked: s.want.Locked.Digest}
	desc, err := e.manifest(ctx, s.want.Reference)
	if err != nil && unreachable(err.Error()) {
		return err
	}
	if err == nil {
		lost.now = desc.Digest.String()
	}
	return lost
}

// manifest gives what the registry of ref has for this machine.
func (e *Engine) manifest(ctx context.Context, ref string) (ocispec.Descriptor, error) {
	if stacks.IsImageID(ref) {
		return ocispec.Descriptor{}, errors.New("the image is not on this engine, and an image ID cannot be pulled")
	}
	auth, err := e.credentials(ref)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	var res client.DistributionInspectResult
	err = e.patience.again(ctx, e.patience.asks, nil, func() error {
		bounded, cancel := context.WithTimeout(ctx, e.patience.answer)
		defer cancel()
		res, err = e.api.DistributionInspect(bounded, stacks.Reference(ref), client.DistributionInspectOptions{EncodedRegistryAuth: auth})
		if err != nil && bounded.Err() != nil && ctx.Err() == nil {
			return fmt.Errorf("no answer within %s", e.patience.answer)
		}
		return err
	})
	if err == nil {
		err = e.runs(res.Platforms)
	}
	return res.Descriptor, err
}

// runs refuses an image that was built for other machines alone. One that does
// not say for which is believed.
func (e *Engine) runs(built []ocispec.Platform) error {
	here, err := e.machine()
	if err != nil || here.Architecture == "" {
		return err
	}
	match := platforms.Only(here)
	var names []string
	for _, p := range built {
		if p.Architecture == "" || match.Match(platforms.Normalize(p)) {
			return nil
		}
		if p.Architecture != "unknown" { // attestations
			names = append(names, platforms.Format(p))
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return &foreignError{here: platforms.Format(here), has: strings.Join(slices.Compact(names), ", ")}
}

// blocked says what stands against the pull, a registry that does not answer only
// once.
func (c *checker) blocked(steps []step) []stacks.Blocked {
	others := map[string]int{}
	for i, s := range steps {
		if errors.Is(c.errs[i], errOther) || (c.errs[i] != nil && unreachable(c.errs[i].Error())) {
			others[registryOf(s.from)]++
		}
	}
	told := map[string]bool{}
	var out []stacks.Blocked
	for i, s := range steps {
		err, registry := c.errs[i], registryOf(s.from)
		if err == nil || errors.Is(err, errOther) {
			continue
		}
		why := reason(err)
		if unreachable(why) {
			if told[registry] {
				continue
			}
			told[registry] = true
			if n := others[registry] - 1; n > 0 {
				why = fmt.Sprintf("%s (and %d more of this registry)", why, n)
			}
		}
		out = append(out, stacks.Blocked{Subject: "image " + s.want.Reference, Why: why, Hint: pullAdvice(s.want.Reference, err)})
	}
	return out
}

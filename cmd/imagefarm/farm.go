package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Farm makes images out of a cache directory and Docker.
type Farm struct {
	cache    string
	source   string // the checkout, for our own programs
	platform string // Go version and architecture, part of every key
	progress *progress

	debs func(context.Context) (debSet, error) // resolved and downloaded once
}

// NewFarm finds the cache and the checkout.
func NewFarm(stderr io.Writer) (*Farm, error) {
	cache := os.Getenv("FARM_CACHE")
	if cache == "" {
		dir, err := os.UserHomeDir()
		if err != nil {
			return nil, fmt.Errorf("finding the cache: set FARM_CACHE: %w", err)
		}
		cache = filepath.Join(dir, ".cache", "croft-farm")
	}
	source, err := checkout()
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{"bin", "debian/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(cache, dir), 0o755); err != nil {
			return nil, err
		}
	}
	f := &Farm{
		cache: cache, source: source,
		// The farm is compiled by the toolchain that builds the programs.
		platform: runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH,
		progress: &progress{out: stderr},
	}
	f.debs = f.debsOnce()
	return f, nil
}

// Build brings the entries' images into being. Images that are there with the
// right key, or that somebody pulled, cost one question to Docker.
func (f *Farm) Build(ctx context.Context, entries []Entry, offline bool) error {
	work, err := f.missing(ctx, entries)
	if err != nil {
		return err
	}
	if len(work) > 0 && !offline && registryAnswers(ctx, work[0]) {
		if work, err = f.pullAll(ctx, work); err != nil {
			return err
		}
	}
	if len(work) > 0 {
		if err := f.buildAll(ctx, work); err != nil {
			return err
		}
	}
	f.progress.say("%d images ready: %s", len(entries), summary(entries))
	return nil
}

// missing leaves out what needs nothing: images with the current key and
// images that are not the farm's.
func (f *Farm) missing(ctx context.Context, entries []Entry) ([]Entry, error) {
	have, err := inspectImages(ctx, entries)
	if err != nil {
		return nil, err
	}
	known, resolved := f.knownDebs()
	var work []Entry
	for _, e := range entries {
		label, present := have[e.Reference()]
		if present && label == "" {
			f.progress.say("%s is there and not the farm's: left alone", e.Reference())
			continue
		}
		if present && resolved {
			key, err := f.entryKey(e, known)
			if err != nil {
				return nil, err
			}
			if key == label {
				continue
			}
		}
		work = append(work, e)
	}
	return work, nil
}

// pullAll pulls what a registry can have; the test images are built always.
func (f *Farm) pullAll(ctx context.Context, work []Entry) (rest []Entry, err error) {
	for _, e := range work {
		if e.Kind == Test {
			rest = append(rest, e)
			continue
		}
		done := f.progress.step("pulling %s", e.Reference())
		if err := docker(ctx, nil, "pull", "--quiet", e.Reference()); err != nil {
			return nil, err
		}
		done()
	}
	return rest, nil
}

// buildAll builds the Go programs one after the other, the Debian layer beside
// them, and each image as soon as all it needs is there. One failure does not
// stop the images that do not depend on it.
func (f *Farm) buildAll(ctx context.Context, work []Entry) error {
	debs, err := f.debs(ctx)
	if err != nil {
		return err
	}
	o := &order{farm: f, debs: debs, pending: work, done: map[string]bool{}}
	// Not errgroup's context: each lane finishes what it can.
	var lanes errgroup.Group
	lanes.Go(func() error { return o.programs(ctx) })
	lanes.Go(func() error { return o.layer(ctx) })
	err = lanes.Wait()
	for _, e := range o.pending {
		err = errors.Join(err, fmt.Errorf("%s was not made", e.Reference()))
	}
	return errors.Join(err, forgetLayers(ctx, debs))
}

// debianReady is the name under which the Debian layer counts as done.
const debianReady = "debian"

// order is the state of one build: what is made and what waits for it.
type order struct {
	farm *Farm
	debs debSet

	mu      sync.Mutex
	pending []Entry
	done    map[string]bool
}

func (o *order) programs(ctx context.Context) (failed error) {
	for _, p := range Programs() {
		if !o.wanted(p.Name) {
			continue
		}
		if _, err := o.farm.program(ctx, p); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		failed = errors.Join(failed, o.finish(ctx, p.Name))
	}
	return failed
}

func (o *order) layer(ctx context.Context) error {
	if !o.wanted(debianReady) {
		return nil
	}
	if err := o.farm.debianLayer(ctx, o.debs); err != nil {
		return err
	}
	return o.finish(ctx, debianReady)
}

func (o *order) wanted(need string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.ContainsFunc(o.pending, func(e Entry) bool { return slices.Contains(needs(e), need) })
}

// finish makes every waiting image whose needs are now all met.
func (o *order) finish(ctx context.Context, made string) error {
	o.mu.Lock()
	o.done[made] = true
	var ready, wait []Entry
	for _, e := range o.pending {
		if slices.ContainsFunc(needs(e), func(n string) bool { return !o.done[n] }) {
			wait = append(wait, e)
		} else {
			ready = append(ready, e)
		}
	}
	o.pending = wait
	o.mu.Unlock()
	var failed error
	for _, e := range ready {
		if err := o.farm.makeImage(ctx, e, o.debs); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", e.Reference(), err))
		}
	}
	return failed
}

func needs(e Entry) []string {
	var names []string
	for _, program := range e.Binaries {
		names = append(names, program)
	}
	if e.Debian != "" {
		names = append(names, debianReady)
	}
	return names
}

// Path is where the binary of a program lies; it is made if need be.
func (f *Farm) Path(ctx context.Context, name string) (string, error) {
	var names []string
	for _, p := range Programs() {
		if p.Name == name {
			return f.program(ctx, p)
		}
		names = append(names, p.Name)
	}
	return "", fmt.Errorf("no program %q: there are %v", name, names)
}

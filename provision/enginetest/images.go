package enginetest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/stacks"
)

var _ provision.Registries = (*Fake)(nil)

// registry is what the fake's registries hold: a reference by tag, and every
// image they ever had by digest.
type registry map[string]served

type served struct{ id, digest string }

// AddImage makes an image present, or moves its tag to a new image, and gives
// the image's ID.
func (f *Fake) AddImage(ref string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := "sha256:" + f.id(ref)
	f.images[normal(ref)] = id
	return id
}

// RemoveImage makes a reference absent.
func (f *Fake) RemoveImage(ref string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.images, normal(ref))
}

// Unknown makes the registry not have a reference.
func (f *Fake) Unknown(ref string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unknown[normal(ref)] = true
}

// Serve makes the registry have a new image under a reference, and gives its ID
// and digest. The one before is still there by its digest.
func (f *Fake) Serve(ref string) (id, digest string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.serve(ref)
	return s.id, s.digest
}

func (f *Fake) serve(ref string) served {
	s := served{id: "sha256:" + f.id(ref), digest: "sha256:" + f.id(ref)}
	f.served[normal(ref)] = s
	f.served[stacks.AtDigest(ref, s.digest)] = s
	return s
}

// Forgotten makes the registry lose an image, by tag or by digest.
func (f *Fake) Forgotten(ref string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.served, normal(ref))
	f.unknown[normal(ref)] = true
}

// Check tells which images no registry has.
func (f *Fake) Check(ctx context.Context, wants []provision.PullRequest, _ stacks.Events) ([]stacks.Blocked, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []stacks.Blocked
	for _, w := range wants {
		if from, _ := f.missing(w); from != "" && f.unknown[normal(from)] {
			out = append(out, stacks.Blocked{Subject: "image " + w.Reference, Why: "the registry does not have " + from})
		}
	}
	return out, ctx.Err()
}

// missing gives what would be pulled, or the ID of the image that is here and
// has lost its tag.
func (f *Fake) missing(w provision.PullRequest) (from, here string) {
	if w.Fresh {
		return w.Reference, ""
	}
	if _, present := f.images[normal(w.Reference)]; present {
		return "", ""
	}
	for _, id := range f.images {
		if id == w.Locked.ID {
			return "", id
		}
	}
	if exact := stacks.AtDigest(w.Reference, w.Locked.Digest); exact != "" {
		return exact, ""
	}
	return w.Reference, ""
}

// Pull makes images present, but for those the registry does not have.
func (f *Fake) Pull(ctx context.Context, wants []provision.PullRequest, ev stacks.Events) error {
	var errs []error
	for _, w := range wants {
		f.mu.Lock()
		from, here := f.missing(w)
		err := f.called(ctx, "pull", w.Reference)
		if err == nil && here != "" {
			f.images[normal(w.Reference)] = here
		}
		if err == nil && from != "" && f.unknown[normal(from)] {
			err = fmt.Errorf("pull image %s: manifest unknown", from)
		}
		if err == nil && from != "" {
			f.fetch(w, from)
			emit(ev, stacks.Event{Phase: "pull", State: stacks.Done, Message: w.Reference})
		}
		f.mu.Unlock()
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// fetch makes an image present under its reference and its digest.
func (f *Fake) fetch(w provision.PullRequest, from string) {
	s, ok := f.served[normal(from)]
	if !ok && strings.Contains(from, "@") {
		s, ok = served{id: "sha256:" + f.id(from), digest: w.Locked.Digest}, true
	}
	if !ok {
		s = f.serve(w.Reference)
	}
	f.images[normal(w.Reference)] = s.id
	if s.digest != "" {
		f.images[stacks.AtDigest(w.Reference, s.digest)] = s.id
	}
}

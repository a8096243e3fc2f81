package docker

import (
	"context"

	"github.com/moby/moby/client"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/stacks"
)

// step is how one image that is not present under its reference gets there.
type step struct {
	want provision.PullRequest
	here string // an image that lies here and only lost its tag; "" where it must be pulled
	from string // what is pulled: the reference, or its repository at the locked digest
}

// exact tells whether the step pulls the locked image by its digest.
func (s step) exact() bool { return s.from != "" && s.from != s.want.Reference }

// missing gives a step for each image that is not present, each once, in order.
// It asks no registry.
func (e *Engine) missing(ctx context.Context, wants []provision.PullRequest) ([]step, error) {
	if len(wants) == 0 {
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
	var out []step
	for _, w := range wants {
		key := stacks.Reference(w.Reference)
		if present[key] == "asked for" { // twice in wants is pulled once
			continue
		}
		ok, err := e.settled(ctx, w, present)
		if err != nil {
			return nil, err
		}
		present[key] = "asked for"
		if !ok {
			out = append(out, stepTo(w, present))
		}
	}
	return out, nil
}

// settled tells whether nothing is to be done for an image. What is asked for
// freshly is asked of its registry, unless it cannot have changed or came from
// none.
func (e *Engine) settled(ctx context.Context, w provision.PullRequest, present map[string]string) (bool, error) {
	id := present[stacks.Reference(w.Reference)]
	if id == "" {
		// The engine has the last word: it also knows forms that no list shows.
		return e.present(ctx, w.Reference)
	}
	return !w.Fresh || pinned(w.Reference) || stacks.IsImageID(w.Reference) || madeHere(w, id, present), nil
}

// madeHere tells an image that was built or loaded: its repository has no digest
// for it. Engines with containerd's store give every image one, and there each
// counts as pulled.
func madeHere(w provision.PullRequest, id string, present map[string]string) bool {
	return w.Locked.Digest == "" && stacks.DigestOf(present, w.Reference, id, "") == ""
}

// stepTo decides where a missing image comes from. A locked one is never another:
// it is taken from here by its ID or its digest, else pulled by the digest.
func stepTo(w provision.PullRequest, present map[string]string) step {
	s := step{want: w, from: w.Reference}
	exact := stacks.AtDigest(w.Reference, w.Locked.Digest)
	switch {
	case w.Fresh || pinned(w.Reference) || stacks.IsImageID(w.Reference):
	case w.Locked.ID != "" && present[w.Locked.ID] != "":
		s.here, s.from = w.Locked.ID, ""
	case exact != "" && present[exact] != "" && present[exact] != "asked for":
		s.here, s.from = present[exact], "" // pulled by a run that was killed before it could tag it
	case exact != "":
		s.from = exact
	}
	return s
}

// present tells whether the engine finds an image under ref.
func (e *Engine) present(ctx context.Context, ref string) (bool, error) {
	_, err := e.api.ImageInspect(ctx, ref)
	if isNotFound(err) {
		return false, nil
	}
	return err == nil, failed("look for image "+ref, err)
}

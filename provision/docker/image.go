package docker

import (
	"context"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/croft-sh/croft/stacks"
)

// Tag makes a reference mean an image that is present, by its ID.
func (e *Engine) Tag(ctx context.Context, imageID, reference string) error {
	_, err := e.api.ImageTag(ctx, client.ImageTagOptions{Source: imageID, Target: reference})
	return failed("tag image "+short(imageID)+" as "+reference, err)
}

// Untag forgets a reference; the image goes with its last one, unless a
// container uses it. A missing reference is no error. The digest under which an
// image was pulled is a reference too, which nobody asked for: without a tag
// beside it, it would keep the image for ever, so it goes with the last tag.
func (e *Engine) Untag(ctx context.Context, reference string) error {
	doing := "untag " + reference
	im, err := e.api.ImageInspect(ctx, reference)
	if err != nil {
		return failed(doing, ignoreNotFound(err))
	}
	if _, err := e.api.ImageRemove(ctx, reference, client.ImageRemoveOptions{}); err != nil {
		return failed(doing, ignoreNotFound(err))
	}
	if slices.ContainsFunc(im.RepoTags, func(tag string) bool { return stacks.Reference(tag) != stacks.Reference(reference) }) {
		return nil
	}
	for _, digest := range im.RepoDigests {
		_, err := e.api.ImageRemove(ctx, digest, client.ImageRemoveOptions{})
		if ignoreNotFound(err) != nil && !errdefs.IsConflict(err) { // in use: it stays
			return failed(doing, err)
		}
	}
	return nil
}

// ImageBytes gives the size of every image by its ID.
func (e *Engine) ImageBytes(ctx context.Context) (map[string]int64, error) {
	list, err := e.api.ImageList(ctx, client.ImageListOptions{})
	if err != nil {
		return nil, failed("list images", err)
	}
	out := make(map[string]int64, len(list.Items))
	for _, im := range list.Items {
		out[im.ID] = im.Size
	}
	return out, nil
}

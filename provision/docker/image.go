package docker

import (
	"context"

	"github.com/moby/moby/client"
)

// Tag makes a reference mean an image that is present, by its ID.
func (e *Engine) Tag(ctx context.Context, imageID, reference string) error {
	_, err := e.api.ImageTag(ctx, client.ImageTagOptions{Source: imageID, Target: reference})
	return failed("tag image "+short(imageID)+" as "+reference, err)
}

// Untag forgets a reference; the image goes with its last one, unless a
// container uses it. A missing reference is no error.
func (e *Engine) Untag(ctx context.Context, reference string) error {
	_, err := e.api.ImageRemove(ctx, reference, client.ImageRemoveOptions{})
	return failed("untag "+reference, ignoreNotFound(err))
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

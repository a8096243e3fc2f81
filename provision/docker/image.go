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

package docker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// patience is how long registries are waited for. A pull has no limit in time
// while bytes arrive, however slowly; what bounds it is how long none may
// arrive, and how often it is begun again.
type patience struct {
	answer time.Duration // to one question
	stall  time.Duration // without a byte of what is being downloaded
	pause  time.Duration // before the first further attempt; doubled for each other
	tries  uint          // of one pull
	asks   uint          // of one question
}

// defaultPatience lets a line of 5 kB/s through: engines report each half
// megabyte of a layer.
func defaultPatience() patience {
	return patience{answer: 20 * time.Second, stall: 2 * time.Minute, pause: time.Second, tries: 5, asks: 3}
}

// again does something until it works, fails for good or was tried often enough.
func (p patience) again(ctx context.Context, tries uint, told func(err error, next time.Duration), do func() error) error {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.Multiplier, pauses.MaxInterval = p.pause, 2, 30*time.Second
	if told == nil {
		told = func(error, time.Duration) {}
	}
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := do()
		if err != nil && !passing(err.Error()) {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(pauses), backoff.WithMaxTries(tries), backoff.WithMaxElapsedTime(0), backoff.WithNotify(told))
	var last *backoff.PermanentError
	if errors.As(err, &last) { // of the last attempt
		return last.Unwrap()
	}
	return err
}

// stalledError says that a download stopped in the middle.
type stalledError struct {
	registry string
	after    time.Duration
}

func (e *stalledError) Error() string {
	return fmt.Sprintf("stalled: no byte came from %s for %s", e.registry, e.after)
}

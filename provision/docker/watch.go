package docker

import (
	"context"
	"time"

	"github.com/moby/moby/client"
)

// Watch listens to the engine until ctx ends. The function that it gives tells
// whether the engine has gone away since, even where another one answers by now:
// what failed meanwhile says nothing about the programs it runs.
func (e *Engine) Watch(ctx context.Context) (gone func() bool) {
	// No event has this label: only the end of the stream counts.
	stream := e.api.Events(ctx, client.EventsListOptions{Filters: make(client.Filters).Add("label", "croft.watch=nothing")})
	lost := make(chan struct{})
	go func() {
		<-stream.Err
		close(lost)
	}()
	return func() bool {
		select {
		case <-lost:
			return ctx.Err() == nil
		case <-time.After(300 * time.Millisecond): // a failure may be quicker than the end of a stream
		}
		_, err := e.api.Ping(ctx, client.PingOptions{})
		return err != nil && ctx.Err() == nil
	}
}

package main

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
)

// forward hands every connection of the listener on to one that dial makes,
// until ctx ends; then all of them end. A connection that cannot be made is told
// to failed, and closed.
func forward(ctx context.Context, l net.Listener, dial func(context.Context) (net.Conn, error), failed func(error)) error {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() }) // Accept's error tells
	defer stop()
	var all sync.WaitGroup
	defer all.Wait()
	for {
		in, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		all.Go(func() {
			out, err := dial(ctx)
			if err != nil {
				_ = in.Close() // nothing was sent
				if ctx.Err() == nil {
					failed(err)
				}
				return
			}
			join(ctx, in, out)
		})
	}
}

// join copies both ways until both have ended. A side that says no more still
// hears the other out.
func join(ctx context.Context, a, b net.Conn) {
	stop := context.AfterFunc(ctx, func() { _, _ = a.Close(), b.Close() })
	defer stop()
	var both sync.WaitGroup
	for _, way := range []struct{ to, from net.Conn }{{a, b}, {b, a}} {
		both.Go(func() {
			_, err := io.Copy(way.to, way.from)
			half, ok := way.to.(*net.TCPConn)
			if !ok || err != nil && !errors.Is(err, io.EOF) {
				_, _ = way.to.Close(), way.from.Close() // broken: the other way has no use
				return
			}
			_ = half.CloseWrite() // fails only where the other side is gone
		})
	}
	both.Wait()
	_, _ = a.Close(), b.Close()
}

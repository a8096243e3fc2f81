package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// progress writes plain lines: what has begun, and how long it took.
type progress struct {
	mu  sync.Mutex
	out io.Writer
}

func (p *progress) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, format+"\n", args...)
}

// step announces a step that is not done within a second, and tells how long
// it took when it ends; quick steps say only that they are done.
func (p *progress) step(format string, args ...any) (done func()) {
	start := time.Now()
	what := fmt.Sprintf(format, args...)
	slow := time.AfterFunc(time.Second, func() { p.say("%s ...", what) })
	return func() {
		slow.Stop()
		p.say("%s: done in %s", what, time.Since(start).Round(100*time.Millisecond))
	}
}

package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
)

// tailLimit bounds the text that Tail gives.
const tailLimit = 1 << 20

// LogSource is one container whose log is shown.
type LogSource struct {
	ID   string
	Name string // shown before each line: "gitea/web"; "" shows none
}

// LogRequest says which logs, and how much of them.
type LogRequest struct {
	Sources []LogSource
	Follow  bool
	Tail    int    // last lines of each; 0 means all
	Since   string // as the engine takes it: "10m", an RFC 3339 time; "" from the start
}

// Logs writes the logs line by line, each with its source before it, in the
// order the lines arrive. Following goes on over restarts of a container and
// ends when the context does or all containers have ended.
func (e *Engine) Logs(ctx context.Context, req LogRequest, w io.Writer) error {
	width := 0
	for _, s := range req.Sources {
		width = max(width, len(s.Name))
	}
	var (
		mu   sync.Mutex
		wg   sync.WaitGroup
		errs = make([]error, len(req.Sources))
	)
	for i, s := range req.Sources {
		prefix := ""
		if s.Name != "" {
			prefix = s.Name + string(bytes.Repeat([]byte(" "), width-len(s.Name))) + " | "
		}
		wg.Go(func() {
			out := &lineWriter{mu: &mu, w: w, prefix: prefix}
			errs[i] = failed("read the log of "+logName(s), e.follow(ctx, s.ID, req, out))
		})
	}
	wg.Wait()
	if ctx.Err() != nil && req.Follow {
		return nil // the reader had enough
	}
	return errors.Join(errs...)
}

func logName(s LogSource) string {
	if s.Name != "" {
		return s.Name
	}
	return "container " + short(s.ID)
}

// follow copies one log, and takes it up again where a container restarts: the
// engine ends the stream with each run.
func (e *Engine) follow(ctx context.Context, id string, req LogRequest, out *lineWriter) error {
	opts := client.ContainerLogsOptions{
		ShowStdout: true, ShowStderr: true, Follow: req.Follow, Since: req.Since, Tail: lineCount(req.Tail),
	}
	for {
		if err := e.copyLog(ctx, id, opts, out, out); err != nil {
			return err
		}
		out.flush()
		if !req.Follow {
			return nil
		}
		now := time.Now()
		opts.Since, opts.Tail = fmt.Sprintf("%d.%09d", now.Unix(), now.Nanosecond()), "all"
		again, err := e.runsAgain(ctx, id)
		if err != nil || !again {
			return err
		}
	}
}

// runsAgain waits while a container restarts and tells whether it runs.
func (e *Engine) runsAgain(ctx context.Context, id string) (bool, error) {
	for {
		if err := pause(ctx, time.Second); err != nil {
			return false, err
		}
		res, err := e.api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
		if isNotFound(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if s := res.Container.State; s == nil || !s.Restarting {
			return s != nil && s.Running, nil
		}
	}
}

// copyLog copies one stream of log. A container with a terminal has one raw
// stream, others two in one, with headers.
func (e *Engine) copyLog(ctx context.Context, id string, opts client.ContainerLogsOptions, stdout, stderr io.Writer) error {
	res, err := e.api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return err
	}
	stream, err := e.api.ContainerLogs(ctx, id, opts)
	if err != nil {
		return err
	}
	defer stream.Close()
	if res.Container.Config != nil && res.Container.Config.Tty {
		_, err = io.Copy(stdout, stream)
	} else {
		_, err = stdcopy.StdCopy(stdout, stderr, stream)
	}
	return err
}

// Tail gives the last lines of a container's log, both outputs in the order
// they were written.
func (e *Engine) Tail(ctx context.Context, id string, lines int) (string, error) {
	out := &tailBuffer{limit: tailLimit}
	err := e.copyLog(ctx, id, client.ContainerLogsOptions{
		ShowStdout: true, ShowStderr: true, Tail: lineCount(lines),
	}, out, out)
	if err != nil {
		return "", failed("read the log of container "+short(id), err)
	}
	return out.String(), nil
}

func lineCount(n int) string {
	if n <= 0 {
		return "all"
	}
	return strconv.Itoa(n)
}

// lineWriter puts a prefix before each line and writes whole lines only, so
// that several logs share one writer. stdout and stderr of one container share
// one lineWriter: the engine sends whole lines.
type lineWriter struct {
	mu     *sync.Mutex // of w
	w      io.Writer
	prefix string
	rest   []byte
}

func (l *lineWriter) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		if i < 0 {
			return len(p), nil
		}
		if err := l.line(l.rest[:i+1]); err != nil {
			return 0, err
		}
		l.rest = l.rest[i+1:]
	}
}

// flush ends a last line that has no end.
func (l *lineWriter) flush() {
	if len(l.rest) > 0 {
		_ = l.line(append(l.rest, '\n')) // a writer that fails has failed on the lines before
		l.rest = nil
	}
}

func (l *lineWriter) line(text []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.w.Write(append([]byte(l.prefix), text...))
	return err
}

package docker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
	"golang.org/x/term"

	"github.com/croft-sh/croft/provision"
)

// outputLimit bounds what is kept of a command's output, per stream.
const outputLimit = 1 << 20

// Exec runs a command and gives the first MiB of each of its two outputs. The
// rest is read and dropped, so that the command never waits for its reader.
func (e *Engine) Exec(ctx context.Context, id string, cmd []string, stdin io.Reader) (provision.ExecResult, error) {
	stdout, stderr := &headBuffer{limit: outputLimit}, &headBuffer{limit: outputLimit}
	code, err := e.exec(ctx, id, session{cmd: cmd, stdin: stdin, stdout: stdout, stderr: stderr})
	if err != nil {
		return provision.ExecResult{}, failed("run "+commandName(cmd)+" in container "+short(id), err)
	}
	return provision.ExecResult{ExitCode: code, Stdout: stdout.String(), Stderr: stderr.String()}, nil
}

// ExecInteractive runs a command with the caller's streams. With tty, the
// terminal that stdin is goes into raw mode meanwhile and its size is followed.
func (e *Engine) ExecInteractive(ctx context.Context, id string, cmd []string, tty bool,
	stdin io.Reader, stdout, stderr io.Writer,
) (int, error) {
	s := session{cmd: cmd, tty: tty, stdin: stdin, stdout: stdout, stderr: stderr}
	if f, ok := stdin.(*os.File); ok && tty && term.IsTerminal(int(f.Fd())) {
		s.terminal = f
		old, err := term.MakeRaw(int(f.Fd()))
		if err != nil {
			return 0, failed("take over the terminal", err)
		}
		defer func() { _ = term.Restore(int(f.Fd()), old) }() // nothing can be done where the terminal went away
	}
	code, err := e.exec(ctx, id, s)
	return code, failed("run "+commandName(cmd)+" in container "+short(id), err)
}

// commandName gives the program alone: arguments may hold what must not show.
func commandName(cmd []string) string {
	if len(cmd) == 0 {
		return "nothing"
	}
	return cmd[0]
}

// session is one command in a container and its streams.
type session struct {
	cmd            []string
	tty            bool
	stdin          io.Reader
	stdout, stderr io.Writer
	terminal       *os.File // nil where there is none to follow
}

func (s session) size() client.ConsoleSize {
	if s.terminal == nil {
		return client.ConsoleSize{}
	}
	w, h, err := term.GetSize(int(s.terminal.Fd()))
	if err != nil || w <= 0 || h <= 0 {
		return client.ConsoleSize{}
	}
	return client.ConsoleSize{Height: uint(h), Width: uint(w)}
}

func (e *Engine) exec(ctx context.Context, id string, s session) (int, error) {
	created, err := e.api.ExecCreate(ctx, id, client.ExecCreateOptions{
		Cmd: s.cmd, TTY: s.tty, AttachStdin: s.stdin != nil, AttachStdout: true, AttachStderr: true,
		ConsoleSize: s.size(),
	})
	if err != nil {
		return 0, err
	}
	conn, err := e.api.ExecAttach(ctx, created.ID, client.ExecAttachOptions{TTY: s.tty, ConsoleSize: s.size()})
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	// Closing is what ends the copying below when the caller gives up.
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if s.terminal != nil {
		defer e.followSize(ctx, created.ID, s)()
	}
	if s.stdin != nil {
		// Not waited for: it may hang in a read of a terminal after the command ended.
		go func() {
			_, _ = io.Copy(conn.Conn, s.stdin) // a command that does not read its input is no failure
			_ = conn.CloseWrite()
		}()
	}
	if s.tty {
		_, err = io.Copy(s.stdout, conn.Reader)
	} else {
		_, err = stdcopy.StdCopy(s.stdout, s.stderr, conn.Reader)
	}
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	if err != nil {
		return 0, err
	}
	return e.exitCode(ctx, created.ID)
}

// exitCode waits for the end of a command whose output has ended: the engine
// notes the exit a moment later.
func (e *Engine) exitCode(ctx context.Context, execID string) (int, error) {
	for {
		res, err := e.api.ExecInspect(ctx, execID, client.ExecInspectOptions{})
		if err != nil {
			return 0, err
		}
		if !res.Running {
			return res.ExitCode, nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return 0, err
		}
	}
}

// followSize hands the terminal's size on until the function it gives is called.
func (e *Engine) followSize(ctx context.Context, execID string, s session) func() {
	resize := func() {
		// A size that does not arrive spoils a line break, not the session.
		_, _ = e.api.ExecResize(ctx, execID, client.ExecResizeOptions(s.size()))
	}
	changed, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(changed, syscall.SIGWINCH)
	go func() {
		resize() // engines before API 1.42 do not take the first size with the start
		for {
			select {
			case <-changed:
				resize()
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(changed)
		close(done)
	}
}

// headBuffer keeps the first bytes and swallows the rest.
type headBuffer struct {
	bytes.Buffer
	limit int
}

func (b *headBuffer) Write(p []byte) (int, error) {
	if room := b.limit - b.Len(); room > 0 {
		if _, err := b.Buffer.Write(p[:min(room, len(p))]); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// tailBuffer keeps the last bytes.
type tailBuffer struct {
	buf   []byte
	limit int
}

func (b *tailBuffer) Write(p []byte) (int, error) {
	if b.limit <= 0 {
		return 0, errors.New("tailBuffer without a limit")
	}
	b.buf = append(b.buf, p...)
	if over := len(b.buf) - b.limit; over > 0 {
		b.buf = append(b.buf[:0], b.buf[over:]...)
	}
	return len(p), nil
}

func (b *tailBuffer) String() string { return string(b.buf) }

package main

import (
	"context"
	"io"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// app is what every command gets: the streams, the environment, the flags that
// all commands share.
type app struct {
	in       io.Reader
	out, err io.Writer
	env      map[string]string
	now      func() time.Time
	flags    globalFlags
	terminal *terminal // nil where nobody can be asked
}

// run is the program: arguments in, exit code out.
func run(ctx context.Context, args, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{in: stdin, out: stdout, err: stderr, env: parseEnv(env), now: time.Now}
	a.terminal = openTerminal(a)
	defer a.terminal.close()

	root := newRoot(a)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := a.execute(ctx, root)
	a.report(err)
	return exitCode(err)
}

// execute runs the command under --timeout. A bug ends the program with a line
// that says so, not with pages of addresses.
func (a *app) execute(ctx context.Context, root *cobra.Command) (err error) {
	defer func() {
		if r := recover(); r != nil {
			a.logBug(r)
			err = &bugError{}
		}
	}()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	a.flags.onTimeout = func(d time.Duration) func() {
		t := time.AfterFunc(d, func() { cancel(&timeoutError{after: d}) })
		return func() { t.Stop() }
	}
	err = root.ExecuteContext(ctx)
	if err != nil && ctx.Err() != nil {
		return interrupted(ctx, err)
	}
	return err
}

// logBug notes where a bug struck, without values: in -v only.
func (a *app) logBug(r any) {
	if !a.flags.verbose {
		return
	}
	var where []string
	pcs := make([]uintptr, 16)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(4, pcs)])
	for {
		f, more := frames.Next()
		if strings.Contains(f.Function, "croft") {
			where = append(where, f.Function)
		}
		if !more {
			break
		}
	}
	a.debugf("%T in %s", r, strings.Join(where, " < "))
}

func parseEnv(env []string) map[string]string {
	m := make(map[string]string, len(env))
	for _, e := range env {
		if k, v, ok := strings.Cut(e, "="); ok {
			m[k] = v
		}
	}
	return m
}

package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/croft-sh/croft/tui"
)

type statusOptions struct {
	watch    bool
	interval time.Duration
}

func newStatus(a *app) *cobra.Command {
	var o statusOptions
	cmd := &cobra.Command{
		Use: "status", Short: "Show how the platform stands",
		Long: `status shows every stack and service, where each is reached, how often it was
restarted, and what is not as it was applied.

With --watch it shows it again and again until it is interrupted; with -o json
one object a line.`,
		Example: "  croft status\n  croft status --watch\n  croft status -o json",
		Args:    wantArgs(0, 0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runStatus(cmd.Context(), a, o) },
	}
	cmd.Flags().BoolVar(&o.watch, "watch", false, "show it again and again")
	cmd.Flags().DurationVar(&o.interval, "interval", 2*time.Second, "how often, with --watch")
	return cmd
}

func runStatus(ctx context.Context, a *app, o statusOptions) error {
	m, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer m.close()
	if !o.watch {
		return m.printStatus(ctx)
	}
	if o.interval < 100*time.Millisecond {
		return &usageError{err: fmt.Errorf("--interval %s is too short", o.interval), hint: "give at least 100ms"}
	}
	for {
		if err := m.watchStatus(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(o.interval):
		}
	}
}

func (m *machine) printStatus(ctx context.Context) error {
	st, err := m.status(ctx)
	if err != nil {
		return err
	}
	return m.app.print(st, func(w io.Writer, s tui.Style) { fmt.Fprint(w, tui.Status(st, m.app.now(), s)) })
}

// watchStatus draws over the last one on a terminal, else adds to it.
func (m *machine) watchStatus(ctx context.Context) error {
	a := m.app
	if a.structured() {
		st, err := m.status(ctx)
		if err != nil {
			return err
		}
		return a.printLine(st)
	}
	st, err := m.status(ctx)
	if err != nil {
		return err
	}
	text := tui.Status(st, a.now(), a.outStyle())
	if a.live(a.out) {
		text = "\x1b[H\x1b[2J" + text
	}
	_, err = io.WriteString(a.out, text)
	return err
}

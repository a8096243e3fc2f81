package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/croft-sh/croft/provision/host"
	"github.com/croft-sh/croft/tui"
)

func newHold(a *app) *cobra.Command {
	var last time.Duration
	cmd := &cobra.Command{
		Use: "hold STACK", Short: "Leave a stack alone until it is released",
		Long: `While a stack is held, apply changes nothing of it: not its files, not its
containers. The plan says what waits. It goes on running, and its neighbours are
applied as always.

With --for the hold ends by itself; else croft release ends it. Holding a stack
again sets the time anew.`,
		Example:           "  croft hold gitea\n  croft hold gitea --for 2h\n  croft release gitea",
		Args:              wantArgs(1, 1, "a stack"),
		ValidArgsFunction: a.completeStacks,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("for") && last <= 0 {
				return &usageError{err: fmt.Errorf("--for %s is no time to come", last), hint: "give a duration such as 2h, or leave it out"}
			}
			return runHold(a, args[0], last)
		},
	}
	cmd.Flags().DurationVar(&last, "for", 0, "how long, as in 2h (default: until croft release)")
	return cmd
}

// holdView says what is held.
type holdView struct {
	Schema string     `json:"schema"` // croft/hold/v1
	Stack  string     `json:"stack"`
	Until  *time.Time `json:"until,omitempty"` // without it: until it is released
}

func (v holdView) text(w io.Writer, _ tui.Style) {
	if v.Until == nil {
		fmt.Fprintf(w, "%s is held until croft release %s\n", v.Stack, v.Stack)
		return
	}
	fmt.Fprintf(w, "%s is held until %s\n", v.Stack, v.Until.Local().Format("2006-01-02 15:04:05"))
}

func runHold(a *app, stack string, last time.Duration) error {
	p, err := a.openPlatform()
	if err != nil {
		return err
	}
	defer p.close()
	d, err := p.desired()
	if err != nil {
		return err
	}
	if err := stackNames(d, []string{stack}); err != nil {
		return err
	}
	if err := host.MkdirAll(p.paths.State, 0o700); err != nil {
		return err
	}
	release, err := host.Acquire(p.paths.Flock)
	if err != nil {
		return err
	}
	defer release()
	v := holdView{Schema: "croft/hold/v1", Stack: stack}
	var until time.Time
	if last > 0 {
		// Whole seconds: what is shown is what holds.
		until = a.now().UTC().Add(last).Truncate(time.Second)
		v.Until = &until
	}
	if err := a.offline(p).Hold(stack, until); err != nil {
		return err
	}
	return a.print(v, v.text)
}

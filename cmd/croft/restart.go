package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/croft-sh/croft/stacks"
	"github.com/croft-sh/croft/tui"
)

func newRestart(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "restart STACK[/SERVICE]...", Short: "Restart services as they are",
		Long: `restart restarts the containers of stacks or services. It takes no change from
croft.yaml along: that is what apply does.`,
		Example:           "  croft restart gitea\n  croft restart gitea/gitea traefik",
		Args:              wantArgs(1, -1, "a stack or a service"),
		ValidArgsFunction: a.completeServices,
		RunE:              func(cmd *cobra.Command, args []string) error { return runRestart(cmd.Context(), a, args) },
	}
}

// actedView is what start, stop and restart say: on what they acted.
type actedView struct {
	Schema string   `json:"schema"`
	Done   string   `json:"done"` // restarted, stopped, started
	On     []string `json:"on"`
}

func (v actedView) text(w io.Writer, _ tui.Style) {
	for _, name := range v.On {
		fmt.Fprintf(w, "%s %s\n", v.Done, name)
	}
}

func runRestart(ctx context.Context, a *app, args []string) error {
	m, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer m.close()
	release, err := m.lock()
	if err != nil {
		return err
	}
	defer release()
	found, err := m.containers(ctx, args)
	if err != nil {
		return err
	}
	state, err := m.prov.Observe(ctx)
	if err != nil {
		return err
	}
	var running []stacks.Container
	v := actedView{Schema: "croft/restart/v1", Done: "restarted", On: []string{}}
	for _, c := range found {
		if contains(state.Stopped, c.Stack) {
			return &refusedError{err: fmt.Errorf("stack %s is stopped", c.Stack), hint: "croft start " + c.Stack}
		}
		// A job that ended is not to run again.
		if c.State == "exited" && c.ExitCode == 0 {
			continue
		}
		running = append(running, c)
		v.On = append(v.On, c.Stack+"/"+c.Service)
	}
	if err := m.engine.Restart(ctx, idsOf(running)); err != nil {
		return err
	}
	return a.print(v, v.text)
}

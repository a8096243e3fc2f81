package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/croft-sh/croft/provision/host"
	"github.com/croft-sh/croft/tui"
)

func newRelease(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "release STACK", Short: "Let croft apply a held stack again",
		Long: `release ends croft hold.

A stack that failed is taken back to its last good revision and held there, so
that the same failure does not come again with the next apply. It is tried again
by itself as soon as its files or answers change; release lets croft try the
very same once more.`,
		Example:           "  croft release gitea\n  croft apply",
		Args:              wantArgs(1, 1, "a stack"),
		ValidArgsFunction: a.completeStacks,
		RunE:              func(cmd *cobra.Command, args []string) error { return runRelease(cmd.Context(), a, args[0]) },
	}
}

// releaseView says what release did.
type releaseView struct {
	Schema   string `json:"schema"` // croft/release/v1
	Stack    string `json:"stack"`
	Released bool   `json:"released"`
}

func (v releaseView) text(w io.Writer, _ tui.Style) {
	if v.Released {
		fmt.Fprintf(w, "%s is tried as it is written with the next croft apply\n", v.Stack)
		return
	}
	fmt.Fprintf(w, "%s is not held\n", v.Stack)
}

func runRelease(_ context.Context, a *app, stack string) error {
	p, err := a.openPlatform()
	if err != nil {
		return err
	}
	defer p.close()
	d, err := p.desired()
	if err != nil {
		return err
	}
	// A stack that was held and then taken out of croft.yaml is released too:
	// only then may what runs of it be removed.
	holds, err := a.offline(p).Holds()
	if err != nil {
		return err
	}
	if _, held := holds[stack]; !held {
		if err := stackNames(d, []string{stack}); err != nil {
			return err
		}
	}
	release, err := host.Acquire(p.paths.Flock)
	if err != nil {
		return err
	}
	defer release()
	done, err := a.offline(p).Release(stack)
	if err != nil {
		return err
	}
	v := releaseView{Schema: "croft/release/v1", Stack: stack, Released: done}
	return a.print(v, v.text)
}

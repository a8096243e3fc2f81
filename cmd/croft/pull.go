package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/croft-sh/croft/stacks"
)

func newPull(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "pull [STACK]...", Short: "Fetch images that are not here yet",
		Long: `pull fetches the images of the stacks that are named, or of all, so that a later
apply need not wait for them. Images that are here are not asked for again, and
what runs is not touched.`,
		Example:           "  croft pull\n  croft pull gitea",
		ValidArgsFunction: a.completeStacks,
		RunE:              func(cmd *cobra.Command, args []string) error { return runPull(cmd.Context(), a, args) },
	}
}

func runPull(ctx context.Context, a *app, names []string) error {
	m, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer m.close()
	d, err := m.desired()
	if err != nil {
		return err
	}
	if err := stackNames(d, names); err != nil {
		return err
	}
	r, err := a.rendered(ctx, m.platform, d)
	if err != nil {
		return err
	}
	refs := imagesOf(r, names)
	events, done := a.progress()
	err = m.engine.Pull(ctx, refs, events)
	done()
	if err != nil {
		return err
	}
	v := actedView{Schema: "croft/pull/v1", Done: "present", On: refs}
	return a.print(v, v.text)
}

// imagesOf gives what the stacks run from, each once; what is built here is not
// fetched.
func imagesOf(r stacks.Rendered, names []string) []string {
	refs := []string{}
	for _, s := range r.Stacks {
		if len(names) > 0 && !contains(names, s.Name) {
			continue
		}
		for _, svc := range s.Services {
			if !svc.Build && !contains(refs, svc.Image) {
				refs = append(refs, svc.Image)
			}
		}
	}
	return refs
}

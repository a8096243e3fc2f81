package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/croft-sh/croft/stacks"
)

func newStackRemove(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "remove STACK...", Short: "Take stacks out of the platform",
		Long: `remove takes stacks out of croft.yaml. Their directories stay, and so do their
data and secrets; croft apply --remove-orphans then removes their containers. A
stack that another one needs is not removed. An adopted project is only
forgotten: its containers run on, and docker compose has them again.`,
		Example:           "  croft stack remove gitea\n  croft apply --remove-orphans",
		Args:              wantArgs(1, -1, "the name of a stack"),
		ValidArgsFunction: a.completeStacks,
		RunE:              func(_ *cobra.Command, args []string) error { return runStackRemove(a, args) },
	}
}

// forgetNote says what becomes of an adopted project.
func forgetNote(name string, a stacks.Adopt) string {
	if a.Decorate {
		return fmt.Sprintf("the containers of %s carry croft's labels: they run on until croft apply --remove-orphans. docker compose up -d in %s makes them its own again.", name, a.Dir)
	}
	return fmt.Sprintf("%s runs on as the Compose project %s in %s; croft leaves it alone from now on.", name, a.Project, a.Dir)
}

func runStackRemove(a *app, names []string) error {
	d, err := a.draftHere(false)
	if err != nil {
		return err
	}
	var notes []string
	next := "croft plan" // an adopted project is only forgotten
	for _, name := range names {
		choice, there := d.platform.Stacks[name]
		if !there {
			return &usageError{err: fmt.Errorf("the platform has no stack %q", name), hint: "croft stack list shows them"}
		}
		delete(d.platform.Stacks, name)
		if a := choice.Adopt; a != nil {
			notes = append(notes, forgetNote(name, *a))
			continue
		}
		next = "croft apply --remove-orphans"
		notes = append(notes, fmt.Sprintf("%s/ stays, and so do the data and secrets of %s: croft stack add %s brings it back as it was.",
			d.relative(stacksDir, name), name, name))
	}
	for _, name := range sortedNames(d.platform.Stacks) {
		x, _, _, err := d.info(name)
		if err != nil {
			continue // check says it
		}
		for _, gone := range names {
			if slices.Contains(x.Needs, gone) {
				return &refusedError{err: fmt.Errorf("stack %s is needed by %s", gone, name),
					hint: fmt.Sprintf("remove both: croft stack remove %s %s", gone, name)}
			}
		}
	}
	if err := d.complete(); err != nil {
		return err
	}
	return a.finishEdit(d, "croft/stack-remove/v1", next, notes)
}

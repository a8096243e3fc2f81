package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/stacks"
	"github.com/croft-sh/croft/tui"
)

// planOptions are shared by plan and apply, as apply carries out what plan shows.
type planOptions struct {
	stacks        []string
	removeOrphans bool
	withoutCopy   []string
}

func (o *planOptions) addFlags(cmd *cobra.Command, a *app) {
	cmd.Flags().StringSliceVar(&o.stacks, "stack", nil, "only this `stack` and what it needs; may be repeated")
	cmd.Flags().BoolVar(&o.removeOrphans, "remove-orphans", false, "also remove services and stacks that are not wanted any more")
	cmd.Flags().StringArrayVar(&o.withoutCopy, "without-copy", nil, "let a new image meet this `data` uncopied; the stack is then not taken back by itself; may be repeated")
	registerCompletion(cmd, "stack", a.completeStacks)
}

func newPlan(a *app) *cobra.Command {
	var o planOptions
	var detailed bool
	var save string
	cmd := &cobra.Command{
		Use: "plan", Short: "Show what apply would change, and why",
		Long: `plan compares what croft.yaml and the stacks ask for with what runs, and shows
every change with its cause and its risk. It changes nothing and needs no lock.

  + create, start   ~ recreate   ↻ restart, reload   - remove

Before a new image meets data, whoever can write that data stops and it is
copied aside; it goes back together with the image. What is copied stands under
"data". Where that cannot be done the plan is blocked, until --without-copy lets
it pass.

A saved plan is carried out by croft apply FILE, and refused once the platform
or the machine has changed.`,
		Example: `  croft plan
  croft plan --stack gitea -o json
  croft plan --detailed-exitcode    # 0: nothing to do, 2: changes pending
  croft plan --save next.plan.json`,
		Args: wantArgs(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runPlan(cmd.Context(), a, o, detailed, save)
		},
	}
	o.addFlags(cmd, a)
	cmd.Flags().BoolVar(&detailed, "detailed-exitcode", false, "exit with 2 where there is something to do")
	cmd.Flags().StringVar(&save, "save", "", "write the plan to `file`, for croft apply FILE")
	return cmd
}

func runPlan(ctx context.Context, a *app, o planOptions, detailed bool, save string) error {
	m, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer m.close()
	plan, err := m.look(ctx, o)
	if err != nil {
		return err
	}
	if save != "" {
		if err := savePlan(save, m.dir, plan, o); err != nil {
			return err
		}
		a.note("saved: croft apply %s carries it out", save)
	}
	if err := a.printPlan(plan); err != nil {
		return err
	}
	if err := blockedError(plan); err != nil {
		return err
	}
	if detailed && !plan.Empty() {
		return &silentError{code: exitPending}
	}
	return nil
}

// plan reads the platform and compares it with the machine.
func (m *machine) plan(ctx context.Context, o planOptions) (provision.Prepared, error) {
	d, err := m.prov.Desired(m.load)
	if err != nil {
		return provision.Prepared{}, err
	}
	if err := stackNames(d, o.stacks); err != nil {
		return provision.Prepared{}, err
	}
	return m.prov.Plan(ctx, d, o.forProvision())
}

// look is plan where nothing is going to be applied: what was rendered before
// counts, where nothing changed since.
func (m *machine) look(ctx context.Context, o planOptions) (stacks.Plan, error) {
	load := func(instead map[string]fs.FS) (stacks.Desired, error) {
		d, err := m.load(instead)
		if err != nil {
			return d, err
		}
		return d, stackNames(d, o.stacks)
	}
	return m.prov.Look(ctx, load, o.forProvision())
}

// forProvision gives the options as package provision knows them.
func (o planOptions) forProvision() provision.PlanOptions {
	return provision.PlanOptions{Stacks: o.stacks, RemoveOrphans: o.removeOrphans, WithoutCopy: o.withoutCopy}
}

func (a *app) printPlan(p stacks.Plan) error {
	return a.print(withLists(p), func(w io.Writer, s tui.Style) { fmt.Fprint(w, tui.Plan(p, s)) })
}

// blockedError refuses a plan that something stands against.
func blockedError(p stacks.Plan) error {
	if len(p.Blocked) == 0 {
		return nil
	}
	first := p.Blocked[0]
	err := fmt.Errorf("%s: %s", first.Subject, first.Why)
	if more := len(p.Blocked) - 1; more > 0 {
		err = fmt.Errorf("%w (and %d more, see the plan)", err, more)
	}
	return &refusedError{err: err, hint: first.Hint}
}

// withLists makes lists without entries lists in JSON too.
func withLists(p stacks.Plan) stacks.Plan {
	p.Changes = append([]stacks.Change{}, p.Changes...)
	p.Networks = append([]stacks.ResourceChange{}, p.Networks...)
	p.Volumes = append([]stacks.ResourceChange{}, p.Volumes...)
	p.Images = append([]stacks.ResourceChange{}, p.Images...)
	p.Tunnel = append([]stacks.ResourceChange{}, p.Tunnel...)
	p.Blocked = append([]stacks.Blocked{}, p.Blocked...)
	p.NotChecked = append([]string{}, p.NotChecked...)
	p.Warnings = append([]string{}, p.Warnings...)
	p.Files = append([]string{}, p.Files...)
	p.Drift = append([]string{}, p.Drift...)
	p.Data = append([]stacks.DataChange{}, p.Data...)
	return p
}

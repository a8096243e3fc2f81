package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/stacks"
	"github.com/croft-sh/croft/tui"
)

type applyOptions struct {
	planOptions
	file  string
	saved *savedPlan // of file
	wait  time.Duration
}

func newApply(a *app) *cobra.Command {
	var o applyOptions
	cmd := &cobra.Command{
		Use: "apply [PLANFILE]", Short: "Make the platform what croft.yaml says",
		Long: `apply shows the plan, asks, and carries it out: it pulls everything first, then
goes stack by stack in order of need, and waits until each service is healthy.
What did not change is not touched. It can be run again at any time, and goes on
where an interrupted run ended.

With PLANFILE it carries out a saved plan, and refuses where the platform or the
machine is not what the plan was made from.

Without a terminal it asks nothing: -y is then needed. With -o json it prints an
event a line and, as the last line, {"result": ...}.`,
		Example: `  croft apply
  croft apply -y --stack gitea
  croft plan --save next.plan.json && croft apply -y next.plan.json`,
		Args: wantArgs(0, 1, "the file of a saved plan"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.file = args[0]
			}
			return runApply(cmd.Context(), a, o)
		},
	}
	o.addFlags(cmd, a)
	cmd.Flags().DurationVar(&o.wait, "wait-timeout", defaultWait, "how long each service may take until it is healthy")
	return cmd
}

func runApply(ctx context.Context, a *app, o applyOptions) error {
	if o.file != "" {
		s, err := readPlan(o.file)
		if err != nil {
			return err
		}
		o.stacks, o.removeOrphans = s.Stacks, s.RemoveOrphans
		if a.flags.dir == "" {
			a.flags.dir = s.Dir
		}
		o.saved = &s
	}
	if o.wait <= 0 {
		return &usageError{err: fmt.Errorf("--wait-timeout %s is no time to wait", o.wait), hint: "give a duration such as 5m"}
	}
	m, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer m.close()
	return m.apply(ctx, o)
}

// apply is the way every change takes: check, plan, show, ask, lock, carry out.
func (m *machine) apply(ctx context.Context, o applyOptions) error {
	if err := m.preflight(ctx); err != nil {
		return err
	}
	prepared, err := m.plan(ctx, o.planOptions)
	if err != nil {
		return err
	}
	if o.saved != nil {
		if err := o.saved.same(prepared.Plan); err != nil {
			return err
		}
	}
	return m.showAndApply(ctx, prepared, o)
}

// defaultWait is how long a service may take until it is healthy.
const defaultWait = 5 * time.Minute

func (m *machine) showAndApply(ctx context.Context, prepared provision.Prepared, o applyOptions) error {
	a := m.app
	if !a.structured() {
		if err := a.printPlan(prepared.Plan); err != nil {
			return err
		}
	}
	if err := blockedError(prepared.Plan); err != nil {
		return err
	}
	if prepared.Plan.Empty() {
		return m.printResult(applyResult{Result: "unchanged", Summary: prepared.Plan.Summary}, prepared, nil)
	}
	if err := a.confirm(ctx, "Apply this plan?", "apply"); err != nil {
		return err
	}
	release, err := m.lock()
	if err != nil {
		return err
	}
	defer release()
	if err := m.makeReady(prepared.Desired); err != nil {
		return err
	}
	inputs, err := m.inputs(prepared.Desired)
	if err != nil {
		return err
	}
	events, done := a.events()
	began := a.now()
	rev, err := m.prov.Apply(ctx, prepared, provision.ApplyOptions{WaitTimeout: o.wait, Inputs: inputs}, events)
	done()
	result := applyResult{Result: rev.Result, Revision: rev.Number, Stacks: rev.Stacks,
		Summary: prepared.Plan.Summary, Duration: a.now().Sub(began).Round(time.Millisecond).String()}
	return m.printResult(result, prepared, err)
}

// applyResult closes an apply.
type applyResult struct {
	Result   string                `json:"result"` // applied, unchanged, partial, failed, taken-back, refused
	Revision int                   `json:"revision,omitempty"`
	Stacks   map[string]string     `json:"stacks,omitempty"`
	Summary  map[stacks.Action]int `json:"summary,omitempty"`
	Duration string                `json:"duration,omitempty"`
	Error    string                `json:"error,omitempty"`
	Hint     string                `json:"hint,omitempty"`
	ExitCode int                   `json:"exit_code"`
}

// printResult says how an apply ended, and hands its error on.
func (m *machine) printResult(r applyResult, prepared provision.Prepared, applied error) error {
	a := m.app
	if applied != nil {
		r.Error, r.Hint, r.ExitCode = applied.Error(), hintOf(applied), exitCode(applied)
		if r.Result == "" {
			r.Result = "failed"
		}
	}
	if a.structured() {
		if r.Result != "unchanged" {
			if _, err := m.writeAuthority(); err != nil {
				a.note("warning: %v", err)
			}
		}
		line := struct {
			Schema string      `json:"schema"`
			Result applyResult `json:"result"`
		}{"croft/apply/v1", r}
		return errors.Join(applied, a.printLine(line))
	}
	if applied != nil {
		return applied
	}
	if r.Result != "unchanged" {
		a.note("%s revision %d applied in %s", a.errStyle().Green("✓"), r.Revision, r.Duration)
		m.printAddresses(prepared.Desired)
	}
	return nil
}

// events gives where the steps of an apply are shown, and what ends it.
func (a *app) events() (stacks.Events, func()) {
	if a.structured() {
		return func(e stacks.Event) {
			// A reader that went away must not stop an apply half way.
			_ = a.printLine(e)
		}, func() {}
	}
	return a.progress()
}

// progress shows steps to a person.
func (a *app) progress() (stacks.Events, func()) {
	if a.flags.quiet || a.structured() {
		return func(stacks.Event) {}, func() {}
	}
	view := tui.NewProgress(a.err, a.errStyle(), a.live(a.err), a.now)
	return view.On, view.Close
}

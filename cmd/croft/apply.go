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
	m, err := a.toApply(ctx, &o)
	if err != nil {
		return a.printResult(applyResult{}, err)
	}
	defer m.close()
	return m.apply(ctx, o)
}

// toApply reads what apply was told, and connects.
func (a *app) toApply(ctx context.Context, o *applyOptions) (*machine, error) {
	if o.file != "" {
		s, err := readPlan(o.file)
		if err != nil {
			return nil, err
		}
		o.stacks, o.removeOrphans, o.withoutCopy, o.saved = s.Stacks, s.RemoveOrphans, s.WithoutCopy, &s
		if a.flags.dir == "" {
			a.flags.dir = s.Dir
		}
	}
	if o.wait <= 0 {
		return nil, &usageError{err: fmt.Errorf("--wait-timeout %s is no time to wait", o.wait), hint: "give a duration such as 5m"}
	}
	return a.connect(ctx)
}

// apply is the way every change takes: check, plan, show, ask, lock, carry out,
// say how it ended.
func (m *machine) apply(ctx context.Context, o applyOptions) error {
	result, prepared, err := m.planAndApply(ctx, o)
	if err := m.app.printResult(result, err); err != nil {
		return err
	}
	if result.Result != "unchanged" {
		m.publish(prepared.Desired)
	}
	return nil
}

// defaultWait is how long a service may take until it is healthy.
const defaultWait = 5 * time.Minute

// plansAnew is how often a plan is made again because the machine moved between
// looking and locking: stops that a killed run had begun go on in the engine.
const plansAnew = 3

func (m *machine) planAndApply(ctx context.Context, o applyOptions) (applyResult, provision.Prepared, error) {
	if err := m.preflight(ctx); err != nil {
		return applyResult{}, provision.Prepared{}, err
	}
	for again := 0; ; again++ {
		r, prepared, err := m.planAndApplyOnce(ctx, o)
		var stale *provision.StaleError
		if !errors.As(err, &stale) || o.saved != nil || again == plansAnew {
			return r, prepared, err
		}
		// Nothing was touched. What is done now is shown, and asked for, again.
		m.app.note("the machine changed meanwhile; making a new plan")
		if err := m.prov.Settle(ctx, prepared); err != nil {
			return r, prepared, err
		}
	}
}

func (m *machine) planAndApplyOnce(ctx context.Context, o applyOptions) (applyResult, provision.Prepared, error) {
	prepared, err := m.plan(ctx, o.planOptions)
	if err != nil {
		return applyResult{}, prepared, err
	}
	if o.saved != nil {
		if err := o.saved.same(prepared.Plan); err != nil {
			return applyResult{}, prepared, err
		}
	}
	if !m.app.structured() {
		if err := m.app.printPlan(prepared.Plan); err != nil {
			return applyResult{}, prepared, err
		}
	}
	r := applyResult{Summary: prepared.Plan.Summary, Blocked: prepared.Plan.Blocked}
	if err := blockedError(prepared.Plan); err != nil {
		return r, prepared, err
	}
	if prepared.Plan.Empty() {
		r.Result = "unchanged"
		return r, prepared, m.nothingToDo(prepared)
	}
	if err := m.app.confirm(ctx, "Apply this plan?", "apply"); err != nil {
		return r, prepared, err
	}
	err = m.carryOut(ctx, prepared, o, &r)
	return r, prepared, err
}

// carryOut applies a plan under the lock.
func (m *machine) carryOut(ctx context.Context, prepared provision.Prepared, o applyOptions, r *applyResult) error {
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
	events, done := m.app.events()
	began := m.app.now()
	rev, err := m.prov.Apply(ctx, prepared, provision.ApplyOptions{WaitTimeout: o.wait, Inputs: inputs, Load: m.load}, events)
	done()
	r.Result, r.Revision, r.Stacks = rev.Result, rev.Number, rev.Stacks
	r.Duration = m.app.now().Sub(began).Round(time.Millisecond).String()
	if err == nil {
		// So that the next plan finds a render that is kept. All is done by now:
		// what goes wrong here, the next plan says.
		_, _ = m.look(ctx, planOptions{})
	}
	return err
}

// applyResult closes an apply.
type applyResult struct {
	Result   string                `json:"result"` // applied, unchanged, partial, failed, refused
	Revision int                   `json:"revision,omitempty"`
	Stacks   map[string]string     `json:"stacks,omitempty"`
	Summary  map[stacks.Action]int `json:"summary,omitempty"`
	Blocked  []stacks.Blocked      `json:"blocked,omitempty"`
	Duration string                `json:"duration,omitempty"`
	To       int                   `json:"to,omitempty"`    // of a rollback: the revision
	Notes    []string              `json:"notes,omitempty"` // of a rollback: what it left, and what to do
	Error    string                `json:"error,omitempty"`
	Hint     string                `json:"hint,omitempty"`
	ExitCode int                   `json:"exit_code"`
}

// printResult says how an apply ended, whatever ended it, and hands its error on.
func (a *app) printResult(r applyResult, applied error) error {
	if applied != nil {
		r.Error, r.Hint, r.ExitCode = applied.Error(), hintOf(applied), exitCode(applied)
	}
	switch {
	case r.Result != "" || applied == nil:
	case r.ExitCode == exitFailed:
		r.Result = "failed"
	case r.ExitCode == exitInterrupted:
		r.Result = "interrupted"
	default:
		r.Result = "refused"
	}
	if a.structured() {
		line := struct {
			Schema string      `json:"schema"`
			Result applyResult `json:"result"`
		}{"croft/apply/v1", r}
		return errJoin(applied, a.printLine(line))
	}
	if applied == nil && r.Result != "unchanged" {
		a.note("%s revision %d applied in %s", a.errStyle().Green("✓"), r.Revision, r.Duration)
	}
	return applied
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

// nothingToDo writes only where there is something to forget, or a killed run did
// all it wanted and could not say so.
func (m *machine) nothingToDo(prepared provision.Prepared) error {
	release, err := m.lock()
	if err != nil {
		return err
	}
	defer release()
	if err := m.prov.Conclude(prepared); err != nil {
		return err
	}
	if err := m.prov.Recollect(prepared); err != nil {
		return err
	}
	return m.prov.EndHolds(prepared.Desired)
}

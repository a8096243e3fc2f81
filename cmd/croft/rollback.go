package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/croft-sh/croft/provision"
)

type rollbackOptions struct {
	provision.RollbackOptions
	wait time.Duration
}

func newRollback(a *app) *cobra.Command {
	var o rollbackOptions
	cmd := &cobra.Command{
		Use: "rollback", Short: "Go back to an earlier revision",
		Long: `rollback shows the plan of going back to an earlier revision, asks, and carries
it out as apply does: what does not become healthy is taken back to what ran
before. Without --to it is the last good revision before now; croft history
lists them all.

Each stack that was written otherwise then runs as in that revision, on the
images of then, until what is written changes or croft release. Your files are
not touched: git revert makes it permanent, croft release and croft apply undo
it. What holds for the whole platform (name, domain, storage) stays as it is
written now, and stacks that came later stay as they are. Nothing is removed.

An earlier program may not be able to read data that a later one has changed. So
where the image of a service with data changes, say what becomes of the data:

  --data now    it starts on today's data, which is copied aside first
  --data then   the copy from before that change takes its place; what was
                written since is kept beside it`,
		Example: `  croft rollback
  croft rollback --to 12
  croft rollback --to 12 --stack gitea --data then`,
		Args: wantArgs(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("to") && o.To <= 0 {
				return &usageError{err: fmt.Errorf("--to %d is no revision", o.To), hint: "croft history lists the revisions"}
			}
			return runRollback(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.To, "to", 0, "the `revision` to go back to (default: the last good one before now)")
	f.StringSliceVar(&o.Stacks, "stack", nil, "only this `stack`; may be repeated")
	f.StringVar(&o.Data, "data", "", "what an earlier program starts on: `now|then`")
	f.BoolVar(&o.RemoveOrphans, "remove-orphans", false, "also remove services that the revision did not have")
	f.DurationVar(&o.wait, "wait-timeout", defaultWait, "how long each service may take until it is healthy")
	registerCompletion(cmd, "stack", a.completeStacks)
	registerCompletion(cmd, "to", a.completeRevisions)
	registerCompletion(cmd, "data", cobra.FixedCompletions([]string{
		provision.DataNow + "\tstart on today's data", provision.DataThen + "\tput the copy from before the change in place"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func runRollback(ctx context.Context, a *app, o rollbackOptions) error {
	m, err := a.toRollBack(ctx, o)
	if err != nil {
		return a.printResult(applyResult{To: o.To}, err)
	}
	defer m.close()
	result, back, err := m.rollBack(ctx, o)
	if err := a.printResult(result, err); err != nil {
		return err
	}
	if result.Result == "unchanged" {
		a.note("revision %d is what runs, as far as it is written; croft plan shows what else there is to do", back.To.Number)
		return nil
	}
	for _, n := range result.Notes[len(back.Notes):] { // the others came with the plan
		a.note("%s", n)
	}
	m.publish(back.Desired)
	return nil
}

func (a *app) toRollBack(ctx context.Context, o rollbackOptions) (*machine, error) {
	switch {
	case o.Data != "" && o.Data != provision.DataNow && o.Data != provision.DataThen:
		return nil, &usageError{err: fmt.Errorf("--data %s is not known", o.Data), hint: "now or then; croft help rollback tells what they mean"}
	case o.wait <= 0:
		return nil, &usageError{err: fmt.Errorf("--wait-timeout %s is no time to wait", o.wait), hint: "give a duration such as 5m"}
	}
	return a.connect(ctx)
}

// rollBack checks, and goes back; anew where the machine moved between looking
// and locking, as apply does: nothing was written then.
func (m *machine) rollBack(ctx context.Context, o rollbackOptions) (applyResult, provision.Rollback, error) {
	if err := m.preflight(ctx); err != nil {
		return applyResult{To: o.To}, provision.Rollback{}, err
	}
	for again := 0; ; again++ {
		r, back, err := m.rollBackOnce(ctx, o)
		var stale *provision.StaleError
		if !errors.As(err, &stale) || again == plansAnew {
			return r, back, err
		}
		m.app.note("the machine changed meanwhile; making a new plan")
		if err := m.prov.Settle(ctx, back.Prepared); err != nil {
			return r, back, err
		}
	}
}

// rollBackOnce plans, shows, asks, and applies. Until it was agreed to, it has
// written nothing.
func (m *machine) rollBackOnce(ctx context.Context, o rollbackOptions) (applyResult, provision.Rollback, error) {
	r := applyResult{To: o.To}
	written, err := m.load(nil)
	if err != nil {
		return r, provision.Rollback{}, err
	}
	if err := stackNames(written, o.Stacks); err != nil {
		return r, provision.Rollback{}, err
	}
	back, err := m.prov.PlanRollback(ctx, written, m.load, o.RollbackOptions)
	if err != nil {
		return r, back, err
	}
	r.To, r.Summary, r.Blocked, r.Notes = back.To.Number, back.Plan.Summary, back.Plan.Blocked, back.Notes
	if !m.app.structured() {
		if err := m.showRollback(back); err != nil {
			return r, back, err
		}
	}
	if err := blockedError(back.Plan); err != nil {
		return r, back, err
	}
	if back.Plan.Empty() {
		r.Result = "unchanged"
		return r, back, nil
	}
	if err := m.app.confirm(ctx, fmt.Sprintf("Go back to revision %d?", back.To.Number), "rollback"); err != nil {
		return r, back, err
	}
	if err := m.carryOut(ctx, back.Prepared, applyOptions{wait: o.wait}, &r); err != nil {
		return r, back, rollbackFailed(err, back)
	}
	r.Notes = append(r.Notes, afterwards(back, r.Revision)...)
	return r, back, nil
}

// showRollback shows where it goes and what changes.
func (m *machine) showRollback(back provision.Rollback) error {
	if len(back.Back) > 0 {
		m.app.note("back to revision %d of %s: %s", back.To.Number, back.To.At.Local().Format("2006-01-02 15:04:05"), strings.Join(back.Back, ", "))
	}
	for _, n := range back.Notes {
		m.app.note("%s", n)
	}
	return m.app.printPlan(back.Plan)
}

// afterwards says what the admin should know once it is done.
func afterwards(back provision.Rollback, revision int) []string {
	var out []string
	kept := back.Kept(revision)
	for _, volume := range sortedNames(kept) {
		out = append(out, fmt.Sprintf("data of %s as it was before the rollback: %s; croft clean offers it after 7 days", volume, kept[volume]))
	}
	if read := sortedNames(back.Desired.Held); len(read) > 0 {
		out = append(out, fmt.Sprintf("what is written is newer than what runs of %s: git revert makes the rollback permanent, croft release and croft apply undo it",
			strings.Join(read, ", ")))
	}
	return out
}

// rollbackFailed says how to go on from a rollback that failed itself.
func rollbackFailed(err error, back provision.Rollback) error {
	var failed *provision.FailedError
	if !errors.As(err, &failed) || failed.TakenBack == 0 {
		return err
	}
	return &failure{err: err, hint: fmt.Sprintf("what ran before the rollback runs again; mend the cause, then croft rollback --to %d tries it once more", back.To.Number)}
}

// completeRevisions offers the revisions that can be gone back to.
func (a *app) completeRevisions(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	p, err := a.platformForCompletion(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer p.close()
	goals, err := a.offline(p).Goals()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	for _, rev := range goals {
		out = append(out, strconv.Itoa(rev.Number)+"\t"+rev.Result+" "+rev.At.Local().Format("2006-01-02 15:04"))
	}
	return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

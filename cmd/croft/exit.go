package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/croft-sh/croft/stacks"
	"github.com/croft-sh/croft/tui"
)

// The exit codes. They are a promise to scripts: codes are added, never changed.
const (
	exitDone        = 0
	exitFailed      = 1
	exitPending     = 2
	exitPartly      = 3
	exitUsage       = 4
	exitNoPlatform  = 10
	exitLocked      = 11
	exitWrongKey    = 12
	exitRefused     = 13
	exitTakenBack   = 14
	exitInterrupted = 130
)

func newExitCodesHelp() *cobra.Command {
	return &cobra.Command{
		Use: "exit-codes", Short: "What each exit code means",
		Example: "  croft plan --detailed-exitcode; echo $?",
		Long: `Exit codes are the same for every command:

    0  done
    1  failed
    2  changes pending (plan --detailed-exitcode, render --check)
    3  done in part: some stacks are as wanted, some are not
    4  wrong usage: a flag, an argument or an answer is missing or wrong
   10  no platform here, and none or several are known on this machine
   11  locked by another run of croft
   12  wrong key: it does not open what it should
   13  refused by validation, a preflight check or policy; nothing was touched
   14  failed and taken back
  130  interrupted; what was done stands

Any other code is a failure.`,
	}
}

// usageError says that croft was called wrongly.
type usageError struct {
	err  error
	hint string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }
func (e *usageError) Hint() string  { return e.hint }

// noPlatformError says that no platform was found.
type noPlatformError struct{ why, hint string }

func (e *noPlatformError) Error() string { return e.why }
func (e *noPlatformError) Hint() string  { return e.hint }

// refusedError says that croft would not do it; nothing was touched.
type refusedError struct {
	err  error
	hint string
}

func (e *refusedError) Error() string { return e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }
func (e *refusedError) Hint() string  { return e.hint }

// failure is any other error with a hint.
type failure struct {
	err  error
	hint string
}

func (e *failure) Error() string { return e.err.Error() }
func (e *failure) Unwrap() error { return e.err }
func (e *failure) Hint() string  { return e.hint }

// silentError ends the program with a code whose reason was printed already.
type silentError struct{ code int }

func (e *silentError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// bugError stands for a panic.
type bugError struct{}

func (*bugError) Error() string { return "croft met a state that its makers did not think of" }
func (*bugError) Hint() string {
	return "please report it with the command you ran; run it again with -v to see where it struck"
}

// timeoutError says that --timeout ended the run.
type timeoutError struct{ after time.Duration }

func (e *timeoutError) Error() string { return fmt.Sprintf("not done after %s (--timeout)", e.after) }
func (e *timeoutError) Hint() string {
	return "what was done stands: run it again, or give it more time"
}

// interruptedError says that a person or the system ended the run.
type interruptedError struct{ err error }

func (e *interruptedError) Error() string {
	if errors.Is(e.err, context.Canceled) {
		return "interrupted"
	}
	return "interrupted: " + e.err.Error()
}
func (e *interruptedError) Unwrap() error { return e.err }
func (e *interruptedError) Hint() string {
	return "what was done stands: croft status shows it, and the same command goes on from there"
}

// interrupted names the reason why ctx ended.
func interrupted(ctx context.Context, err error) error {
	var t *timeoutError
	if errors.As(context.Cause(ctx), &t) {
		return t
	}
	return &interruptedError{err: err}
}

// exitCode maps the kinds of errors to codes; nowhere else is this decided.
func exitCode(err error) int {
	var (
		silent      *silentError
		interrupted *interruptedError
		usage       *usageError
		missing     *tui.MissingError
		answer      *tui.AnswerError
		noPlatform  *noPlatformError
		refused     *refusedError
		problems    stacks.Problems
	)
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &silent):
		return silent.code
	case errors.As(err, &interrupted), errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &usage), errors.As(err, &missing), errors.As(err, &answer):
		return exitUsage
	case errors.As(err, &noPlatform):
		return exitNoPlatform
	case errors.As(err, &refused), errors.As(err, &problems):
		return exitRefused
	}
	return worldCode(err)
}

// report prints an error: what failed, and what to do about it.
func (a *app) report(err error) {
	var silent *silentError
	if err == nil || errors.As(err, &silent) {
		return
	}
	var problems stacks.Problems
	if errors.As(err, &problems) {
		a.printProblems(problems)
		a.say("%s %s\n", a.errStyle().Cyan("hint:"), "nothing was touched; correct what is listed above, and croft validate checks it")
		return
	}
	a.terminal.endLine(err)
	style := a.errStyle()
	for i, line := range strings.Split(strings.TrimSpace(err.Error()), "\n") {
		line = tui.Printable(line)
		if i == 0 {
			line = style.Red("error:") + " " + line
		}
		a.say("%s\n", line)
	}
	for _, line := range logTail(err) {
		a.say("  %s\n", style.Dim("| "+tui.Printable(line)))
	}
	if hint := hintOf(err); hint != "" {
		a.say("%s %s\n", style.Cyan("hint:"), tui.Printable(hint))
	}
}

// hintOf gives what to do about an error, from the outermost that knows.
func hintOf(err error) string {
	var missing *tui.MissingError
	var h interface{ Hint() string }
	var problem stacks.Problem
	switch {
	case errors.As(err, &h) && h.Hint() != "":
		return h.Hint()
	case errors.As(err, &problem) && problem.Hint != "":
		return problem.Hint
	case errors.As(err, &missing):
		return fmt.Sprintf("give it by --set %s=VALUE or in a file by --answers FILE", missing.Key)
	}
	return ""
}

// printProblems prints problems as compilers do, each with its hint.
func (a *app) printProblems(ps stacks.Problems) {
	style := a.errStyle()
	for _, p := range ps {
		word := style.Red("error:")
		if p.Severity == stacks.SeverityWarning {
			word = style.Yellow("warning:")
		}
		a.say("%s %s\n", word, tui.Printable(p.Error()))
		if p.Hint != "" {
			a.say("  %s %s\n", style.Cyan("hint:"), tui.Printable(p.Hint))
		}
	}
}

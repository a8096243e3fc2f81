package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/provision/docker"
	"github.com/croft-sh/croft/provision/host"
	"github.com/croft-sh/croft/provision/secrets"
	"github.com/croft-sh/croft/stacks"
	"github.com/croft-sh/croft/tui"
)

// everyCommand walks the commands of the program.
func everyCommand(t *testing.T, visit func(*cobra.Command)) {
	t.Helper()
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		visit(c)
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newRoot(&app{out: io.Discard, err: io.Discard, now: time.Now}))
}

func TestEveryCommandHasHelp(t *testing.T) {
	everyCommand(t, func(c *cobra.Command) {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: Short is %q", c.CommandPath(), c.Short)
		}
		if c.Long == "" {
			t.Errorf("%s has no Long", c.CommandPath())
		}
		if !strings.Contains(c.Example, "croft ") {
			t.Errorf("%s has no example", c.CommandPath())
		}
		for _, line := range strings.Split(c.Long+"\n"+c.Example, "\n") {
			if len(line) > 80 {
				t.Errorf("%s: a line of help has %d columns: %s", c.CommandPath(), len(line), line)
			}
		}
		if c.Runnable() && !strings.Contains(c.UsageString(), "croft help exit-codes") {
			t.Errorf("%s: help does not lead to the exit codes", c.CommandPath())
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s: --%s is not documented", c.CommandPath(), f.Name)
			}
		})
	})
}

// TestExamplesAreCommands keeps the examples in help from going stale: every
// command and every flag in them exists.
func TestExamplesAreCommands(t *testing.T) {
	root := newRoot(&app{out: io.Discard, err: io.Discard, now: time.Now})
	everyCommand(t, func(c *cobra.Command) {
		for _, line := range strings.Split(c.Example, "\n") {
			line, _, _ = strings.Cut(line, "#")
			for _, part := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune("|&;<>()", r) }) {
				words := strings.Fields(part)
				for len(words) > 0 && words[0] != "croft" {
					words = words[1:]
				}
				if len(words) < 2 || strings.HasPrefix(words[1], "-") {
					continue
				}
				found, rest, err := root.Find(words[1:])
				if err != nil || found == root {
					t.Errorf("example of %s: %q is no command", c.CommandPath(), part)
					continue
				}
				if found.Name() == "exec" {
					continue // flags after the service are not ours
				}
				if err := found.ParseFlags(rest); err != nil && !errors.Is(err, pflag.ErrHelp) {
					t.Errorf("example of %s: %q: %v", c.CommandPath(), part, err)
				}
			}
		}
	})
}

func TestEveryFlagHasOneVariable(t *testing.T) {
	everyCommand(t, func(c *cobra.Command) {
		seen := map[string]string{}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			v := variableOf(f.Name)
			if other := seen[v]; other != "" {
				t.Errorf("%s: --%s and --%s share %s", c.CommandPath(), f.Name, other, v)
			}
			seen[v] = f.Name
			if strings.HasSuffix(v, "_FILE") {
				t.Errorf("%s: the variable of --%s reads like a file of another", c.CommandPath(), f.Name)
			}
		})
	})
}

func TestExitCodes(t *testing.T) {
	problem := stacks.Problem{Severity: stacks.SeverityError, Message: "bad"}
	cases := []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("anything else"), 1},
		{problem, 1},
		{&timeoutError{after: time.Second}, 1},
		{&bugError{}, 1},
		{&provision.FailedError{Stack: "a"}, 1},
		{&silentError{code: exitPending}, 2},
		{&provision.FailedError{Stack: "a", Partial: true}, 3},
		{&usageError{err: errors.New("x")}, 4},
		{&tui.MissingError{Key: "name"}, 4},
		{&tui.AnswerError{Key: "name", Err: errors.New("x")}, 4},
		{&noPlatformError{}, 10},
		{&host.LockedError{}, 11},
		{secrets.ErrWrongKey, 12},
		{stacks.Problems{problem}, 13},
		{&provision.StaleError{}, 13},
		{&provision.BlockedError{Blocked: []stacks.Blocked{{}}}, 13},
		{docker.ErrNoEngine, 13},
		{docker.ErrNoRights, 13},
		{&refusedError{err: errors.New("x")}, 13},
		{context.Canceled, 130},
		{&interruptedError{err: errors.New("x")}, 130},
		{tui.ErrAborted, 130},
	}
	for _, c := range cases {
		for _, err := range []error{c.err, wrapped(c.err)} {
			if got := exitCode(err); got != c.want {
				t.Errorf("%T %v: exit code %d, want %d", c.err, err, got, c.want)
			}
		}
	}
	long := newExitCodesHelp().Long
	for _, code := range []int{exitDone, exitFailed, exitPending, exitPartly, exitUsage, exitNoPlatform,
		exitLocked, exitWrongKey, exitRefused, exitTakenBack, exitInterrupted} {
		if !strings.Contains(long, fmt.Sprintf("%5d  ", code)) {
			t.Errorf("croft help exit-codes does not tell of %d", code)
		}
	}
}

func wrapped(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("doing something: %w", err)
}

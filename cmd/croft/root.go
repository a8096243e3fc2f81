package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

const rootLong = `croft turns one Linux machine with Docker into a complete, private platform,
and keeps it that way. It asks a few questions, writes one readable file,
renders plain Compose projects and applies them: what runs is never touched
before the whole change is known to be good.

Without a command, croft shows the status where a platform is known and this is
a terminal, else this help.`

const rootExample = `  # a platform on this machine, at https://*.home.localhost
  mkdir home && cd home
  croft init --defaults
  croft apply

  # another stack
  croft stack add gitea
  croft plan
  croft apply`

// usageTemplate is cobra's, in our order and with the way to the exit codes.
const usageTemplate = `Usage:
{{- if .Runnable}}
  {{.UseLine}}{{end}}
{{- if .HasAvailableSubCommands}}
  {{.CommandPath}} COMMAND{{end}}
{{- if .HasExample}}

Examples:
{{.Example}}{{end}}
{{- if .HasAvailableSubCommands}}

Commands:
{{- range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}
{{- if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsagesWrapped 80 | trimTrailingWhitespaces}}{{end}}
{{- if .HasAvailableInheritedFlags}}

Flags of every command:
{{.InheritedFlags.FlagUsagesWrapped 80 | trimTrailingWhitespaces}}{{end}}
{{- if .HasHelpSubCommands}}

More help:
{{- range .Commands}}{{if .IsAdditionalHelpTopicCommand}}
  {{.Root.Name}} help {{rpad .Name 12}} {{.Short}}{{end}}{{end}}{{end}}

Exit codes: croft help exit-codes. Variables: croft help environment.
`

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use: "croft", Short: "A complete, private platform on one machine",
		Long: rootLong, Example: rootExample,
		Args: noSubcommand, SilenceErrors: true, SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return runRoot(cmd, a) },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return a.flags.complete(cmd, a)
		},
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetUsageTemplate(usageTemplate)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{err: err, hint: "see " + cmd.CommandPath() + " --help"}
	})
	a.flags.register(root)
	root.AddCommand(
		newInit(a), newValidate(a), newRender(a), newPlan(a), newApply(a),
		newStatus(a), newHistory(a), newDestroy(a), newStart(a), newStop(a),
		newStack(a), newUser(a),
		newLogs(a), newExec(a), newRestart(a), newPull(a), newOpen(a), newHold(a), newRelease(a), newRollback(a), newEject(a), newClean(a),
		newBoot(a), newSchedule(a),
		newDoctor(a), newVersion(a), newCompletion(a),
		newExitCodesHelp(), newEnvironmentHelp(),
	)
	root.SetHelpCommand(newHelp())
	return root
}

// runRoot is croft without a command.
func runRoot(cmd *cobra.Command, a *app) error {
	if a.terminal != nil && a.stdoutIsTerminal() {
		if _, err := a.findPlatform(); err == nil {
			return runStatus(cmd.Context(), a, statusOptions{})
		}
	}
	return cmd.Help()
}

// newHelp is cobra's help with an error where there is nothing to help with.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Help about a command or a topic",
		Long:    "Help shows what a command or a topic is about.",
		Example: "  croft help apply\n  croft help exit-codes",
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return noSubcommand(cmd.Root(), args)
			}
			return found.Help()
		},
	}
}

// newGroup makes a command that only holds others.
func newGroup(use, short, long, example string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Example: example, Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(subs...)
	return cmd
}

// noSubcommand refuses the argument of a command that only holds others.
func noSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := "see " + cmd.CommandPath() + " --help"
	if cmd.SuggestionsMinimumDistance <= 0 {
		cmd.SuggestionsMinimumDistance = 2
	}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean " + cmd.CommandPath() + " " + strings.Join(near, " or ") + "?"
	}
	return &usageError{err: fmt.Errorf("%s has no command %q", cmd.CommandPath(), args[0]), hint: hint}
}

// wantArgs refuses any number of arguments but least to most. names says what
// they are; most < 0 is no bound.
func wantArgs(least, most int, names string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		hint := "usage: " + cmd.UseLine()
		switch {
		case len(args) < least:
			return &usageError{err: fmt.Errorf("%s needs %s", cmd.CommandPath(), names), hint: hint}
		case most == 0 && len(args) > 0:
			return &usageError{err: fmt.Errorf("%s takes no argument, but got %q", cmd.CommandPath(), args[0]), hint: hint}
		case most > 0 && len(args) > most:
			return &usageError{err: fmt.Errorf("%s takes no argument after %s, but got %q", cmd.CommandPath(), names, args[most]), hint: hint}
		}
		return nil
	}
}

package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"
)

type execOptions struct{ stdin bool }

func newExec(a *app) *cobra.Command {
	var o execOptions
	cmd := &cobra.Command{
		Use: "exec STACK[/SERVICE] COMMAND [ARG]...", Short: "Run a command in a running service",
		Long: `exec runs a command in the container of a service. A stack alone means its only
service, or the one named like it. On a terminal the command gets it; standard
input that is no terminal is read with --stdin only. Its exit code is exec's.`,
		Example: `  croft exec gitea sh
  croft exec postgres/postgres psql -U postgres
  croft exec --stdin postgres psql -U postgres < file.sql`,
		Args:              wantArgs(2, -1, "a service and a command"),
		ValidArgsFunction: a.completeServices,
		RunE: func(cmd *cobra.Command, args []string) error {
			command := args[1:]
			if command[0] == "--" && len(command) > 1 {
				command = command[1:]
			}
			return runExec(cmd.Context(), a, o, args[0], command)
		},
	}
	cmd.Flags().BoolVar(&o.stdin, "stdin", false, "hand standard input to the command")
	cmd.Flags().SetInterspersed(false) // flags after the service are the command's
	return cmd
}

func runExec(ctx context.Context, a *app, o execOptions, service string, command []string) error {
	m, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer m.close()
	c, err := m.one(ctx, service)
	if err != nil {
		return err
	}
	tty := isTerminal(a.in) && a.stdoutIsTerminal()
	var in io.Reader
	if tty || o.stdin {
		in = a.in
	}
	code, err := m.engine.ExecInteractive(ctx, c.ID, command, tty, in, a.out, a.err)
	if err != nil {
		return err
	}
	if code != 0 {
		return &silentError{code: code}
	}
	return nil
}

package main

import (
	"context"

	"github.com/spf13/cobra"
)

func newUserPassword(a *app) *cobra.Command {
	var o passwordSource
	cmd := &cobra.Command{
		Use: "password NAME", Short: "Set a new password",
		Long: `password sets the password of an account: asked for twice on a terminal, made
with --generate, or read with --stdin. The second factor stays.`,
		Example: `  croft user password ada
  croft user password ada --generate
  pass show home/ada | croft user password ada --stdin`,
		Args: wantArgs(1, 1, "the name of the person"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runUserPassword(cmd.Context(), a, o, args[0])
		},
	}
	o.addFlags(cmd)
	return cmd
}

func runUserPassword(ctx context.Context, a *app, o passwordSource, name string) error {
	p, err := a.openPlatform()
	if err != nil {
		return err
	}
	defer p.close()
	if err := knownUser(p, name); err != nil {
		return err
	}
	password, made, err := o.read(ctx, a, name)
	if err != nil {
		return err
	}
	if err := p.usersFile().SetPassword(name, password); err != nil {
		return err
	}
	v := userView{Schema: "croft/user-password/v1", Name: name, Done: "has a new password"}
	if err := dropLogin(p, name); err != nil {
		return err
	}
	if made {
		if err := a.giveOut(p, &v, password); err != nil {
			return err
		}
	}
	return a.print(v, v.text)
}

package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/croft-sh/croft/provision/users"
)

type userAddOptions struct {
	passwordSource
	email, display string
	groups         []string
	admin          bool
}

func newUserAdd(a *app) *cobra.Command {
	var o userAddOptions
	cmd := &cobra.Command{
		Use: "add NAME", Short: "Make an account",
		Long: `add makes an account. Its password is asked for on a terminal, made with
--generate, or read with --stdin. A password that was made is shown once on the
terminal; without one it is written to a file that only its owner can read.`,
		Example: `  croft user add grace --email grace@example.com
  croft user add grace --email grace@example.com --generate --admin`,
		Args: wantArgs(1, 1, "the name of the person"),
		RunE: func(cmd *cobra.Command, args []string) error { return runUserAdd(cmd.Context(), a, o, args[0]) },
	}
	cmd.Flags().StringVar(&o.email, "email", "", "e-mail `address`")
	cmd.Flags().StringVar(&o.display, "display-name", "", "`name` shown to others (default: NAME)")
	cmd.Flags().StringSliceVar(&o.groups, "group", nil, "a `group` the person is in; may be repeated")
	cmd.Flags().BoolVar(&o.admin, "admin", false, "same as --group "+users.AdminGroup)
	o.addFlags(cmd)
	return cmd
}

func runUserAdd(ctx context.Context, a *app, o userAddOptions, name string) error {
	p, err := a.openPlatform()
	if err != nil {
		return err
	}
	defer p.close()
	password, made, err := o.read(ctx, a, name)
	if err != nil {
		return err
	}
	if o.admin && !contains(o.groups, users.AdminGroup) {
		o.groups = append(o.groups, users.AdminGroup)
	}
	u := users.User{Name: name, DisplayName: o.display, Email: o.email, Groups: o.groups}
	if err := p.usersFile().Add(u, password); err != nil {
		return err
	}
	v := userView{Schema: "croft/user-add/v1", Name: name, Done: "can sign in"}
	if made {
		if err := a.giveOut(p, &v, password); err != nil {
			return err
		}
	}
	return a.print(v, v.text)
}

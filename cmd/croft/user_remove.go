package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/croft-sh/croft/provision/users"
)

func newUserRemove(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Short: "Delete an account",
		Long: `remove deletes an account, but never the last one of the admins. It asks, unless
-y is given. What the person has in programs stays.`,
		Example: "  croft user remove grace",
		Args:    wantArgs(1, 1, "the name of the person"),
		RunE:    func(cmd *cobra.Command, args []string) error { return runUserRemove(cmd.Context(), a, args[0]) },
	}
}

func runUserRemove(ctx context.Context, a *app, name string) error {
	p, err := a.openPlatform()
	if err != nil {
		return err
	}
	defer p.close()
	if err := knownUser(p, name); err != nil {
		return err
	}
	if err := a.confirm(ctx, fmt.Sprintf("Delete the account of %s?", name), "user remove"); err != nil {
		return err
	}
	if err := p.usersFile().Remove(name); err != nil {
		return err
	}
	if err := dropLogin(p, name); err != nil {
		return err
	}
	v := userView{Schema: "croft/user-remove/v1", Name: name, Done: "cannot sign in any more"}
	return a.print(v, v.text)
}

// knownUser refuses a name that nobody has before anything is asked.
func knownUser(p *platform, name string) error {
	list, err := p.usersFile().List()
	if err != nil {
		return err
	}
	for _, u := range list {
		if u.Name == name {
			return nil
		}
	}
	return &usageError{err: fmt.Errorf("%w: %q", users.ErrNoUser, name), hint: "croft user list shows everybody"}
}

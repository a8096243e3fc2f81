package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/croft-sh/croft/provision/users"
	"github.com/croft-sh/croft/stacks"
	"github.com/croft-sh/croft/tui"
)

func newUser(a *app) *cobra.Command {
	return newGroup("user", "The people of the platform",
		`The people of the platform sign in with a name, a password and a second factor.
A password is never an argument: it is asked for, made, or read with --stdin.`,
		"  croft user list\n  croft user add grace --email grace@example.com\n  croft user totp grace",
		newUserList(a), newUserAdd(a), newUserRemove(a), newUserPassword(a), newUserTOTP(a))
}

func newUserList(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the people",
		Long:    "list shows everybody who can sign in, and the groups each is in.",
		Example: "  croft user list\n  croft user list -o json",
		Args:    wantArgs(0, 0, ""),
		RunE:    func(*cobra.Command, []string) error { return runUserList(a) },
	}
}

// userListView is what user list says.
type userListView struct {
	Schema string       `json:"schema"`
	Users  []users.User `json:"users"`
}

func runUserList(a *app) error {
	p, err := a.openPlatform()
	if err != nil {
		return err
	}
	defer p.close()
	list, err := p.usersFile().List()
	if err != nil {
		return err
	}
	v := userListView{Schema: "croft/user-list/v1", Users: list}
	return a.print(v, v.text)
}

func (v userListView) text(w io.Writer, _ tui.Style) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "NAME\tE-MAIL\tGROUPS\tNOTE")
	for _, u := range v.Users {
		note := ""
		if u.Disabled {
			note = "disabled"
		}
		fmt.Fprintln(tw, tui.Printable(u.Name)+"\t"+tui.Printable(u.Email)+"\t"+tui.Printable(strings.Join(u.Groups, ","))+"\t"+note)
	}
	_ = tw.Flush() // writes to memory
}

// passwordSource says where a new password comes from.
type passwordSource struct{ stdin, generate bool }

func (s *passwordSource) addFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&s.stdin, "stdin", false, "read the password from standard input, one line")
	cmd.Flags().BoolVar(&s.generate, "generate", false, "make a password and show it once")
}

// maxPassword bounds a line of --stdin.
const maxPassword = 1024

// read gives a password and whether it was made here.
func (s passwordSource) read(ctx context.Context, a *app, name string) (stacks.Secret, bool, error) {
	switch {
	case s.stdin && s.generate:
		return stacks.Secret{}, false, &usageError{err: errors.New("--stdin and --generate exclude each other"), hint: "give one of them"}
	case s.generate:
		return users.GeneratePassword(), true, nil
	case s.stdin:
		line, err := bufio.NewReader(io.LimitReader(a.in, maxPassword)).ReadString('\n')
		line = strings.TrimRight(line, "\r\n")
		if line == "" || (err != nil && !errors.Is(err, io.EOF)) {
			return stacks.Secret{}, false, &usageError{err: errors.New("standard input has no password"), hint: "write it as one line"}
		}
		return stacks.NewSecret(line), false, nil
	case a.terminal != nil:
		password, err := askTwice(ctx, a.terminal.prompt(), name)
		return password, false, err
	}
	return stacks.Secret{}, false, &usageError{err: fmt.Errorf("no password for %s: nobody can be asked, standard input is not a terminal", name),
		hint: "use --generate, or --stdin with the password as one line"}
}

func askTwice(ctx context.Context, p *tui.Prompt, name string) (stacks.Secret, error) {
	for {
		first, err := p.Secret(ctx, "Password for "+name+":")
		if err != nil {
			return stacks.Secret{}, err
		}
		second, err := p.Secret(ctx, "Once more:")
		if err != nil {
			return stacks.Secret{}, err
		}
		if first == second && first != "" {
			return stacks.NewSecret(first), nil
		}
		p.Printf("  ! these differ, or are empty\n")
	}
}

// userView is what user add, remove and password say.
type userView struct {
	Schema       string `json:"schema"`
	Name         string `json:"name"`
	Done         string `json:"done"`
	PasswordFile string `json:"password_file,omitempty"`
}

func (v userView) text(w io.Writer, _ tui.Style) { fmt.Fprintf(w, "%s %s\n", v.Name, v.Done) }

// giveOut shows a password that was made here.
func (a *app) giveOut(p *platform, v *userView, password stacks.Secret) error {
	acc := account{Name: v.Name, Made: true, password: password}
	if a.terminal == nil {
		acc.PasswordFile = loginFile(p.paths, v.Name, p.Admin.Name)
		v.PasswordFile = acc.PasswordFile
		if err := writeLogin(acc); err != nil {
			return err
		}
	}
	a.showAccount(acc)
	return nil
}

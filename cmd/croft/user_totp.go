package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/croft-sh/croft/provision/users"
	"github.com/croft-sh/croft/stacks"
	"github.com/croft-sh/croft/tui"
)

type totpOptions struct {
	name          string
	reveal, force bool
}

func newUserTOTP(a *app) *cobra.Command {
	var o totpOptions
	cmd := &cobra.Command{
		Use: "totp NAME", Short: "Give a person a second factor",
		Long: `totp makes a key for an authenticator app, shows it as a QR code on the
terminal, and checks a code of the app. The sign-in program must run.

Without a terminal the key is printed with --reveal only, as an otpauth address:
whoever reads it has the second factor.`,
		Example: `  croft user totp ada
  croft user totp ada --force     # a new phone: the old key stops working`,
		Args: wantArgs(1, 1, "the name of the person"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			return runUserTOTP(cmd.Context(), a, o)
		},
	}
	cmd.Flags().BoolVar(&o.reveal, "reveal", false, "print the key on standard output, and check nothing")
	cmd.Flags().BoolVar(&o.force, "force", false, "replace the key that the person has")
	return cmd
}

func runUserTOTP(ctx context.Context, a *app, o totpOptions) error {
	if a.terminal == nil && !o.reveal {
		return &usageError{err: errors.New("a second factor is shown on a terminal, and there is none"),
			hint: "run it on a terminal, or add --reveal to print the key"}
	}
	m, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer m.close()
	if err := knownUser(m.platform, o.name); err != nil {
		return err
	}
	return m.secondFactor(ctx, o)
}

// totpView is what user totp says. The key is in it with --reveal only.
type totpView struct {
	Schema   string `json:"schema"`
	Name     string `json:"name"`
	Verified bool   `json:"verified"`
	URI      string `json:"uri,omitempty"`
}

func (v totpView) text(w io.Writer, _ tui.Style) {
	if v.URI != "" {
		fmt.Fprintln(w, v.URI)
		return
	}
	fmt.Fprintf(w, "%s has a second factor\n", v.Name)
}

// secondFactor makes a key, shows it and checks a code.
func (m *machine) secondFactor(ctx context.Context, o totpOptions) error {
	uri, err := m.makeTOTP(ctx, o)
	if errors.Is(err, users.ErrHasTOTP) && !o.force && m.app.terminal != nil && !o.reveal {
		if err := m.app.confirm(ctx, o.name+" has a second factor already. Replace it?", "user totp"); err != nil {
			return err
		}
		o.force = true
		uri, err = m.makeTOTP(ctx, o)
	}
	if err != nil {
		return err
	}
	v := totpView{Schema: "croft/user-totp/v1", Name: o.name}
	if o.reveal {
		v.URI = uri
	} else if err := m.showTOTP(ctx, o.name, uri); err != nil {
		return err
	} else {
		// Only who typed a code stands here in person, and has the password.
		v.Verified = true
		if err := dropLogin(m.platform, o.name); err != nil {
			return err
		}
	}
	return m.app.print(v, v.text)
}

// makeTOTP has the sign-in program make a key. Its output holds the key: it goes
// nowhere else.
func (m *machine) makeTOTP(ctx context.Context, o totpOptions) (string, error) {
	c, err := m.signIn(ctx)
	if err != nil {
		return "", err
	}
	command := []string{"authelia", "storage", "user", "totp", "generate", o.name}
	if o.force {
		command = append(command, "--force")
	}
	res, err := m.engine.Exec(ctx, c.ID, command, nil)
	if err != nil {
		return "", err
	}
	return users.ParseTOTP(res.Stdout + "\n" + res.Stderr)
}

// signIn gives the running container of the program that signs people in.
func (m *machine) signIn(ctx context.Context) (stacks.Container, error) {
	d, err := m.desired()
	if err != nil {
		return stacks.Container{}, err
	}
	s, ok := d.Server("auth")
	if !ok {
		return stacks.Container{}, &refusedError{err: errors.New("no stack of the platform signs people in"), hint: "croft stack add authelia"}
	}
	return m.one(ctx, s.Name+"/"+s.X.Hub)
}

// totpTries is how often a code may be mistyped.
const totpTries = 3

func (m *machine) showTOTP(ctx context.Context, name, uri string) error {
	p := m.app.terminal.prompt()
	p.Printf("\nScan this with an authenticator app:\n\n%s\n", users.QR(uri))
	if key := totpSecret(uri); key != "" {
		p.Printf("or type the key:\n\n  %s\n\n", key)
	}
	for range totpTries {
		code, err := p.Line(ctx, "The code that the app shows:")
		if err != nil {
			return err
		}
		if users.VerifyTOTP(uri, strings.TrimSpace(code), m.app.now()) {
			return nil
		}
		p.Printf("  ! this is not the code of now; wait for the next one\n")
	}
	return &failure{err: fmt.Errorf("no code for %s was right", name),
		hint: "compare the clocks of this machine and the phone, then: croft user totp " + name + " --force"}
}

// totpSecret gives the key of an address in groups of four.
func totpSecret(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	var b strings.Builder
	for i, r := range u.Query().Get("secret") {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

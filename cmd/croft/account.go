package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/croft-sh/croft/provision/host"
	"github.com/croft-sh/croft/provision/users"
	"github.com/croft-sh/croft/stacks"
)

// account is a login that was made, or not, and where its password is.
type account struct {
	Name         string `json:"name,omitempty"`
	Made         bool   `json:"made"`
	PasswordFile string `json:"password_file,omitempty"`

	password stacks.Secret
}

// seedAdmin makes the first account, where a stack signs people in and there is
// no account yet. Killed before the users file is written, there is no account
// and the next run makes one, with another password.
func (a *app) seedAdmin(d stacks.Desired, paths host.Paths) (account, error) {
	server, ok := d.Server("auth")
	if !ok {
		return account{}, nil
	}
	acc := account{Name: d.Platform.Admin.Name}
	if _, err := os.Lstat(filepath.Join(paths.Users, users.FileName)); err == nil {
		return acc, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return acc, err
	}
	acc.password = users.GeneratePassword()
	if a.terminal == nil {
		// First the password, then what needs it: it is lost in no case.
		acc.PasswordFile = loginFile(paths, acc.Name, acc.Name)
		if err := writeLogin(acc); err != nil {
			return acc, err
		}
	}
	uid, gid := serviceOwner(server)
	file := users.Open(paths.Users, users.Options{UID: uid, GID: gid, Write: host.WriteFileAs})
	made, err := file.Seed(users.User{Name: acc.Name, Email: d.Platform.Admin.Email, Groups: []string{users.AdminGroup}}, acc.password)
	acc.Made = made
	return acc, err
}

// loginFile is where a password waits that could not be shown.
func loginFile(paths host.Paths, name, admin string) string {
	if name == admin {
		return filepath.Join(paths.State, "first-login.txt")
	}
	return filepath.Join(paths.State, "first-login-"+name+".txt")
}

func writeLogin(acc account) error {
	text := fmt.Sprintf("name: %s\npassword: %s\n# Gone once croft user password %s or croft user totp %s succeeded.\n",
		acc.Name, stacks.Reveal(acc.password), acc.Name, acc.Name)
	return host.WriteFile(acc.PasswordFile, []byte(text), 0o600)
}

// dropLogin removes the waiting password of a person who has signed in, or has
// another one now.
func dropLogin(p *platform, name string) error {
	err := os.Remove(loginFile(p.paths, name, p.Admin.Name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// showAccount shows a new password once, on the terminal alone.
func (a *app) showAccount(acc account) {
	if !acc.Made {
		return
	}
	if a.terminal == nil {
		a.note("the password of %s is in %s", acc.Name, acc.PasswordFile)
		return
	}
	p := a.terminal.prompt()
	p.Printf("\n  name      %s\n  password  %s\n\nKeep it: it is shown this once.\n", acc.Name, stacks.Reveal(acc.password))
}

// serviceOwner gives who the sign-in program runs as, to whom its users file
// belongs. Only root can give files away.
func serviceOwner(s *stacks.Stack) (uid, gid int) {
	if os.Geteuid() != 0 || s.X == nil || s.Project == nil {
		return -1, -1
	}
	user, group, ok := strings.Cut(s.Project.Services[s.X.Hub].User, ":")
	if !ok {
		group = user
	}
	uid, errUser := strconv.Atoi(user)
	gid, errGroup := strconv.Atoi(group)
	if errUser != nil || errGroup != nil {
		return -1, -1
	}
	return uid, gid
}

// usersFile opens the users file that is there, to be written as who owns it.
func (p *platform) usersFile() *users.File {
	uid, gid := -1, -1
	if info, err := os.Stat(filepath.Join(p.paths.Users, users.FileName)); err == nil && os.Geteuid() == 0 {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			uid, gid = int(st.Uid), int(st.Gid)
		}
	}
	return users.Open(p.paths.Users, users.Options{UID: uid, GID: gid, Write: host.WriteFileAs})
}

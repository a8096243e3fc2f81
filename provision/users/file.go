package users

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/croft-sh/croft/stacks"
)

// FileName is the users file within its directory, which is mounted as a whole:
// a replaced file would not be seen through a mount of the file alone.
const FileName = "users.yml"

// AdminGroup is the group that access: admin asks for.
const AdminGroup = "admins"

const (
	minPassword = 8
	attempts    = 5
	// Authelia empties the file and writes it in one go; whoever reads in
	// between finds nothing.
	emptyPause = 50 * time.Millisecond
)

// User is one account, without its password.
type User struct {
	Name        string   `json:"name"`
	DisplayName string   `json:"display_name"`
	Email       string   `json:"email"`
	Groups      []string `json:"groups"`
	Disabled    bool     `json:"disabled"`
}

func (u User) admin() bool { return !u.Disabled && slices.Contains(u.Groups, AdminGroup) }

// Write replaces a file durably, whole or not at all, with an owner set before
// it appears: host.WriteFileAs.
type Write func(path string, data []byte, mode fs.FileMode, uid, gid int) error

// Options says who reads the file, and how it is written.
type Options struct {
	UID, GID int // Authelia's, in its container
	Write    Write
}

// File is Authelia's users file.
type File struct {
	dir string
	opt Options
	// beforeCheck runs between edit and check; tests change the file there.
	beforeCheck func()
}

// Open names the file in dir; nothing is read yet.
func Open(dir string, opt Options) *File { return &File{dir: dir, opt: opt} }

// Path is where the file is.
func (f *File) Path() string { return filepath.Join(f.dir, FileName) }

// List gives all users in the order of the file.
func (f *File) List() ([]User, error) {
	data, err := f.read()
	if err != nil {
		return nil, err
	}
	t, err := parseTree(f.Path(), data)
	if err != nil {
		return nil, err
	}
	return t.users()
}

// Seed makes the file with one account if there is no file, and tells whether it
// did. A file that is there is never touched, whatever is in it. Killed at any
// point: there is no file, or the whole one.
func (f *File) Seed(admin User, password stacks.Secret) (seeded bool, err error) {
	if len(admin.Groups) == 0 {
		admin.Groups = []string{AdminGroup}
	}
	if !admin.admin() {
		return false, failed(nil, "user "+admin.Name, "the first account must be in the group "+AdminGroup, "")
	}
	if admin, err = checked(admin); err != nil {
		return false, err
	}
	if err := f.directory(); err != nil {
		return false, err
	}
	unlock, err := f.lock()
	if err != nil {
		return false, err
	}
	defer unlock()
	if _, err := os.Lstat(f.Path()); err == nil {
		return false, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return false, f.io("cannot look at the users file", err)
	}
	hash, err := hashPassword(admin.Name, password)
	if err != nil {
		return false, err
	}
	t := newTree()
	t.add(admin, hash)
	data, err := t.text()
	if err != nil {
		return false, f.io("cannot write YAML", err)
	}
	return true, f.opt.Write(f.Path(), data, 0o600, f.opt.UID, f.opt.GID)
}

// Add makes an account.
func (f *File) Add(u User, password stacks.Secret) error {
	u, err := checked(u)
	if err != nil {
		return err
	}
	hash, err := hashPassword(u.Name, password)
	if err != nil {
		return err
	}
	return f.edit(func(t *tree, all []User) error {
		for _, other := range all {
			switch {
			case other.Name == u.Name:
				return failed(ErrExists, "user "+u.Name, "is there already", "croft user password "+u.Name+" sets a new password")
			// Authelia refuses a file in which an address finds two people.
			case u.Email != "" && strings.EqualFold(other.Email, u.Email):
				return failed(ErrExists, "user "+u.Name, fmt.Sprintf("user %s has the address %s", other.Name, u.Email), "every account needs an address of its own")
			}
		}
		t.add(u, hash)
		return nil
	})
}

// Remove deletes an account, but never the last admin: nobody could get in, and
// Authelia does not start with an empty list.
func (f *File) Remove(name string) error {
	return f.edit(func(t *tree, all []User) error {
		left := 0
		for _, u := range all {
			if u.Name != name && u.admin() {
				left++
			}
		}
		if !t.has(name) {
			return noUser(name)
		}
		if left == 0 {
			return failed(ErrLastAdmin, "user "+name, "is the last admin", "make another account in the group "+AdminGroup+" first")
		}
		t.remove(name)
		return nil
	})
}

// SetPassword replaces a password; everything else of the account stays.
func (f *File) SetPassword(name string, password stacks.Secret) error {
	hash, err := hashPassword(name, password)
	if err != nil {
		return err
	}
	return f.edit(func(t *tree, _ []User) error { return t.setPassword(name, hash) })
}

func noUser(name string) error {
	return failed(ErrNoUser, "user "+name, "is not known", "croft user list shows who is")
}

// edit reads, changes and writes, again if somebody else wrote meanwhile.
// Between the check and the rename a few microseconds remain in which a reset
// by Authelia, which takes no lock, is lost; that person resets again.
func (f *File) edit(change func(*tree, []User) error) error {
	unlock, err := f.lock()
	if err != nil {
		return err
	}
	defer unlock()
	for range attempts {
		data, err := f.read()
		if err != nil {
			return err
		}
		edited, err := f.apply(data, change)
		if err != nil {
			return err
		}
		if f.beforeCheck != nil {
			f.beforeCheck()
		}
		now, err := f.read()
		if err != nil {
			return err
		}
		if sha256.Sum256(now) == sha256.Sum256(data) {
			// Killed before or after: the old file or the new one is there.
			return f.opt.Write(f.Path(), edited, 0o600, f.opt.UID, f.opt.GID)
		}
	}
	return failed(ErrChanged, f.Path(), "is being changed by somebody else all the time; nothing was written", "run the command again")
}

func (f *File) apply(data []byte, change func(*tree, []User) error) ([]byte, error) {
	t, err := parseTree(f.Path(), data)
	if err != nil {
		return nil, err
	}
	all, err := t.users()
	if err != nil {
		return nil, err
	}
	if err := change(t, all); err != nil {
		return nil, err
	}
	out, err := t.text()
	if err != nil {
		return nil, f.io("cannot write YAML", err)
	}
	// What Authelia could not start from is not written.
	again, err := parseTree(f.Path(), out)
	if err != nil {
		return nil, err
	}
	_, err = again.users()
	return out, err
}

func (f *File) read() ([]byte, error) {
	for range attempts {
		data, err := os.ReadFile(f.Path())
		if errors.Is(err, fs.ErrNotExist) {
			return nil, failed(err, f.Path(), "there is no users file yet", "the first croft apply with Authelia makes it")
		}
		if err != nil {
			return nil, f.io("cannot read the users file", err)
		}
		if len(data) > 0 {
			return data, nil
		}
		time.Sleep(emptyPause)
	}
	return nil, failed(ErrDamaged, f.Path(), "is empty", "put a copy of it back")
}

// lock keeps other crofts out. It is on the directory, because Authelia watches
// what appears in there.
func (f *File) lock() (unlock func(), err error) {
	d, err := os.Open(f.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, failed(err, f.Path(), "there is no users file yet", "the first croft apply with Authelia makes it")
	}
	if err != nil {
		return nil, f.io("cannot open the directory", err)
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX); err != nil {
		_ = d.Close()
		return nil, f.io("cannot lock the directory", err)
	}
	return func() { _ = d.Close() }, nil
}

// directory is made for Authelia alone. Killed before chown: the next Seed does
// it, because there is no file yet.
func (f *File) directory() error {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return f.io("cannot make the directory", err)
	}
	if f.opt.UID < 0 && f.opt.GID < 0 {
		return nil
	}
	if err := os.Chown(f.dir, f.opt.UID, f.opt.GID); err != nil {
		return f.io("cannot give the directory to Authelia", err)
	}
	return nil
}

func (f *File) io(what string, err error) error {
	return failed(err, f.Path(), what+": "+err.Error(), "run as root, or as the user who owns the state directory")
}

var nameForm = regexp.MustCompile(`^[a-z][a-z0-9._-]{0,31}$`)

// checked gives the user as it will be written. Names are lower case because
// Authelia refuses others once its search ignores case.
func checked(u User) (User, error) {
	if !nameForm.MatchString(u.Name) {
		return u, failed(nil, fmt.Sprintf("user %q", u.Name), "is no user name", "a lower case letter, then up to 31 of a-z 0-9 . _ -")
	}
	if u.DisplayName == "" {
		u.DisplayName = u.Name
	}
	if u.Email != "" {
		a, err := mail.ParseAddress(u.Email)
		if err != nil || a.Address != u.Email {
			return u, failed(nil, "user "+u.Name, fmt.Sprintf("%q is no mail address", u.Email), "write it as ada@example.com")
		}
	}
	for _, text := range append([]string{u.DisplayName}, u.Groups...) {
		if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return u, failed(nil, "user "+u.Name, "display name and groups must have text without control characters", "")
		}
	}
	return u, nil
}

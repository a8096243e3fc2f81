package secrets

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/croft-sh/croft/stacks"
)

// delivery is one file as it should be.
type delivery struct {
	grant   stacks.Grant
	rel     string // <stack>/<service>/<file>
	content []byte
}

// Deliver writes the files of the grants below Dir and removes what else is
// under the same stacks' directories. Everything is resolved before anything is
// written. A file that is right is left alone and keeps its inode; others are
// replaced whole, so a container started before goes on reading the old one.
// Killed in between: each file is old or new; the next call does the rest.
func (k *Keeper) Deliver(grants []stacks.Grant) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(grants) == 0 {
		return nil
	}
	s, err := Open(k.File, k.HostKey, k.Write)
	if err != nil {
		return err
	}
	all, err := k.resolve(s, grants)
	if err != nil {
		return err
	}
	t, err := k.target()
	if err != nil {
		return err
	}
	defer t.root.Close()
	key, _ := s.Get(fingerprintKey)
	if err := t.remember(all, key); err != nil {
		return failed(err, k.Dir, "cannot note what is delivered: "+err.Error(), "")
	}
	keep := map[string]bool{}
	stackDirs := map[string]bool{}
	for _, d := range all {
		wrote, err := t.place(d)
		if err != nil {
			return failed(err, d.grant.Path, fmt.Sprintf("cannot deliver secret %s: %v", d.grant.Secret, err), "")
		}
		if wrote {
			k.audit(Event{Action: "deliver", Secret: d.grant.Secret})
		}
		keep[d.rel] = true
		stackDirs[firstOf(d.rel)] = true
	}
	for _, dir := range sortedKeys(stackDirs) {
		if _, err := t.sweep(dir, keep); err != nil {
			return failed(err, filepath.Join(k.Dir, dir), "cannot remove a secret that is not granted any more: "+err.Error(), "")
		}
	}
	return nil
}

// Withdraw removes every file of a stack: Deliver sees only stacks that still
// have a grant.
func (k *Keeper) Withdraw(stack string) error {
	if !filepath.IsLocal(stack) || strings.Contains(stack, "/") {
		return failed(nil, "stack "+stack, "is no name of a directory", "")
	}
	if err := os.RemoveAll(filepath.Join(k.Dir, stack)); err != nil {
		return failed(err, filepath.Join(k.Dir, stack), "cannot remove secrets: "+err.Error(), "")
	}
	return nil
}

func (k *Keeper) resolve(s *Store, grants []stacks.Grant) ([]delivery, error) {
	var out []delivery
	var wrong []error
	seen := map[string]stacks.Grant{}
	for _, g := range grants {
		rel, err := k.relative(g.Path)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		if other, ok := seen[rel]; ok {
			if other.Secret != g.Secret || other.UID != g.UID || other.GID != g.GID || !bytes.Equal(other.Template, g.Template) {
				wrong = append(wrong, failed(nil, g.Path, fmt.Sprintf("both secret %s and secret %s are granted here", other.Secret, g.Secret), ""))
			}
			continue
		}
		seen[rel] = g
		content, err := content(s, g)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		out = append(out, delivery{grant: g, rel: rel, content: content})
	}
	return out, errors.Join(wrong...)
}

// relative refuses every path that is not <dir>/<stack>/<service>/<file>: in the
// clear, a secret goes nowhere else.
func (k *Keeper) relative(p string) (string, error) {
	rel, err := filepath.Rel(k.Dir, p)
	if err != nil || !filepath.IsAbs(p) || filepath.Clean(p) != p || !filepath.IsLocal(rel) || strings.Count(rel, "/") != 2 {
		return "", failed(nil, p, "is not a place for a secret", "a grant is for "+filepath.Join(k.Dir, "<stack>/<service>/<secret>"))
	}
	return rel, nil
}

func content(s *Store, g stacks.Grant) ([]byte, error) {
	if err := notReserved(g.Secret); err != nil {
		return nil, err
	}
	if g.Template != nil {
		salt, ok := s.Get(fingerprintKey)
		if !ok {
			return nil, failed(ErrUnknown, "secret "+g.Secret, "secrets were not made yet", "run croft apply")
		}
		return filler{store: s, stack: firstOf(g.Secret), salt: salt}.fill(g.Secret, g.Template)
	}
	value, ok := s.Get(g.Secret)
	if !ok {
		return nil, failed(ErrUnknown, "secret "+g.Secret, "is not known", "croft secrets set "+g.Secret+", or run croft apply to make it")
	}
	return []byte(stacks.Reveal(value)), nil
}

func firstOf(p string) string {
	first, _, _ := strings.Cut(p, "/")
	return first
}

// target is the directory in memory. Every step goes through os.Root, so no
// symlink under it leads anywhere else.
type target struct {
	root *os.Root
	euid int
}

// look opens it as it is.
func (k *Keeper) look() (*target, error) {
	root, err := os.OpenRoot(k.Dir)
	if err != nil {
		return nil, err
	}
	return &target{root: root, euid: os.Geteuid()}, nil
}

func (k *Keeper) target() (*target, error) {
	if k.Guard != nil {
		if err := k.Guard(filepath.Dir(k.Dir)); err != nil {
			return nil, err
		}
	}
	t := &target{euid: os.Geteuid()}
	mode := fs.FileMode(0o711)
	if t.euid != 0 {
		mode = 0o700 // see place
	}
	if err := os.MkdirAll(k.Dir, mode); err != nil {
		return nil, failed(err, k.Dir, "cannot make the directory of secrets: "+err.Error(), "run as root")
	}
	root, err := os.OpenRoot(k.Dir)
	if err != nil {
		return nil, failed(err, k.Dir, "cannot open the directory of secrets: "+err.Error(), "run as root")
	}
	t.root = root
	if err := t.owned(".", mode); err != nil {
		_ = root.Close()
		return nil, failed(err, k.Dir, "cannot protect the directory of secrets: "+err.Error(), "remove it and run the command again")
	}
	return t, nil
}

// owned makes sure of owner and mode of a directory.
func (t *target) owned(dir string, mode fs.FileMode) error {
	info, err := t.root.Stat(dir)
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != t.euid {
		if err := t.root.Chown(dir, t.euid, os.Getegid()); err != nil {
			return err
		}
	}
	if info.Mode().Perm() == mode {
		return nil
	}
	return t.root.Chmod(dir, mode)
}

// place makes one file right and tells whether it had to.
//
// Root gives the file to its reader, 0400. A user cannot give files away; then
// the file is readable by all and the directory above, 0700, keeps everybody
// out: a bind mount needs no way through it.
func (t *target) place(d delivery) (wrote bool, err error) {
	for _, dir := range []string{firstOf(d.rel), path.Dir(d.rel)} {
		if err := t.directory(dir); err != nil {
			return false, err
		}
	}
	uid, gid, mode := t.protection(d.grant)
	if t.isRight(d, uid, gid, mode) {
		return false, nil
	}
	return true, t.write(d.rel, d.content, uid, gid, mode)
}

// protection is who owns the file of a grant, and its mode; -1 leaves the owner.
func (t *target) protection(g stacks.Grant) (uid, gid int, mode fs.FileMode) {
	if t.euid == 0 {
		return g.UID, g.GID, 0o400
	}
	if g.UID != t.euid {
		return -1, -1, 0o444
	}
	return -1, -1, 0o400
}

func (t *target) directory(dir string) error {
	info, err := t.root.Lstat(dir)
	if err == nil && !info.IsDir() { // a link or a file in our place
		if err := t.root.Remove(dir); err != nil {
			return err
		}
	}
	if err := t.root.Mkdir(dir, 0o711); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return t.owned(dir, 0o711)
}

func (t *target) isRight(d delivery, uid, gid int, mode fs.FileMode) bool {
	info, err := t.root.Lstat(d.rel)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm() != mode || info.Size() != int64(len(d.content)) {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || (uid >= 0 && (int(st.Uid) != uid || int(st.Gid) != gid)) {
		return false
	}
	now, err := t.root.ReadFile(d.rel)
	return err == nil && bytes.Equal(now, d.content)
}

// write writes beside and renames. Killed before the rename: a temporary file
// stays, 0600, and the next Deliver sweeps it away with what is not granted.
func (t *target) write(rel string, content []byte, uid, gid int, mode fs.FileMode) (err error) {
	tmp := path.Join(path.Dir(rel), ".croft-"+rand.Text()+".tmp")
	f, err := t.root.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		_ = f.Close()
		if err != nil {
			_ = t.root.Remove(tmp)
		}
	}()
	if _, err := f.Write(content); err != nil {
		return err
	}
	if uid >= 0 {
		if err := f.Chown(uid, gid); err != nil {
			return err
		}
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	// The engine makes a directory where a file to be mounted is missing.
	if info, statErr := t.root.Lstat(rel); statErr == nil && info.IsDir() {
		if err := t.root.RemoveAll(rel); err != nil {
			return err
		}
	}
	return t.root.Rename(tmp, rel)
}

// sweep removes what is not to be kept, and directories that end up empty.
func (t *target) sweep(dir string, keep map[string]bool) (empty bool, err error) {
	entries, err := fs.ReadDir(t.root.FS(), dir)
	if err != nil {
		return false, err
	}
	left := len(entries)
	for _, e := range slices.Clip(entries) {
		name := path.Join(dir, e.Name())
		gone := false
		switch {
		case keep[name]:
		case e.IsDir():
			gone, err = t.sweep(name, keep)
		default:
			gone, err = true, t.root.Remove(name)
		}
		if err != nil {
			return false, err
		}
		if gone {
			left--
		}
	}
	if left > 0 {
		return false, nil
	}
	return true, t.root.Remove(dir)
}

package secrets

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"filippo.io/age"
)

// EnsureHostKey makes the machine's key if there is none, mode 0400, and tells
// whether it did. An existing file is never replaced, whatever is in it: with it
// would go every secret that only it opens.
func EnsureHostKey(path string) (made bool, err error) {
	if _, err := os.Lstat(path); err == nil {
		return false, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return false, keyFailure(path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return false, keyFailure(path, err)
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return false, keyFailure(path, err)
	}
	text := fmt.Sprintf("# Host key of croft, made %s. Public key: %s\n# Whoever has it can open the secrets of this platform.\n%s\n",
		time.Now().UTC().Format(time.RFC3339), id.Recipient(), id)
	err = writeNew(path, []byte(text), 0o400)
	if errors.Is(err, fs.ErrExist) { // another run was quicker; its key counts
		return false, nil
	}
	if err != nil {
		return false, keyFailure(path, err)
	}
	return true, nil
}

// writeNew makes a file that must not exist. Link, unlike rename, refuses to
// replace. Killed before it: a temporary file with an unused key stays. Killed
// after it: the key is there and complete.
func writeNew(path string, data []byte, mode fs.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".croft-"+filepath.Base(path)+"-*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	// The lock tells host.RemoveStale that this file is in use.
	if err := syscall.Flock(int(tmp.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	if _, err := tmp.Write(data); err != nil {
		return err
	}
	if err := tmp.Chmod(mode); err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// readHostKey gives the identity. A missing file is fs.ErrNotExist.
func readHostKey(path string) (*age.X25519Identity, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, keyFailure(path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, keyFailure(path, err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, failed(nil, path, fmt.Sprintf("the host key can be read or written by others (mode %04o)", info.Mode().Perm()),
			"chmod 0400 "+path)
	}
	// Errors of the parser are not passed on: they could repeat the line.
	ids, err := age.ParseIdentities(f)
	if err != nil || len(ids) != 1 {
		return nil, failed(nil, path, "is no host key", "it holds one line AGE-SECRET-KEY-1...; restore it with the recovery key")
	}
	id, ok := ids[0].(*age.X25519Identity)
	if !ok {
		return nil, failed(nil, path, "is a key of another kind than croft's", "croft's host key begins with AGE-SECRET-KEY-1")
	}
	return id, nil
}

func keyFailure(path string, err error) error {
	hint := "run as root"
	if errors.Is(err, fs.ErrNotExist) {
		hint = "put the key back from where you kept a copy: without it these secrets cannot be read (docs/runbooks/lost-host-key.md)"
	}
	why := err.Error()
	var pe *fs.PathError
	if errors.As(err, &pe) {
		why = strings.TrimSpace(pe.Err.Error())
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.Join(ErrWrongKey, err) // no key at all opens nothing either
	}
	return failed(err, path, "host key: "+why, hint)
}

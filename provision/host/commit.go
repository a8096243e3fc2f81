package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// partMark names a directory that croft is making: one without it is not
// croft's to take away.
const partMark = ".croft-part"

// Begin makes path.part, in which a directory comes to be until Commit, 0700.
// One that a killed run left is taken away first; any other is let be.
func Begin(path string) (part string, err error) {
	part = path + ".part"
	if _, err := os.Lstat(part); err == nil {
		if _, err := os.Lstat(filepath.Join(part, partMark)); err != nil {
			return "", failed(part, "is in the way, and not from a run of croft that was ended", "move it away", nil)
		}
		if err := os.RemoveAll(part); err != nil {
			return "", wrap(part, err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", wrap(part, err)
	}
	if err := MkdirAll(filepath.Dir(part), 0o755); err != nil {
		return "", err
	}
	if err := os.Mkdir(part, 0o700); err != nil {
		return "", wrap(part, err)
	}
	// Killed right here: an empty directory without its mark, which the next run
	// names. Everything later is found by the mark.
	if err := os.Chmod(part, 0o700); err != nil {
		return "", wrap(part, err)
	}
	return part, WriteFile(filepath.Join(part, partMark), nil, 0o600)
}

// Commit gives a directory from Begin its name once all of it is on disk. What
// is at path must be an empty directory or nothing. Killed before the rename,
// path.part is there, whole; after it, at most its mark is left inside.
func Commit(part, path string) error {
	if err := syncFS(part); err != nil {
		return wrap(part, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return failed(path, "is not empty", "name another directory", err)
	}
	if err := os.Rename(part, path); err != nil {
		return wrap(path, fmt.Errorf("rename: %w", err))
	}
	if err := os.Remove(filepath.Join(path, partMark)); err != nil {
		return wrap(path, err)
	}
	return wrap(path, errors.Join(syncDir(path), syncDir(filepath.Dir(path))))
}

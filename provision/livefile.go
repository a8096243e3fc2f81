package provision

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/croft-sh/croft/stacks"
)

// asRendered tells whether a live file is a plain file with the right content,
// and sets its permission bits where only those differ.
func asRendered(path string, f stacks.RenderedFile) (bool, error) {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return false, nil
	}
	if old, err := os.ReadFile(path); err != nil || string(old) != string(f.Content) {
		return false, nil
	}
	if info.Mode().Perm() == fs.FileMode(f.Mode) {
		return true, nil
	}
	return true, setMode(path, fs.FileMode(f.Mode))
}

// makeWay removes an empty directory where a file belongs: the engine makes one
// where a file to be mounted is missing. One that holds something stays, and the
// write fails.
func makeWay(path string) error {
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() {
		return nil // the write replaces a file or a link, and says what else is wrong
	}
	return os.Remove(path)
}

// plainParents removes links that stand where directories of live/ belong: what
// is written there must not go anywhere else.
func plainParents(root, path string) error {
	rel, err := filepath.Rel(root, filepath.Dir(path))
	if err != nil {
		return err
	}
	at := root
	for _, part := range strings.Split(rel, string(filepath.Separator)) {
		at = filepath.Join(at, part)
		info, err := os.Lstat(at)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return os.Remove(at)
		}
	}
	return nil
}

// wroteThese remembers which files a stack has, and what is in them.
func (r *run) wroteThese(s stacks.RenderedStack) error {
	var paths []string
	sums := map[string]string{}
	for _, f := range s.Files {
		paths = append(paths, f.Path)
		sums[s.Name+"/"+f.Path] = f.Written()
	}
	r.mu.Lock()
	for key := range r.memory.Sums {
		if strings.HasPrefix(key, s.Name+"/") {
			delete(r.memory.Sums, key)
		}
	}
	for key, sum := range sums {
		r.memory.Sums[key] = sum
	}
	r.mu.Unlock()
	return r.wrote(s.Name, paths)
}

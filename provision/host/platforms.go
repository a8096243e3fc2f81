package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Known is a platform that was set up on this machine.
type Known struct {
	Name string `json:"name"`
	Dir  string `json:"dir"` // its git work tree
}

// KnownPlatforms reads the file: a line each, name, tab, directory; # begins a
// comment. A missing file is an empty one.
func KnownPlatforms(file string) ([]Known, error) {
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, failed(file, "cannot read the known platforms", "", err)
	}
	return parsePlatforms(file, string(raw))
}

func parsePlatforms(file, text string) ([]Known, error) {
	var out []Known
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		n++
		if t := strings.TrimSpace(line); t == "" || strings.HasPrefix(t, "#") {
			continue
		}
		name, dir, ok := strings.Cut(line, "\t")
		if !ok || name == "" || !filepath.IsAbs(dir) {
			return nil, failed(fmt.Sprintf("%s:%d", file, n), "is not a name, a tab and an absolute directory", "mend or remove the line", nil)
		}
		out = append(out, Known{Name: name, Dir: dir})
	}
	return out, nil
}

// SolePlatform gives the default from anywhere: the only platform known.
func SolePlatform(file string) (Known, bool, error) {
	all, err := KnownPlatforms(file)
	if err != nil || len(all) != 1 {
		return Known{}, false, err
	}
	return all[0], true, nil
}

// AddPlatform writes a platform down. One of the same name takes the new
// directory. Comments and order stay. Killed at any point: the old or the new
// list is there.
func AddPlatform(file string, p Known) error {
	if p.Name == "" || strings.ContainsAny(p.Name, "\t\n#") || !filepath.IsAbs(p.Dir) || strings.ContainsAny(p.Dir, "\n") {
		return failed(file, fmt.Sprintf("platform %q in %q cannot be written down", p.Name, p.Dir), "a directory must be absolute and without line breaks", nil)
	}
	return editPlatforms(file, p.Name, p.Name+"\t"+p.Dir)
}

// RemovePlatform forgets a platform; one that is not known is no error.
func RemovePlatform(file, name string) error { return editPlatforms(file, name, "") }

func editPlatforms(file, name, with string) error {
	if err := MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	unlock, err := lockDir(filepath.Dir(file))
	if err != nil {
		return err
	}
	defer unlock()
	raw, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return failed(file, "cannot read the known platforms", "", err)
	}
	if _, err := parsePlatforms(file, string(raw)); err != nil {
		return err // do not build on a list that is not understood
	}
	var out []string
	for line := range strings.SplitSeq(strings.TrimRight(string(raw), "\n"), "\n") {
		if old, _, _ := strings.Cut(line, "\t"); old == name {
			line, with = with, ""
			if line == "" {
				continue
			}
		}
		out = append(out, line)
	}
	if with != "" {
		out = append(out, with)
	}
	return WriteFile(file, []byte(strings.TrimLeft(strings.Join(out, "\n"), "\n")+"\n"), 0o644)
}

// lockDir waits for the lock on a directory, which needs no lock file.
func lockDir(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, wrap(dir, err)
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX); err != nil {
		_ = d.Close()
		return nil, wrap(dir, err)
	}
	return func() { _ = d.Close() }, nil
}

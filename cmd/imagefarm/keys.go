package main

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// recipe changes when the way of making images changes, so that old ones are
// made again.
const recipe = "1"

//go:embed all:rootfs
var rootfs embed.FS

// digest is a key: the hash of all parts, each with its length in front so
// that no two lists of parts look the same.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))[:24]
}

// programKey covers all that a binary depends on. It needs no network: the
// module's hash stands in the manifest, own sources are read.
func (f *Farm) programKey(p Program, debs debSet) (string, error) {
	spec, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	switch {
	case p.Own != "":
		sources, err := f.ownSources(p)
		return digest(recipe, f.platform, string(spec), sources), err
	case p.Deb != "":
		return digest(recipe, string(spec), debs.version(p.Deb)), nil
	default:
		return digest(recipe, f.platform, string(spec)), nil
	}
}

// ownSources hashes the program's files and the versions of the modules that
// it imports.
func (f *Farm) ownSources(p Program) (string, error) {
	files, err := filepath.Glob(filepath.Join(f.source, "cmd", "imagefarm", p.Own, "*.go"))
	if err != nil {
		return "", err
	}
	var parts []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		parts = append(parts, filepath.Base(file), string(text))
	}
	mod, err := os.ReadFile(filepath.Join(f.source, "go.mod"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(mod)) {
		if slices.ContainsFunc(p.Depends, func(m string) bool { return strings.Contains(line, m+" ") }) {
			parts = append(parts, strings.TrimSpace(line))
		}
	}
	return digest(parts...), nil
}

// entryKey covers the entry, its binaries, its files, and what it stands on.
func (f *Farm) entryKey(e Entry, debs debSet) (string, error) {
	spec, err := json.Marshal(e)
	if err != nil {
		return "", err
	}
	parts := []string{recipe, string(spec)}
	if e.Debian != "" {
		parts = append(parts, debs.key())
	} else {
		parts = append(parts, debs.version("busybox-static"))
	}
	for _, p := range Programs() {
		if slices.Contains(needs(e), p.Name) {
			key, err := f.programKey(p, debs)
			if err != nil {
				return "", err
			}
			parts = append(parts, p.Name, key)
		}
	}
	if e.Files != "" {
		err = fs.WalkDir(rootfs, "rootfs/"+e.Files, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := rootfs.ReadFile(path)
			parts = append(parts, path, string(text))
			return err
		})
	}
	return digest(parts...), err
}

// checkout finds the module our own programs are built from: at or above the
// working directory, else where this program was compiled.
func checkout() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	starts := []string{dir}
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		starts = append(starts, filepath.Dir(file))
	}
	for _, dir := range starts {
		for ; ; dir = filepath.Dir(dir) {
			mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
			if err == nil && bytes.HasPrefix(mod, []byte("module github.com/croft-sh/croft\n")) {
				return dir, nil
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return "", fmt.Errorf("croft's source is needed for the farm's own programs: run this inside the checkout")
}

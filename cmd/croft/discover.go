package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/croft-sh/croft/provision/host"
	"github.com/croft-sh/croft/stacks"
)

// findPlatform gives the directory of the platform that is meant: --dir, else
// the current directory where it is one, else the only one known.
func (a *app) findPlatform() (string, error) {
	if a.flags.dir != "" {
		dir, err := filepath.Abs(a.flags.dir)
		if err != nil {
			return "", err
		}
		return dir, needPlatformFile(dir, "make one there with: croft init --dir "+a.flags.dir)
	}
	if here, err := os.Getwd(); err == nil && needPlatformFile(here, "") == nil {
		return here, nil
	}
	known, err := host.KnownPlatforms(a.pathsFor("").Platforms)
	if err != nil {
		return "", err
	}
	switch len(known) {
	case 0:
		return "", &noPlatformError{why: "there is no platform here, and none is known on this machine",
			hint: "make one with croft init, or name its directory with --dir"}
	case 1:
		hint := fmt.Sprintf("platform %s was made there: name its directory with --dir, or make it anew with croft init", known[0].Name)
		return known[0].Dir, needPlatformFile(known[0].Dir, hint)
	}
	names := make([]string, len(known))
	for i, k := range known {
		names[i] = k.Name + " in " + k.Dir
	}
	return "", &noPlatformError{why: "there is no platform here, and several are known: " + strings.Join(names, ", "),
		hint: "name the directory of the one you mean with --dir"}
}

// needPlatformFile refuses a directory that is no platform.
func needPlatformFile(dir, hint string) error {
	info, err := os.Stat(filepath.Join(dir, stacks.PlatformFile))
	switch {
	case err == nil && info.Mode().IsRegular():
		return nil
	case err == nil:
		return &noPlatformError{why: fmt.Sprintf("%s in %s is not a file", stacks.PlatformFile, dir), hint: hint}
	case errors.Is(err, fs.ErrNotExist):
		return &noPlatformError{why: fmt.Sprintf("%s is no platform: it has no %s", dir, stacks.PlatformFile), hint: hint}
	}
	return &noPlatformError{why: fmt.Sprintf("cannot look into %s: %v", dir, err), hint: "check its rights, or run croft as root"}
}

// pathsFor gives the places of a platform's things on this machine.
func (a *app) pathsFor(name string) host.Paths {
	return host.PathsFor(name, host.PathOptions{
		State: a.flags.state, Root: os.Geteuid() == 0,
		Home: a.env["HOME"], StateHome: a.env["XDG_STATE_HOME"],
		ConfigHome: a.env["XDG_CONFIG_HOME"], RuntimeDir: a.env["XDG_RUNTIME_DIR"],
	})
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

// enginePrograms are a current Docker engine: what users run, where Debian's
// own is some years older. containerd and its shim must be of one version.
func enginePrograms() []Program {
	const (
		moby       = "github.com/moby/moby/v2"
		mobySum    = "h1:sWv7EckkDJhpraR9yUjkw1XeVf39+MWd58E22PYloNA="
		mobyIs     = "v2.0.0-beta.24"
		containerd = "github.com/containerd/containerd/v2"
		ctrSum     = "h1:mjVQdtfryzT7lOqs5EYUFZm8ioPVjOpkSoG1GJPxEMY="
		ctrIs      = "v2.2.2"
	)
	return []Program{
		{Name: "runc", Version: "v1.3.0", Module: "github.com/opencontainers/runc", Package: ".", CGO: true,
			Sum: "h1:cvP7xbEvD0QQAs0nZKLzkVog2OPZhI/V2w3WmTmUSXI=", Tags: "seccomp,netgo,osusergo",
			Stamp: []string{"main.version=1.3.0"}},
		{Name: "containerd-shim-runc-v2", Version: ctrIs, Module: containerd, Sum: ctrSum, Package: "./cmd/containerd-shim-runc-v2"},
		{Name: "containerd", Version: ctrIs, Module: containerd, Sum: ctrSum, Package: "./cmd/containerd"},
		{Name: "docker-proxy", Version: mobyIs, Module: moby, Sum: mobySum, Package: "./cmd/docker-proxy"},
		{Name: "dockerd", Version: mobyIs, Module: moby, Sum: mobySum, Package: "./cmd/dockerd",
			Stamp: []string{"github.com/moby/moby/v2/dockerversion.Version=29.0.0-croft-farm"}},
	}
}

func engineCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "engine",
		Short: "Print a directory with a current Docker engine's programs, made if need be",
		Long: `engine makes dockerd, containerd, its shim, runc and docker-proxy, and prints a
directory that holds them all, to be put into PATH. It starts nothing. runc is
built with the C compiler and needs libseccomp's headers.`,
		Example: "  PATH=$(imagefarm engine):$PATH dockerd --version",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withFarm(cmd, func(f *Farm) error {
				dir, err := f.engine(cmd.Context())
				if err == nil {
					fmt.Fprintln(cmd.OutOrStdout(), dir)
				}
				return err
			})
		},
	}
}

// engine gives one directory with links to all programs of the engine.
func (f *Farm) engine(ctx context.Context) (string, error) {
	dir := filepath.Join(f.cache, "engine")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for _, p := range enginePrograms() {
		path, err := f.program(ctx, p)
		if err != nil {
			return "", err
		}
		link := filepath.Join(dir, p.Name)
		if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if err := os.Symlink(path, link); err != nil {
			return "", err
		}
	}
	return dir, nil
}

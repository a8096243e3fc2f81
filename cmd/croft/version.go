package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/croft-sh/croft/tui"
)

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Say which croft this is",
		Long:    "version says which croft this is and what it was built from and with.",
		Example: "  croft version\n  croft version -o json",
		Args:    wantArgs(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			v := thisVersion()
			return a.print(v, v.text)
		},
	}
}

// versionInfo is what version says.
type versionInfo struct {
	Schema  string `json:"schema"`
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
	Compose string `json:"compose"` // version of the Compose SDK
}

func thisVersion() versionInfo {
	v := versionInfo{Schema: "croft/version/v1", Version: version, Commit: commit,
		Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, Compose: "unknown"}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == "github.com/docker/compose/v5" {
				v.Compose = dep.Version
			}
		}
	}
	return v
}

func (v versionInfo) text(w io.Writer, _ tui.Style) {
	fmt.Fprintf(w, "croft %s (commit %s, %s, %s/%s, Compose %s)\n", v.Version, v.Commit, v.Go, v.OS, v.Arch, v.Compose)
}

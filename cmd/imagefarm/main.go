// Command imagefarm makes the container images of the catalogue on a machine
// that reaches no registry, so that tests run the stacks' exact references
// with real programs behind them. It builds from the Go module proxy and from
// Debian's packages, labels what it makes, and says of every image whether it
// is real or a stand-in.
//
// It is a test tool: nothing in croft may import or call it, it never touches
// an image it did not make, and it starts no containers.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := rootCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "imagefarm:", err)
		os.Exit(1)
	}
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "imagefarm",
		Short: "Make the catalogue's images on a machine without a registry",
		Long: `imagefarm makes local Docker images under the catalogue's exact references,
from real programs where they can be had and from stand-ins where not.

Binaries and packages are kept in $FARM_CACHE (default ~/.cache/croft-farm);
delete debian/packages.json there to take Debian's newer packages.`,
		Example: `  imagefarm build                  # everything the core tests need
  imagefarm build traefik:v3.7.9   # one image
  imagefarm list                   # what is real and what is not
  imagefarm clean                  # remove the farm's images again`,
		SilenceUsage: true, SilenceErrors: true,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(buildCommand(), listCommand(), cleanCommand(), pathCommand(), summaryCommand(), engineCommand())
	return root
}

func buildCommand() *cobra.Command {
	var tier string
	var offline bool
	cmd := &cobra.Command{
		Use:   "build [REF...]",
		Short: "Make the images of a tier, or the ones named",
		Long: `Make the images of a tier, or the ones named by reference, repository or short
name. Where a registry answers, missing images are pulled instead of built.
An image that is there without the farm's label is left alone.`,
		Example: `  imagefarm build
  imagefarm build --offline postgres authelia/authelia:4.39.20`,
		RunE: func(cmd *cobra.Command, args []string) error {
			entries, err := selectEntries(tier, args)
			if err != nil {
				return err
			}
			return withFarm(cmd, func(f *Farm) error { return f.Build(cmd.Context(), entries, offline) })
		},
	}
	cmd.Flags().StringVar(&tier, "tier", "core", strings.Join(tiers(), ", "))
	cmd.Flags().BoolVar(&offline, "offline", false, "do not ask whether a registry answers")
	return cmd
}

func listCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "Show every image, and what really runs in it",
		Example: "  imagefarm list -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := NewFarm(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			rows := f.rows()
			switch output {
			case "table":
				return writeTable(cmd.OutOrStdout(), rows)
			case "json":
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				return enc.Encode(rows)
			}
			return fmt.Errorf("no output form %q: there are table and json", output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	return cmd
}

func cleanCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "clean",
		Short: "Remove the farm's images, and no others",
		Long: `Remove the catalogue's references from images that carry the farm's label, and
the images unless they are in use or have other names. The cache stays.`,
		Example: "  imagefarm clean",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withFarm(cmd, func(f *Farm) error { return f.Clean(cmd.Context()) })
		},
	}
}

func pathCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "path NAME",
		Short:   "Print the path of one program's binary, made if need be",
		Example: "  $(imagefarm path promtool) check rules rules.yml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withFarm(cmd, func(f *Farm) error {
				path, err := f.Path(cmd.Context(), args[0])
				if err == nil {
					fmt.Fprintln(cmd.OutOrStdout(), path)
				}
				return err
			})
		},
	}
}

func summaryCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "summary",
		Short:   "Count real, stand-in and test images",
		Example: "  imagefarm summary",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			fmt.Fprintln(cmd.OutOrStdout(), summary(Manifest()))
			return nil
		},
	}
}

// withFarm holds the lock, so that two runs never build the same thing.
func withFarm(cmd *cobra.Command, run func(*Farm) error) error {
	f, err := NewFarm(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	unlock, err := f.lock(cmd.Context())
	if err != nil {
		return err
	}
	return errors.Join(run(f), unlock())
}

func selectEntries(tier string, wanted []string) ([]Entry, error) {
	if inTier(tier, "") {
		return nil, fmt.Errorf("no tier %q: there are %s", tier, strings.Join(tiers(), ", "))
	}
	var entries []Entry
	if len(wanted) == 0 {
		for _, e := range Manifest() {
			if inTier(e.Tier, tier) {
				entries = append(entries, e)
			}
		}
		return entries, nil
	}
	for _, w := range wanted {
		found := false
		for _, e := range Manifest() {
			if w == e.Reference() || w == e.Repository || w == e.Name {
				entries, found = append(entries, e), true
			}
		}
		if !found {
			return nil, fmt.Errorf("no image %q in the manifest: see imagefarm list", w)
		}
	}
	return entries, nil
}

func summary(entries []Entry) string {
	n := map[Kind]int{}
	for _, e := range entries {
		n[e.Kind]++
	}
	return fmt.Sprintf("%d real, %d stand-in, %d test", n[Real], n[StandIn], n[Test])
}

// row is one line of list.
type row struct {
	Reference string   `json:"reference"`
	Kind      Kind     `json:"kind"`
	Runs      string   `json:"runs"`
	Version   string   `json:"version"`
	Tier      string   `json:"tier"`
	Shims     []string `json:"shims"`
}

func (f *Farm) rows() []row {
	rows := []row{}
	for _, e := range Manifest() {
		r := row{Reference: e.Reference(), Kind: e.Kind, Runs: e.Runs, Version: e.Version, Tier: e.Tier, Shims: e.Shims}
		if e.Debian != "" {
			r.Version = f.knownDebianVersion(e.Debian)
		}
		if r.Shims == nil {
			r.Shims = []string{}
		}
		rows = append(rows, r)
	}
	return rows
}

func writeTable(w io.Writer, rows []row) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "REFERENCE\tKIND\tREALLY RUNS\tSHIMS")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", r.Reference, r.Kind, strings.TrimSpace(r.Runs+" "+r.Version), strings.Join(r.Shims, "; "))
	}
	return t.Flush()
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/provision/host"
	"github.com/croft-sh/croft/tui"
)

func newClean(a *app) *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use: "clean", Short: "Remove what croft left behind, with its bytes",
		Long: `clean lists what croft made and nothing needs any more, by owner, with the bytes
that come free, and removes it once that is confirmed:

  - data of changes that failed, put aside on the way back
  - copies of data from before an upgrade, after seven days
  - the same of databases on a shared server that runs
  - revisions beyond the newest 50 that no way back needs
  - images that only croft keeps, for a way back that is over
  - temporary files of runs that were ended

It never touches a volume, nor anything that croft did not make.`,
		Example: "  croft clean --dry-run\n  croft clean -y",
		Args:    wantArgs(0, 0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runClean(cmd.Context(), a, dry) },
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only list it")
	return cmd
}

// cleanView is what clean says.
type cleanView struct {
	Schema   string      `json:"schema"` // croft/clean/v1
	Platform string      `json:"platform"`
	DryRun   bool        `json:"dry_run"`
	Bytes    int64       `json:"bytes"` // of what is listed
	Items    []cleanItem `json:"items"`
}

type cleanItem struct {
	provision.Reclaimable
	Removed bool `json:"removed"`
}

func runClean(ctx context.Context, a *app, dry bool) error {
	m, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer m.close()
	found, err := m.reclaimable(ctx)
	if err != nil {
		return err
	}
	v := cleanView{Schema: "croft/clean/v1", Platform: m.Name, DryRun: dry, Items: []cleanItem{}}
	for _, one := range found {
		v.Items = append(v.Items, cleanItem{Reclaimable: one})
		v.Bytes += one.Bytes
	}
	if dry || len(found) == 0 {
		return a.print(v, v.text)
	}
	if !a.structured() && !a.flags.quiet {
		a.say("%s", v.list())
	}
	if err := a.confirm(ctx, fmt.Sprintf("Remove %s, %s?", countOf(len(found), "thing"), bytesText(v.Bytes)), "clean"); err != nil {
		return err
	}
	err = m.reclaim(ctx, &v)
	return errJoin(err, a.print(v, v.text))
}

// reclaim removes what was shown and, looked at again under the lock, may still
// go: an apply may have begun since that needs it. What fails does not keep the
// rest.
func (m *machine) reclaim(ctx context.Context, v *cleanView) error {
	release, err := m.lock()
	if err != nil {
		return err
	}
	defer release()
	now, err := m.reclaimable(ctx)
	if err != nil {
		return err
	}
	var failures []error
	for i, item := range v.Items {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !slices.ContainsFunc(now, func(r provision.Reclaimable) bool { return r.Kind == item.Kind && r.Name() == item.Name() }) {
			continue
		}
		if item.Kind == temporary {
			err = ignoreMissing(os.Remove(item.Path))
		} else {
			err = m.prov.Reclaim(ctx, item.Reclaimable)
		}
		if err != nil {
			failures = append(failures, &failure{err: fmt.Errorf("%s: %w", item.Name(), err), hint: "what could be removed is; croft clean tries the rest again"})
			continue
		}
		v.Items[i].Removed = true
	}
	return errors.Join(failures...)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// temporary is the kind of files that a writer left which was ended.
const temporary = "temporary"

// reclaimable adds to what the provisioner knows the temporary files below the
// state directory.
func (m *machine) reclaimable(ctx context.Context) ([]provision.Reclaimable, error) {
	found, err := m.prov.Reclaimable(ctx, m.engine.ImageBytes)
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(m.paths.State, func(dir string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !e.IsDir() {
			return err
		}
		stale, err := host.Stale(dir)
		for _, path := range stale {
			one := provision.Reclaimable{Owner: "croft", Kind: temporary, Path: path, Why: "of a run that was ended"}
			if info, err := os.Lstat(path); err == nil {
				one.Bytes = info.Size()
			}
			found = append(found, one)
		}
		return err
	})
	slices.SortStableFunc(found, func(a, b provision.Reclaimable) int {
		switch {
		case a.Owner < b.Owner:
			return -1
		case a.Owner > b.Owner:
			return 1
		}
		return 0
	})
	return found, err
}

// list gives a line for each, the sum of an owner before what is its.
func (v cleanView) list() string {
	sums := map[string]int64{}
	for _, item := range v.Items {
		sums[item.Owner] += item.Bytes
	}
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	owner := ""
	for _, item := range v.Items {
		if item.Owner != owner {
			owner = item.Owner
			fmt.Fprintf(tw, "%s\t%s\n", owner, bytesText(sums[owner]))
		}
		fmt.Fprintf(tw, "  %s\t%s\t%s\n", tui.Printable(item.Name()), bytesText(item.Bytes), item.Why)
	}
	_ = tw.Flush() // writes to memory
	return b.String()
}

func (v cleanView) text(w io.Writer, _ tui.Style) {
	if len(v.Items) == 0 {
		fmt.Fprintln(w, "nothing to clean")
		return
	}
	if v.DryRun {
		fmt.Fprintf(w, "%s%s would come free; croft clean removes it\n", v.list(), bytesText(v.Bytes))
		return
	}
	var freed int64
	gone := 0
	for _, item := range v.Items {
		if item.Removed {
			gone++
			freed += item.Bytes
		}
	}
	fmt.Fprintf(w, "removed %s, %s\n", countOf(gone, "thing"), bytesText(freed))
}

// bytesText gives bytes as people read them.
func bytesText(n int64) string { return tui.Size(n) }

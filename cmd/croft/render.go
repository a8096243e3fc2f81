package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/croft-sh/croft/provision/host"
	"github.com/croft-sh/croft/stacks"
	"github.com/croft-sh/croft/tui"
)

type renderOptions struct {
	out   string
	check bool
}

func newRender(a *app) *cobra.Command {
	var o renderOptions
	cmd := &cobra.Command{
		Use: "render", Short: "Write what would run, as plain Compose projects",
		Long: `render prints every file that apply would write: a compose.yaml a stack and its
configuration. With --out it writes them below a directory instead. It holds no
secret, needs no container engine and changes nothing else.

With --check it compares them with what runs (or with --out DIR, with what is
there) and exits with 2 where something differs.`,
		Example: `  croft render | less
  croft render --out /tmp/rendered
  croft render --check`,
		Args: wantArgs(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return runRender(cmd.Context(), a, o) },
	}
	cmd.Flags().StringVar(&o.out, "out", "", "write the files below this `directory`")
	cmd.Flags().BoolVar(&o.check, "check", false, "compare only; exit with 2 where something differs")
	return cmd
}

// renderView is what render says.
type renderView struct {
	Schema   string         `json:"schema"`
	Platform string         `json:"platform"`
	Dir      string         `json:"dir,omitempty"`
	Files    []renderedFile `json:"files"`
}

// renderedFile is a file of a stack. Content is left out where it was written.
type renderedFile struct {
	Stack   string  `json:"stack"`
	Path    string  `json:"path"`
	State   string  `json:"state,omitempty"` // with --check: same, differs, missing, surplus
	Content *string `json:"content,omitempty"`
}

func runRender(ctx context.Context, a *app, o renderOptions) error {
	p, err := a.openPlatform()
	if err != nil {
		return err
	}
	defer p.close()
	d, err := p.desired()
	if err != nil {
		return err
	}
	r, err := a.rendered(ctx, p, d)
	if err != nil {
		return err
	}
	a.printWarnings(append(d.Warnings, r.Warnings...))
	v := renderView{Schema: "croft/render/v1", Platform: p.Name, Dir: o.out, Files: []renderedFile{}}
	if o.check {
		return a.renderCheck(v, r, p, o)
	}
	for _, s := range r.Stacks {
		for _, f := range s.Files {
			file := renderedFile{Stack: s.Name, Path: f.Path}
			if o.out == "" {
				text := string(f.Content)
				file.Content = &text
			} else if err := writeRendered(filepath.Join(o.out, s.Name), f); err != nil {
				return err
			}
			v.Files = append(v.Files, file)
		}
	}
	return a.print(v, v.text)
}

func writeRendered(dir string, f stacks.RenderedFile) error {
	target := filepath.Join(dir, filepath.FromSlash(f.Path))
	if err := host.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	return host.WriteFile(target, f.Content, os.FileMode(f.Mode))
}

func (v renderView) text(w io.Writer, s tui.Style) {
	for _, f := range v.Files {
		name := path.Join(f.Stack, f.Path)
		switch {
		case f.State != "":
			fmt.Fprintf(w, "%-8s %s\n", f.State, name)
		case f.Content == nil:
			fmt.Fprintln(w, filepath.Join(v.Dir, name))
		default:
			fmt.Fprintf(w, "%s\n%s\n", s.Bold("# ---- "+name), *f.Content)
		}
	}
	if v.Files != nil && len(v.Files) == 0 {
		fmt.Fprintln(w, "nothing differs")
	}
}

// renderCheck says which files differ from those that are there.
func (a *app) renderCheck(v renderView, r stacks.Rendered, p *platform, o renderOptions) error {
	base := p.paths.LiveRoot
	if o.out != "" {
		base = o.out
	}
	for _, s := range r.Stacks {
		wanted := make(map[string]bool)
		dir := filepath.Join(base, s.Name)
		for _, f := range s.Files {
			wanted[f.Path] = true
			old, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(f.Path)))
			state := "same"
			switch {
			case os.IsNotExist(err):
				state = "missing"
			case err != nil:
				return err
			case !bytes.Equal(old, f.Content):
				state = "differs"
			}
			if state != "same" {
				v.Files = append(v.Files, renderedFile{Stack: s.Name, Path: f.Path, State: state})
			}
		}
		surplus, err := surplusFiles(dir, wanted)
		if err != nil {
			return err
		}
		for _, name := range surplus {
			v.Files = append(v.Files, renderedFile{Stack: s.Name, Path: name, State: "surplus"})
		}
	}
	if err := a.print(v, v.text); err != nil {
		return err
	}
	if len(v.Files) > 0 {
		return &silentError{code: exitPending}
	}
	return nil
}

// surplusFiles gives the files below dir that are not wanted.
func surplusFiles(dir string, wanted map[string]bool) ([]string, error) {
	var out []string
	err := filepath.WalkDir(dir, func(file string, e os.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(dir, file)
		if err == nil && !wanted[filepath.ToSlash(rel)] {
			out = append(out, filepath.ToSlash(rel))
		}
		return err
	})
	return out, err
}

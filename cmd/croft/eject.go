package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/croft-sh/croft/provision/host"
	"github.com/croft-sh/croft/stacks"
	"github.com/croft-sh/croft/templates"
	"github.com/croft-sh/croft/tui"
)

func newEject(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "eject DIR", Short: "Write projects that run without croft",
		Long: `eject writes the platform as ordinary Compose projects, one directory a stack,
with configuration, and with secrets as files. Nothing in DIR needs croft: what
it holds runs, and survives a restart of the machine, with docker compose alone.
DIR/README.md tells the order, DIR/up.sh follows it.

Data stays where it is, projects keep their names. What runs is not touched:
croft goes on with it until up.sh, or docker compose, takes it over.

Adopted projects that were never decorated are left out: they run without croft
as they are.

DIR must be empty or not there. It holds every secret in the clear.`,
		Example: "  croft eject /srv/plain\n  /srv/plain/up.sh",
		Args:    wantArgs(1, 1, "a directory"),
		RunE:    func(cmd *cobra.Command, args []string) error { return runEject(cmd.Context(), a, args[0]) },
	}
}

// ejectView says what eject wrote.
type ejectView struct {
	Schema   string           `json:"schema"` // croft/eject/v1
	Platform string           `json:"platform"`
	Dir      string           `json:"dir"`
	Projects []ejectedProject `json:"projects"` // in the order in which they start
	Secrets  int              `json:"secrets"`  // files in the clear
	Data     []string         `json:"data"`     // directories that stay in use
	Left     []ejectedProject `json:"left"`     // adopted projects, which run without croft already
}

type ejectedProject struct {
	Stack   string `json:"stack"`
	Project string `json:"project"`
	File    string `json:"file"`
}

func (v ejectView) text(w io.Writer, _ tui.Style) {
	fmt.Fprintf(w, "%s is in %s: %s, %s in the clear\n", v.Platform, v.Dir, countOf(len(v.Projects), "project"), countOf(v.Secrets, "secret"))
	for _, l := range v.Left {
		fmt.Fprintf(w, "left  %s, which runs without croft already, in %s\n", l.Stack, l.File)
	}
	fmt.Fprintf(w, "next  %s\n", filepath.Join(v.Dir, "up.sh"))
}

func runEject(ctx context.Context, a *app, arg string) error {
	p, err := a.openPlatform()
	if err != nil {
		return err
	}
	defer p.close()
	dir, err := p.ejectTo(arg)
	if err != nil {
		return err
	}
	// Nobody may rotate a secret or change an account while they are copied.
	release, err := host.Acquire(p.paths.Flock)
	if errors.Is(err, fs.ErrNotExist) {
		return nothingApplied(p)
	}
	if err != nil {
		return err
	}
	defer release()
	prov := a.offline(p)
	d, err := prov.Desired(p.load)
	if err != nil {
		return err
	}
	r, _, err := prov.Render(d)
	if err != nil {
		return err
	}
	r, left := withoutPlain(d, r)
	if err := p.liveAsWritten(a, r); err != nil {
		return err
	}
	e, err := templates.Eject(d, r, templates.EjectPlaces{
		LiveDir: p.paths.LiveRoot, SecretsDir: p.paths.Secrets, UsersDir: p.paths.Users,
		StateDir: p.paths.State, RunDir: p.paths.Run, SourceDir: filepath.Join(p.dir, stacksDir),
	})
	if err != nil {
		return &refusedError{err: err, hint: "correct the stack; croft validate and croft apply take it on"}
	}
	if err := p.writeEjected(ctx, a, r, e, dir); err != nil {
		return err
	}
	v := ejectView{Schema: "croft/eject/v1", Platform: p.Name, Dir: dir, Projects: []ejectedProject{}, Secrets: len(e.Secrets), Data: append([]string{}, e.Data...), Left: left}
	for _, s := range r.Stacks {
		v.Projects = append(v.Projects, ejectedProject{Stack: s.Name, Project: s.Project, File: filepath.Join(dir, s.Name, stacks.ComposeFile)})
	}
	return a.print(v, v.text)
}

// withoutPlain takes adopted projects out that were never decorated: there is
// nothing of croft in them.
func withoutPlain(d stacks.Desired, r stacks.Rendered) (stacks.Rendered, []ejectedProject) {
	left := []ejectedProject{}
	var out []stacks.RenderedStack
	for _, s := range r.Stacks {
		if !s.Plain {
			out = append(out, s)
			continue
		}
		one := ejectedProject{Stack: s.Name, Project: s.Project}
		if from, ok := d.Stack(s.Name); ok {
			one.File = from.File
		}
		left = append(left, one)
	}
	r.Stacks = out
	return r, left
}

// ejectTo gives the absolute path of a directory that may be written.
func (p *platform) ejectTo(arg string) (string, error) {
	dir, err := filepath.Abs(arg)
	if err != nil {
		return "", err
	}
	real := realPath(dir)
	for what, own := range map[string]string{"platform": p.dir, "state": p.paths.State, "secrets": p.paths.Run} {
		if own = realPath(own); real == own || within(own, real) {
			return "", &refusedError{err: fmt.Errorf("%s lies in the directory of the %s, %s", arg, what, own),
				hint: "name a directory of its own: what is ejected must outlive croft"}
		}
	}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return "", &refusedError{err: err, hint: "name a directory that is empty or not there"}
	case len(entries) > 0:
		return "", &refusedError{err: fmt.Errorf("%s is not empty", arg), hint: "name a directory that is empty or not there"}
	}
	return dir, nil
}

// realPath follows the links of as much of a path as there is.
func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	parent := filepath.Dir(path)
	if parent == path {
		return path
	}
	return filepath.Join(realPath(parent), filepath.Base(path))
}

func nothingApplied(p *platform) error {
	return &refusedError{err: fmt.Errorf("nothing was applied to %s yet: there are no secrets to eject", p.Name), hint: "croft apply first, or see croft render"}
}

// liveAsWritten warns where the projects will not be what runs now.
func (p *platform) liveAsWritten(a *app, r stacks.Rendered) error {
	if _, err := os.Lstat(p.paths.LiveRoot); errors.Is(err, fs.ErrNotExist) {
		return nothingApplied(p)
	}
	for _, s := range r.Stacks {
		for _, f := range s.Files {
			raw, err := os.ReadFile(filepath.Join(p.paths.Live(s.Name), filepath.FromSlash(f.Path)))
			if err == nil && string(raw) == string(f.Content) {
				continue
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			a.note("warning: what is written differs from what runs, and what is written is ejected; croft plan shows how")
			return nil
		}
	}
	return nil
}

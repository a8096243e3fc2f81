package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/stacks"
	"github.com/croft-sh/croft/tui"
)

type importOptions struct {
	name, project string
	set           []string
	decorate      bool
	force         bool
}

func newStackImport(a *app) *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use: "import DIR", Short: "Adopt a Compose project that runs already",
		Long: `import adopts the Compose project of a directory. It keeps its name, its
directory and its containers: nothing is copied, made anew, restarted or
reconnected. croft.yaml names it, and from then on plan, apply, status, logs and
the way back work on it; docker compose in the directory goes on working too.

What runs is compared with what is written, as docker compose does it. Where a
service differs, import says in what, and refuses: the next apply would make
that service anew. With --force it is adopted all the same.

With --decorate the next apply treats it as a stack of the platform: labels, log
bounds, and the x-croft block of its Compose file. Its services are then made
anew; its name and its volumes stay.`,
		Example: `  croft stack import /srv/blog
  croft stack import /srv/blog --name weblog --set TAG=1.2
  croft stack import /srv/blog --decorate`,
		Args: wantArgs(1, 1, "the directory of a Compose project"),
		RunE: func(cmd *cobra.Command, args []string) error { return runStackImport(cmd.Context(), a, args[0], o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.name, "name", "", "`name` of the stack; the project's name by default")
	f.StringVar(&o.project, "project", "", "`name` of the Compose project, where several run from the directory, or none")
	f.StringArrayVar(&o.set, "set", nil, "give a variable that the shell gave: `NAME=VALUE`, or NAME for this shell's value; may be repeated")
	f.BoolVar(&o.decorate, "decorate", false, "make it a stack of the platform, with the next apply")
	f.BoolVar(&o.force, "force", false, "adopt it even if the next apply makes services anew")
	return cmd
}

// importView is what stack import says.
type importView struct {
	Schema   string            `json:"schema"` // croft/stack-import/v1
	Stack    string            `json:"stack"`
	Project  string            `json:"project"`
	Dir      string            `json:"dir"`
	Files    []string          `json:"files"`
	Services []importedService `json:"services"`
	Decorate bool              `json:"decorate"`
	Adopted  bool              `json:"adopted"` // owned as it runs; else with the next apply
	Diff     string            `json:"diff"`    // of croft.yaml
	Next     string            `json:"next"`
}

type importedService struct {
	Name    string        `json:"name"`
	Action  stacks.Action `json:"action"` // what the next apply does
	Causes  []string      `json:"causes"`
	Differs []string      `json:"differs"` // as far as the engine shows it
}

func runStackImport(ctx context.Context, a *app, dir string, o importOptions) error {
	im, err := a.newImporter(dir, o)
	if err != nil {
		return err
	}
	m, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer m.close()
	if m.broken != nil {
		return m.broken
	}
	im.m = m
	if err := im.find(ctx); err != nil {
		return err
	}
	v, err := im.adopt(ctx)
	if err != nil {
		return err
	}
	if o.decorate && !v.Decorate {
		if err := im.decorate(&v); err != nil {
			return err
		}
	}
	return a.print(v, v.text)
}

// adopt compares, writes croft.yaml, and takes over what runs as it is written.
// Killed before croft.yaml is written, nothing is adopted; after it, the next
// apply, or the same command, does the rest.
func (im *importer) adopt(ctx context.Context) (importView, error) {
	v := importView{Schema: "croft/stack-import/v1", Stack: im.name, Project: im.choice.Adopt.Project, Dir: im.choice.Adopt.Dir,
		Services: []importedService{}, Decorate: im.choice.Adopt.Decorate, Next: "croft apply"}
	desired, plan, err := im.compare(ctx)
	if err != nil {
		return v, err
	}
	s, _ := desired.Stack(im.name)
	v.Files = append([]string{}, s.Project.ComposeFiles...)
	if err := im.trusted(s); err != nil {
		return v, err
	}
	if v.Services, err = im.services(ctx, s, plan.Plan); err != nil {
		return v, err
	}
	im.m.app.printWarnings(slices.DeleteFunc(desired.Warnings, func(p stacks.Problem) bool { return !strings.HasPrefix(p.File, "/") }))
	if err := im.agree(ctx, v); err != nil {
		return v, err
	}
	if v.Diff, err = im.write(plan); err != nil || v.Decorate {
		return v, err
	}
	v.Adopted, err = im.takeOver(ctx)
	if v.Adopted {
		v.Next = "croft plan"
	}
	return v, err
}

// agree refuses what the next apply would make anew, unless somebody says so.
func (im *importer) agree(ctx context.Context, v importView) error {
	var anew []string
	for _, s := range v.Services {
		if s.Action != stacks.ActionNone {
			anew = append(anew, fmt.Sprintf("%s (%s)", s.Name, s.Action))
		}
	}
	if len(anew) == 0 || im.o.force || v.Decorate {
		return nil
	}
	a := im.m.app
	if !a.structured() {
		a.say("%s", v.serviceText())
	}
	question := fmt.Sprintf("The next apply would change %s. Adopt %s all the same?", strings.Join(anew, ", "), v.Stack)
	if a.terminal != nil && !a.flags.yes {
		return a.confirm(ctx, question, "import")
	}
	return &refusedError{err: fmt.Errorf("%s does not run as it is written: the next apply would change %s; nothing was adopted", v.Project, strings.Join(anew, ", ")),
		hint: im.agreeHint(v)}
}

func (im *importer) agreeHint(v importView) string {
	if len(im.fromShell) > 0 {
		return fmt.Sprintf("%s comes from this shell alone: --set %s writes it into croft.yaml; a secret belongs in %s/.env, where docker compose finds it too",
			strings.Join(im.fromShell, ", "), strings.Join(im.fromShell, " --set "), v.Dir)
	}
	return "correct the Compose file, or docker compose up -d in " + v.Dir + " first; --force adopts it with these differences"
}

// write edits croft.yaml. What only the containers tell is remembered first.
func (im *importer) write(plan provision.Adoption) (string, error) {
	release, err := im.m.lock()
	if err != nil {
		return "", err
	}
	defer release()
	if err := im.m.prov.Adopt(plan); err != nil {
		return "", err
	}
	text, err := im.d.text()
	if err != nil {
		return "", err
	}
	_, err = im.d.write()
	return diffText(stacks.PlatformFile, im.d.old, text), err
}

// takeOver applies the plan that touches no container: it writes what croft goes
// by, and a revision that a way back can lead to. Where anything else waits on
// the platform, that is for the next apply.
func (im *importer) takeOver(ctx context.Context) (bool, error) {
	m, err := im.m.app.connect(ctx)
	if err != nil {
		return false, err
	}
	defer m.close()
	prepared, err := m.plan(ctx, planOptions{stacks: []string{im.name}})
	if err != nil {
		return false, err
	}
	if prepared.Plan.Empty() {
		return true, nil
	}
	if !filesOnly(prepared.Plan, im.name) {
		return false, nil
	}
	release, err := m.lock()
	if err != nil {
		return false, err
	}
	defer release()
	if err := m.makeReady(prepared.Desired); err != nil {
		return false, err
	}
	inputs, err := m.inputs(prepared.Desired)
	if err != nil {
		return false, err
	}
	_, err = m.prov.Apply(ctx, prepared, provision.ApplyOptions{Inputs: inputs, Load: m.load}, nil)
	return err == nil, err
}

// filesOnly tells whether a plan does no more than write files of one stack.
func filesOnly(p stacks.Plan, stack string) bool {
	for _, c := range p.Changes {
		if c.Action != stacks.ActionNone {
			return false
		}
	}
	return len(p.Networks)+len(p.Volumes)+len(p.Blocked) == 0 &&
		!slices.ContainsFunc(p.Files, func(f string) bool { return !strings.HasPrefix(f, stack+"/") })
}

// decorate asks for decoration; an ordinary plan does the rest.
func (im *importer) decorate(v *importView) error {
	d, err := im.m.app.draftHere(false)
	if err != nil {
		return err
	}
	choice := d.platform.Stacks[im.name]
	adopt := *choice.Adopt
	adopt.Decorate = true
	choice.Adopt = &adopt
	d.platform.Stacks[im.name] = choice
	if err := d.complete(); err != nil {
		return err
	}
	desired, err := d.check(im.m.facts)
	if err != nil {
		return err
	}
	im.m.app.printWarnings(desired.Warnings)
	text, err := d.text()
	if err != nil {
		return err
	}
	if _, err := d.write(); err != nil {
		return err
	}
	v.Decorate, v.Next = true, "croft plan"
	v.Diff += diffText(stacks.PlatformFile, d.old, text)
	return nil
}

func (v importView) text(w io.Writer, s tui.Style) {
	switch {
	case v.Decorate:
		fmt.Fprintf(w, "%s is to be decorated: the next apply makes its services anew, its volumes stay\n", v.Stack)
	case v.Adopted:
		fmt.Fprintf(w, "%s %s is adopted as it runs, in %s; nothing was touched\n", s.Green("✓"), v.Stack, v.Dir)
	default:
		fmt.Fprintf(w, "%s is adopted, in %s; the next apply takes it over\n", v.Stack, v.Dir)
	}
	fmt.Fprint(w, v.serviceText(), paintDiff(v.Diff, s))
	fmt.Fprintf(w, "next: %s\n", v.Next)
}

func (v importView) serviceText() string {
	var b strings.Builder
	for _, svc := range v.Services {
		what := "as it runs"
		if svc.Action != stacks.ActionNone {
			what = fmt.Sprintf("%s: %s", svc.Action, strings.Join(svc.Causes, "; "))
		}
		fmt.Fprintf(&b, "  %s  %s\n", svc.Name, tui.Printable(what))
		for _, d := range svc.Differs {
			fmt.Fprintf(&b, "      %s\n", tui.Printable(d))
		}
	}
	return b.String()
}

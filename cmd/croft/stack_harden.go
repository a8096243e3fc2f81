package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/croft-sh/croft/provision/docker"
	"github.com/croft-sh/croft/provision/host"
	"github.com/croft-sh/croft/stacks"
	"github.com/croft-sh/croft/tui"
)

// hardenDefaults is what x-croft brings, what each may break, and the answer.
const hardenDefaults = `x-croft brings to a service that says nothing else:

  no-new-privileges    breaks sudo and other programs that raise their rights
                       answer: security_opt: [no-new-privileges:false]
  no capabilities      breaks what starts as root and changes user, or reads
                       files of others. answer: caps under x-croft.harden
  read-only root, /tmp in memory
                       breaks what writes elsewhere than to its volumes
                       answer: tmpfs, or writable: true under x-croft.harden
  256 MB, one CPU      ends what needs more memory (exit code 137), slows the
                       rest. answer: mem_limit, cpus
  256 processes        breaks what has many threads. answer: pids_limit
  restart unless-stopped
                       starts a program again and again that runs to its end
                       answer: restart, or its name under x-croft.jobs
`

func newStackHarden(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "harden STACK", Short: "Propose the hardening defaults for a plain stack",
		Long: `harden proposes an x-croft block for a stack that has none, shows it as a diff,
and writes it into the Compose file when you agree or with -y. Comments, order
and what you set yourself stay. Where the stack runs, harden looks at it first:
at its users, at what it wrote outside of its volumes, at the memory it uses,
and tries harmless health checks in it.

` + hardenDefaults + `
Nothing is applied: croft plan shows what follows, and a service that does not
become healthy with it is taken back by croft apply.`,
		Example:           "  croft stack harden wiki\n  croft stack harden wiki -y && croft plan",
		Args:              wantArgs(1, 1, "the name of a stack"),
		ValidArgsFunction: a.completeStacks,
		RunE:              func(cmd *cobra.Command, args []string) error { return runStackHarden(cmd.Context(), a, args[0]) },
	}
}

// hardenView is what stack harden says.
type hardenView struct {
	Schema   string                   `json:"schema"` // croft/stack-harden/v1
	Stack    string                   `json:"stack"`
	File     string                   `json:"file"`
	Written  bool                     `json:"written"`
	Diff     string                   `json:"diff"` // "" where there is nothing to propose
	Services []stacks.HardenedService `json:"services"`
	Notes    []string                 `json:"notes"`
}

func runStackHarden(ctx context.Context, a *app, name string) error {
	p, err := a.openPlatform()
	if err != nil {
		return err
	}
	defer p.close()
	d, err := p.desired()
	if err != nil {
		return err
	}
	if err := stackNames(d, []string{name}); err != nil {
		return err
	}
	s, _ := d.Stack(name)
	v := hardenView{Schema: "croft/stack-harden/v1", Stack: name, File: s.File, Services: []stacks.HardenedService{}, Notes: []string{}}
	if s.X != nil {
		return a.print(v, v.text)
	}
	seen, note := a.look(ctx, p, s)
	if note != "" {
		v.Notes = append(v.Notes, note)
	}
	h := stacks.ProposeHardening(s, seen)
	edit, err := a.hardened(ctx, p, s, h, &v)
	if err != nil {
		return err
	}
	if !a.flags.yes && (a.terminal == nil || a.structured()) {
		v.Notes = append(v.Notes, "nothing is written: croft stack harden -y "+name+" does it")
		return a.print(v, v.text)
	}
	if !a.flags.yes {
		if err := a.print(v, v.text); err != nil {
			return err
		}
		if err := a.confirm(ctx, "Write it into "+s.File+"?", "stack harden"); err != nil {
			return err
		}
	}
	if err := edit.write(); err != nil {
		return err
	}
	v.Written = true
	if a.flags.yes {
		return a.print(v, v.text)
	}
	a.note("written; next: croft plan, then croft apply")
	return nil
}

// look sees what there is to see of a stack. Without an engine that is nothing,
// and no reason to stop.
func (a *app) look(ctx context.Context, p *platform, s *stacks.Stack) (map[string]stacks.Seen, string) {
	engine, err := docker.Dial(ctx)
	if err != nil {
		return nil, "no engine answers, so nothing was seen of it: " + err.Error()
	}
	defer func() { _ = engine.Close() }() // its connections end with the program
	seen, err := lookAt(ctx, engine, p.Name, s)
	if err != nil {
		return seen, "not everything could be seen of it: " + err.Error()
	}
	return seen, ""
}

func lookAt(ctx context.Context, engine *docker.Engine, platform string, s *stacks.Stack) (map[string]stacks.Seen, error) {
	out := map[string]stacks.Seen{}
	state, err := engine.Observe(ctx, platform)
	if err != nil {
		return out, err
	}
	for _, name := range s.Project.ServiceNames() {
		svc := s.Project.Services[name]
		containers := state.Of(s.Project.Name, name)
		image := svc.Image
		if len(containers) > 0 {
			image = containers[0].ImageID
		}
		if image == "" {
			continue // built, and not yet
		}
		one, err := engine.SeenImage(ctx, image)
		if err != nil {
			return out, err
		}
		if len(containers) > 0 {
			if one, err = engine.SeenContainer(ctx, containers[0].ID, one); err != nil {
				return out, err
			}
		}
		if one.Running && !one.Checked && svc.HealthCheck == nil {
			one.Probe = probe(ctx, engine, containers[0].ID, stacks.HealthProbes(svc))
		}
		out[name] = one
	}
	return out, nil
}

// probe gives the first command that succeeds in a container.
func probe(ctx context.Context, engine *docker.Engine, id string, commands [][]string) []string {
	for _, cmd := range commands {
		bounded, cancel := context.WithTimeout(ctx, 5*time.Second)
		got, err := engine.Exec(bounded, id, cmd, nil)
		cancel()
		if err == nil && got.ExitCode == 0 {
			return cmd
		}
	}
	return nil
}

// hardenEdit is a Compose file as it was read and as it shall be.
type hardenEdit struct {
	path     string
	old, now []byte
}

// hardened makes the edit, and proves it before anything is written: the whole
// platform is read and rendered with it, and the stack must say what it said.
func (a *app) hardened(ctx context.Context, p *platform, s *stacks.Stack, h stacks.Hardening, v *hardenView) (hardenEdit, error) {
	file := strings.TrimPrefix(s.File, path.Join(stacksDir, s.Name)+"/")
	old, ok := s.Find(file)
	if !ok {
		return hardenEdit{}, fmt.Errorf("%s is not among the files of the stack", s.File)
	}
	edited, err := stacks.EditHardening(s.File, old.Content, h)
	if err != nil {
		return hardenEdit{}, &refusedError{err: err, hint: "write the file with a key a line, or add x-croft: {title: " + h.Title + "} by hand"}
	}
	v.Services = edited.Hardening.Services
	for _, b := range edited.ByHand {
		v.Notes = append(v.Notes, "by hand, as its text stands for others too or is not made of lines: "+b)
	}
	stage, err := os.MkdirTemp("", "croft-harden-")
	if err != nil {
		return hardenEdit{}, err
	}
	defer func() { _ = os.RemoveAll(stage) }() // a copy; the system clears what stays
	if err := p.stageStack(stage, s, file, edited.Text); err != nil {
		return hardenEdit{}, err
	}
	d, err := p.load(map[string]fs.FS{s.Name: os.DirFS(stage)})
	if err != nil {
		return hardenEdit{}, err
	}
	if _, err := a.rendered(ctx, p, d); err != nil {
		return hardenEdit{}, err
	}
	after, _ := d.Stack(s.Name)
	if err := stacks.SameButHardened(s, after, edited.Hardening); err != nil {
		return hardenEdit{}, &refusedError{err: fmt.Errorf("%s cannot be edited safely: %w", s.File, err), hint: "add x-croft: {title: " + h.Title + "} by hand; croft validate checks it"}
	}
	v.Diff = diffText(s.File, old.Content, edited.Text)
	return hardenEdit{path: filepath.Join(p.dir, filepath.FromSlash(s.File)), old: old.Content, now: edited.Text}, nil
}

// stageStack writes the stack with its new Compose file, laid out as a platform.
func (p *platform) stageStack(stage string, s *stacks.Stack, file string, now []byte) error {
	text, err := fs.ReadFile(p.files(), stacks.PlatformFile)
	if err != nil {
		return err
	}
	write := func(name string, content []byte) error {
		full := filepath.Join(stage, filepath.FromSlash(name))
		return errJoin(os.MkdirAll(filepath.Dir(full), 0o700), os.WriteFile(full, content, 0o600))
	}
	if err := write(stacks.PlatformFile, text); err != nil {
		return err
	}
	for _, f := range s.Files {
		content := f.Content
		if f.Path == file {
			content = now
		}
		if err := write(path.Join(stacksDir, s.Name, f.Path), content); err != nil {
			return err
		}
	}
	return nil
}

// write replaces the file in one step, unless somebody else changed it meanwhile.
// Mode and owner stay: it is the admin's file, also where root runs croft.
func (e hardenEdit) write() error {
	now, err := os.ReadFile(e.path)
	if err != nil {
		return err
	}
	if !bytes.Equal(now, e.old) {
		return &refusedError{err: errors.New(filepath.Base(e.path) + " changed while this ran; nothing was written"), hint: "run it again"}
	}
	info, err := os.Stat(e.path)
	if err != nil {
		return err
	}
	uid, gid := -1, -1
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		uid, gid = int(st.Uid), int(st.Gid)
	}
	return host.WriteFileAs(e.path, e.now, info.Mode().Perm(), uid, gid)
}

func (v hardenView) text(w io.Writer, s tui.Style) {
	if v.Diff == "" {
		fmt.Fprintf(w, "nothing to propose: %s has x-croft, which brings the defaults; x-croft.harden answers them\n", v.File)
		return
	}
	fmt.Fprint(w, paintDiff(v.Diff, s))
	for _, svc := range v.Services {
		fmt.Fprintf(w, "\n%s\n", s.Bold(svc.Name))
		if svc.Answer.Why != "" {
			fmt.Fprintln(w, tui.Wrap("- "+tui.Printable(svc.Answer.Why), s.Width, "  "))
		}
		for _, n := range svc.Notes {
			fmt.Fprintln(w, tui.Wrap("- "+tui.Printable(n), s.Width, "  "))
		}
	}
	fmt.Fprintf(w, "\n%s\n", hardenDefaults)
	for _, n := range v.Notes {
		fmt.Fprintln(w, tui.Wrap(tui.Printable(n), s.Width, ""))
	}
	if v.Written {
		fmt.Fprintln(w, "written; next: croft plan, then croft apply")
	}
}

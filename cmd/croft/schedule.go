package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/croft-sh/croft/provision/host"
	"github.com/croft-sh/croft/tui"
)

func newSchedule(a *app) *cobra.Command {
	dir := host.UnitDir
	one := func(use, short, long, example string, run func(ctx context.Context, dir string) error) *cobra.Command {
		cmd := &cobra.Command{Use: use, Short: short, Long: long, Example: example, Args: wantArgs(0, 0, ""),
			RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), dir) }}
		cmd.Flags().StringVar(&dir, "unit-dir", host.UnitDir, "`directory` of the units")
		return cmd
	}
	return newGroup("schedule", "What systemd does for the platform",
		`schedule makes units of systemd: one that fills the memory for secrets before
Docker starts, and one that brings the platform back after it (croft boot).
Docker starts whatever becomes of them.`,
		"  croft schedule show\n  croft schedule install",
		one("install", "Write the units and enable them",
			`install writes the units and enables them, or corrects them where croft or the
platform has moved. It starts nothing. With another directory than systemd's own
it only writes.`,
			"  croft schedule install\n  croft schedule install --unit-dir ./units", a.scheduleInstall),
		one("show", "Print the units",
			"show prints the units as install would write them, and whether they are there.",
			"  croft schedule show\n  croft schedule show -o json", a.scheduleShow),
		one("remove", "Disable the units and take them away",
			"remove disables and deletes the units that install wrote, and no others.",
			"  croft schedule remove", a.scheduleRemove))
}

// scheduleView says what there is, or what was done.
type scheduleView struct {
	Schema    string      `json:"schema"` // croft/schedule/v1
	Platform  string      `json:"platform"`
	Directory string      `json:"directory"`
	Units     []host.Unit `json:"units"`
	Missing   []string    `json:"missing"` // not there as they should be
	Changed   []string    `json:"changed"` // written or removed now
}

// schedule finds the platform, whose files need not be valid, and its units.
func (a *app) schedule(dir string) (scheduleView, error) {
	p, err := a.platformToBoot()
	if err != nil {
		return scheduleView{}, err
	}
	defer p.close()
	units, err := a.bootUnits(p)
	if err != nil {
		return scheduleView{}, err
	}
	v := scheduleView{Schema: "croft/schedule/v1", Platform: p.Name, Directory: dir, Units: units, Missing: []string{}, Changed: []string{}}
	v.Missing = append(v.Missing, host.MissingUnits(dir, v.Units)...)
	return v, nil
}

func (a *app) bootUnits(p *platform) ([]host.Unit, error) {
	if p.broken != nil { // then the storage roots are those that were applied
		kept := *p
		if err := kept.asApplied(a.offline(&kept)); err != nil {
			return nil, err
		}
		p = &kept
	}
	binary, err := os.Executable()
	if err != nil {
		return nil, err
	}
	b := host.BootUnits{Platform: p.Name, Binary: binary, Dir: p.dir, DockerHost: a.env["DOCKER_HOST"],
		Needs: []string{p.paths.State, filepath.Dir(p.paths.HostKey)}}
	if a.flags.state != "" {
		b.State = p.paths.State
	}
	for _, class := range []string{"containers", "projects", "databases"} {
		if root := p.Root(class); root != "" {
			b.Storage = append(b.Storage, root)
		}
	}
	return b.Units(), nil
}

func (a *app) scheduleShow(_ context.Context, dir string) error {
	v, err := a.schedule(dir)
	if err != nil {
		return err
	}
	return a.print(v, func(w io.Writer, _ tui.Style) {
		for _, u := range v.Units {
			state := "installed"
			if contains(v.Missing, u.Name) {
				state = "not installed"
			}
			fmt.Fprintf(w, "# %s (%s)\n%s\n", filepath.Join(dir, u.Name), state, u.Text)
		}
	})
}

func (a *app) scheduleInstall(ctx context.Context, dir string) error {
	v, err := a.schedule(dir)
	if err != nil {
		return err
	}
	own := dir == host.UnitDir
	if err := mayHaveUnits(own); err != nil {
		return err
	}
	if v.Changed, err = host.InstallUnits(dir, v.Units); err != nil {
		return &refusedError{err: err, hint: hintOf(err)}
	}
	if own {
		// Also where nothing was written: the last run may have been killed here.
		if err := systemctl(ctx, "daemon-reload"); err != nil {
			return err
		}
		if err := systemctl(ctx, append([]string{"enable"}, unitNames(v.Units)...)...); err != nil {
			return err
		}
	}
	v.Missing = []string{}
	v.Changed = append([]string{}, v.Changed...)
	return a.print(v, func(w io.Writer, _ tui.Style) {
		for _, u := range v.Units {
			fmt.Fprintln(w, filepath.Join(dir, u.Name))
		}
		if !own {
			fmt.Fprintln(w, "written; systemctl enable has to be run where they belong")
		}
	})
}

func (a *app) scheduleRemove(ctx context.Context, dir string) error {
	v, err := a.schedule(dir)
	if err != nil {
		return err
	}
	own := dir == host.UnitDir
	if err := mayHaveUnits(own); err != nil {
		return err
	}
	removed, err := host.RemoveUnits(dir, v.Units, func(names []string) error {
		if !own {
			return nil
		}
		return systemctl(ctx, append([]string{"disable"}, names...)...)
	})
	if err != nil {
		return &refusedError{err: err, hint: hintOf(err)}
	}
	if own && len(removed) > 0 {
		if err := systemctl(ctx, "daemon-reload"); err != nil {
			return err
		}
	}
	v.Changed, v.Missing = append([]string{}, removed...), unitNames(v.Units)
	return a.print(v, func(w io.Writer, _ tui.Style) {
		if len(removed) == 0 {
			fmt.Fprintln(w, "no units of croft are there")
		}
		for _, name := range removed {
			fmt.Fprintln(w, "removed", filepath.Join(dir, name))
		}
	})
}

// mayHaveUnits refuses where units would do nothing.
func mayHaveUnits(own bool) error {
	switch {
	case !own:
		return nil
	case !host.Systemd():
		return &refusedError{err: errors.New("systemd does not run this machine"),
			hint: "let whatever starts Docker here run croft boot --secrets before it and croft boot after it; croft schedule show says with what"}
	case os.Geteuid() != 0:
		return &refusedError{err: errors.New("only root may have units that start with the machine"), hint: "run as root (sudo croft schedule install)"}
	}
	return nil
}

func unitNames(units []host.Unit) []string {
	out := make([]string, len(units))
	for i, u := range units {
		out[i] = u.Name
	}
	return out
}

func systemctl(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "systemctl", args...).CombinedOutput()
	if err != nil {
		return &failure{err: fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out))),
			hint: "the units are written; correct what systemctl says and run the command again"}
	}
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/provision/docker"
	"github.com/croft-sh/croft/provision/host"
	"github.com/croft-sh/croft/stacks"
	"github.com/croft-sh/croft/tui"
)

type bootOptions struct {
	secrets bool
	wait    time.Duration
	engine  time.Duration
}

func newBoot(a *app) *cobra.Command {
	var o bootOptions
	cmd := &cobra.Command{
		Use: "boot", Short: "Bring the platform back after a restart of the machine",
		Long: `boot is what the units of croft schedule install run; by hand it is for machines
without systemd. It goes by the state alone: a broken croft.yaml, or one that is
not mounted, keeps nothing from running, and nothing is rolled out that was not
applied before.

With --secrets, before Docker starts, it fills the memory for secrets. Without,
it waits for Docker, does the same, finishes or undoes an interrupted apply, and
starts what should run and does not. Stacks that are stopped or held stay so. It
can be run at any time; a second run does nothing.

An interrupted change is finished if it is what is written now, and taken back
to the last good inputs, with the data it had, if it is not or fails.`,
		Example: "  croft boot --secrets\n  croft boot\n  croft boot -o json",
		Args:    wantArgs(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.wait <= 0 || o.engine < 0 {
				return &usageError{err: errors.New("that is no time to wait"), hint: "give a duration such as 5m"}
			}
			return runBoot(cmd.Context(), a, o)
		},
	}
	cmd.Flags().BoolVar(&o.secrets, "secrets", false, "only fill the memory for secrets; needs no engine")
	cmd.Flags().DurationVar(&o.wait, "wait-timeout", defaultWait, "how long each service may take until it is healthy")
	cmd.Flags().DurationVar(&o.engine, "engine-timeout", 2*time.Minute, "how long to wait for the engine")
	return cmd
}

// bootView closes a boot.
type bootView struct {
	Schema    string   `json:"schema"` // croft/boot/v1
	Platform  string   `json:"platform"`
	Secrets   int      `json:"secrets"` // files in memory
	Revision  int      `json:"revision,omitempty"`
	Finished  []string `json:"finished"`
	TakenBack []string `json:"taken_back"`
	Left      []string `json:"left"`
	Started   []string `json:"started"`
	Error     string   `json:"error,omitempty"`
	Hint      string   `json:"hint,omitempty"`
	ExitCode  int      `json:"exit_code"`

	nothing bool // was applied
}

func runBoot(ctx context.Context, a *app, o bootOptions) error {
	p, err := a.platformToBoot()
	if err != nil {
		return err
	}
	v := bootView{Schema: "croft/boot/v1", Platform: p.Name, Finished: []string{}, TakenBack: []string{}, Left: []string{}, Started: []string{}}
	err = a.boot(ctx, p, o, &v)
	if err != nil {
		v.Error, v.Hint, v.ExitCode = err.Error(), hintOf(err), exitCode(err)
	}
	if a.structured() {
		return errJoin(err, a.printLine(struct {
			Schema string   `json:"schema"`
			Result bootView `json:"result"`
		}{v.Schema, v}))
	}
	return errJoin(err, a.print(v, v.text))
}

// platformToBoot finds the platform. What is written in its directory does not
// matter: where that cannot be read, it is known by the name it was set up with.
func (a *app) platformToBoot() (*platform, error) {
	p, cause := a.openPlatform()
	if cause == nil {
		return p, nil
	}
	known, err := host.KnownPlatforms(a.pathsFor("").Platforms)
	if err != nil {
		return nil, err
	}
	var found []host.Known
	for _, k := range known {
		if dir, err := filepath.Abs(a.flags.dir); a.flags.dir == "" || err == nil && dir == k.Dir {
			found = append(found, k)
		}
	}
	if len(found) != 1 {
		return nil, cause
	}
	p = &platform{Platform: stacks.Platform{Name: found[0].Name}, dir: found[0].Dir, paths: a.pathsFor(found[0].Name), broken: cause}
	p.facts = a.facts(p.paths)
	return p, nil
}

func (a *app) boot(ctx context.Context, p *platform, o bootOptions, v *bootView) error {
	defer p.close()
	kept := *p // with the settings that were applied; p has those written now
	prov := a.offline(&kept)
	if ready, err := prov.Bootable(); err != nil || !ready {
		v.nothing = err == nil
		return err // nothing is made for it, not even the state directory
	}
	if err := kept.asApplied(prov); err != nil {
		a.note("warning: what was applied cannot be read, so nothing that was interrupted can be finished: %v", err)
	}
	m := &machine{platform: &kept, app: a, prov: a.offline(&kept)}
	if !o.secrets {
		connected, err := a.awaitEngine(ctx, &kept, o.engine)
		if err != nil {
			return err
		}
		m = connected
		defer func() { _ = m.engine.Close() }() // its connections end with the program
	}
	release, err := m.lock()
	if err != nil {
		return err
	}
	defer release()
	if _, err := host.MountTmpfs(m.paths.Run); err != nil {
		return err
	}
	if o.secrets {
		v.Secrets, err = m.prov.DeliverKept()
		return err
	}
	events, done := a.events()
	got, err := m.prov.Boot(ctx, m.bootOptions(o, p), events)
	done()
	v.Secrets, v.Revision = got.Secrets, got.Revision.Number
	v.Finished, v.TakenBack = append(v.Finished, got.Finished...), append(v.TakenBack, got.TakenBack...)
	v.Left, v.Started = append(v.Left, got.Left...), append(v.Started, got.Started...)
	return err
}

// asApplied makes the settings of croft.yaml those of the newest revision.
func (p *platform) asApplied(prov *provision.Provisioner) error {
	inputs, err := prov.Inputs()
	if err != nil || inputs == nil {
		return err
	}
	then, problems := stacks.LoadPlatform(inputs)
	if err := problems.Err(); err != nil {
		return err
	}
	if then.Name == p.Name {
		p.Platform = then
	}
	return nil
}

func (m *machine) bootOptions(o bootOptions, written *platform) provision.BootOptions {
	opt := provision.BootOptions{
		WaitTimeout: o.wait,
		Load: func(inputs fs.FS, instead map[string]fs.FS) (stacks.Desired, error) {
			d, problems := stacks.LoadDesired(inputs, stacks.LoadOptions{Dir: m.dir, Facts: m.facts, Instead: instead})
			return d, problems.Err()
		},
	}
	if _, err := os.Stat(filepath.Join(written.dir, stacks.PlatformFile)); err == nil || !errors.Is(err, fs.ErrNotExist) {
		opt.Written = written.load
	}
	return opt
}

// awaitEngine connects, and waits for an engine that is still starting.
func (a *app) awaitEngine(ctx context.Context, p *platform, limit time.Duration) (*machine, error) {
	deadline := a.now().Add(limit)
	for {
		m, err := a.connectTo(ctx, p)
		if err == nil || !errors.Is(err, docker.ErrNoEngine) || a.now().After(deadline) {
			return m, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func (v bootView) text(w io.Writer, _ tui.Style) {
	if v.nothing {
		fmt.Fprintf(w, "nothing is applied of %s\n", v.Platform)
		return
	}
	fmt.Fprintf(w, "%s in memory\n", countOf(v.Secrets, "secret"))
	for _, line := range []struct {
		does  string
		names []string
	}{
		{"finished", v.Finished}, {"taken back", v.TakenBack}, {"left half changed", v.Left}, {"started", v.Started},
	} {
		if len(line.names) > 0 {
			fmt.Fprintf(w, "%s %s\n", line.does, strings.Join(line.names, ", "))
		}
	}
}

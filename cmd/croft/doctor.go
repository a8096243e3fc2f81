package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/croft-sh/croft/provision/docker"
	"github.com/croft-sh/croft/provision/host"
	"github.com/croft-sh/croft/stacks"
	"github.com/croft-sh/croft/tui"
)

func newDoctor(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "Check what croft needs of this machine",
		Long: `doctor looks at the machine and, where there is one, at the platform: rights,
engine, ports, disk, memory, the place for secrets, the clock. It changes
nothing. It exits with 1 where a check failed; warnings do not count.`,
		Example: "  croft doctor\n  croft doctor -o json",
		Args:    wantArgs(0, 0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runDoctor(cmd.Context(), a) },
	}
}

// doctorView is what doctor says.
type doctorView struct {
	Schema   string         `json:"schema"`
	Platform string         `json:"platform,omitempty"`
	Checks   []host.Finding `json:"checks"`
}

func runDoctor(ctx context.Context, a *app) error {
	v := doctorView{Schema: "croft/doctor/v1"}
	pre, validity := a.doctorPreflight(ctx, &v)
	pre.Engine = func(ctx context.Context) (string, error) {
		engine, err := docker.Dial(ctx)
		if err != nil {
			return "", err
		}
		defer engine.Close()
		info, err := engine.Version(ctx)
		return info.Version, err
	}
	v.Checks = host.RunChecks(ctx, append(pre.Checks(), validity))
	if err := a.print(v, v.text); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, c := range v.Checks {
		if c.State == host.Failed {
			return &silentError{code: exitFailed}
		}
	}
	return nil
}

// doctorPreflight looks for a platform; without one the machine alone is checked.
func (a *app) doctorPreflight(ctx context.Context, v *doctorView) (host.Preflight, host.Check) {
	p, err := a.openPlatform()
	if err != nil {
		var none *noPlatformError
		result := host.Result{State: host.Failed, Detail: firstProblem(err), Hint: "croft validate shows every problem"}
		if errors.As(err, &none) {
			result = host.Result{State: host.OK, Detail: "no platform yet", Hint: none.hint}
		}
		nowhere := &platform{paths: a.pathsFor("croft")}
		return a.preflightOf(nowhere), host.Check{Name: "platform", Run: func(context.Context) host.Result { return result }}
	}
	defer p.close()
	v.Platform = p.Name
	pre := a.preflightOf(p)
	if units, err := a.bootUnits(p); err == nil {
		pre.Units = units
	}
	result := host.Result{State: host.OK, Detail: p.dir}
	d, err := p.desired()
	if err == nil {
		var r stacks.Rendered
		if r, err = a.rendered(ctx, p, d); err == nil {
			pre.Ports = publishedPorts(r)
			pre.Held = a.heldPorts(ctx, p, r)
		}
	}
	if err != nil {
		result = host.Result{State: host.Failed, Detail: firstProblem(err), Hint: "croft validate shows every problem"}
	}
	return pre, host.Check{Name: "platform", Run: func(context.Context) host.Result { return result }}
}

func firstProblem(err error) string {
	var problems stacks.Problems
	if errors.As(err, &problems) && len(problems) > 0 {
		text := problems[0].Error()
		if more := len(problems) - 1; more > 0 {
			text += fmt.Sprintf(" (and %d more)", more)
		}
		return text
	}
	return err.Error()
}

func publishedPorts(r stacks.Rendered) []stacks.PublishedPort {
	var out []stacks.PublishedPort
	for _, s := range r.Stacks {
		for _, svc := range s.Services {
			out = append(out, svc.Ports...)
		}
	}
	return out
}

// heldPorts gives the ports of services that run already: they are ours.
func (a *app) heldPorts(ctx context.Context, p *platform, r stacks.Rendered) []stacks.PublishedPort {
	engine, err := docker.Dial(ctx)
	if err != nil {
		return nil // the engine's own check says it
	}
	defer engine.Close()
	engine.Adopt(p.AdoptedProjects())
	state, err := engine.Observe(ctx, p.Name)
	if err != nil {
		return nil
	}
	var out []stacks.PublishedPort
	for _, s := range r.Stacks {
		for _, svc := range s.Services {
			for _, c := range state.Of(s.Project, svc.Name) {
				if c.Running() {
					out = append(out, svc.Ports...)
				}
			}
		}
	}
	return out
}

func (v doctorView) text(w io.Writer, s tui.Style) {
	width := 0
	for _, c := range v.Checks {
		width = max(width, len(c.Name))
	}
	for _, c := range v.Checks {
		mark := s.Green("ok     ")
		switch c.State {
		case host.Warning:
			mark = s.Yellow("warning")
		case host.Failed:
			mark = s.Red("failed ")
		}
		indent := fmt.Sprintf("%*s", 9+width+2, "")
		detail := tui.Wrap(tui.Printable(c.Detail), s.Width, indent)
		fmt.Fprintf(w, "%s  %s\n", mark, tui.Pad(c.Name, width)+"  "+trimIndent(detail))
		if c.Hint != "" && c.State != host.OK {
			fmt.Fprintln(w, tui.Wrap("hint: "+tui.Printable(c.Hint), s.Width, indent))
		}
	}
}

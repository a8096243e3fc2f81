package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/croft-sh/croft/provision/host"
	"github.com/croft-sh/croft/stacks"
)

func newStart(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "start [STACK]", Short: "Start what stop stopped",
		Long: `start starts the containers of a stack, or of all, as they were when they were
stopped, those that others need first. It takes no change from croft.yaml along:
that is what apply does.`,
		Example:           "  croft start\n  croft start gitea",
		Args:              wantArgs(0, 1, "the name of a stack"),
		ValidArgsFunction: a.completeStacks,
		RunE:              func(cmd *cobra.Command, args []string) error { return runStart(cmd.Context(), a, args) },
	}
}

func newStop(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "stop [STACK]", Short: "Stop a stack and leave it stopped",
		Long: `stop stops the containers of a stack, or of all, those that others need last.
The stack stays stopped, over apply and over a restart of the machine, until
croft start. Nothing is removed.`,
		Example:           "  croft stop gitea\n  croft stop -y",
		Args:              wantArgs(0, 1, "the name of a stack"),
		ValidArgsFunction: a.completeStacks,
		RunE:              func(cmd *cobra.Command, args []string) error { return runStop(cmd.Context(), a, args) },
	}
}

func runStop(ctx context.Context, a *app, args []string) error {
	m, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer m.close()
	names, err := m.stacksInOrder(args)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		if err := a.confirm(ctx, fmt.Sprintf("Stop all of %s?", m.Name), "stop"); err != nil {
			return err
		}
	}
	release, err := m.lock()
	if err != nil {
		return err
	}
	defer release()
	v := actedView{Schema: "croft/stop/v1", Done: "stopped", On: []string{}}
	for i := len(names) - 1; i >= 0; i-- {
		// Written down first: killed in between, the next apply does not start it.
		if err := m.prov.SetStopped(names[i], true); err != nil {
			return err
		}
		if err := m.engine.Stop(ctx, m.project(names[i])); err != nil {
			return err
		}
		v.On = append(v.On, names[i])
	}
	return a.print(v, v.text)
}

func runStart(ctx context.Context, a *app, args []string) error {
	m, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer m.close()
	names, err := m.stacksInOrder(args)
	if err != nil {
		return err
	}
	release, err := m.lock()
	if err != nil {
		return err
	}
	defer release()
	if _, err := host.MountTmpfs(m.paths.Run); err != nil {
		return err
	}
	state, err := m.engine.Observe(ctx, m.Name)
	if err != nil {
		return err
	}
	v := actedView{Schema: "croft/start/v1", Done: "started", On: []string{}}
	for _, name := range names {
		// Written down last: killed in between, it is still stopped for apply.
		if err := m.engine.Start(ctx, idsOf(m.toStart(state, name))); err != nil {
			return &failure{err: err, hint: "croft apply --stack " + name + " also brings back what a restart of the machine took, as secrets in memory"}
		}
		if err := m.prov.SetStopped(name, false); err != nil {
			return err
		}
		v.On = append(v.On, name)
	}
	return a.print(v, v.text)
}

// project gives the Compose project of a stack.
func (m *machine) project(stack string) string {
	for project, name := range m.prov.Adopted {
		if name == stack {
			return project
		}
	}
	return m.Name + "-" + stack
}

// toStart gives the containers of a stack that are to run again, in the order
// of what they need. Jobs that ended well have done their work.
func (m *machine) toStart(state stacks.State, name string) []stacks.Container {
	order := make(map[string]int)
	if d, err := m.desired(); err == nil {
		if r, err := m.app.rendered(context.Background(), m.platform, d); err == nil {
			s, _ := r.Stack(name)
			for i, svc := range s.Services {
				order[svc.Name] = i
				if svc.Job {
					order[svc.Name] = -1
				}
			}
		}
	}
	var out []stacks.Container
	for i := 0; i <= len(order); i++ {
		for _, c := range state.Containers {
			at, known := order[c.Service]
			if !known {
				at = len(order)
			}
			if c.Stack == name && !c.OneOff && !c.Running() && at == i {
				out = append(out, c)
			}
		}
	}
	return out
}

// stacksInOrder gives the named stack, or all, those that others need first.
// Where the platform is not valid, those that were applied last have to do.
func (m *machine) stacksInOrder(args []string) ([]string, error) {
	var names []string
	if d, err := m.desired(); err == nil {
		for _, s := range d.Stacks {
			names = append(names, s.Name)
		}
	} else {
		applied, err := m.prov.Applied()
		if err != nil {
			return nil, err
		}
		names = sortedNames(applied)
	}
	if len(args) == 0 {
		return names, nil
	}
	if !contains(names, args[0]) {
		return nil, &usageError{err: fmt.Errorf("the platform has no stack %q", args[0]), hint: "croft stack list shows them"}
	}
	return args, nil
}

package main

import (
	"context"
	"fmt"
	"sort"
	"strings"

	"github.com/croft-sh/croft/stacks"
)

// target is what STACK or STACK/SERVICE on the command line means.
type target struct{ stack, service string }

func parseTarget(arg string) (target, error) {
	stack, service, more := strings.Cut(arg, "/")
	if stack == "" || (more && service == "") || strings.Contains(service, "/") {
		return target{}, &usageError{err: fmt.Errorf("%q is neither STACK nor STACK/SERVICE", arg), hint: "as in gitea or gitea/gitea"}
	}
	return target{stack, service}, nil
}

// parseTargets reads STACK, STACK/SERVICE, and STACK SERVICE.
func parseTargets(args []string, known map[string]bool) ([]target, error) {
	if len(args) == 2 && !strings.Contains(args[0]+args[1], "/") && known[args[0]] && !known[args[1]] {
		return []target{{args[0], args[1]}}, nil
	}
	var out []target
	for _, arg := range args {
		t, err := parseTarget(arg)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// containers gives the containers that the targets mean, sorted by stack,
// service and name; no target means all of the platform.
func (m *machine) containers(ctx context.Context, args []string) ([]stacks.Container, error) {
	state, err := m.engine.Observe(ctx, m.Name)
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool, len(m.Stacks))
	for name := range m.Stacks {
		known[name] = true
	}
	var all []stacks.Container
	for _, c := range state.Containers {
		if c.Stack != "" && !c.OneOff {
			known[c.Stack] = true
			all = append(all, c)
		}
	}
	sortContainers(all)
	targets, err := parseTargets(args, known)
	if err != nil {
		return nil, err
	}
	if len(targets) == 0 {
		return all, nil
	}
	var out []stacks.Container
	for _, t := range targets {
		found := pick(all, t)
		if len(found) == 0 {
			return nil, m.nothingRuns(t, known, all)
		}
		out = append(out, found...)
	}
	return out, nil
}

func pick(all []stacks.Container, t target) []stacks.Container {
	var out []stacks.Container
	for _, c := range all {
		if c.Stack == t.stack && (t.service == "" || c.Service == t.service) {
			out = append(out, c)
		}
	}
	return out
}

func sortContainers(list []stacks.Container) {
	sort.Slice(list, func(i, j int) bool {
		a, b := list[i], list[j]
		if a.Stack != b.Stack {
			return a.Stack < b.Stack
		}
		if a.Service != b.Service {
			return a.Service < b.Service
		}
		return a.Name < b.Name
	})
}

// nothingRuns says why a target has no container.
func (m *machine) nothingRuns(t target, known map[string]bool, all []stacks.Container) error {
	if !known[t.stack] {
		return &usageError{err: fmt.Errorf("the platform has no stack %q", t.stack),
			hint: "it has " + strings.Join(sortedNames(known), ", ")}
	}
	services := make(map[string]bool)
	for _, c := range pick(all, target{stack: t.stack}) {
		services[c.Service] = true
	}
	if len(services) == 0 {
		return &failure{err: fmt.Errorf("stack %s has no container", t.stack), hint: "croft apply --stack " + t.stack + " starts it"}
	}
	return &usageError{err: fmt.Errorf("stack %s has no service %q", t.stack, t.service),
		hint: "it has " + strings.Join(sortedNames(services), ", ")}
}

// one gives the single running container that a target means. A stack alone
// means its only service, or the one named like it.
func (m *machine) one(ctx context.Context, arg string) (stacks.Container, error) {
	found, err := m.containers(ctx, []string{arg})
	if err != nil {
		return stacks.Container{}, err
	}
	services := make(map[string][]stacks.Container)
	for _, c := range found {
		if c.Running() {
			services[c.Service] = append(services[c.Service], c)
		}
	}
	if len(services) == 0 {
		return stacks.Container{}, &failure{err: fmt.Errorf("%s does not run", arg), hint: "croft status shows its state, croft logs " + arg + " why"}
	}
	if len(services) == 1 {
		return services[sortedNames(services)[0]][0], nil
	}
	if same := services[arg]; len(same) > 0 {
		return same[0], nil
	}
	return stacks.Container{}, &usageError{err: fmt.Errorf("%s has several services", arg),
		hint: "name one: " + arg + "/" + strings.Join(sortedNames(services), ", "+arg+"/")}
}

func idsOf(list []stacks.Container) []string {
	ids := make([]string, len(list))
	for i, c := range list {
		ids[i] = c.ID
	}
	return ids
}

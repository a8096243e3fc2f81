package provision

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/croft-sh/croft/stacks"
)

// applied is what status must know of the last apply to say what is missing.
type applied struct {
	Stacks []appliedStack `json:"stacks"`
}

type appliedStack struct {
	Name     string           `json:"name"`
	Project  string           `json:"project"`
	Wave     int              `json:"wave,omitempty"`
	Adopted  bool             `json:"adopted,omitempty"`
	Services []appliedService `json:"services"`
}

type appliedService struct {
	Name     string `json:"name"`
	Image    string `json:"image"`
	URL      string `json:"url,omitempty"`
	Port     uint16 `json:"port,omitempty"`   // of that address, in the container
	Scheme   string `json:"scheme,omitempty"` // how the container speaks there; "" is http
	Job      bool   `json:"job,omitempty"`
	Replicas int    `json:"replicas"`
	// Joins are the networks that croft joins it to once it is there.
	Joins []appliedJoin `json:"joins,omitempty"`
}

type appliedJoin struct {
	Network string   `json:"network"`
	Aliases []string `json:"aliases,omitempty"`
}

func (p *Provisioner) appliedPath() string { return filepath.Join(p.StateDir, "applied.json") }

// writeApplied keeps what status must know. fresh tells of which stacks it is
// what was rendered now; of the others it is what it was before.
func (p *Provisioner) writeApplied(d stacks.Desired, r stacks.Rendered, fresh func(stack string, known bool) bool) error {
	var before, a applied
	if err := readJSON(p.appliedPath(), &before); err != nil {
		return err
	}
	for _, s := range r.Stacks {
		i := slices.IndexFunc(before.Stacks, func(old appliedStack) bool { return old.Name == s.Name })
		if !fresh(s.Name, i >= 0) {
			if i >= 0 {
				a.Stacks = append(a.Stacks, before.Stacks[i])
			}
			continue
		}
		as := appliedStack{Name: s.Name, Project: s.Project, Wave: s.Wave, Adopted: s.Adopted}
		for _, svc := range s.Services {
			one := appliedService{Name: svc.Name, Image: svc.Image, Job: svc.Job, Replicas: svc.Replicas}
			for _, route := range d.Routes {
				if route.Stack == s.Name && route.Service == svc.Name && one.URL == "" {
					one.URL, one.Port, one.Scheme = route.URL, route.Port, route.Scheme
				}
			}
			for _, n := range r.Networks {
				for _, h := range n.Hubs {
					if h.Stack == s.Name && h.Service == svc.Name {
						one.Joins = append(one.Joins, appliedJoin{Network: n.Name, Aliases: h.Aliases})
					}
				}
			}
			as.Services = append(as.Services, one)
		}
		a.Stacks = append(a.Stacks, as)
	}
	return p.writeJSON(p.appliedPath(), a)
}

// Status looks at what was applied last and how it stands now.
func (p *Provisioner) Status(ctx context.Context) (stacks.Status, error) {
	out := stacks.Status{Schema: "croft/status/v1", Platform: p.Platform, StateDir: p.StateDir, Stacks: []stacks.StackStatus{}, Drift: []string{}, Warnings: []string{}}
	var a applied
	if err := readJSON(p.appliedPath(), &a); err != nil {
		return out, err
	}
	history, err := p.History()
	if err != nil {
		return out, err
	}
	if len(history) > 0 {
		h := history[0]
		out.Revision = &stacks.RevisionStatus{Number: h.Number, Commit: h.Commit, Result: h.Result, At: h.At}
	}
	state, err := p.Observe(ctx)
	if err != nil {
		return out, err
	}
	restarts, err := p.restarts(ctx, state)
	if err != nil {
		return out, err
	}
	heldStacks, err := p.readHeld()
	if err != nil {
		return out, err
	}
	for _, s := range a.Stacks {
		if p.forgotten(s) {
			continue
		}
		for i, svc := range s.Services {
			s.Services[i].Job = svc.Job || state.Ended[s.Name+"/"+svc.Name]
		}
		one := stackStatus(s, state, restarts)
		if h, ok := heldStacks[s.Name]; ok {
			if one.State == stacks.Healthy {
				one.State = stacks.Held
			}
			why := "because what came after failed"
			if h.Rollback {
				why = "instead of what is written"
			}
			out.Warnings = append(out.Warnings, fmt.Sprintf("%s runs as in revision %d, %s: %s", s.Name, h.Good, why, h.Reason))
		}
		heldStatus(&out, &one, state.Held)
		out.Stacks = append(out.Stacks, one)
	}
	for _, stack := range slices.Sorted(maps.Keys(state.Interrupted)) {
		out.Warnings = append(out.Warnings, "an apply was interrupted at "+stack+": croft apply goes on from there")
	}
	for _, c := range state.Containers {
		if c.Stack != "" && !c.OneOff && !a.knows(c) {
			out.Drift = append(out.Drift, c.Stack+"/"+c.Service+" runs and was not applied")
		}
	}
	return out, nil
}

func (a applied) knows(c stacks.Container) bool {
	return slices.ContainsFunc(a.Stacks, func(s appliedStack) bool {
		return s.Project == c.Project && slices.ContainsFunc(s.Services, func(svc appliedService) bool { return svc.Name == c.Service })
	})
}

// restarts asks for what lists do not show.
func (p *Provisioner) restarts(ctx context.Context, state stacks.State) (map[string]int, error) {
	ids := make([]string, 0, len(state.Containers))
	for _, c := range state.Containers {
		ids = append(ids, c.ID)
	}
	seen, err := p.Containers.Inspect(ctx, ids)
	if err != nil {
		return nil, err
	}
	out := map[string]int{}
	for _, c := range seen {
		out[c.ID] = c.Restarts
	}
	return out, nil
}

func stackStatus(s appliedStack, state stacks.State, restarts map[string]int) stacks.StackStatus {
	out := stacks.StackStatus{Name: s.Name, Project: s.Project, Services: []stacks.ServiceStatus{}}
	good, starting, down := 0, 0, 0
	for _, svc := range s.Services {
		one := stacks.ServiceStatus{Name: svc.Name, State: "missing", Image: svc.Image, URL: svc.URL}
		containers := state.Of(s.Project, svc.Name)
		for _, c := range containers {
			one.State, one.Health, one.ImageID = c.State, c.Health, c.ImageID
			one.Restarts += restarts[c.ID]
		}
		switch {
		case svc.Replicas == 0, one.State == "running" && (one.Health == "" || one.Health == "healthy"),
			svc.Job && one.State == "exited" && containers[0].ExitCode == 0:
			good++
		case one.State == "running" && one.Health == "starting", one.State == "created":
			starting++
		default:
			down++
		}
		out.Services = append(out.Services, one)
	}
	out.State = summarize(slices.Contains(state.Stopped, s.Name), good, starting, down)
	return out
}

func summarize(stopped bool, good, starting, down int) stacks.Health {
	switch {
	case stopped:
		return stacks.Stopped
	case down == 0 && starting == 0:
		return stacks.Healthy
	case down == 0:
		return stacks.Starting
	case good+starting == 0:
		return stacks.Broken
	}
	return stacks.Degraded
}

// SetStopped remembers that the admin stopped or started a stack, so that apply
// and status respect it.
func (p *Provisioner) SetStopped(stack string, stopped bool) error {
	m, err := p.readMemory()
	if err != nil {
		return err
	}
	m.Stopped = slices.DeleteFunc(m.Stopped, func(s string) bool { return s == stack })
	if stopped {
		m.Stopped = append(m.Stopped, stack)
		slices.Sort(m.Stopped)
	}
	return p.writeMemory(m)
}

// Applied gives the stacks and services of the last apply: stack -> services.
func (p *Provisioner) Applied() (map[string][]string, error) {
	var a applied
	if err := readJSON(p.appliedPath(), &a); err != nil {
		return nil, err
	}
	out := map[string][]string{}
	for _, s := range a.Stacks {
		for _, svc := range s.Services {
			out[s.Name] = append(out[s.Name], svc.Name)
		}
	}
	return out, nil
}

package provision

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/croft-sh/croft/stacks"
)

// located gives the volumes of a stack with the places of those that an adopted
// project keeps: the engine's own are where it says, and of what is mounted from
// the project's directory only directories are data.
func (r *run) located(s stacks.RenderedStack) []stacks.RenderedVolume {
	out := make([]stacks.RenderedVolume, 0, len(s.Volumes))
	for _, v := range s.Volumes {
		switch {
		case !v.Kept:
		case v.Name != "":
			have, _ := r.prep.State.Volume(v.Name)
			v.Path = have.DataPath()
		default:
			if info, err := os.Stat(v.Path); err != nil || !info.IsDir() {
				v.Path = ""
			}
		}
		out = append(out, v)
	}
	return out
}

// keepPlace remembers where data of an adopted project lies, so that copies which a
// way back leaves beside it are found again.
func (r *run) keepPlace(v stacks.RenderedVolume) {
	if v.Path == "" {
		return
	}
	r.prep.Lock.Kept = maps.Clone(r.prep.Lock.Kept)
	if r.prep.Lock.Kept == nil {
		r.prep.Lock.Kept = map[string]string{}
	}
	r.prep.Lock.Kept[v.Key] = v.Path
}

// Adoption is what it would mean to take a running Compose project over.
type Adoption struct {
	Plan  stacks.Plan // of the stack alone
	ended []string    // "stack/service" whose work is done
	ran   map[string]string
}

// PlanAdoption compares an adopted stack that was never applied with what runs.
// It changes nothing. A container that ended with exit code 0 and is not to be
// started again has done its work.
func (p *Provisioner) PlanAdoption(ctx context.Context, d stacks.Desired, stack string) (Adoption, error) {
	a := Adoption{ran: map[string]string{}}
	rendered, _, err := p.Render(d)
	if err != nil {
		return a, err
	}
	state, err := p.Observe(ctx)
	if err != nil {
		return a, err
	}
	s, ok := rendered.Stack(stack)
	if !ok {
		return a, fmt.Errorf("there is no stack %s on this platform", stack)
	}
	state.Ended = maps.Clone(state.Ended)
	for _, svc := range s.Services {
		key := stack + "/" + svc.Name
		for _, c := range state.Of(s.Project, svc.Name) {
			a.ran[key] = c.ImageID
			done, err := p.done(ctx, c)
			if err != nil {
				return a, err
			}
			if done {
				state.Ended[key] = true
				a.ended = append(a.ended, key)
			}
		}
	}
	a.Plan = stacks.Diff(rendered, state.For(rendered), stacks.DiffOptions{Stacks: []string{stack}})
	return a, nil
}

func (p *Provisioner) done(ctx context.Context, c stacks.Container) (bool, error) {
	if c.State != "exited" || c.ExitCode != 0 {
		return false, nil
	}
	seen, err := p.Containers.Inspect(ctx, []string{c.ID})
	if err != nil || len(seen) == 0 {
		return false, err
	}
	return seen[0].RestartPolicy == "no" || seen[0].RestartPolicy == "", nil
}

// Adopt remembers what only the containers tell: which services have done their
// work, and which images the data has met. Killed after it, with croft.yaml not
// written yet, it is about a stack that nobody knows, and harms nobody.
func (p *Provisioner) Adopt(a Adoption) error {
	m, err := p.readMemory()
	if err != nil {
		return err
	}
	for _, key := range a.ended {
		m.Ended[key] = true
	}
	maps.Copy(m.Ran, a.ran)
	return p.writeMemory(m)
}

// forgotten tells of a stack that was adopted and is no longer: what runs of it
// is nobody's business here.
func (p *Provisioner) forgotten(s appliedStack) bool {
	return s.Adopted && p.Adopted[s.Project] == ""
}

// AppliedProjects gives the adopted projects of the last apply, for when
// croft.yaml cannot be read.
func (p *Provisioner) AppliedProjects() (map[string]string, error) {
	var a applied
	if err := readJSON(p.appliedPath(), &a); err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, s := range a.Stacks {
		if s.Adopted {
			out[s.Project] = s.Name
		}
	}
	return out, nil
}

// decorated tells whether a network of an adopted project is used by containers
// of the platform alone. Where docker compose's own are on it, it is theirs.
func (p *Provisioner) decorated(state stacks.State, n stacks.Network) bool {
	if p.Adopted[n.Labels["com.docker.compose.project"]] == "" {
		return false
	}
	ours := false
	for _, c := range state.Containers {
		if slices.Contains(c.Networks, n.Name) {
			if !c.Owned(p.Platform) {
				return false
			}
			ours = true
		}
	}
	return ours
}

// staying gives the stacks whose containers Destroy leaves: croft did not make
// them, or made them to the letter.
func (p *Provisioner) staying(state stacks.State) map[string]bool {
	out := map[string]bool{}
	for _, c := range state.Containers {
		if !c.Owned(p.Platform) && p.Adopted[c.Project] != "" {
			out[c.Stack] = true
		}
	}
	return out
}

// Staying gives those containers, sorted by name.
func (p *Provisioner) Staying(ctx context.Context) ([]string, error) {
	state, err := p.Observe(ctx)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, c := range state.Containers {
		if !c.Owned(p.Platform) && p.Adopted[c.Project] != "" {
			out = append(out, c.Name)
		}
	}
	return out, nil
}

// forgetApplied leaves of the last apply what is about stacks that stay.
func (p *Provisioner) forgetApplied(staying map[string]bool) error {
	var a applied
	if err := readJSON(p.appliedPath(), &a); err != nil {
		return err
	}
	a.Stacks = slices.DeleteFunc(a.Stacks, func(s appliedStack) bool { return !staying[s.Name] })
	if len(a.Stacks) > 0 {
		return p.writeJSON(p.appliedPath(), a)
	}
	if err := os.Remove(p.appliedPath()); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

// adopts tells whether a stack is read from the machine: which files it is made
// of is known only once they are read.
func adopts(d stacks.Desired) bool {
	return slices.ContainsFunc(d.Stacks, func(s *stacks.Stack) bool { return s.Adopted != nil })
}

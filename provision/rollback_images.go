package provision

import (
	"fmt"
	"maps"
	"slices"

	"github.com/croft-sh/croft/stacks"
)

// meaning is what a reference meant for stacks that were rolled back.
type meaning struct {
	id     string
	good   int      // revision
	stacks []string // that go back and use it
	split  bool     // it meant different images for them
}

// meaningsOf gives what the references of rolled back stacks meant.
func (p *Provisioner) meaningsOf(d stacks.Desired, backs map[string]held, r stacks.Rendered) (map[string]meaning, error) {
	out := map[string]meaning{}
	for _, name := range slices.Sorted(maps.Keys(d.Held)) {
		if !backs[name].Rollback {
			continue
		}
		then, err := p.revision(backs[name].Good)
		if err != nil {
			return nil, err
		}
		s, _ := r.Stack(name)
		for _, svc := range s.Services {
			id := then.Images[svc.Image]
			if id == "" {
				continue
			}
			m, known := out[svc.Image]
			m.split = m.split || known && m.id != id
			m.id, m.good, m.stacks = id, then.Number, append(m.stacks, name)
			out[svc.Image] = m
		}
	}
	return out, nil
}

// backsAndMeanings gives the ways back that a plan is made with, and the
// references that must mean another image for them than they do. One that cannot
// be given its old meaning, or not without changing a neighbour, keeps the one it
// has: the plan then shows what comes of it.
func (p *Provisioner) backsAndMeanings(d stacks.Desired, o PlanOptions, r stacks.Rendered, state stacks.State) (map[string]held, map[string]string, error) {
	backs := o.backs
	if backs == nil {
		var err error
		if backs, err = p.readHeld(); err != nil {
			return nil, nil, err
		}
	}
	meant, err := p.meaningsOf(d, backs, r)
	if err != nil {
		return nil, nil, err
	}
	out := map[string]string{}
	for ref, m := range meant {
		if state.Images[ref] != m.id && !m.split && present(state, m.id) && m.neighbour(r, state, ref) == "" {
			out[ref] = m.id
		}
	}
	return backs, out, nil
}

// present tells whether the engine still has an image.
func present(state stacks.State, id string) bool {
	for _, is := range state.Images {
		if is == id {
			return true
		}
	}
	return slices.ContainsFunc(state.Containers, func(c stacks.Container) bool { return c.ImageID == id })
}

// neighbour names a service of a stack that does not go back and runs on the
// reference as another image: the old meaning would change that one too.
func (m meaning) neighbour(r stacks.Rendered, state stacks.State, ref string) string {
	for _, other := range r.Stacks {
		if slices.Contains(m.stacks, other.Name) {
			continue
		}
		for _, svc := range other.Services {
			if svc.Image != ref {
				continue
			}
			for _, c := range state.Of(other.Project, svc.Name) {
				if c.ImageID != m.id {
					return other.Name + "/" + svc.Name
				}
			}
		}
	}
	return ""
}

// images says, before anything is touched, which images of then cannot be had, or
// not without a neighbour that stays.
func (b *backward) images() error {
	meant, err := b.p.meaningsOf(b.out.Desired, b.out.backs, b.out.Rendered)
	if err != nil {
		return err
	}
	for _, ref := range slices.Sorted(maps.Keys(meant)) {
		m := meant[ref]
		is, here := b.state.Images[ref]
		neighbour := m.neighbour(b.out.Rendered, b.state, ref)
		switch {
		case m.split:
			b.block("image "+ref, "it meant different images for the stacks of that revision", "roll back one after the other with --stack, or give one of them another tag")
		case is == m.id:
		case !present(b.state, m.id) && here:
			e := gone(ref, m.good)
			b.block("image "+ref, e.Why, e.Do)
		case present(b.state, m.id) && neighbour != "":
			b.block("image "+ref, fmt.Sprintf("it meant another image in revision %d, and %s runs on it as it is now", m.good, neighbour),
				"roll back both, or give one of them another tag")
		}
	}
	return nil
}

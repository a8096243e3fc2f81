package provision

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/croft-sh/croft/stacks"
)

// sizing is how long a plan may take to count the bytes that would be copied.
const sizing = time.Second

// assess looks at the data that new images are about to meet. What is none is
// taken out, what cannot be copied aside is held for a person, and the rest gets
// its bytes.
func (p *Provisioner) assess(ctx context.Context, prep *Prepared) error {
	if err := knownData(prep.Plan, prep.Options.WithoutCopy); err != nil {
		return err
	}
	if p.Volumes == nil {
		return nil
	}
	counting, cancel := context.WithTimeout(ctx, sizing)
	defer cancel()
	var kept []stacks.DataChange
	for _, c := range prep.Plan.Data {
		why, data, err := "", true, error(nil)
		switch {
		case c.Action != stacks.DataCopy:
		case c.Database != nil:
			why = p.assessDatabase(counting, prep, &c)
		default:
			why, data, err = p.assessPath(counting, prep, &c)
		}
		if err != nil {
			return fmt.Errorf("data %s: %w", c.Name, err)
		}
		if why != "" && !blocked(prep.Plan, c) {
			prep.Plan.Blocked = append(prep.Plan.Blocked, c.Hold(why))
		}
		if data {
			kept = append(kept, c)
		}
	}
	prep.Plan.Data = append([]stacks.DataChange{}, kept...)
	return nil
}

// noData names what can be mounted and is no data of a program: nothing, what Look
// says, and croft's own state, which no change of an image takes back.
func (p *Provisioner) noData(plan stacks.Plan) (map[string]bool, error) {
	out := map[string]bool{}
	if p.Volumes == nil {
		return out, nil
	}
	counted, cancel := context.WithCancel(context.Background())
	cancel() // no bytes now
	for _, c := range plan.Data {
		if c.Path == "" {
			continue
		}
		place, err := p.Volumes.Look(counted, c.Path)
		if err != nil {
			return nil, fmt.Errorf("data %s: %w", c.Name, err)
		}
		out[c.Path] = !place.Data || stacks.Within(p.StateDir, c.Path) || stacks.Within(p.UsersDir, c.Path)
	}
	return out, nil
}

// consent adds what was let go without a copy for a change that is under way: the
// word given for it holds until it has ended.
func (p *Provisioner) consent(d stacks.Desired, names []string) ([]string, error) {
	all, err := p.readPending()
	if err != nil {
		return nil, err
	}
	for name, pend := range all {
		s, ok := d.Stack(name)
		for _, a := range pend.Data {
			if ok && a.Left && pend.Target == s.InputHash() {
				names = union(names, []string{a.Volume})
			}
		}
	}
	return names, nil
}

// knownData refuses consent to something that is not at risk: it would be a
// mistyped name, and silently mean nothing.
func knownData(plan stacks.Plan, names []string) error {
	var all []string
	for _, c := range plan.Data {
		all = append(all, c.Name)
	}
	for _, name := range names {
		if !slices.Contains(all, name) {
			if len(all) == 0 {
				all = []string{"nothing"}
			}
			return &UnknownDataError{Name: name, There: all}
		}
	}
	return nil
}

// UnknownDataError is consent to data that no new image is about to meet.
type UnknownDataError struct {
	Name  string
	There []string
}

func (e *UnknownDataError) Error() string {
	return "no new image is about to meet data called " + e.Name
}

// Hint lists what is.
func (e *UnknownDataError) Hint() string { return "what is: " + strings.Join(e.There, ", ") }

func blocked(plan stacks.Plan, c stacks.DataChange) bool {
	return slices.ContainsFunc(plan.Blocked, func(b stacks.Blocked) bool { return b.Subject == "data "+c.Name })
}

// assessDatabase tells why a database cannot be copied aside. A server that the
// plan itself starts is asked when the copy is made.
func (p *Provisioner) assessDatabase(ctx context.Context, prep *Prepared, c *stacks.DataChange) string {
	i := slices.IndexFunc(prep.State.Containers, func(s stacks.Container) bool { return serves(s, *c.Database) })
	if i < 0 {
		if len(prep.Plan.Of(c.Database.Server)) > 0 {
			return ""
		}
		return fmt.Sprintf("its server, %s/%s, does not run: croft start %s", c.Database.Server, c.Database.Hub, c.Database.Server)
	}
	if p.Databases != nil {
		if bytes, _, err := p.Databases.Size(ctx, prep.State.Containers[i].ID, c.Database.Name); err == nil {
			c.Bytes = bytes
		}
	}
	return ""
}

// assessPath tells why a path cannot be copied aside, and whether it holds data.
func (p *Provisioner) assessPath(ctx context.Context, prep *Prepared, c *stacks.DataChange) (why string, data bool, err error) {
	if c.Path == "" {
		if blocked(prep.Plan, *c) || !made(prep.State, c.Volume) {
			return "", blocked(prep.Plan, *c), nil
		}
		return "croft does not find its directory on this machine", true, nil
	}
	if why := p.writers(prep, *c); why != "" {
		return why, true, nil
	}
	place, err := p.Volumes.Look(ctx, c.Path)
	if err != nil || !place.Data {
		return "", false, err
	}
	c.Path, c.Bytes = place.Path, place.Bytes
	if place.Why != "" {
		return place.Why, true, nil
	}
	for key, path := range prep.Lock.Places() {
		if path != "" && path != c.Path && key != c.Name && stacks.Within(c.Path, path) {
			return "it holds the volume " + key + " too", true, nil
		}
	}
	if stacks.Within(c.Path, p.StateDir) {
		return "it holds croft's own state", true, nil
	}
	return p.writers(prep, *c), true, nil
}

// made tells whether a volume exists: one that does not has no data.
func made(state stacks.State, volume string) bool {
	_, there := state.Places[volume]
	return there || slices.ContainsFunc(state.Volumes, func(v stacks.Volume) bool { return v.Name == volume })
}

// writers names whoever else can write the data. It could neither be copied whole,
// nor put back without taking from them what they wrote meanwhile.
func (p *Provisioner) writers(prep *Prepared, c stacks.DataChange) string {
	s, _ := prep.Rendered.Stack(c.Stack)
	for _, other := range prep.State.Others {
		if c.MountedBy(other) {
			return "container " + other.Name + ", which is not of this platform, writes it too"
		}
	}
	for _, other := range prep.State.Containers {
		if !c.MountedBy(other) {
			continue
		}
		_, wanted := s.Service(other.Service)
		switch {
		case other.Project != s.Project && other.State != "exited" && other.State != "created":
			return other.Stack + "/" + other.Service + " writes it too"
		case other.Project == s.Project && other.OneOff && other.Running():
			return "container " + other.Name + ", which somebody started by hand, writes it too"
		case other.Project == s.Project && !other.OneOff && !wanted && !prep.Options.RemoveOrphans:
			return other.Stack + "/" + other.Service + ", which nobody wants any more, has it open: croft apply --remove-orphans takes it away"
		}
	}
	return ""
}

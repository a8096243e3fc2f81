package stacks

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// DiffOptions narrows a plan.
type DiffOptions struct {
	Stacks        []string // only these and what they need; empty: all
	RemoveOrphans bool
	WithoutCopy   []string // data that may meet a new image without a copy
}

// Diff compares what would run with what runs and gives the plan, each change
// with its cause and risk. It decides everything that an apply does.
func Diff(want Rendered, have State, o DiffOptions) Plan {
	d := differ{want: want, have: have, o: o, plan: Plan{
		Schema: "croft/plan/v1", Platform: want.Platform, Revision: want.Hash(), State: have.Token(),
		Changes: []Change{}, Networks: []ResourceChange{}, Volumes: []ResourceChange{}, Images: []ResourceChange{}, Tunnel: []ResourceChange{},
		Blocked: []Blocked{}, NotChecked: []string{}, Warnings: []string{}, Files: []string{}, Drift: []string{}, Data: []DataChange{},
	}}
	for _, w := range want.Warnings {
		d.plan.Warnings = append(d.plan.Warnings, w.Error())
	}
	d.networks() // first: what is on a network that is made anew is made anew too
	for _, s := range want.Stacks {
		if d.selected(s.Name) {
			d.stack(s)
		}
	}
	d.orphans()
	d.lost()
	d.plan.NotChecked = append(d.plan.NotChecked, notChecked()...)
	d.notSeen()
	d.plan.Summary = map[Action]int{ActionCreate: 0, ActionRecreate: 0, ActionRemove: 0, ActionNone: 0}
	for _, c := range d.plan.Changes {
		d.plan.Summary[c.Action]++
	}
	return d.plan
}

// Hash names what would be written: every file of every stack.
func (r Rendered) Hash() string {
	h := sha256.New()
	for _, s := range r.Stacks {
		for _, f := range s.Files {
			fmt.Fprintf(h, "%s/%s %o %d\n", s.Name, f.Path, f.Mode, len(f.Content))
			h.Write(f.Content)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// ContentSum is how a live file is named in State.Live.
func ContentSum(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

type differ struct {
	want Rendered
	have State
	o    DiffOptions
	plan Plan
	anew map[string]bool // networks that are made anew
	index
}

func (d *differ) selected(stack string) bool {
	return len(d.o.Stacks) == 0 || slices.Contains(d.o.Stacks, stack)
}

func (d *differ) stack(s RenderedStack) {
	if _, held := d.have.Held[s.Name]; held {
		d.held(s)
		return
	}
	d.files(s)
	d.volumes(s)
	d.ownNetworks(s)
	old, fresh := d.texts(s)
	replaced := map[string]Action{}
	first := len(d.plan.Changes)
	var meets []string               // services that get another image
	for _, svc := range s.Services { // in dependency order: those followed come first
		c, strange := d.service(s, svc, old[svc.Name], fresh[svc.Name])
		c = alongWith(svc, c, replaced)
		replaced[svc.Name] = c.Action
		c, stopped := d.respectStop(s, c)
		if !stopped {
			d.drifted(s.Name+"/"+svc.Name, strange...)
			d.strays(s, svc, c)
			d.ailing(s, svc)
		}
		d.images(s, svc)
		if d.meets(s, svc, c) {
			meets = append(meets, svc.Name)
		}
		d.plan.Changes = append(d.plan.Changes, c)
	}
	if !slices.Contains(d.have.Stopped, s.Name) {
		d.atRisk(s, meets, d.plan.Changes[first:])
	}
}

// alongWith replaces or restarts a service together with others.
func alongWith(svc RenderedService, c Change, others map[string]Action) Change {
	if c.Action == ActionCreate || c.Action == ActionRecreate {
		return c
	}
	for _, f := range svc.Follows {
		if others[f] == ActionCreate || others[f] == ActionRecreate {
			c.Action, c.Risk, c.Causes = ActionRecreate, RiskRestart, []string{"it shares a space of " + f + ", which is replaced"}
			return c
		}
	}
	for _, f := range svc.Restarts {
		// The engine does so by itself where both are brought up together.
		if others[f] == ActionRecreate && len(c.Containers) > 0 {
			c.Action, c.Risk, c.Causes = ActionRestart, RiskRestart, append(c.Causes, "it is restarted with "+f+", which is replaced")
			return c
		}
	}
	return c
}

// respectStop leaves a stack alone that the admin stopped.
func (d *differ) respectStop(s RenderedStack, c Change) (Change, bool) {
	if !slices.Contains(d.have.Stopped, s.Name) {
		return c, false
	}
	if c.Action == ActionNone {
		return c, true
	}
	d.plan.Warnings = append(d.plan.Warnings, fmt.Sprintf("%s/%s waits, because the stack is stopped: croft start %s", c.Stack, c.Service, s.Name))
	c.Action, c.Risk, c.Causes = ActionNone, RiskNone, []string{}
	return c, true
}

// files lists live files that would be written or taken away.
func (d *differ) files(s RenderedStack) {
	live := d.have.Live[s.Name]
	wanted := map[string]bool{}
	for _, f := range s.Files {
		wanted[f.Path] = true
		if live[f.Path] != ContentSum(f.Content) || d.modeChanged(s.Name, f) {
			d.plan.Files = append(d.plan.Files, s.Name+"/"+f.Path)
			d.driftedFile(s.Name, f.Path)
		}
	}
	for _, path := range d.have.Written[s.Name] {
		if _, there := live[path]; there && !wanted[path] {
			d.plan.Files = append(d.plan.Files, s.Name+"/"+path)
		}
	}
}

// service decides about one service. Reasons for a new container are collected
// first; only without one can it be started, reloaded or left alone. It also
// gives the causes that somebody else brought about.
func (d *differ) service(s RenderedStack, svc RenderedService, old, fresh map[string]any) (c Change, strange []string) {
	c = Change{Stack: s.Name, Service: svc.Name, Action: ActionNone, Risk: RiskNone, Causes: []string{}}
	got := d.of(s.Project, svc.Name)
	for _, g := range got {
		c.Containers = append(c.Containers, g.ID)
	}
	if svc.Replicas == 0 && len(got) == 0 {
		return c, nil
	}
	if len(got) == 0 {
		return d.missing(s, svc, c, old)
	}
	got, beside := d.surplus(s, svc, got)
	if causes, strange := d.recreateCauses(svc, s, got, old, fresh); len(causes) > 0 {
		c.Action, c.Causes, c.Risk = ActionRecreate, causes, RiskRestart
		if len(svc.Hubs) > 0 || d.needed(s.Name) {
			c.Risk = RiskDowntime
		}
		return c, strange
	}
	svc.Job = svc.Job || d.have.Ended[s.Name+"/"+svc.Name]
	if causes := startCauses(svc, got); len(causes) > 0 {
		c.Action, c.Causes = ActionStart, causes
		return c, causes
	}
	if slices.Contains(d.have.Interrupted[s.Name], svc.Name) {
		c.Action, c.Causes = ActionStart, []string{"the last apply was interrupted here"}
		return c, nil
	}
	if len(beside) > 0 {
		return besides(c, beside)
	}
	switch again := d.have.Reloaded[s.Name+"/"+svc.Name] != svc.Reload; {
	case svc.Reload == "":
	case again:
		c.Action, c.Causes = ActionReload, d.changedFiles(s, svc.ReloadPaths, "what it reads again changed")
	case d.edited(s, svc.ReloadPaths):
		c.Action, c.Causes = ActionReload, d.editedFiles(s, svc.ReloadPaths)
		return c, c.Causes
	}
	return c, nil
}

// missing makes a service that has no container.
func (d *differ) missing(s RenderedStack, svc RenderedService, c Change, old map[string]any) (Change, []string) {
	key := s.Name + "/" + svc.Name
	var strange []string
	c.Action, c.Causes = ActionCreate, []string{"not there yet"}
	if old != nil {
		c.Causes = []string{"its container is gone"}
	}
	if len(d.have.Made[key]) > 0 {
		strange = []string{"its container is gone"}
	}
	c.Causes = append(c.Causes, d.unlocked(svc)...)
	return c, strange
}

// recreateCauses gives all reasons for a new container, and those among them
// that somebody else brought about.
func (d *differ) recreateCauses(svc RenderedService, s RenderedStack, got []Container, old, fresh map[string]any) (causes, strange []string) {
	if s.Plain {
		return d.plainCauses(s, svc, got, old, fresh)
	}
	odd := func(more ...string) {
		causes, strange = append(causes, more...), append(strange, more...)
	}
	if len(got) != svc.Replicas {
		causes = append(causes, fmt.Sprintf("%d containers instead of %d", len(got), svc.Replicas))
		if made := d.have.Made[s.Name+"/"+svc.Name]; len(made) > 0 && len(made) != len(got) {
			strange = append(strange, causes...)
		}
	}
	for _, g := range got {
		if g.Spec() == "" {
			if s.Adopted {
				causes = append(causes, "croft decorates it from now on: labels, log bounds, and what x-croft says")
			} else {
				odd("its container was not made by croft")
			}
			break
		}
		odd(d.strangeCauses(s, svc, g)...)
		if g.Spec() != svc.Spec {
			causes = append(causes, specCauses(old, fresh)...)
		}
		if g.Files() != svc.Files {
			causes = append(causes, d.changedFiles(s, svc.ConfigPaths, "its configuration changed")...)
		}
		if g.Secrets() != svc.Secrets {
			causes = append(causes, "its secrets changed")
		}
		if moved := d.movedImage(svc, g, old); moved != "" {
			if g.Spec() == svc.Spec {
				odd(moved)
			} else {
				causes = append(causes, moved)
			}
		}
		for _, n := range svc.Networks {
			if d.anew[n] {
				causes = append(causes, "network "+n+" is made anew")
			} else if !slices.Contains(g.Networks, n) {
				causes = append(causes, "it is not on network "+n)
				if g.Spec() == svc.Spec {
					strange = append(strange, "it is not on network "+n)
				}
			}
		}
	}
	return dedupe(causes), dedupe(strange)
}

func dedupe(in []string) []string {
	var out []string
	for _, s := range in {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func startCauses(svc RenderedService, got []Container) []string {
	for _, g := range got {
		if svc.Job && g.State == "exited" {
			if g.ExitCode != 0 {
				return []string{fmt.Sprintf("it ended with exit code %d", g.ExitCode)}
			}
			continue
		}
		if !g.Running() && g.State != "restarting" {
			return []string{"it is " + g.State}
		}
	}
	return nil
}

// changedFiles names the live files that differ; where none does (someone else
// wrote them already) it falls back to a general cause.
func (d *differ) changedFiles(s RenderedStack, paths []string, fallback string) []string {
	var causes []string
	for _, f := range s.Files {
		if slices.Contains(paths, f.Path) && d.have.Live[s.Name][f.Path] != ContentSum(f.Content) {
			causes = append(causes, "file "+f.Path+" changed")
		}
	}
	if len(causes) == 0 {
		return []string{fallback}
	}
	return causes
}

// needed tells whether another stack stands on this one.
func (d *differ) needed(stack string) bool {
	for _, n := range d.want.Networks {
		for _, h := range n.Hubs {
			if h.Stack == stack {
				return true
			}
		}
	}
	return false
}

// orphans finds containers and shared networks of the platform that nothing
// asks for any more. Without leave they are only told.
func (d *differ) orphans() {
	byService := map[string][]string{}
	for _, c := range d.have.Containers {
		if c.OneOff || d.known(c) {
			continue
		}
		key := c.Stack + "/" + c.Service
		if len(d.have.Made[key]) == 0 {
			d.stranger(c)
		}
		if c.Stack == "" {
			continue
		}
		byService[key] = append(byService[key], c.ID)
	}
	for _, key := range slices.Sorted(maps.Keys(byService)) {
		stack, service, _ := strings.Cut(key, "/")
		if _, held := d.have.Held[stack]; held {
			d.plan.Warnings = append(d.plan.Warnings, key+" runs and is no longer wanted; it stays, because its stack is held"+d.heldUntil(stack))
			continue
		}
		if !d.o.RemoveOrphans {
			d.plan.Warnings = append(d.plan.Warnings, key+" runs and is no longer wanted: croft apply --remove-orphans takes it away, its data stays")
			continue
		}
		d.plan.Changes = append(d.plan.Changes, Change{
			Stack: stack, Service: service, Action: ActionRemove, Risk: RiskDowntime,
			Causes: []string{"no longer wanted"}, Containers: byService[key],
		})
	}
	for _, n := range d.have.Networks {
		if n.Labels[LabelNetwork] == "" || n.Labels[LabelPlatform] != d.want.Platform || d.wantsNetwork(n.Name) || !d.o.RemoveOrphans || d.heldOn(n.Name) {
			continue
		}
		d.plan.Networks = append(d.plan.Networks, ResourceChange{Name: n.Name, Action: ActionRemove, Causes: []string{"no longer wanted"}})
	}
}

func (d *differ) known(c Container) bool {
	for _, s := range d.want.Stacks {
		if s.Project == c.Project {
			_, ok := s.Service(c.Service)
			return ok
		}
	}
	return false
}

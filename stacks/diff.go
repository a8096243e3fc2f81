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
}

// Diff compares what would run with what runs and gives the plan, each change
// with its cause and risk. It decides everything that an apply does.
func Diff(want Rendered, have State, o DiffOptions) Plan {
	d := differ{want: want, have: have, o: o, plan: Plan{
		Schema: "croft/plan/v1", Platform: want.Platform, Revision: want.Hash(), State: have.Token(),
		Changes: []Change{}, Networks: []ResourceChange{}, Volumes: []ResourceChange{}, Tunnel: []ResourceChange{},
		Blocked: []Blocked{}, NotChecked: []string{}, Warnings: []string{}, Files: []string{},
	}}
	for _, w := range want.Warnings {
		d.plan.Warnings = append(d.plan.Warnings, w.Error())
	}
	for _, s := range want.Stacks {
		if d.selected(s.Name) {
			d.stack(s)
		}
	}
	d.networks()
	d.orphans()
	d.plan.NotChecked = append(d.plan.NotChecked,
		"settings changed inside a running container",
		"limits and restart policies changed with docker update",
		"content of volumes")
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
	old := composeServices(d.have.LiveCompose[s.Name])
	fresh := composeServices(s.Compose())
	replaced := map[string]bool{}
	for _, svc := range s.Services { // in dependency order: those followed come first
		c := d.service(s, svc, old[svc.Name], fresh[svc.Name])
		for _, f := range svc.Follows {
			if replaced[f] && c.Action != ActionCreate && c.Action != ActionRecreate {
				c.Action, c.Risk, c.Causes = ActionRecreate, RiskRestart, []string{"it shares a space of " + f + ", which is replaced"}
			}
		}
		replaced[svc.Name] = c.Action == ActionCreate || c.Action == ActionRecreate
		d.plan.Changes = append(d.plan.Changes, d.respectStop(s, c))
	}
}

// respectStop leaves a stack alone that the admin stopped.
func (d *differ) respectStop(s RenderedStack, c Change) Change {
	if c.Action == ActionNone || !slices.Contains(d.have.Stopped, s.Name) {
		return c
	}
	d.plan.Warnings = append(d.plan.Warnings, fmt.Sprintf("%s/%s waits, because the stack is stopped: croft start %s", c.Stack, c.Service, s.Name))
	c.Action, c.Risk, c.Causes = ActionNone, RiskNone, []string{}
	return c
}

// files lists live files that would be written or taken away.
func (d *differ) files(s RenderedStack) {
	live := d.have.Live[s.Name]
	wanted := map[string]bool{}
	for _, f := range s.Files {
		wanted[f.Path] = true
		if live[f.Path] != ContentSum(f.Content) || d.modeChanged(s.Name, f) {
			d.plan.Files = append(d.plan.Files, s.Name+"/"+f.Path)
		}
	}
	for _, path := range d.have.Written[s.Name] {
		if _, there := live[path]; there && !wanted[path] {
			d.plan.Files = append(d.plan.Files, s.Name+"/"+path)
		}
	}
}

func (d *differ) volumes(s RenderedStack) {
	have := map[string]Volume{}
	for _, v := range d.have.Volumes {
		have[v.Name] = v
	}
	for _, v := range s.Volumes {
		if v.Name == "" {
			continue
		}
		got, exists := have[v.Name]
		switch {
		case !exists:
			d.plan.Volumes = append(d.plan.Volumes, ResourceChange{Name: v.Name, Action: ActionCreate, Causes: []string{"new, at " + v.Path}})
		case got.Options["device"] != v.Path:
			d.plan.Blocked = append(d.plan.Blocked, Blocked{
				Subject: "volume " + v.Name,
				Why:     fmt.Sprintf("it exists and lies at %s, not at %s", orUnknown(got.Options["device"]), v.Path),
				Hint:    "croft never moves or replaces data; back it up, remove the volume by hand, and apply again, or name the volume otherwise",
			})
		}
	}
}

func orUnknown(s string) string {
	if s == "" {
		return "a place of the engine's own"
	}
	return s
}

// service decides about one service. Reasons for a new container are collected
// first; only without one can it be started, reloaded or left alone.
func (d *differ) service(s RenderedStack, svc RenderedService, old, fresh map[string]any) Change {
	c := Change{Stack: s.Name, Service: svc.Name, Action: ActionNone, Risk: RiskNone, Causes: []string{}}
	got := d.have.Of(s.Project, svc.Name)
	for _, g := range got {
		c.Containers = append(c.Containers, g.ID)
	}
	if svc.Replicas == 0 && len(got) == 0 {
		return c
	}
	if len(got) == 0 {
		c.Action, c.Causes = ActionCreate, []string{"not there yet"}
		if old != nil {
			c.Causes = []string{"its container is gone"}
		}
		c.Causes = append(c.Causes, d.unlocked(svc)...)
		if ran := d.have.Ran[s.Name+"/"+svc.Name]; svc.Data && ran != "" && d.imageFor(svc.Image) != ran {
			c.Risk = RiskData // the data is there, and another image is about to meet it
		}
		return c
	}
	if causes := d.recreateCauses(svc, s, got, old, fresh); len(causes) > 0 {
		c.Action, c.Causes, c.Risk = ActionRecreate, causes, RiskRestart
		if len(svc.Hubs) > 0 || d.needed(s.Name) {
			c.Risk = RiskDowntime
		}
		if svc.Data && d.newImage(svc, got, old) {
			c.Risk = RiskData
		}
		return c
	}
	svc.Job = svc.Job || d.have.Ended[s.Name+"/"+svc.Name]
	if causes := startCauses(svc, got); len(causes) > 0 {
		c.Action, c.Causes = ActionStart, causes
		return c
	}
	if slices.Contains(d.have.Interrupted[s.Name], svc.Name) {
		c.Action, c.Causes = ActionStart, []string{"the last apply was interrupted here"}
		return c
	}
	if svc.Reload != "" && (d.have.Reloaded[s.Name+"/"+svc.Name] != svc.Reload || d.edited(s, svc.ReloadPaths)) {
		c.Action, c.Causes = ActionReload, d.changedFiles(s, svc.ReloadPaths, "what it reads again changed")
	}
	return c
}

// newImage tells whether the service gets another image than it runs on. An
// image that is not here yet is another one, unless its reference stayed.
func (d *differ) newImage(svc RenderedService, got []Container, old map[string]any) bool {
	id, present := d.have.Images[svc.Image]
	for _, g := range got {
		if present && id != g.ImageID {
			return true
		}
		if !present && (old == nil || old["image"] != svc.Image) {
			return true
		}
	}
	return false
}

func (d *differ) recreateCauses(svc RenderedService, s RenderedStack, got []Container, old, fresh map[string]any) []string {
	var causes []string
	if len(got) != svc.Replicas {
		causes = append(causes, fmt.Sprintf("%d containers instead of %d", len(got), svc.Replicas))
	}
	for _, g := range got {
		if g.Spec() == "" {
			causes = append(causes, "its container was not made by croft")
			break
		}
		causes = append(causes, d.strangeCauses(s, svc, g)...)
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
			causes = append(causes, moved)
		}
		for _, n := range svc.Networks {
			if !slices.Contains(g.Networks, n) {
				causes = append(causes, "it is not on network "+n)
			}
		}
	}
	return dedupe(causes)
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

// networks compares the shared ones, and who is joined to them.
func (d *differ) networks() {
	for _, n := range d.want.Networks {
		got, exists := d.have.Network(n.Name)
		if !exists {
			d.plan.Networks = append(d.plan.Networks, ResourceChange{Name: n.Name, Action: ActionCreate, Causes: []string{"not there yet"}})
			continue
		}
		if got.Subnet != "" && got.Subnet != n.Subnet {
			d.plan.Blocked = append(d.plan.Blocked, Blocked{
				Subject: "network " + n.Name,
				Why:     fmt.Sprintf("it exists with subnet %s, not %s", got.Subnet, n.Subnet),
				Hint:    "docker network rm " + n.Name + " once nothing uses it, then apply again",
			})
			continue
		}
		for _, h := range n.Hubs {
			d.hub(n, h)
		}
	}
}

func (d *differ) hub(n SharedNetwork, h Hub) {
	s, ok := d.want.Stack(h.Stack)
	if !ok {
		return
	}
	for _, g := range d.have.Of(s.Project, h.Service) {
		if g.Running() && !slices.Contains(g.Networks, n.Name) {
			d.plan.Networks = append(d.plan.Networks, ResourceChange{
				Name: n.Name, Action: ActionConnect, Causes: []string{fmt.Sprintf("%s/%s is not on it", h.Stack, h.Service)},
			})
		}
	}
}

// orphans finds containers and shared networks of the platform that nothing
// asks for any more. Without leave they are only told.
func (d *differ) orphans() {
	byService := map[string][]string{}
	for _, c := range d.have.Containers {
		if c.OneOff || c.Stack == "" || d.known(c) {
			continue
		}
		key := c.Stack + "/" + c.Service
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

func (d *differ) wantsNetwork(name string) bool {
	return slices.ContainsFunc(d.want.Networks, func(n SharedNetwork) bool { return n.Name == name })
}

package stacks

import (
	"fmt"
	"slices"
	"strings"
)

// What somebody did to the machine behind croft's back, as far as lists and
// files show it.

// notChecked is what a plan does not see: neither lists nor files show it.
func notChecked() []string {
	return []string{
		"settings changed inside a running container: its files, its processes, its memory",
		"limits and restart policies changed with docker update",
		"names and fixed addresses of a container on a network it is on",
		"process and memory spaces shared with a container that was replaced by hand",
		"restarts of a container that runs at this moment (croft status counts them)",
		"owners of live files, and files under live/ that croft did not write",
		"content of volumes",
	}
}

// drifted notes what somebody else brought about.
func (d *differ) drifted(subject string, what ...string) {
	for _, w := range what {
		d.plan.Drift = append(d.plan.Drift, subject+": "+w)
	}
}

// odd notes what somebody else brought about and the plan does not undo.
func (d *differ) odd(subject, what, hint string) {
	d.drifted(subject, what)
	d.plan.Warnings = append(d.plan.Warnings, subject+": "+what+"; "+hint)
}

// strangeCauses finds what somebody did to a container behind croft's back.
func (d *differ) strangeCauses(s RenderedStack, svc RenderedService, g Container) []string {
	var causes []string
	key := s.Name + "/" + svc.Name
	_, underWay := d.have.Interrupted[s.Name]
	if made, known := d.have.Made[key]; known && !underWay && !slices.Contains(made, g.ID) {
		causes = append(causes, "its container is not the one croft made")
	}
	if !ownName(s.Project, svc, g.Name) {
		causes = append(causes, "its container was renamed to "+g.Name)
	}
	causes = append(causes, d.secretCauses(svc)...)
	for _, path := range svc.ConfigPaths {
		live, ok := d.have.Live[s.Name][path]
		switch {
		case g.Files() != svc.Files: // it gets a new one for that
		case !ok:
			causes = append(causes, "file "+path+" is missing on disk")
		case live != d.sum(s, path):
			causes = append(causes, "file "+path+" was changed on disk")
		}
	}
	return append(causes, d.staleCauses(s, svc, g)...)
}

// secretCauses finds secrets that a program can have read wrong, or cannot read
// at all. Files that are merely unprotected are put right beside it.
func (d *differ) secretCauses(svc RenderedService) []string {
	var causes []string
	for _, grant := range svc.Grants {
		switch how := d.have.Undelivered[grant.Path]; how {
		case "":
		case SecretGone:
			causes = append(causes, "its secrets are gone from memory")
		case SecretChanged:
			causes = append(causes, "secret "+baseOf(grant.Path)+" was changed in memory")
		default:
			if !slices.Contains(d.plan.Files, grant.Path) {
				d.plan.Files = append(d.plan.Files, grant.Path)
				d.drifted("file "+grant.Path, string(how))
			}
		}
	}
	return causes
}

func baseOf(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// staleCauses finds a container that holds on to what is not there any more: it
// would not start again, or talks to nobody.
func (d *differ) staleCauses(s RenderedStack, svc RenderedService, g Container) []string {
	var causes []string
	for _, name := range append(slices.Clone(svc.Networks), svc.Hubs...) {
		id, on := g.NetworkIDs[name]
		n, exists := d.have.Network(name)
		own := d.wantsNetwork(name) || slices.ContainsFunc(s.Networks, func(n RenderedNetwork) bool { return n.Name == name })
		switch {
		case !on || !own || d.anew[name]:
		case !exists || n.ID != id:
			causes = append(causes, "it holds on to a network "+name+" that is gone")
		}
	}
	if id, shares := strings.CutPrefix(g.NetworkMode, "container:"); shares && len(svc.Follows) > 0 {
		if !slices.ContainsFunc(d.have.Containers, func(c Container) bool { return c.ID == id }) {
			causes = append(causes, "it shares the network of a container that is gone")
		}
	}
	return causes
}

// ownName tells whether a container bears the name that Compose gave it. The one
// that a killed Up leaves behind, <12 hex>_<name>, is healed by the next Up.
func ownName(project string, svc RenderedService, name string) bool {
	if svc.Container != "" {
		return name == svc.Container
	}
	number, ok := strings.CutPrefix(name, project+"-"+svc.Name+"-")
	return ok && number != "" && strings.Trim(number, "0123456789") == ""
}

// surplus splits off containers that stand beside those croft made.
func (d *differ) surplus(s RenderedStack, svc RenderedService, got []Container) (own, beside []Container) {
	made := d.have.Made[s.Name+"/"+svc.Name]
	for _, g := range got {
		if slices.Contains(made, g.ID) {
			own = append(own, g)
		} else {
			beside = append(beside, g)
		}
	}
	if len(own) != svc.Replicas || len(d.have.Interrupted[s.Name]) > 0 {
		return got, nil
	}
	return own, beside
}

// besides takes away what stands beside a service that is as it must be.
func besides(c Change, beside []Container) (Change, []string) {
	c.Action, c.Risk, c.Containers = ActionRemove, RiskNone, nil
	for _, b := range beside {
		c.Containers = append(c.Containers, b.ID)
		c.Causes = append(c.Causes, "container "+b.Name+" beside it is not croft's")
	}
	return c, c.Causes
}

// stranger tells of a container that stands in one of the projects and that
// croft did not make.
func (d *differ) stranger(c Container) {
	switch {
	case c.Stack != "":
		d.drifted("container "+c.Name, "croft did not make it")
	case slices.ContainsFunc(d.want.Stacks, func(s RenderedStack) bool { return s.Project == c.Project }):
		d.odd("container "+c.Name, "it says it is of project "+c.Project+", and croft did not make it", "it stays: docker rm takes it away")
	}
}

// ailing tells of a service that runs and is not well: restarting it again is
// not a repair.
func (d *differ) ailing(s RenderedStack, svc RenderedService) {
	for _, g := range d.of(s.Project, svc.Name) {
		switch {
		case g.State == "restarting":
			d.odd(s.Name+"/"+svc.Name, fmt.Sprintf("it crashes again and again, last with exit code %d", g.ExitCode),
				fmt.Sprintf("croft logs %s %s shows why", s.Name, svc.Name))
		case g.Running() && g.Health == "unhealthy":
			d.odd(s.Name+"/"+svc.Name, "it runs, and its health check fails", fmt.Sprintf("croft logs %s %s shows why", s.Name, svc.Name))
		}
	}
}

// images makes references mean again what a running container was made from,
// where they mean nothing any more, and puts croft's own tags back.
func (d *differ) images(s RenderedStack, svc RenderedService) {
	key := s.Name + "/" + svc.Name
	for _, g := range d.of(s.Project, svc.Name) {
		if g.Spec() != svc.Spec || g.ImageID == "" || !slices.Contains(d.have.Made[key], g.ID) {
			continue
		}
		if _, present := d.have.Images[svc.Image]; !present && !strings.Contains(svc.Image, "@") {
			d.tag(svc.Image, g.ImageID, "it is gone from this machine, and "+key+" runs on it")
		}
		if tag := KeepTag(d.want.Platform, g.ImageID); d.have.Kept != nil && !slices.Contains(d.have.Kept, tag) && d.have.Ran[key] == g.ImageID {
			d.tag(tag, g.ImageID, "it is gone, and keeps the image of "+key+" for the way back")
		}
	}
}

func (d *differ) tag(name, id, cause string) {
	if slices.ContainsFunc(d.plan.Images, func(r ResourceChange) bool { return r.Name == name }) {
		return
	}
	d.plan.Images = append(d.plan.Images, ResourceChange{Name: name, Action: ActionTag, Causes: []string{cause}, ImageID: id})
	d.drifted("image "+name, cause)
}

// driftedFile tells of a live file that is not what croft wrote. One that is, and
// is to be another, follows from croft.yaml.
func (d *differ) driftedFile(stack, path string) {
	subject := "file " + stack + "/" + path
	wrote, mode, known := strings.Cut(d.have.Wrote[stack+"/"+path], " ")
	live, there := d.have.Live[stack][path]
	switch {
	case !known:
	case !there:
		d.drifted(subject, "it is missing on disk")
	case live != wrote:
		d.drifted(subject, "it was changed on disk")
	default:
		if now, seen := d.have.LiveModes[stack][path]; seen && octal(now) != mode {
			d.drifted(subject, "it has mode "+octal(now)+", not "+mode)
		}
	}
}

// Written is how State.Wrote remembers a file.
func (f RenderedFile) Written() string { return ContentSum(f.Content) + " " + octal(f.Mode) }

func octal(mode uint32) string { return fmt.Sprintf("%04o", mode) }

// lost writes files of the state directory again that somebody removed.
func (d *differ) lost() {
	for _, name := range d.have.Lost {
		d.plan.Files = append(d.plan.Files, name)
		d.odd("file "+name, "it is gone from the state directory", "the next apply writes it from what runs; what was stopped, held or begun is forgotten")
	}
}

func (d *differ) sum(s RenderedStack, path string) string {
	for _, f := range s.Files {
		if f.Path == path {
			return ContentSum(f.Content)
		}
	}
	return ""
}

// edited tells whether one of the live files is not what croft wrote.
func (d *differ) edited(s RenderedStack, paths []string) bool {
	return slices.ContainsFunc(paths, func(path string) bool { return d.have.Live[s.Name][path] != d.sum(s, path) })
}

// modeChanged tells whether the permission bits of a live file are not what they
// ought to be, and says so: nothing is made anew for it, the bits are set.
func (d *differ) modeChanged(stack string, f RenderedFile) bool {
	have, there := d.have.LiveModes[stack][f.Path]
	if !there || f.Mode == 0 || have == f.Mode {
		return false
	}
	if d.have.Live[stack][f.Path] == ContentSum(f.Content) {
		d.plan.Warnings = append(d.plan.Warnings, fmt.Sprintf("live file %s/%s has mode %04o instead of %04o", stack, f.Path, have, f.Mode))
	}
	return true
}

// editedFiles names those files.
func (d *differ) editedFiles(s RenderedStack, paths []string) []string {
	var causes []string
	for _, path := range paths {
		live, there := d.have.Live[s.Name][path]
		switch {
		case !there:
			causes = append(causes, "file "+path+" is missing on disk")
		case live != d.sum(s, path):
			causes = append(causes, "file "+path+" was changed on disk")
		}
	}
	return causes
}

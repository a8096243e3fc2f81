package stacks

import (
	"fmt"
	"slices"
	"strings"
)

// What somebody did to the machine behind croft's back, as far as lists and
// files show it.

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
	for _, grant := range svc.Grants {
		if slices.Contains(d.have.Undelivered, grant.Path) {
			causes = append(causes, "its secrets are gone from memory")
			break
		}
	}
	for _, path := range svc.ConfigPaths {
		if live, ok := d.have.Live[s.Name][path]; g.Files() == svc.Files && (!ok || live != d.sum(s, path)) {
			causes = append(causes, "file "+path+" was changed on disk")
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

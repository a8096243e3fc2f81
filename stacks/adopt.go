package stacks

import (
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Adopt says of a stack that it is a Compose project that ran before croft did.
// It keeps its name, its directory and its containers: croft reads its Compose
// files where they lie, and leaves its volumes and networks as they are.
type Adopt struct {
	Dir      string   `yaml:"dir" json:"dir" jsonschema_description:"Absolute directory of the project. Its Compose files are read there, and relative paths are meant from there."`
	Project  string   `yaml:"project" json:"project" jsonschema:"pattern=^[a-z0-9][a-z0-9_-]*$" jsonschema_description:"Name of the Compose project; its containers, networks and volumes go by it."`
	Files    []string `yaml:"files,omitempty" json:"files,omitempty" jsonschema_description:"Compose files in their order, where they are not those that docker compose finds in the directory."`
	EnvFiles []string `yaml:"env_files,omitempty" json:"env_files,omitempty" jsonschema_description:"Files of variables in their order, where they are not the directory's .env."`
	Profiles []string `yaml:"profiles,omitempty" json:"profiles,omitempty" jsonschema_description:"Profiles that are switched on."`
	Decorate bool     `yaml:"decorate,omitempty" json:"decorate,omitempty" jsonschema_description:"Treat it as a stack of the platform: labels, log bounds, and x-croft of its Compose file. Its services are made anew, its volumes stay."`
}

// Plain tells whether the stack is left to the letter as docker compose has it.
func (s *Stack) Plain() bool { return s.Adopted != nil && !s.Adopted.Decorate }

// AdoptedProjects gives the stack of each adopted Compose project.
func (p Platform) AdoptedProjects() map[string]string {
	out := map[string]string{}
	for name, c := range p.Stacks {
		if c.Adopt != nil {
			out[c.Adopt.Project] = name
		}
	}
	return out
}

// ProjectOf gives the Compose project of a stack.
func (p Platform) ProjectOf(stack string) string {
	if c := p.Stacks[stack]; c.Adopt != nil {
		return c.Adopt.Project
	}
	return p.Name + "-" + stack
}

// adopted checks the places of adopted projects, and that no two stacks would
// be one project: each would take the other's containers for its own.
func (c *platformCheck) adopted(p Platform) {
	owner := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(p.Stacks)) {
		if a := p.Stacks[name].Adopt; a == nil {
			owner[p.Name+"-"+name] = name
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Stacks)) {
		a := p.Stacks[name].Adopt
		if a == nil {
			continue
		}
		at := "stacks." + name + ".adopt."
		c.cleanPath(at+"dir", a.Dir)
		for _, f := range slices.Concat(a.Files, a.EnvFiles) {
			if f == "" || strings.ContainsRune(f, 0) {
				c.add(at+"files", fmt.Sprintf("%q is no path of a file", f), "")
			}
		}
		if other, taken := owner[a.Project]; taken {
			c.add(at+"project", fmt.Sprintf("the project %s is that of stack %s", a.Project, other), "each stack is a project of its own")
		}
		owner[a.Project] = name
	}
}

func (c *platformCheck) cleanPath(at, dir string) {
	switch {
	case !path.IsAbs(dir):
		c.add(at, fmt.Sprintf("%q is not an absolute path", dir), "it begins with /")
	case path.Clean(dir) != dir:
		c.add(at, fmt.Sprintf("%q is not a clean path", dir), "write "+path.Clean(dir))
	}
}

// sameChoice tells whether two entries of stacks mean the same.
func sameChoice(a, b StackChoice) bool {
	if (a.Adopt == nil) != (b.Adopt == nil) || !maps.Equal(a.Options, b.Options) {
		return false
	}
	return a.Adopt == nil || sameAdopt(*a.Adopt, *b.Adopt)
}

func sameAdopt(a, b Adopt) bool {
	for _, list := range []*[]string{&a.Files, &a.EnvFiles, &a.Profiles, &b.Files, &b.EnvFiles, &b.Profiles} {
		if len(*list) == 0 {
			*list = nil
		}
	}
	return reflect.DeepEqual(a, b)
}

// putAdopt writes the entry into a stack's node; one that means the same keeps
// its bytes.
func putAdopt(m *yaml.Node, a *Adopt) {
	if a == nil {
		put(m, "adopt", nil)
		return
	}
	if _, old := child(m, "adopt"); old != nil {
		var was Adopt
		if old.Decode(&was) == nil && sameAdopt(was, *a) {
			return
		}
	}
	var n yaml.Node
	if err := n.Encode(a); err != nil {
		panic(err) // strings, lists of them and a boolean: cannot fail
	}
	put(m, "adopt", &n)
	m.Style &^= yaml.FlowStyle
}

// adoptText is the entry in a croft.yaml that is written anew.
func adoptText(a Adopt) string {
	m := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	putAdopt(m, &a)
	raw, err := encode(m, 2)
	if err != nil {
		panic(err) // a tree made here: cannot fail
	}
	var b strings.Builder
	for line := range strings.Lines(string(raw)) {
		b.WriteString("    " + line)
	}
	return b.String()
}

package stacks

import (
	"reflect"
	"slices"

	"go.yaml.in/yaml/v4"
)

// xKey is the block of a Compose file that is croft's.
const xKey = "x-croft"

// readXCroft decodes the x-croft block of a file's documents. It is nil where
// there is none: a plain Compose file.
func readXCroft(f yamlFile) (*XCroft, Problems) {
	var found *XCroft
	d := decoder{file: f.name}
	for _, doc := range f.docs {
		k, v := child(doc, xKey)
		if k == nil {
			continue
		}
		if found != nil {
			d.errorAt(k, xKey, "is written in an earlier YAML document of this file too", "keep one")
			continue
		}
		found = &XCroft{}
		d.value(xKey, v, reflect.ValueOf(found).Elem(), rules{})
		d.problems = append(d.problems, anchorProblems(f.name, doc, v)...)
	}
	return found, d.problems
}

// anchorProblems finds aliases outside of x-croft that mean something inside
// it: the block is taken out before Compose reads the file.
func anchorProblems(file string, doc, x *yaml.Node) Problems {
	inside := map[*yaml.Node]bool{}
	mark(x, inside)
	d := decoder{file: file}
	var look func(n *yaml.Node)
	look = func(n *yaml.Node) {
		if n == x {
			return
		}
		if n.Kind == yaml.AliasNode && inside[n.Alias] {
			d.errorAt(n, "", "the alias *"+n.Value+" means something inside x-croft, which Compose does not see",
				"put the anchor &"+n.Value+" outside of x-croft")
		}
		for _, c := range n.Content {
			look(c)
		}
	}
	look(doc)
	return d.problems
}

func mark(n *yaml.Node, set map[*yaml.Node]bool) {
	set[n] = true
	for _, c := range n.Content {
		mark(c, set)
	}
}

// withDefaults fills in what follows from the rest: the only service of the
// stack, the usual access, scheme and paths.
func (x *XCroft) withDefaults(services []string) {
	only := ""
	if len(services) == 1 {
		only = services[0]
	}
	set := func(s *string, value string) {
		if *s == "" {
			*s = value
		}
	}
	if len(x.Serves) > 0 {
		set(&x.Hub, only)
	}
	for name, r := range x.Routes {
		set(&r.Service, only)
		set(&r.Scheme, "http")
		set(&r.Probe, "/")
		if r.Access == "" {
			r.Access = AccessTwoFactor
		}
		x.Routes[name] = r
	}
	for i := range x.Metrics {
		set(&x.Metrics[i].Service, only)
		set(&x.Metrics[i].Path, "/metrics")
	}
	for name, d := range x.Databases {
		set(&d.Service, only)
		x.Databases[name] = d
	}
}

// locator finds places in the files of a stack, first in the Compose file.
type locator struct {
	files []yamlFile
	index []NodeIndex
}

func (l *locator) add(f yamlFile) {
	x := NodeIndex{}
	for _, d := range f.docs {
		x.index("", d)
	}
	l.files = append(l.files, f)
	l.index = append(l.index, x)
}

// exact gives the place of a path, in the first file that has it.
func (l *locator) exact(path string) (string, Position, bool) {
	for i, x := range l.index {
		if p, ok := x[path]; ok {
			return l.files[i].name, p, true
		}
	}
	return "", Position{}, false
}

// find gives the best place for a path: exact in any file, else the nearest
// thing around it in the Compose file.
func (l *locator) find(path string) (string, Position) {
	if file, pos, ok := l.exact(path); ok {
		return file, pos
	}
	for i, x := range l.index {
		if p, ok := x.Find(path); ok {
			return l.files[i].name, p
		}
	}
	if len(l.files) == 0 {
		return "", Position{}
	}
	return l.files[0].name, Position{1, 1}
}

// in makes an error at the place of a path in one of the files.
func (l *locator) in(file, path, message, hint string) Problem {
	p := Problem{Severity: SeverityError, File: file, Subject: path, Message: message, Hint: hint}
	for i, f := range l.files {
		if f.name == file {
			pos, _ := l.index[i].Find(path)
			p.Line, p.Column = pos.Line, pos.Column
		}
	}
	return p
}

// problem makes an error at the place of a path.
func (l *locator) problem(path, message, hint string) Problem {
	file, pos := l.find(path)
	return Problem{Severity: SeverityError, File: file, Line: pos.Line, Column: pos.Column, Subject: path, Message: message, Hint: hint}
}

// imagesOf gives every image of the services in the order of the file.
func imagesOf(f yamlFile) (images, services []string) {
	for _, doc := range f.docs {
		_, list := child(doc, "services")
		if list == nil || resolve(list).Kind != yaml.MappingNode {
			continue
		}
		list = resolve(list)
		for i := 0; i+1 < len(list.Content); i += 2 {
			services = append(services, list.Content[i].Value)
			if _, image := child(list.Content[i+1], "image"); image != nil && resolve(image).Kind == yaml.ScalarNode {
				if ref := resolve(image).Value; ref != "" && !slices.Contains(images, ref) {
					images = append(images, ref)
				}
			}
		}
	}
	return images, services
}

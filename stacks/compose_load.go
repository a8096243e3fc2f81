package stacks

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"
)

// LoadEnv is what a stack's file is read with.
type LoadEnv struct {
	Dir         string            // absolute platform directory; only for path arithmetic
	ProjectName string            // Compose project: <platform>-<stack>
	Choice      StackChoice       // what croft.yaml says about the stack
	Facts       map[string]string // CROFT_* variables
}

// SecretDir is the directory, within a stack, where the files of x-croft
// secrets seem to be after loading. It never exists: Render puts the real
// places in.
const SecretDir = ".croft-secrets"

// SecretFilePrefix comes before a secret's name in what is given to Compose.
const SecretFilePrefix = "./" + SecretDir + "/"

// AddressPlaceholder is what ${NAME} of an x-croft address stands for until
// Render puts the address in. No placeholder is the beginning of another.
func AddressPlaceholder(name string) string { return "croft-address-" + name + "-" }

// stackLoad is the work of LoadStack.
type stackLoad struct {
	fsys     fs.FS
	env      LoadEnv
	stack    Stack
	root     string // slash path of the stack within the platform
	mains    []yamlFile
	paths    []string
	at       *locator
	vars     types.Mapping
	host     *hostFiles // of an adopted project; nil otherwise
	problems Problems
}

// LoadStack reads stacks/<name>/ of the platform at the root of fsys. The Stack
// is nil if a problem is an error.
func LoadStack(fsys fs.FS, name string, env LoadEnv) (*Stack, Problems) {
	if !isStackName(name) {
		return nil, Problems{{Severity: SeverityError, Subject: "stack " + name, Message: fmt.Sprintf("%q is no name for a stack", name)}}
	}
	if !filepath.IsAbs(env.Dir) {
		return nil, Problems{{Severity: SeverityError, Subject: "stack " + name, Message: fmt.Sprintf("the platform's directory %q is not absolute", env.Dir)}}
	}
	l := &stackLoad{fsys: fsys, env: env, root: path.Join(StacksDir, name), at: &locator{}}
	l.stack = Stack{Name: name, Dir: filepath.Join(env.Dir, StacksDir, name)}
	if l.read() && l.block() && l.project() {
		l.check()
	}
	ps := sorted(l.problems)
	if ps.Err() != nil {
		return nil, ps
	}
	return &l.stack, ps
}

// note keeps problems and tells whether the work can go on.
func (l *stackLoad) note(ps Problems) bool {
	l.problems = append(l.problems, ps...)
	return ps.Err() == nil
}

// read takes in the directory and parses the Compose files.
func (l *stackLoad) read() bool {
	files, ps := readStackFiles(l.fsys, l.root)
	if !l.note(ps) {
		return false
	}
	l.stack.Files = files
	compose, ps := composeFiles(l.root, files)
	if !l.note(ps) {
		return false
	}
	ok := true
	for _, file := range compose {
		f, ps := parseCompose(path.Join(l.root, file.Path), file.Content)
		ok = l.note(ps) && ok
		l.mains = append(l.mains, f)
		l.paths = append(l.paths, file.Path)
		l.at.add(f)
	}
	l.stack.File = l.mains[0].name
	l.stack.Index = l.at.index[0]
	return ok
}

// parseCompose reads the documents of a Compose file, each a mapping.
func parseCompose(name string, raw []byte) (yamlFile, Problems) {
	f, ps := parseYAML(name, raw)
	if ps.Err() != nil {
		return f, ps
	}
	d := decoder{file: name, problems: ps}
	if len(f.docs) == 0 {
		d.errorAt(&yaml.Node{Line: 1, Column: 1}, "", "the file is empty", "services: {name: {image: ...}}")
	}
	for _, doc := range f.docs {
		if doc.Kind != yaml.MappingNode {
			d.errorAt(doc, "", "must be a mapping of keys to values, is "+kindName(doc), "")
		}
	}
	return f, d.problems
}

// block reads x-croft and what the file's variables mean.
func (l *stackLoad) block() bool {
	var x *XCroft
	sound := true
	others := l.mains[1:]
	if l.stack.Plain() {
		others = nil // whatever x-croft says there, nobody has asked for it yet
	} else {
		var ps Problems
		x, ps = readXCroft(l.mains[0])
		sound = l.note(ps)
	}
	l.stack.X = x
	for _, f := range others {
		for _, doc := range f.docs {
			if k, _ := child(doc, xKey); k != nil {
				sound = l.note(Problems{{Severity: SeverityError, File: f.name, Line: k.Line, Column: k.Column, Subject: xKey,
					Message: "x-croft belongs in " + l.paths[0], Hint: "move it there"}})
			}
		}
	}
	addresses := map[string]string{}
	if x != nil {
		x.withDefaults(nil)
		c := xCheck{stack: l.stack.Name, x: x, files: l.stack.Files, at: l.at}
		c.block()
		sound = l.note(c.problems) && sound
		sound = l.note(checkSecretNames(l.at, x)) && sound
		for n := range x.Addresses {
			addresses[n] = AddressPlaceholder(n)
		}
	}
	sound = l.variables(x, addresses) && sound
	for _, f := range l.mains {
		ps, names := unsetVariables(f, l.vars, l.host != nil)
		l.note(ps)
		l.stack.Unset = append(l.stack.Unset, names...)
	}
	return sound
}

// variables finds what ${NAME} means in the Compose files.
func (l *stackLoad) variables(x *XCroft, addresses map[string]string) bool {
	choice, given := l.env.Choice, map[string]string{}
	if l.host != nil {
		choice, given = undeclared(choice, x)
	}
	options, ps := answers(l.fsys, l.stack.Name, x, choice, l.at)
	sound := l.note(ps)
	maps.Copy(options, given)
	l.stack.Options = options
	switch {
	case l.stack.Plain():
		l.vars, ps = l.adoptedVariables(options)
	case l.host != nil:
		l.vars, ps = l.adoptedVariables(l.env.Facts, addresses, options)
	default:
		l.vars, ps = environment(l.root, l.stack.Files, options, addresses, l.env.Facts)
	}
	return l.note(ps) && sound
}

// project has Compose read the files.
func (l *stackLoad) project() bool {
	byPath := map[string]File{}
	for _, f := range l.stack.Files {
		byPath[f.Path] = f
	}
	base, from := l.stack.Dir, "."
	if l.host != nil {
		base, from = "/", strings.TrimPrefix(l.stack.Dir, "/")
	}
	refs := &references{root: l.root, files: byPath, host: l.host, at: l.at, wanted: map[string]bool{}, seen: map[string]bool{}}
	for _, f := range l.mains {
		refs.follow(f, from)
	}
	ok := l.note(refs.problems)
	for _, f := range l.at.files {
		ok = l.note(checkHome(f, l.substitute)) && ok
		if len(refs.wanted) > 0 && climbs(f.text, l.stack.Dir) {
			ok = l.note(Problems{{Severity: SeverityError, File: f.name, Message: "a path climbs above the root of the file system", Hint: "write the absolute path"}})
		}
	}
	if !ok {
		return false
	}
	in := composeInput{name: l.env.ProjectName, dir: l.stack.Dir, base: base, files: l.mains, paths: l.paths, env: l.vars, refs: refs, secrets: map[string]string{}}
	if l.stack.X != nil {
		for n := range l.stack.X.Secrets {
			in.secrets[n] = SecretFilePrefix + n
		}
	}
	project, hide, err := in.project()
	if err != nil {
		return l.note(composeErrors{at: l.at, root: l.root, hide: hide, vars: l.private()}.problems(err))
	}
	m := mappingFiles{dir: base, root: l.root, files: byPath, host: l.host, at: l.at}
	m.resolve(project)
	l.stack.Project = project
	return l.note(m.problems)
}

// private gives the variables that come from .env alone: people keep passwords
// there, and no error may repeat one.
func (l *stackLoad) private() map[string]string {
	out := maps.Clone(l.vars)
	maps.DeleteFunc(out, func(k, _ string) bool {
		_, option := l.stack.Options[k]
		_, fact := l.env.Facts[k]
		return option || fact
	})
	return out
}

// substitute puts the variables into a text as far as that works.
func (l *stackLoad) substitute(s string) string {
	if !strings.Contains(s, "$") {
		return s
	}
	out, err := template.SubstituteWithOptions(s, l.vars.Resolve, template.WithoutLogging)
	if err != nil {
		return s
	}
	return out
}

// check looks at block and project together.
func (l *stackLoad) check() {
	p := l.stack.Project
	if l.stack.X != nil {
		services := slices.Sorted(maps.Keys(p.Services))
		for n := range p.DisabledServices {
			services = append(services, n)
		}
		l.stack.X.withDefaults(services)
		c := xCheck{stack: l.stack.Name, x: l.stack.X, project: p, files: l.stack.Files, at: l.at, services: services}
		c.references()
		l.note(c.problems)
	}
	l.note(checkProject(&l.stack, l.at))
}

// LoadStackInfo reads a stack for stack list and info, without its options. dir
// is the stack's directory within fsys. The images are as they are written, in
// the order of the file.
func LoadStackInfo(fsys fs.FS, dir string) (XCroft, []string, Problems) {
	files, ps := readStackFiles(fsys, dir)
	if ps.Err() != nil {
		return XCroft{}, nil, sorted(ps)
	}
	compose, more := composeFiles(dir, files)
	if ps = append(ps, more...); ps.Err() != nil {
		return XCroft{}, nil, sorted(ps)
	}
	f, more := parseCompose(path.Join(dir, compose[0].Path), compose[0].Content)
	if ps = append(ps, more...); ps.Err() != nil {
		return XCroft{}, nil, sorted(ps)
	}
	images, services := imagesOf(f)
	x, more := readXCroft(f)
	ps = append(ps, more...)
	if x == nil {
		return XCroft{}, images, sorted(ps)
	}
	x.withDefaults(services)
	at := &locator{}
	at.add(f)
	c := xCheck{stack: path.Base(dir), x: x, files: files, at: at, services: services}
	c.block()
	return *x, images, sorted(append(ps, c.problems...))
}

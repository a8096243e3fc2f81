package stacks

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/consts"
	"github.com/compose-spec/compose-go/v2/types"
)

// adopted loads an adopted project from the machine, or as it was in an earlier
// revision, whose inputs hold its files below the stack's directory.
func (b *bringer) adopted(name string, choice StackChoice) (*Stack, Problems) {
	machine := b.o.Machine
	if machine == nil { // the platform is a revision's inputs
		if sub, err := fs.Sub(b.fsys, path.Join(StacksDir, name)); err == nil {
			machine = sub
		}
	}
	if earlier, ok := b.o.Instead[name]; ok {
		sub, err := fs.Sub(earlier, path.Join(StacksDir, name))
		if err != nil {
			return nil, Problems{{Severity: SeverityError, Subject: "stack " + name, Message: err.Error()}}
		}
		machine = sub
	}
	return LoadAdopted(machine, b.fsys, name, LoadEnv{Dir: b.o.Dir, ProjectName: choice.Adopt.Project, Choice: choice, Facts: b.facts})
}

// LoadAdopted reads the files of an adopted project as docker compose would,
// from machine, which is the root of the machine's files. fsys is the platform.
// The Stack is nil if a problem is an error.
func LoadAdopted(machine, fsys fs.FS, name string, env LoadEnv) (*Stack, Problems) {
	a := env.Choice.Adopt
	if machine == nil {
		return nil, Problems{{Severity: SeverityError, Subject: "stack " + name, Message: "adopted projects cannot be read here"}}
	}
	host := &hostFiles{fsys: machine, read: map[string]File{}}
	l := &stackLoad{fsys: fsys, env: env, root: "/", at: &locator{}, host: host}
	l.stack = Stack{Name: name, Dir: a.Dir, Adopted: a}
	if l.readAdopted() && l.block() && l.project() {
		l.stack.Files = host.files()
		l.checkAdopted()
	}
	ps := sorted(l.problems)
	if ps.Err() != nil {
		return nil, ps
	}
	return &l.stack, ps
}

// AdoptedInfo reads what the Compose file of an adopted project says about
// itself; a plain one is asked nothing.
func AdoptedInfo(machine fs.FS, name string, a Adopt) (XCroft, []string, Problems) {
	l := &stackLoad{root: "/", at: &locator{}, host: &hostFiles{fsys: machine, read: map[string]File{}}}
	l.stack = Stack{Name: name, Dir: a.Dir, Adopted: &a}
	if !l.readAdopted() {
		return XCroft{}, nil, sorted(l.problems)
	}
	images, services := imagesOf(l.mains[0])
	if !a.Decorate {
		return XCroft{}, images, sorted(l.problems)
	}
	x, ps := readXCroft(l.mains[0])
	l.note(ps)
	if x == nil {
		return XCroft{}, images, sorted(l.problems)
	}
	x.withDefaults(services)
	return *x, images, sorted(l.problems)
}

// readAdopted parses the Compose files.
func (l *stackLoad) readAdopted() bool {
	a := l.stack.Adopted
	list := a.Files
	if len(list) == 0 {
		list = l.host.composeFiles(a.Dir)
	}
	if len(list) == 0 {
		return l.note(Problems{{Severity: SeverityError, File: a.Dir, Subject: "stacks." + l.stack.Name + ".adopt",
			Message: "holds no Compose file of the adopted project " + a.Project,
			Hint:    "bring the directory back, or take the stack out with croft stack remove " + l.stack.Name + ": what runs goes on"}})
	}
	ok := true
	for _, name := range list {
		file, problem := l.host.file(absolute(a.Dir, name))
		if problem != nil {
			problem.Subject = "stacks." + l.stack.Name + ".adopt"
			ok = l.note(Problems{*problem})
			continue
		}
		f, ps := parseCompose("/"+file.Path, file.Content)
		ok = l.note(ps) && ok
		l.mains, l.paths = append(l.mains, f), append(l.paths, file.Path)
		l.at.add(f)
	}
	if ok {
		l.stack.File, l.stack.Index = l.mains[0].name, l.at.index[0]
	}
	return ok
}

// absolute gives the absolute form of a path that is meant from dir.
func absolute(dir, name string) string {
	if path.IsAbs(name) {
		return path.Clean(name)
	}
	return path.Join(dir, name)
}

// adoptedVariables is what ${NAME} means in an adopted project: the answers of
// croft.yaml stand for the shell that docker compose was called from, and come
// before the files of variables.
func (l *stackLoad) adoptedVariables(given ...map[string]string) (types.Mapping, Problems) {
	a := l.stack.Adopted
	env := types.Mapping{}
	for _, g := range given {
		maps.Copy(env, g)
	}
	if len(a.Profiles) > 0 {
		env[consts.ComposeProfiles] = strings.Join(a.Profiles, ",")
	}
	list, must := a.EnvFiles, true
	if len(list) == 0 {
		list, must = []string{".env"}, false
	}
	read := map[string]string{}
	var ps Problems
	for _, name := range list {
		file, problem := l.host.file(absolute(a.Dir, name))
		if problem != nil {
			if must || problem.Message != noSuchFile {
				ps = append(ps, *problem)
			}
			continue
		}
		lookup := maps.Clone(read)
		maps.Copy(lookup, env)
		vars, err := parseDotenv(file.Content, lookup)
		if err != nil {
			ps = append(ps, dotenvProblem("/"+file.Path, err))
			continue
		}
		maps.Copy(read, vars) // a later file comes before an earlier one
	}
	for k, v := range read {
		if _, ok := env[k]; !ok {
			env[k] = v
		}
	}
	return env, ps
}

// undeclared takes the answers that no x-croft asks for out of a choice: in an
// adopted project they are variables.
func undeclared(choice StackChoice, x *XCroft) (StackChoice, map[string]string) {
	declared, given := map[string]string{}, map[string]string{}
	for key, value := range choice.Options {
		if x != nil {
			if _, asked := x.Options[key]; asked {
				declared[key] = value
				continue
			}
		}
		given[key] = value
	}
	choice.Options = declared
	return choice, given
}

// checkAdopted checks what would let an adopted project pass for another stack.
// All else is as docker compose has taken it already.
func (l *stackLoad) checkAdopted() {
	p := l.stack.Project
	if len(p.Services) == 0 && len(p.DisabledServices) == 0 {
		l.note(Problems{l.at.problem("services", "the project has no service", "")})
	}
	for _, name := range p.ServiceNames() {
		at := "services." + name + ".labels"
		l.note(slices.DeleteFunc(checkLabels(l.at, at, p.Services[name].Labels, false), func(p Problem) bool {
			return p.Severity == SeverityWarning && l.stack.Plain() // Traefik may be the project's own
		}))
		if l.stack.X != nil {
			l.note(checkSecretUser(l.at, l.stack.X, p.Services[name]))
		}
	}
	if l.stack.X == nil {
		return
	}
	services := p.ServiceNames()
	services = append(services, slices.Sorted(maps.Keys(p.DisabledServices))...)
	l.stack.X.withDefaults(services)
	c := xCheck{stack: l.stack.Name, x: l.stack.X, project: p, files: l.stack.Files, at: l.at, services: services}
	c.references()
	l.note(c.problems)
}

// hostFiles reads the few files of an adopted project that Compose reads, and
// remembers them: they are the stack's inputs.
type hostFiles struct {
	fsys fs.FS
	read map[string]File // by path without the leading slash
}

const noSuchFile = "no such file"

// file reads one by its absolute path. Links are followed, as docker compose
// follows them: the directory is the machine's, not a commit's.
func (h *hostFiles) file(name string) (File, *Problem) {
	rel := strings.TrimPrefix(path.Clean(name), "/")
	if f, ok := h.read[rel]; ok {
		return f, nil
	}
	bad := func(message, hint string) (File, *Problem) {
		return File{}, &Problem{Severity: SeverityError, File: "/" + rel, Message: message, Hint: hint}
	}
	info, err := fs.Stat(h.fsys, rel)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return bad(noSuchFile, "")
	case err != nil:
		return bad("cannot be read: "+reason(err), "")
	case !info.Mode().IsRegular():
		return bad("is not a regular file", "")
	case info.Size() > maxYAMLBytes:
		return bad(fmt.Sprintf("is larger than %d KiB", maxYAMLBytes>>10), "")
	}
	in, err := h.fsys.Open(rel)
	if err != nil {
		return bad("cannot be read: "+reason(err), "")
	}
	defer in.Close() // only read from: nothing to lose
	raw, err := io.ReadAll(io.LimitReader(in, maxYAMLBytes+1))
	if err != nil {
		return bad("cannot be read: "+reason(err), "")
	}
	f := File{Path: rel, Content: raw, Mode: info.Mode().Perm()}
	h.read[rel] = f
	return f, nil
}

func (h *hostFiles) exists(name string) bool {
	info, err := fs.Stat(h.fsys, strings.TrimPrefix(name, "/"))
	return err == nil && info.Mode().IsRegular()
}

// composeFiles gives the Compose file of a directory and its override, as docker
// compose finds them; none where there is none.
func (h *hostFiles) composeFiles(dir string) []string {
	var out []string
	for _, names := range [][]string{composeNames(), overrideNames()} {
		i := slices.IndexFunc(names, func(n string) bool { return h.exists(path.Join(dir, n)) })
		if i < 0 {
			break
		}
		out = append(out, names[i])
	}
	return out
}

func (h *hostFiles) files() []File {
	return slices.SortedFunc(maps.Values(h.read), func(a, b File) int { return strings.Compare(a.Path, b.Path) })
}

// DefaultComposeFiles gives the files that docker compose takes in a directory
// when it is told none, by their names there.
func DefaultComposeFiles(machine fs.FS, dir string) []string {
	return (&hostFiles{fsys: machine}).composeFiles(dir)
}

// ReadEnvFile reads a file of variables for what docker compose takes out of it
// itself: COMPOSE_FILE and its like. A missing file has none.
func ReadEnvFile(machine fs.FS, name string) (map[string]string, error) {
	f, problem := (&hostFiles{fsys: machine, read: map[string]File{}}).file(name)
	if problem != nil {
		if problem.Message == noSuchFile {
			return nil, nil
		}
		return nil, Problems{*problem}
	}
	vars, err := parseDotenv(f.Content, nil)
	if err != nil {
		return nil, Problems{dotenvProblem(name, err)}
	}
	return vars, nil
}

// ComposeName gives the name that the Compose files themselves say the project
// has, "" where they say none. The last one that says it counts.
func ComposeName(machine fs.FS, a Adopt) (string, error) {
	l := &stackLoad{root: "/", at: &locator{}, host: &hostFiles{fsys: machine, read: map[string]File{}}}
	l.stack = Stack{Dir: a.Dir, Adopted: &a}
	if !l.readAdopted() {
		return "", sorted(l.problems).Err()
	}
	l.env.Choice.Adopt = &a
	vars, ps := l.adoptedVariables()
	if err := ps.Err(); err != nil {
		return "", err
	}
	l.vars = vars
	name := ""
	for _, f := range l.mains {
		for _, doc := range f.docs {
			if _, v := child(doc, "name"); v != nil && v.Value != "" {
				name = l.substitute(v.Value)
			}
		}
	}
	return name, nil
}

package stacks

import (
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// references follows include and extends.file from file to file. Compose opens
// these by itself, so each must be known to lie in the stack's directory first.
type references struct {
	root     string // slash path of the stack within the platform
	files    map[string]File
	host     *hostFiles // where the files of an adopted project are read
	at       *locator
	wanted   map[string]bool // files that Compose will open
	seen     map[string]bool
	problems Problems
}

// follow looks through one parsed file; dir is what its paths are meant from,
// both slash paths within the stack.
func (r *references) follow(f yamlFile, dir string) {
	for _, doc := range f.docs {
		var v any
		if err := doc.Decode(&v); err != nil {
			// What cannot be looked through is not given to Compose either.
			r.problems = append(r.problems, syntaxProblem(f.name, f.text, err))
			continue
		}
		m, _ := v.(map[string]any)
		list, _ := m["include"].([]any)
		for i, e := range list {
			r.include(f.name, "include."+strconv.Itoa(i), dir, e)
		}
		services, _ := m["services"].(map[string]any)
		for name, s := range services {
			service, _ := s.(map[string]any)
			extends, _ := service["extends"].(map[string]any)
			if file, ok := extends["file"]; ok {
				at := "services." + name + ".extends.file"
				if p, ok := r.inside(f.name, at, dir, file); ok {
					r.open(f.name, at, p, path.Dir(p))
				}
			}
		}
	}
}

// include takes both forms: a path, or a mapping with path, project_directory
// and env_file.
func (r *references) include(file, at, dir string, e any) {
	m, ok := e.(map[string]any)
	if !ok {
		m = map[string]any{"path": e}
	}
	base := ""
	if d, ok := m["project_directory"]; ok {
		if base, ok = r.inside(file, at+".project_directory", dir, d); !ok {
			return
		}
	}
	for _, v := range asList(m["path"]) {
		p, ok := r.inside(file, at, dir, v)
		if !ok {
			return
		}
		if base == "" {
			base = path.Dir(p)
		}
		r.open(file, at, p, base)
	}
	if m["env_file"] == nil {
		r.fetch(path.Join(base, ".env")) // what an include reads when it is told nothing
	}
	for _, v := range asList(m["env_file"]) {
		if v == "/dev/null" {
			continue
		}
		if p, ok := r.inside(file, at+".env_file", dir, v); ok {
			r.wanted[p] = true
			r.fetch(p)
		}
	}
}

// fetch reads a file of an adopted project, if it is there.
func (r *references) fetch(p string) (File, bool) {
	if r.host == nil {
		f, ok := r.files[p]
		return f, ok
	}
	f, problem := r.host.file("/" + p)
	if problem == nil {
		r.files[p] = f
	}
	return f, problem == nil
}

func asList(v any) []any {
	if l, ok := v.([]any); ok {
		return l
	}
	if v == nil {
		return nil
	}
	return []any{v}
}

// inside gives the slash path within the stack that a reference means.
func (r *references) inside(file, at, dir string, v any) (string, bool) {
	bad := func(message, hint string) (string, bool) {
		r.problems = append(r.problems, r.at.in(file, at, message, hint))
		return "", false
	}
	s, ok := v.(string)
	if !ok || s == "" {
		return bad("must be the path of a file", "")
	}
	switch {
	case matches(`^[a-zA-Z][a-zA-Z0-9+.-]*:|^git@`, s):
		return bad(fmt.Sprintf("%q is not in the stack's directory: nothing is fetched from elsewhere", s), "copy the file into the stack's directory")
	case strings.Contains(s, "$"):
		return bad("a variable cannot choose a file to read", "write the path out")
	case path.IsAbs(s) || strings.HasPrefix(s, "~"):
		return bad(fmt.Sprintf("%q is an absolute path", s), "a path relative to the stack's directory, which must hold the file")
	}
	p := path.Join(dir, s)
	if p == ".." || strings.HasPrefix(p, "../") {
		return bad(fmt.Sprintf("%q leaves the stack's directory", s), "the stack's directory must hold the file")
	}
	return p, true
}

// open parses a file that Compose will read, once for each directory that its
// paths may be meant from.
func (r *references) open(from, at, p, dir string) {
	r.wanted[p] = true
	if r.seen[p+"\x00"+dir] {
		return
	}
	r.seen[p+"\x00"+dir] = true
	file, ok := r.fetch(p)
	if !ok {
		r.problems = append(r.problems, r.at.in(from, at, "no file "+p+" in this stack", meant(p, slices.Collect(maps.Keys(r.files)))))
		return
	}
	f, ps := parseYAML(path.Join(r.root, p), file.Content)
	r.problems = append(r.problems, ps...)
	if ps.Err() != nil {
		return
	}
	for _, d := range f.docs {
		if k, _ := child(d, xKey); k != nil {
			r.problems = append(r.problems, Problem{Severity: SeverityError, File: f.name, Line: k.Line, Column: k.Column,
				Subject: xKey, Message: "x-croft belongs in the stack's own Compose file", Hint: "move it there"})
		}
	}
	r.at.add(f)
	r.follow(f, dir)
}

// materialise writes what Compose will open into a private directory of the
// same shape below a new root, and gives that root. Nothing else is written,
// and remove takes it away.
func (r *references) materialise(dir string) (root string, remove func(), err error) {
	root, err = os.MkdirTemp("", "croft-load-")
	if err != nil {
		return "", nil, err
	}
	remove = func() { _ = os.RemoveAll(root) } // best effort: it is private and in the temporary directory
	for p, f := range r.files {
		// An include without env_file reads the .env beside the file.
		if !r.wanted[p] && path.Base(p) != ".env" {
			continue
		}
		name := filepath.Join(root, dir, filepath.FromSlash(p))
		if err = os.MkdirAll(filepath.Dir(name), 0o700); err == nil {
			err = os.WriteFile(name, f.Content, 0o600)
		}
		if err != nil {
			remove()
			return "", nil, err
		}
	}
	return root, remove, nil
}

// restored takes the temporary root out of every text of a model.
func restored(v any, root string) any {
	switch v := v.(type) {
	case string:
		return strings.ReplaceAll(v, root, "")
	case map[string]any:
		for k, e := range v {
			v[k] = restored(e, root)
		}
	case []any:
		for i, e := range v {
			v[i] = restored(e, root)
		}
	}
	return v
}

// climbs tells whether a text has more ".." than there are directories above
// the stack: below a temporary root these would mean something else.
func climbs(text []byte, dir string) bool {
	depth := strings.Count(filepath.ToSlash(filepath.Clean(dir)), "/")
	for _, m := range regexp.MustCompile(`(\.\./?)+`).FindAll(text, -1) {
		if strings.Count(string(m), "..") > depth {
			return true
		}
	}
	return false
}

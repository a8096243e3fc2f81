package stacks

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode"
)

// Limits on a stack's directory: it holds configuration, not data.
const (
	maxStackFiles = 2000
	maxStackFile  = 16 << 20
	maxStackBytes = 64 << 20
	maxStackDepth = 32
)

// StacksDir is the directory of a platform that holds its stacks.
const StacksDir = "stacks"

// stackReader walks a stack's directory.
type stackReader struct {
	fsys     fs.FS
	root     string
	files    []File
	bytes    int64
	problems Problems
}

func (r *stackReader) add(name, message, hint string) {
	r.problems = append(r.problems, Problem{Severity: SeverityError, File: name, Message: message, Hint: hint})
}

// readStackFiles reads every regular file below root. Links, devices, sockets
// and pipes are refused: they lead out of the directory, or hang the reader.
func readStackFiles(fsys fs.FS, root string) ([]File, Problems) {
	r := stackReader{fsys: fsys, root: root}
	// The directory itself, and what is above it, must not be a link either.
	for dir := root; dir != "."; dir = path.Dir(dir) {
		info, err := fs.Lstat(fsys, dir)
		switch {
		case err != nil:
			r.add(root, "cannot be read: "+reason(err), "every stack is a directory with a Compose file")
			return nil, r.problems
		case info.Mode()&fs.ModeSymlink != 0:
			r.add(dir, "is a symbolic link", "put the files themselves here: a link can lead out of the platform")
			return nil, r.problems
		case !info.IsDir():
			r.add(dir, "is not a directory", "")
			return nil, r.problems
		}
	}
	r.walk(root, 1)
	slices.SortFunc(r.files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return r.files, r.problems
}

func (r *stackReader) full() bool { return len(r.files) > maxStackFiles || r.bytes > maxStackBytes }

func (r *stackReader) walk(dir string, depth int) {
	if depth > maxStackDepth {
		r.add(dir, fmt.Sprintf("is nested more than %d directories deep", maxStackDepth), "")
		return
	}
	entries, err := fs.ReadDir(r.fsys, dir)
	if err != nil {
		r.add(dir, "cannot be read: "+reason(err), "")
		return
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		switch mode := e.Type(); {
		case e.Name() == ".git":
		case strings.ContainsFunc(e.Name(), unicode.IsControl):
			r.add(dir, fmt.Sprintf("the file name %q holds a control character", e.Name()), "rename it")
		case mode&fs.ModeSymlink != 0:
			r.add(name, "is a symbolic link", "put the file itself here: a link can lead out of the stack's directory")
		case mode.IsDir():
			r.walk(name, depth+1)
		case !mode.IsRegular():
			r.add(name, "is neither a file nor a directory", "remove it: "+mode.String())
		default:
			r.file(name)
		}
		if r.full() {
			return
		}
	}
}

func (r *stackReader) file(name string) {
	content, problem := readRegular(r.fsys, name, maxStackFile)
	if problem != nil {
		r.problems = append(r.problems, *problem)
		return
	}
	info, err := fs.Stat(r.fsys, name)
	if err != nil {
		r.add(name, "cannot be read: "+reason(err), "")
		return
	}
	r.bytes += int64(len(content))
	r.files = append(r.files, File{Path: strings.TrimPrefix(name, r.root+"/"), Content: content, Mode: info.Mode().Perm()})
	switch {
	case len(r.files) > maxStackFiles:
		r.add(r.root, fmt.Sprintf("holds more than %d files", maxStackFiles), "data belongs in a volume, not beside the Compose file")
	case r.bytes > maxStackBytes:
		r.add(r.root, fmt.Sprintf("holds more than %d MiB", maxStackBytes>>20), "data belongs in a volume, not beside the Compose file")
	}
}

// composeNames and overrideNames are what docker compose looks for, in order.
func composeNames() []string {
	return []string{"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"}
}

func overrideNames() []string {
	return []string{"compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"}
}

// composeFiles picks the Compose file and its override as docker compose does.
func composeFiles(root string, files []File) ([]File, Problems) {
	var ps Problems
	pick := func(names []string) (File, bool) {
		var found []File
		for _, n := range names {
			for _, f := range files {
				if f.Path == n {
					found = append(found, f)
				}
			}
		}
		if len(found) == 0 {
			return File{}, false
		}
		for _, f := range found[1:] {
			ps = append(ps, Problem{Severity: SeverityWarning, File: path.Join(root, f.Path),
				Message: "is not read: " + found[0].Path + " comes first", Hint: "keep one of them"})
		}
		return found[0], true
	}
	main, ok := pick(composeNames())
	if !ok {
		return nil, append(ps, Problem{Severity: SeverityError, File: root,
			Message: "holds no Compose file", Hint: "one of " + strings.Join(composeNames(), ", ")})
	}
	out := []File{main}
	if override, ok := pick(overrideNames()); ok {
		out = append(out, override)
	}
	return out, ps
}

package stacks

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/mail"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
)

// LoadPlatform reads croft.yaml at the root of fsys and finds everything that
// is wrong with it in one go. The Platform has its defaults filled in, and is
// complete only if Problems.Err is nil.
func LoadPlatform(fsys fs.FS) (Platform, Problems) {
	raw, problem := readRegular(fsys, PlatformFile, maxYAMLBytes)
	if problem != nil {
		return Platform{}, Problems{*problem}
	}
	return readPlatform(raw)
}

// readPlatform is LoadPlatform for text.
func readPlatform(raw []byte) (Platform, Problems) {
	f, root, ps := parseOne(PlatformFile, raw)
	if ps.Err() != nil {
		return Platform{}, ps
	}
	var p Platform
	d := decoder{file: f.name, problems: ps}
	d.value("", root, reflect.ValueOf(&p).Elem(), rules{})
	p = p.withDefaults()
	x := NodeIndex{}
	x.index("", root)
	c := platformCheck{index: x, problems: d.problems}
	c.all(p)
	return p, sorted(c.problems)
}

// withDefaults fills in what the admin left out.
func (p Platform) withDefaults() Platform {
	set := func(s *string, value string) {
		if *s == "" {
			*s = value
		}
	}
	if p.Expose == "" {
		p.Expose = ExposeLoopback
	}
	set(&p.Timezone, "UTC")
	set(&p.Storage.Containers, "/srv/croft/"+p.Name+"/containers")
	set(&p.Storage.Projects, "/srv/croft/"+p.Name+"/projects")
	set(&p.Storage.Databases, "/srv/croft/"+p.Name+"/databases")
	if p.Stacks == nil {
		p.Stacks = map[string]StackChoice{}
	}
	return p
}

// readRegular reads a small regular file; a link could lead out of the platform.
func readRegular(fsys fs.FS, name string, limit int64) ([]byte, *Problem) {
	bad := func(message, hint string) *Problem {
		return &Problem{Severity: SeverityError, File: name, Message: message, Hint: hint}
	}
	info, err := fs.Lstat(fsys, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, bad("no such file", "")
	case err != nil:
		return nil, bad("cannot be read: "+reason(err), "")
	case info.Mode()&fs.ModeSymlink != 0:
		return nil, bad("is a symbolic link", "put the file itself here: a link can lead out of the platform")
	case !info.Mode().IsRegular():
		return nil, bad("is not a regular file", "")
	case info.Size() > limit:
		return nil, bad(fmt.Sprintf("is larger than %d KiB", limit>>10), "")
	}
	file, err := fsys.Open(name)
	if err != nil {
		return nil, bad("cannot be read: "+reason(err), "")
	}
	defer file.Close() // only read from: nothing to lose
	raw, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, bad("cannot be read: "+reason(err), "")
	}
	if int64(len(raw)) > limit {
		return nil, bad(fmt.Sprintf("is larger than %d KiB", limit>>10), "")
	}
	return raw, nil
}

// reason is an error of the file system without its path, which the Problem has.
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

// sorted puts problems in the order of the file, and says nothing twice.
func sorted(ps Problems) Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		if c := strings.Compare(a.File, b.File); c != 0 {
			return c
		}
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return slices.Compact(ps)
}

// platformCheck holds the rules that a type cannot say.
type platformCheck struct {
	index    NodeIndex
	problems Problems
}

func (c *platformCheck) add(path, message, hint string) {
	pos, ok := c.index.Find(path)
	if !ok {
		pos = Position{1, 1}
	}
	c.problems = append(c.problems, Problem{Severity: SeverityError, File: PlatformFile,
		Line: pos.Line, Column: pos.Column, Subject: path, Message: message, Hint: hint})
}

func (c *platformCheck) all(p Platform) {
	if p.Admin.Email != "" {
		if err := checkEmail(p.Admin.Email); err != nil {
			c.add("admin.email", err.Error(), "as in ada@example.com")
		}
	}
	// LoadLocation would take a path for a name, and "Local" for what the host has.
	_, err := time.LoadLocation(p.Timezone)
	if err != nil || p.Timezone == "Local" {
		c.add("timezone", fmt.Sprintf("%q is no time zone", p.Timezone), "an IANA name, as in Europe/Berlin")
	}
	if p.Expose == ExposeTunnel {
		c.add("expose", "tunnel is not in this version", "use lan or loopback")
	}
	c.domain(p)
	c.storage(p)
	for _, name := range slices.Sorted(maps.Keys(p.Stacks)) {
		if !isStackName(name) {
			c.add("stacks."+name, fmt.Sprintf("%q is no name for a stack", name),
				"a small letter, then up to 29 small letters, digits and hyphens")
		}
	}
	c.adopted(p)
}

func (c *platformCheck) domain(p Platform) {
	switch {
	case p.Domain == "" && p.Expose != ExposeLAN && p.Expose != ExposeTunnel:
	case p.Domain == "":
		c.add("domain", "a domain is needed with expose: "+string(p.Expose), "domain: example.com, or expose: loopback")
	case !isDomain(p.Domain):
		c.add("domain", fmt.Sprintf("%q is no domain name", p.Domain), "small letters, as in example.com")
	}
}

// systemRoots are never a place for data.
func systemRoots() []string {
	return []string{"/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr"}
}

func (c *platformCheck) storage(p Platform) {
	roots := []struct{ key, dir string }{
		{"containers", p.Storage.Containers}, {"projects", p.Storage.Projects}, {"databases", p.Storage.Databases},
	}
	for _, r := range roots {
		key := "storage." + r.key
		if r.dir == "/srv/croft/"+p.Name+"/"+r.key && !isStackName(p.Name) {
			continue // a default made from a name that is refused already
		}
		switch {
		case !path.IsAbs(r.dir):
			c.add(key, fmt.Sprintf("%q is not an absolute path", r.dir), "it begins with /")
			continue
		case path.Clean(r.dir) != r.dir:
			c.add(key, fmt.Sprintf("%q is not a clean path", r.dir), "write "+path.Clean(r.dir))
			continue
		case r.dir == "/":
			c.add(key, "cannot be the root of the file system", "give it a directory of its own")
			continue
		case strings.ContainsFunc(r.dir, func(r rune) bool { return r < ' ' || strings.ContainsRune(`:,"'$\`, r) }):
			c.add(key, fmt.Sprintf("%q holds a character that mounts cannot take", r.dir), "leave out : , \" ' $ and \\")
			continue
		}
		for _, s := range systemRoots() {
			if within(s, r.dir) {
				c.add(key, fmt.Sprintf("%s belongs to the system", s), "as in /srv/croft/"+p.Name+"/"+r.key)
			}
		}
		for _, o := range roots {
			// Sharing one root is harmless: each stack has its own directory in
			// it. A root inside another could be taken for such a directory.
			if o.dir != r.dir && path.IsAbs(o.dir) && o.dir != "/" && within(o.dir, r.dir) {
				c.add(key, fmt.Sprintf("%s is inside storage.%s (%s)", r.dir, o.key, o.dir), "give it a directory beside it, or the same one")
			}
		}
	}
}

// within tells whether a clean slash path is dir or lies below it.
func within(dir, p string) bool {
	return p == dir || strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/")
}

const stackNamePattern = `^[a-z][a-z0-9-]{0,29}$`

func isStackName(s string) bool { return matches(stackNamePattern, s) }

// matches is for constant patterns only.
func matches(pattern, s string) bool {
	ok, err := regexp.MatchString(pattern, s)
	return err == nil && ok
}

const labelPattern = `^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`

// isLabel tells whether s is one label of a DNS name.
func isLabel(s string) bool { return matches(labelPattern, s) }

// isDomain wants two labels at least: browsers keep no cookies for one alone.
func isDomain(s string) bool {
	labels := strings.Split(s, ".")
	return len(s) <= 253 && len(labels) >= 2 && !slices.ContainsFunc(labels, func(l string) bool { return !isLabel(l) }) &&
		!matches(`^[0-9]+$`, labels[len(labels)-1])
}

func checkEmail(s string) error {
	a, err := mail.ParseAddress(s)
	if err != nil || a.Name != "" || a.Address != s || strings.ContainsAny(s, "\r\n\"<> ") {
		return fmt.Errorf("%q is no e-mail address", s)
	}
	return nil
}

package stacks

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
)

// Stack is one directory with a Compose file, read and checked.
type Stack struct {
	Name    string
	X       *XCroft        // nil for a plain Compose file
	Project *types.Project // as compose-go understands it, paths absolute under Dir
	Dir     string         // absolute directory that relative paths are meant from
	File    string         // slash path of the Compose file relative to the platform
	Files   []File         // every regular file of the directory, sorted by path
	Options map[string]string
	Index   NodeIndex
	// Adopted is set for a Compose project that ran before croft did. The paths
	// of its Files are those of the machine, without the leading slash.
	Adopted *Adopt
	// Unset names variables of the Compose files that nobody gives a value.
	Unset []string
	// Wave is the stack's place in the order: 0 needs nothing.
	Wave int
}

// File is a file of a stack's directory.
type File struct {
	Path    string // slash path within the stack
	Content []byte
	Mode    fs.FileMode
}

// Find gives a file of the stack's directory.
func (s *Stack) Find(path string) (File, bool) {
	for _, f := range s.Files {
		if f.Path == path {
			return f, true
		}
	}
	return File{}, false
}

// InputHash names what the admin wrote of this stack: its files and answers.
func (s *Stack) InputHash() string {
	h := sha256.New()
	for _, f := range s.Files {
		fmt.Fprintf(h, "%s %d", f.Path, len(f.Content))
		if f.Mode&0o100 != 0 { // of the bits, the one that is carried on
			fmt.Fprint(h, " x")
		}
		fmt.Fprintln(h)
		h.Write(f.Content)
	}
	for _, key := range slices.Sorted(maps.Keys(s.Options)) {
		fmt.Fprintf(h, "%q=%q\n", key, s.Options[key])
	}
	if s.Adopted != nil {
		fmt.Fprintf(h, "adopted %+v\n", *s.Adopted)
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// Position is a place in a YAML file, both from 1.
type Position struct{ Line, Column int }

// NodeIndex maps a dotted path of a YAML file to its place.
type NodeIndex map[string]Position

// Route is an address of the platform, resolved.
type Route struct {
	Stack, Name, Service string
	Host                 string // full name: git.example.com
	URL                  string // https://git.example.com
	Port                 uint16
	Access               Access
	Paths                []PathSpec
	Scheme, Probe        string
	BodyBytes            int64 // 0: no limit
}

// Metric is a scrape target, resolved.
type Metric struct {
	Stack, Service string
	Target         string // host:port as Prometheus reaches it
	Path           string
}

// Database is a database and its role on a shared server, resolved.
type Database struct {
	Stack, Name, Owner string
	Engine             string
	Secret             string // "<stack>/<secret>"
	Service            string // the service that connects
}

// Desired is the platform and its stacks, complete and checked: the input of
// Render. Stacks are in dependency order.
type Desired struct {
	Platform  Platform
	Stacks    []*Stack
	Routes    []Route
	Metrics   []Metric
	Databases []Database
	Warnings  Problems
	// Held names stacks that were read from an earlier revision, and which: what
	// is written now failed.
	Held map[string]int
	// Inputs names every byte this was read from, as InputSum does; "" where
	// stacks were taken from elsewhere.
	Inputs string
}

// Stack gives one stack by name.
func (d Desired) Stack(name string) (*Stack, bool) {
	for _, s := range d.Stacks {
		if s.Name == name {
			return s, true
		}
	}
	return nil, false
}

// Server gives the stack that serves something (routes, auth, metrics, postgres).
func (d Desired) Server(what string) (*Stack, bool) {
	for _, s := range d.Stacks {
		if s.X == nil {
			continue
		}
		for _, w := range s.X.Serves {
			if w == what {
				return s, true
			}
		}
	}
	return nil, false
}

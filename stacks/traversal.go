package stacks

import (
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"
)

// A stack is one directory: a relative path that leaves it would read what is
// another stack's, and mean something else on another machine. What lies
// elsewhere on the machine is named by an absolute path, where everybody sees it.
const traversalHint = "put it into the stack's directory, or write an absolute path"

// checkTraversal refuses relative bind sources and files of configs and secrets
// that leave the stack, as written and as resolved.
func checkTraversal(s *Stack, at *locator) Problems {
	var ps Problems
	seen := map[string]bool{}
	bad := func(place, source string) {
		if !seen[place] {
			seen[place] = true
			ps = append(ps, at.problem(place, fmt.Sprintf("%q leaves the stack's directory", source), traversalHint))
		}
	}
	for _, w := range writtenSources(s) {
		if leaves(w.source) {
			bad(w.place, w.source)
		}
	}
	platform := filepath.Dir(filepath.Dir(s.Dir)) // <platform>/stacks/<name>
	resolved := func(place, source string) {
		if within(platform, source) && !within(s.Dir, source) {
			bad(place, source)
		}
	}
	for _, name := range s.Project.ServiceNames() {
		for i, v := range s.Project.Services[name].Volumes {
			if v.Type == types.VolumeTypeBind {
				resolved("services."+name+".volumes."+strconv.Itoa(i), v.Source)
			}
		}
	}
	for _, name := range s.Project.ConfigNames() {
		resolved("configs."+name+".file", s.Project.Configs[name].File)
	}
	for _, name := range s.Project.SecretNames() {
		resolved("secrets."+name+".file", s.Project.Secrets[name].File)
	}
	return ps
}

// leaves tells whether a written relative path ends up outside of its directory.
func leaves(source string) bool {
	if path.IsAbs(source) || !strings.Contains(source, "..") {
		return false
	}
	p := path.Clean(source)
	return p == ".." || strings.HasPrefix(p, "../")
}

// written is a path as it stands in the Compose file, before anything resolved it.
type written struct{ place, source string }

func writtenSources(s *Stack) []written {
	var doc struct {
		Services map[string]struct {
			Volumes []yaml.Node `yaml:"volumes"`
		} `yaml:"services"`
		Configs, Secrets map[string]struct {
			File string `yaml:"file"`
		}
	}
	f, ok := s.Find(path.Base(s.File))
	if !ok || yaml.Unmarshal(f.Content, &doc) != nil {
		return nil // forms this cannot read were read by Compose; what is resolved is checked too
	}
	var out []written
	for _, name := range slices.Sorted(maps.Keys(doc.Services)) {
		for i, n := range doc.Services[name].Volumes {
			var long struct {
				Type, Source string
			}
			source := n.Value
			if n.Kind == yaml.MappingNode && n.Decode(&long) == nil && long.Type == types.VolumeTypeBind {
				source = long.Source
			}
			source, _, _ = strings.Cut(source, ":")
			out = append(out, written{"services." + name + ".volumes." + strconv.Itoa(i), source})
		}
	}
	for _, kind := range []struct {
		name  string
		files map[string]struct {
			File string `yaml:"file"`
		}
	}{{"configs", doc.Configs}, {"secrets", doc.Secrets}} {
		for _, name := range slices.Sorted(maps.Keys(kind.files)) {
			out = append(out, written{kind.name + "." + name + ".file", kind.files[name].File})
		}
	}
	return out
}

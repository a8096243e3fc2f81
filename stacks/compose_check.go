package stacks

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"
)

// checkProject checks what Compose allows and croft does not.
func checkProject(s *Stack, at *locator) Problems {
	var ps Problems
	add := func(path, message, hint string) { ps = append(ps, at.problem(path, message, hint)) }
	if len(s.Project.Services) == 0 && len(s.Project.DisabledServices) == 0 {
		add("services", "the stack has no service", "services: {name: {image: ...}}")
	}
	if _, ok := s.Project.Extensions[xKey]; ok {
		add(xKey, "x-croft must be written at the top of the Compose file, not merged in", "")
	}
	if _, ok := s.Find(SecretDir); ok || slices.ContainsFunc(s.Files, func(f File) bool { return strings.HasPrefix(f.Path, SecretDir+"/") }) {
		add("", SecretDir+" is a name that croft uses itself", "rename it")
	}
	routed := map[string]bool{}
	if s.X != nil {
		for _, r := range s.X.Routes {
			routed[r.Service] = true
		}
	}
	for _, name := range s.Project.ServiceNames() {
		service := s.Project.Services[name]
		ps = append(ps, checkLabels(at, "services."+name+".labels", service.Labels, routed[name])...)
		if s.X != nil {
			ps = append(ps, checkSecretUser(at, s.X, service)...)
		}
	}
	ps = append(ps, checkTraversal(s, at)...)
	for _, n := range s.Project.NetworkNames() {
		ps = append(ps, checkLabels(at, "networks."+n+".labels", s.Project.Networks[n].Labels, false)...)
	}
	for _, n := range s.Project.VolumeNames() {
		ps = append(ps, checkLabels(at, "volumes."+n+".labels", s.Project.Volumes[n].Labels, false)...)
	}
	return ps
}

// checkLabels refuses labels that are croft's own words: with them a stack
// could claim to be another one.
func checkLabels(at *locator, path string, labels types.Labels, routed bool) Problems {
	var ps Problems
	for _, l := range slices.Sorted(maps.Keys(labels)) {
		place := path + "." + l
		if _, _, ok := at.exact(place); !ok {
			place = path
		}
		switch {
		case l == "croft" || strings.HasPrefix(l, "croft."):
			ps = append(ps, at.problem(place, fmt.Sprintf("the label %q is croft's own", l), "remove it"))
		case strings.HasPrefix(l, "traefik."):
			p := at.problem(place, fmt.Sprintf("the label %q has no effect", l), "addresses belong under x-croft.routes")
			if routed {
				p.Message = fmt.Sprintf("the label %q is dropped: croft writes the rules of this service", l)
			}
			p.Severity = SeverityWarning
			ps = append(ps, p)
		}
	}
	return ps
}

// checkSecretUser wants to know who reads a secret: its file belongs to that
// user alone, and only a number means the same on the host.
func checkSecretUser(at *locator, x *XCroft, s types.ServiceConfig) Problems {
	for _, secret := range s.Secrets {
		if _, ok := x.Secrets[secret.Source]; !ok {
			continue
		}
		if matches(`^[0-9]+(:[0-9]+)?$`, s.User) {
			return nil
		}
		path := "services." + s.Name
		message := fmt.Sprintf("reads the secret %s: user is missing", secret.Source)
		if s.User != "" {
			path += ".user"
			message = fmt.Sprintf("the service reads the secret %s: user must be a number, is %q", secret.Source, s.User)
		}
		return Problems{at.problem(path, message, `user: "uid:gid" as the image runs it, as in "1000:1000"`)}
	}
	return nil
}

// checkSecretNames finds secrets that the file and x-croft both declare.
func checkSecretNames(at *locator, x *XCroft) Problems {
	var ps Problems
	for _, n := range slices.Sorted(maps.Keys(x.Secrets)) {
		if _, _, ok := at.exact("secrets." + n); ok {
			ps = append(ps, at.problem("secrets."+n, fmt.Sprintf("the secret %q is under x-croft too", n), "remove it here"))
		}
	}
	return ps
}

// checkHome refuses ~: it means another directory for every user who runs
// croft, and a commit is applied by another user than the one who wrote it.
func checkHome(f yamlFile, value func(string) string) Problems {
	d := decoder{file: f.name}
	var look func(path string, n *yaml.Node, seen map[*yaml.Node]bool)
	look = func(path string, n *yaml.Node, seen map[*yaml.Node]bool) {
		if n = resolve(n); seen[n] {
			return
		}
		seen[n] = true
		switch n.Kind {
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				k := n.Content[i].Value
				look(join(path, k), n.Content[i+1], seen)
			}
		case yaml.SequenceNode:
			for _, c := range n.Content {
				look(path, c, seen)
			}
		case yaml.ScalarNode:
			if n.ShortTag() == "!!str" && strings.HasPrefix(value(n.Value), "~") {
				d.errorAt(n, path, "~ is another directory for every user", "write the absolute path")
			}
		}
	}
	for _, doc := range f.docs {
		for _, top := range []string{"services", "volumes", "secrets", "configs"} {
			if _, v := child(doc, top); v != nil {
				for _, place := range homePlaces(v, top) {
					look(place.path, place.node, map[*yaml.Node]bool{})
				}
			}
		}
	}
	return d.problems
}

type homePlace struct {
	path string
	node *yaml.Node
}

// homePlaces gives the values of a section that Compose takes for paths.
func homePlaces(section *yaml.Node, top string) []homePlace {
	var out []homePlace
	section = resolve(section)
	if section.Kind != yaml.MappingNode {
		return nil
	}
	keys := map[string][]string{
		"services": {"volumes", "env_file", "label_file", "build", "develop", "extends"},
		"volumes":  {"driver_opts"}, "secrets": {"file"}, "configs": {"file"},
	}[top]
	for i := 0; i+1 < len(section.Content); i += 2 {
		for _, key := range keys {
			_, v := child(section.Content[i+1], key)
			if v == nil {
				continue
			}
			path := top + "." + section.Content[i].Value + "." + key
			if key != "build" || resolve(v).Kind != yaml.MappingNode {
				out = append(out, homePlace{path, v})
				continue
			}
			for _, k := range []string{"context", "additional_contexts", "ssh"} {
				if _, b := child(v, k); b != nil {
					out = append(out, homePlace{path + "." + k, b})
				}
			}
		}
	}
	return out
}

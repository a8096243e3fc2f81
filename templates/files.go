package templates

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/croft-sh/croft/stacks"
)

// templateSuffix marks a file that is rendered; the live file has it not.
const templateSuffix = ".tmpl"

// liveFiles is every file of a stack as it would be written, and which are used.
type liveFiles struct {
	byPath map[string]stacks.RenderedFile
	used   map[string]bool
}

// under gives the files at or below a slash path, sorted. "." is the whole stack.
func (l *liveFiles) under(rel string) []string {
	var out []string
	for path := range l.byPath {
		if path == rel || strings.HasPrefix(path, rel+"/") || rel == "." {
			out = append(out, path)
		}
	}
	slices.Sort(out)
	return out
}

// stackFiles renders the templates of a stack, but for those named by a secret,
// and takes the other files as they are.
func (r *renderer) stackFiles(s *stacks.Stack) (*liveFiles, error) {
	out := &liveFiles{byPath: map[string]stacks.RenderedFile{}, used: map[string]bool{}}
	secret := map[string]bool{}
	if s.X != nil {
		for _, spec := range s.X.Secrets {
			secret[spec.Template] = true
		}
	}
	for _, f := range s.Files {
		if secret[f.Path] || f.Path == stacks.ComposeFile {
			continue
		}
		mode := uint32(0o644)
		if f.Mode&0o100 != 0 {
			mode = 0o755
		}
		path, isTemplate := strings.CutSuffix(f.Path, templateSuffix)
		if s.X == nil || !isTemplate {
			out.byPath[f.Path] = stacks.RenderedFile{Path: f.Path, Content: f.Content, Mode: mode}
			continue
		}
		content, _, err := r.execute(s, f.Path, f.Content, false)
		if err != nil {
			return nil, err
		}
		if _, clash := out.byPath[path]; clash {
			return nil, fmt.Errorf("%s and %s would be the same file", path, f.Path)
		}
		out.byPath[path] = stacks.RenderedFile{Path: path, Content: content, Mode: mode}
	}
	return out, nil
}

// secretTemplate renders everything of a secret's template but the secrets: those
// become actions between << and >>, filled in on the tmpfs. It gives the keys of
// the secrets in it, sorted.
func (r *renderer) secretTemplate(s *stacks.Stack, path string) ([]byte, []string, error) {
	f, ok := s.Find(path)
	if !ok {
		return nil, nil, fmt.Errorf("there is no template %s", path)
	}
	content, keys, err := r.execute(s, f.Path, f.Content, true)
	return content, keys, err
}

func (r *renderer) execute(s *stacks.Stack, path string, text []byte, secrets bool) ([]byte, []string, error) {
	keys := map[string]bool{}
	action := func(name, key string, args ...string) (string, error) {
		if !secrets {
			return "", fmt.Errorf("%s is only known in a template that x-croft.secrets names", name)
		}
		if !strings.Contains(key, "/") {
			key = s.Name + "/" + key
		}
		keys[key] = true
		out := "<< " + name + " " + strconv.Quote(key)
		for _, a := range args {
			out += " " + strconv.Quote(a)
		}
		return out + " >>", nil
	}
	funcs := template.FuncMap{
		"quote":  quote,
		"yaml":   flow,
		"indent": func(n int, text string) string { return strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", n)) },
		"join":   func(sep string, list []string) string { return strings.Join(list, sep) },
		"split":  func(sep, text string) []string { return strings.Split(text, sep) },
		"lower":  strings.ToLower,
		"has":    func(item string, list []string) bool { return slices.Contains(list, item) },
		"default": func(fallback, value string) string {
			if value == "" {
				return fallback
			}
			return value
		},
		"secret":    func(key string) (string, error) { return action("secret", key) },
		"scram":     func(key, role string) (string, error) { return action("scram", key, role) },
		"sha256hex": func(key string) (string, error) { return action("sha256hex", key) },
		"argon2id":  func(key string) (string, error) { return action("argon2id", key) },
	}
	t, err := template.New(path).Option("missingkey=error").Funcs(funcs).Parse(string(text))
	if err != nil {
		return nil, nil, err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, r.data(s)); err != nil {
		return nil, nil, err
	}
	return b.Bytes(), slices.Sorted(maps.Keys(keys)), nil
}

// quote gives a string as JSON, which YAML reads as the same string.
func quote(v any) (string, error) {
	raw, err := json.Marshal(fmt.Sprint(v))
	return string(raw), err
}

// flow gives any value as JSON, which is flow YAML.
func flow(v any) (string, error) {
	raw, err := json.Marshal(v)
	return string(raw), err
}

// data is what the templates of a stack see.
func (r *renderer) data(s *stacks.Stack) Data {
	d := r.in.Desired
	out := Data{
		Platform: Platform{
			Name: d.Platform.Name, Domain: d.Platform.BaseDomain(), Timezone: d.Platform.Timezone,
			Expose: d.Platform.Expose, Admin: d.Platform.Admin, AuthURL: authURL(d),
		},
		Stack: s.Name, Options: s.Options, Addresses: r.addresses[s.Name], Peers: r.addresses,
		Metrics: d.Metrics, Databases: d.Databases,
	}
	for _, route := range d.Routes {
		policy, groups := policyOf(route.Access)
		out.Routes = append(out.Routes, Route{Route: route, Policy: policy, Groups: groups})
	}
	return out
}

func authURL(d stacks.Desired) string {
	server, ok := d.Server("auth")
	if !ok {
		return ""
	}
	for _, route := range d.Routes {
		if route.Stack == server.Name {
			return route.URL
		}
	}
	return ""
}

// policyOf gives Authelia's word for an access, and the groups that may pass.
func policyOf(a stacks.Access) (policy string, groups []string) {
	switch a {
	case stacks.AccessPublic, stacks.AccessAppLogin:
		return "bypass", nil
	case stacks.AccessLogin:
		return "one_factor", nil
	case stacks.AccessAdmin:
		return "two_factor", []string{"admins"}
	}
	return "two_factor", nil
}

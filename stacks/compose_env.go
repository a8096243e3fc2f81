package stacks

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/consts"
	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"
)

// answers gives every option of a stack its value: the choice of croft.yaml,
// else the default.
func answers(fsys fs.FS, stack string, x *XCroft, choice StackChoice, at *locator) (map[string]string, Problems) {
	out := map[string]string{}
	var options map[string]Option
	if x != nil {
		options = x.Options
	}
	c := choiceAt{fsys: fsys, prefix: "stacks." + stack + ".options"}
	known := slices.Sorted(maps.Keys(options))
	for _, key := range slices.Sorted(maps.Keys(choice.Options)) {
		if _, ok := options[key]; !ok {
			hint := "the stack asks nothing"
			if len(known) > 0 {
				hint = meant(key, known)
			}
			c.add(key, fmt.Sprintf("stack %s has no option %q", stack, key), hint)
		}
	}
	for _, key := range known {
		o := options[key]
		value, chosen := choice.Options[key]
		_, written := at.index[0][xKey+".options."+key+".default"]
		switch {
		case !chosen && written:
			out[key] = o.Default // checked with the block itself
		case !chosen:
			c.add(key, "an answer is missing: "+o.Ask, fmt.Sprintf("in croft.yaml: stacks: {%s: {options: {%s: ...}}}", stack, key))
		case value == "" && written && o.Default == "":
			out[key] = "" // the author allows none
		default:
			if err := CheckAnswer(o.Check, value); err != nil {
				c.add(key, err.Error(), o.Ask)
			} else if value == "" {
				c.add(key, "the answer is empty: "+o.Ask, "")
			}
			out[key] = value
		}
	}
	return out, c.problems
}

// choiceAt places problems in croft.yaml, where it can be read.
type choiceAt struct {
	fsys     fs.FS
	prefix   string
	index    NodeIndex
	problems Problems
}

func (c *choiceAt) add(key, message, hint string) {
	if c.index == nil {
		c.index = NodeIndex{}
		if raw, problem := readRegular(c.fsys, PlatformFile, maxYAMLBytes); problem == nil {
			if _, root, _ := parseOne(PlatformFile, raw); root != nil {
				c.index.index("", root)
			}
		}
	}
	pos, _ := c.index.Find(c.prefix + "." + key)
	c.problems = append(c.problems, Problem{Severity: SeverityError, File: PlatformFile, Line: pos.Line, Column: pos.Column,
		Subject: c.prefix + "." + key, Message: message, Hint: hint})
}

// environment is what ${NAME} means in a stack's Compose file. The process
// environment is no part of it: two machines must read the same file alike.
func environment(root string, files []File, given ...map[string]string) (types.Mapping, Problems) {
	env := types.Mapping{}
	for _, g := range given {
		for k, v := range g {
			env[k] = v
		}
	}
	i := slices.IndexFunc(files, func(f File) bool { return f.Path == ".env" })
	if i < 0 {
		return env, nil
	}
	name := path.Join(root, ".env")
	read, err := parseDotenv(files[i].Content, env)
	if err != nil {
		return env, Problems{dotenvProblem(name, err)}
	}
	var ps Problems
	for _, k := range []string{"COMPOSE_FILE", "COMPOSE_ENV_FILES", "COMPOSE_PROJECT_NAME", "COMPOSE_PATH_SEPARATOR"} {
		if _, ok := read[k]; ok {
			ps = append(ps, Problem{Severity: SeverityWarning, File: name, Message: k + " is not read here",
				Hint: "croft names projects itself and reads compose.yaml and compose.override.yaml"})
			delete(read, k)
		}
	}
	for k, v := range read {
		if _, ok := env[k]; !ok {
			env[k] = v
		}
	}
	return env, ps
}

// parseDotenv reads a file of variables; what is given comes before what an
// earlier line of the file says, as docker compose has it.
func parseDotenv(content []byte, env types.Mapping) (vars map[string]string, err error) {
	defer recoverTo(&err)
	if len(content) > maxYAMLBytes {
		return nil, fmt.Errorf("is larger than %d KiB", maxYAMLBytes>>10)
	}
	return dotenv.ParseWithLookup(bytes.NewReader(content), func(k string) (string, bool) {
		v, ok := env[k]
		return v, ok
	})
}

// dotenvProblem takes only the line out of the parser's error: the rest quotes
// the file, and such files hold passwords.
func dotenvProblem(name string, err error) Problem {
	p := Problem{Severity: SeverityError, File: name, Message: "is not a list of NAME=VALUE lines"}
	if m := regexp.MustCompile(`line (\d+)`).FindStringSubmatch(err.Error()); m != nil {
		_, _ = fmt.Sscan(m[1], &p.Line) // digits by the expression; 0 is "unknown"
	}
	return p
}

// profiles gives those that the stack's .env switches on.
func profiles(env types.Mapping) []string {
	var out []string
	for _, p := range strings.Split(env[consts.ComposeProfiles], ",") {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}

// unsetVariables warns of each variable that nobody gives a value, and names
// them: Compose would put nothing in their place.
func unsetVariables(f yamlFile, env types.Mapping, adopted bool) (ps Problems, names []string) {
	hint := "declare it under x-croft.options, set it in the stack's .env, or write ${%s:-default}"
	if adopted {
		hint = "set it in the project's .env, or give it under options of the stack in croft.yaml; ${%s:-} says that it may be empty"
	}
	said := map[string]bool{consts.ComposeProjectName: true}
	var look func(n *yaml.Node)
	look = func(n *yaml.Node) {
		switch n.Kind {
		case yaml.ScalarNode:
			if !strings.Contains(n.Value, "$") {
				return
			}
			vars := template.ExtractVariables(map[string]any{"": n.Value}, template.DefaultPattern)
			for _, name := range slices.Sorted(maps.Keys(vars)) {
				v := vars[name]
				if _, ok := env[name]; ok || name == "" || said[name] || v.Required || v.DefaultValue != "" || v.PresenceValue != "" || hasModifier(n.Value, name) {
					continue
				}
				said[name] = true
				names = append(names, name)
				ps = append(ps, Problem{Severity: SeverityWarning, File: f.name, Line: n.Line, Column: n.Column,
					Message: fmt.Sprintf("the variable %s is not set: nothing is put in its place", name),
					Hint:    fmt.Sprintf(hint, name)})
			}
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i].Value != xKey || !slices.Contains(f.docs, n) {
					look(n.Content[i+1])
				}
			}
		case yaml.SequenceNode:
			for _, c := range n.Content {
				look(c)
			}
		}
	}
	for _, d := range f.docs {
		look(d)
	}
	return ps, names
}

// hasModifier tells whether the text says what to do without the variable, be
// it an empty default: ${NAME:-}.
func hasModifier(text, name string) bool {
	return regexp.MustCompile(`\$\{` + regexp.QuoteMeta(name) + `:?[-+?]`).MatchString(text)
}

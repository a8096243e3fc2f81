package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// translation is a configuration of 4.39 on its way to 4.37.
type translation struct {
	out     map[string]any // 4.37's configuration
	environ []string       // the real program's environment

	listen    string // where the proxy answers
	domain    string // the cookies' domain
	portal    *url.URL
	endpoints map[string]endpoint
}

// endpoint is one of 4.39's authorisation endpoints.
type endpoint struct {
	basic bool // takes an Authorization header with a password
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// load reads the files, lays the environment over them, and translates.
func load(paths []string, template bool, environ []string) (*translation, error) {
	tree := map[string]any{}
	files, err := configFiles(paths)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if template {
			if text, err = execute(file, text, environ); err != nil {
				return nil, err
			}
		}
		var one map[string]any
		if err := yaml.Unmarshal(text, &one); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		merge(tree, one)
	}
	return translate(tree, environ)
}

// configFiles lists the files of directories, as 4.39 does.
func configFiles(paths []string) (files []string, err error) {
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			files = append(files, path)
			continue
		}
		for _, pattern := range []string{"*.yml", "*.yaml"} {
			found, err := filepath.Glob(filepath.Join(path, pattern))
			if err != nil {
				return nil, err
			}
			files = append(files, found...)
		}
	}
	return files, nil
}

func merge(into, from map[string]any) {
	for key, value := range from {
		below, isMap := value.(map[string]any)
		there, wasMap := into[key].(map[string]any)
		if isMap && wasMap {
			merge(there, below)
		} else {
			into[key] = value
		}
	}
}

// translate refuses all unknown keys and variables at once, so that one run
// shows the whole list.
func translate(tree map[string]any, environ []string) (*translation, error) {
	t := &translation{out: map[string]any{}, listen: ":9091",
		endpoints: map[string]endpoint{"forward-auth": {basic: true}}}
	known := rules()
	err := errors.Join(t.environment(environ, known, tree), t.walk("", tree, known))
	if t.portal == nil || t.domain == "" {
		err = errors.Join(err, errors.New("session.cookies needs domain and authelia_url"))
	}
	host, port, _ := strings.Cut(childAddress, ":")
	number, convErr := strconv.Atoi(port)
	t.set("server.host", host)
	t.set("server.port", number)
	return t, errors.Join(err, convErr)
}

func (t *translation) walk(prefix string, tree map[string]any, known map[string]rule) (failed error) {
	for _, key := range sortedKeys(tree) {
		path, value := prefix+key, tree[key]
		r, ok := known[path]
		below, isMap := value.(map[string]any)
		var err error
		switch {
		case ok && value == nil:
		case ok && r.apply != nil:
			err = r.apply(t, value)
		case ok && r.to != "":
			t.set(r.to, value)
		case ok:
		case isMap && inside(path, known):
			failed = errors.Join(failed, t.walk(path+".", below, known))
		case value == nil && inside(path, known):
		default:
			err = errors.New("this key is not translated to Authelia 4.37")
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", path, err))
		}
	}
	return failed
}

// inside says whether a path leads to known keys.
func inside(path string, known map[string]rule) bool {
	for key := range known {
		if strings.HasPrefix(key, path+".") {
			return true
		}
	}
	return false
}

func (t *translation) set(path string, value any) { setPath(t.out, path, value) }

func setPath(tree map[string]any, path string, value any) {
	head, rest, more := strings.Cut(path, ".")
	if !more {
		tree[head] = value
		return
	}
	below, ok := tree[head].(map[string]any)
	if !ok {
		below = map[string]any{}
		tree[head] = below
	}
	setPath(below, rest, value)
}

// environment passes files with secrets on under 4.37's names, so that the
// secrets stay in their files, and lays other variables over the tree.
func (t *translation) environment(environ []string, known map[string]rule, tree map[string]any) (failed error) {
	byName := map[string]string{}
	for path := range known {
		byName[variable(path)] = path
	}
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		switch {
		case strings.HasPrefix(name, "X_AUTHELIA_"):
			continue
		case !strings.HasPrefix(name, "AUTHELIA_"):
			t.environ = append(t.environ, v)
			continue
		}
		base, isFile := strings.CutSuffix(name, "_FILE")
		path, ok := byName[base]
		r := known[path]
		switch {
		case !ok || isFile && r.apply != nil:
			failed = errors.Join(failed, fmt.Errorf("the variable %s is not translated to Authelia 4.37", name))
		case isFile && r.to != "":
			t.environ = append(t.environ, variable(r.to)+"_FILE="+value)
		case !isFile:
			setPath(tree, path, value)
		}
	}
	return failed
}

func variable(path string) string {
	return "AUTHELIA_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(path))
}

// inSeconds reads 4.39's durations: a number of seconds, or numbers with units.
func inSeconds(value any) (int, error) {
	switch v := value.(type) {
	case int:
		return v, nil
	case string:
		return durationSeconds(v)
	default:
		return 0, fmt.Errorf("%v is not a duration", value)
	}
}

// unitSeconds are the lengths Authelia gives to units.
func unitSeconds(unit string) (float64, bool) {
	const day = 24 * 3600
	for names, length := range map[string]float64{
		"y year years": 365 * day, "M month months": 30 * day, "w week weeks": 7 * day, "d day days": day,
		"h hour hours": 3600, "m minute minutes": 60, "s second seconds": 1, "ms millisecond milliseconds": 0.001} {
		if slices.Contains(strings.Fields(names), unit) {
			return length, true
		}
	}
	return 0, false
}

func durationSeconds(text string) (int, error) {
	if n, err := strconv.Atoi(text); err == nil {
		return n, nil
	}
	rest := strings.ReplaceAll(strings.ReplaceAll(text, " and ", " "), ",", " ")
	pair := regexp.MustCompile(`^\s*(\d+)\s*([a-zA-Z]+)`)
	total := 0.0
	for strings.TrimSpace(rest) != "" {
		m := pair.FindStringSubmatch(rest)
		if m == nil {
			return 0, fmt.Errorf("%q is not a duration", text)
		}
		length, ok := unitSeconds(m[2])
		n, err := strconv.Atoi(m[1])
		if !ok || err != nil {
			return 0, fmt.Errorf("%q is not a duration", text)
		}
		total += float64(n) * length
		rest = rest[len(m[0]):]
	}
	return int(math.Ceil(total)), nil
}

func marshal(tree map[string]any) ([]byte, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(tree); err != nil {
		return nil, err
	}
	return b.Bytes(), enc.Close()
}

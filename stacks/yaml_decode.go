package stacks

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// decoder fills structs from YAML nodes and finds everything that is wrong on
// the way, each with its place. What is allowed is written in the struct tags,
// which the JSON Schema is made from too.
type decoder struct {
	file     string
	problems Problems
}

func (d *decoder) errorAt(n *yaml.Node, subject, message, hint string) {
	d.problems = append(d.problems, Problem{Severity: SeverityError, File: d.file,
		Line: n.Line, Column: n.Column, Subject: subject, Message: message, Hint: hint})
}

// rules are what a struct tag says about a value beside its type.
type rules struct {
	enum     []string
	pattern  string
	format   string
	min, max string
	scalar   bool // a number or true may stand for text, as it is written
}

// tagRules reads a jsonschema tag. A comma within a pattern belongs to it.
func tagRules(tag reflect.StructTag) rules {
	var r rules
	var last *string
	for _, part := range strings.Split(tag.Get("jsonschema"), ",") {
		key, value, _ := strings.Cut(part, "=")
		switch key {
		case "enum":
			r.enum = append(r.enum, value)
			last = nil
		case "pattern":
			r.pattern, last = value, &r.pattern
		case "format":
			r.format, last = value, &r.format
		case "minimum":
			r.min, last = value, &r.min
		case "maximum":
			r.max, last = value, &r.max
		case "oneof_type":
			r.scalar = true
			last = nil
		default:
			if last != nil && part != "" {
				*last += "," + strings.TrimSuffix(part, `\`)
			}
		}
	}
	return r
}

// field is one key of a struct.
type field struct {
	key         string
	index       int
	required    bool
	description string
	rules       rules
}

func structFields(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		f := t.Field(i)
		key, rest, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if key == "" || key == "-" {
			continue
		}
		out = append(out, field{key: key, index: i, required: !strings.Contains(rest, "omitempty"),
			description: f.Tag.Get("jsonschema_description"), rules: tagRules(f.Tag)})
	}
	return out
}

// value fills v from n.
func (d *decoder) value(path string, n *yaml.Node, v reflect.Value, r rules) {
	at := n
	n = resolve(n)
	if n.Tag != "" && !strings.HasPrefix(n.ShortTag(), "!!") {
		d.errorAt(at, path, "the tag "+n.Tag+" has no meaning here", "remove it")
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(path, n, v.Elem(), r)
	case reflect.Struct:
		d.structure(path, at, n, v)
	case reflect.Map:
		d.mapping(path, at, n, v, r)
	case reflect.Slice:
		d.list(path, at, n, v, r)
	default:
		d.scalar(path, at, n, v, r)
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func (d *decoder) structure(path string, at, n *yaml.Node, v reflect.Value) {
	fields := structFields(v.Type())
	if n.Kind != yaml.MappingNode && !isNull(n) {
		d.errorAt(at, path, "must be a mapping, is "+kindName(n), "")
		return
	}
	var known []string
	for _, f := range fields {
		known = append(known, f.key)
	}
	present := map[string]bool{}
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		name := resolve(k).Value
		present[name] = true
		at := slices.IndexFunc(fields, func(f field) bool { return f.key == name })
		switch {
		case at >= 0:
			f := fields[at]
			d.value(join(path, f.key), n.Content[i+1], v.Field(f.index), f.rules)
		case name == "<<":
			d.errorAt(k, path, "merge keys (<<) are not read here", "write the keys out")
		default:
			d.errorAt(k, path, fmt.Sprintf("unknown key %q", name), meant(name, known))
		}
	}
	for _, f := range fields {
		if f.required && !present[f.key] {
			d.errorAt(at, path, fmt.Sprintf("the key %q is missing", f.key), f.description)
		}
	}
}

func (d *decoder) mapping(path string, at, n *yaml.Node, v reflect.Value, r rules) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.errorAt(at, path, "must be a mapping, is "+kindName(n), "")
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	// The answers to questions are text, and nobody should have to quote a port.
	r.scalar = true
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := resolve(n.Content[i])
		if k.Value == "<<" {
			d.errorAt(n.Content[i], path, "merge keys (<<) are not read here", "write the keys out")
			continue
		}
		e := reflect.New(v.Type().Elem()).Elem()
		d.value(join(path, k.Value), n.Content[i+1], e, r)
		v.SetMapIndex(reflect.ValueOf(k.Value).Convert(v.Type().Key()), e)
	}
}

func (d *decoder) list(path string, at, n *yaml.Node, v reflect.Value, r rules) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.errorAt(at, path, "must be a list, is "+kindName(n), "")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, c := range n.Content {
		d.value(join(path, strconv.Itoa(i)), c, v.Index(i), r)
	}
}

func (d *decoder) scalar(path string, at, n *yaml.Node, v reflect.Value, r rules) {
	want := map[reflect.Kind]string{reflect.String: "text", reflect.Bool: "true or false"}[v.Kind()]
	if want == "" {
		want = "a whole number"
	}
	if n.Kind != yaml.ScalarNode {
		d.errorAt(at, path, "must be "+want+", is "+kindName(n), "")
		return
	}
	tag := n.ShortTag()
	switch v.Kind() {
	case reflect.String:
		plain := tag == "!!str" || tag == "!!timestamp"
		number := tag == "!!int" || tag == "!!float" || tag == "!!bool"
		if !plain && (!r.scalar || !number) {
			hint := ""
			if number {
				hint = fmt.Sprintf("write it in quotes: %q", n.Value)
			}
			d.errorAt(at, path, "must be text, is "+kindName(n), hint)
			return
		}
		d.checkString(path, at, n.Value, r)
		v.SetString(n.Value)
	case reflect.Bool:
		b, err := strconv.ParseBool(strings.ToLower(n.Value))
		if tag != "!!bool" || err != nil {
			d.errorAt(at, path, "must be true or false, is "+kindName(n), "")
			return
		}
		v.SetBool(b)
	default:
		d.number(path, at, n, v, r)
	}
}

func (d *decoder) number(path string, at, n *yaml.Node, v reflect.Value, r rules) {
	i, err := strconv.ParseInt(n.Value, 10, 64)
	if n.ShortTag() != "!!int" || err != nil {
		d.errorAt(at, path, "must be a whole number, is "+kindName(n), "")
		return
	}
	low, high := int64(0), int64(1)<<31-1
	if v.Kind() == reflect.Uint16 {
		high = 65535
	}
	if m, err := strconv.ParseInt(r.min, 10, 64); err == nil {
		low = m
	}
	if m, err := strconv.ParseInt(r.max, 10, 64); err == nil {
		high = m
	}
	if i < low || i > high {
		d.errorAt(at, path, fmt.Sprintf("must be from %d to %d, is %d", low, high, i), "")
		return
	}
	if len(r.enum) > 0 && !slices.Contains(r.enum, n.Value) {
		d.errorAt(at, path, fmt.Sprintf("must be %s, is %s", strings.Join(r.enum, " or "), n.Value), "")
		return
	}
	if v.CanInt() {
		v.SetInt(i)
	} else {
		v.SetUint(uint64(i))
	}
}

func (d *decoder) checkString(path string, at *yaml.Node, s string, r rules) {
	if len(r.enum) > 0 && !slices.Contains(r.enum, s) {
		d.errorAt(at, path, fmt.Sprintf("must be %s, is %q", strings.Join(r.enum, ", "), s), meant(s, r.enum))
		return
	}
	if r.pattern == "" {
		return
	}
	// A pattern is a constant of this package; the tests compile every one.
	if ok, err := regexp.MatchString(r.pattern, s); err != nil || !ok {
		d.errorAt(at, path, fmt.Sprintf("%q is not allowed", s), "it must match "+r.pattern)
	}
}

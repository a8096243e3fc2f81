package stacks

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// schemaLine lets editors check the file as it is written.
const schemaLine = "# yaml-language-server: $schema=.croft.schema.json\n"

// MarshalPlatform writes a readable croft.yaml. What is the default is left
// out; reading the file gives the same Platform.
func MarshalPlatform(p Platform) ([]byte, error) {
	p = p.withDefaults()
	blank := Platform{Name: p.Name}.withDefaults()
	var b strings.Builder
	b.WriteString(schemaLine + "# The platform: everything croft runs follows from this file and stacks/.\n")
	b.WriteString("version: 1\n\n# Prefix of projects and networks. Fixed for life.\nname: " + scalar(p.Name) + "\n")
	b.WriteString("\n# How it is reached: loopback (this machine) or lan (ports 80 and 443).\nexpose: " + scalar(string(p.Expose)) + "\n")
	if p.Domain != "" {
		b.WriteString("# Addresses are names under this domain.\ndomain: " + scalar(p.Domain) + "\n")
	}
	if p.Timezone != blank.Timezone {
		b.WriteString("timezone: " + scalar(p.Timezone) + "\n")
	}
	b.WriteString("\n# The first account.\nadmin:\n  name: " + scalar(p.Admin.Name) + "\n  email: " + scalar(p.Admin.Email) + "\n")
	if p.Storage != blank.Storage {
		b.WriteString("\n# Where data lives. A volume stays where it was made.\nstorage:\n")
		for _, r := range storageKeys(&p, &blank) {
			if *r.now != *r.was {
				b.WriteString("  " + r.key + ": " + scalar(*r.now) + "\n")
			}
		}
	}
	b.WriteString("\n# What runs; croft stack list tells what else there is.\nstacks:")
	if len(p.Stacks) == 0 {
		b.WriteString(" {}")
	}
	b.WriteString("\n")
	for _, name := range slices.Sorted(maps.Keys(p.Stacks)) {
		b.WriteString("  " + name + ":" + stackText(p.Stacks[name]))
	}
	return proven([]byte(b.String()), p)
}

func stackText(c StackChoice) string {
	if len(c.Options) == 0 && c.Adopt == nil {
		return " {}\n"
	}
	out := "\n"
	if c.Adopt != nil {
		out += adoptText(*c.Adopt)
	}
	if len(c.Options) == 0 {
		return out
	}
	out += "    options:\n"
	for _, k := range slices.Sorted(maps.Keys(c.Options)) {
		out += "      " + scalar(k) + ": " + quoted(c.Options[k]) + "\n"
	}
	return out
}

// scalar writes text as YAML, in quotes where it needs them.
func scalar(s string) string {
	out, err := yaml.Marshal(s)
	if err != nil || strings.Count(string(out), "\n") != 1 {
		return quoted(s)
	}
	return strings.TrimSuffix(string(out), "\n")
}

// quoted writes text so that no reader takes it for a number.
func quoted(s string) string {
	out, err := yaml.Marshal(&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: s})
	if err != nil {
		return fmt.Sprintf("%q", s)
	}
	return strings.TrimSuffix(string(out), "\n")
}

// pair is a text of two platforms.
type pair struct {
	key      string
	now, was *string
}

func storageKeys(now, was *Platform) []pair {
	return []pair{{"containers", &now.Storage.Containers, &was.Storage.Containers},
		{"projects", &now.Storage.Projects, &was.Storage.Projects},
		{"databases", &now.Storage.Databases, &was.Storage.Databases}}
}

// proven reads a text back: nothing is given out that does not mean p.
func proven(text []byte, p Platform) ([]byte, error) {
	got, ps := readPlatform(text)
	if err := ps.Err(); err != nil {
		return nil, fmt.Errorf("this platform cannot be written down: %w", err)
	}
	if !samePlatform(got, p.withDefaults()) {
		return nil, errors.New("croft.yaml would not mean what was asked for")
	}
	return text, nil
}

func samePlatform(a, b Platform) bool {
	if len(a.Stacks) != len(b.Stacks) {
		return false
	}
	for name, c := range a.Stacks {
		o, ok := b.Stacks[name]
		if !ok || !sameChoice(c, o) {
			return false
		}
	}
	a.Stacks, b.Stacks = nil, nil
	return reflect.DeepEqual(a, b)
}

// EditPlatform changes an existing croft.yaml so that it means p. What does not
// differ keeps its bytes: comments, order, blank lines, ways of writing.
func EditPlatform(old []byte, p Platform) ([]byte, error) {
	was, ps := readPlatform(old)
	if err := ps.Err(); err != nil {
		return nil, fmt.Errorf("croft.yaml has to be right before it can be edited: %w", err)
	}
	p = p.withDefaults()
	if samePlatform(was, p) {
		return old, nil
	}
	f, root, _ := parseOne(PlatformFile, old)
	e := newPlatformEdit(f, root)
	e.change(was, p)
	if text, err := e.text(); err == nil {
		if out, err := proven(text, p); err == nil {
			return out, nil
		}
	}
	// A way of writing that lines do not follow, as one {} around everything:
	// the whole file is written anew from its nodes, with its comments, and
	// without anchors: what one stood at may be gone.
	text, err := encode(writtenOut(root), 2)
	if err != nil {
		return nil, err
	}
	return proven(text, p)
}

// errNotLines says that an entry is not made of whole lines.
var errNotLines = errors.New("not made of whole lines")

// writtenOut copies a tree with every alias replaced by what it means.
func writtenOut(n *yaml.Node) *yaml.Node {
	out := *resolve(n)
	out.Anchor = ""
	out.Content = nil
	for _, c := range resolve(n).Content {
		out.Content = append(out.Content, writtenOut(c))
	}
	return &out
}

// encode writes a node as a document.
func encode(n *yaml.Node, indent int) ([]byte, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(indent)
	if err := enc.Encode(n); err != nil {
		return nil, err
	}
	if err := enc.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

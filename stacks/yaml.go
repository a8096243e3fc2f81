package stacks

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Limits on what is parsed. They are far above what a person writes and far
// below what hurts: a commit must not be able to stop the program.
const (
	maxYAMLBytes = 1 << 20 // one YAML file
	maxYAMLDepth = 64      // nesting
	maxYAMLNodes = 100_000 // with every alias written out
)

// yamlFile is a parsed file: its text as it is given on, and its documents.
type yamlFile struct {
	name string // slash path, for Problems
	text []byte // without a byte order mark
	docs []*yaml.Node
}

// parseYAML reads every document of a file. A file with a problem gives no
// documents, so that one mistake is told once.
func parseYAML(name string, raw []byte) (yamlFile, Problems) {
	f := yamlFile{name: name}
	text, p := checkText(name, raw)
	if p != nil {
		return f, Problems{*p}
	}
	f.text = text
	dec := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return yamlFile{name: name, text: text}, Problems{syntaxProblem(name, text, err)}
		}
		if len(doc.Content) == 1 {
			f.docs = append(f.docs, doc.Content[0])
		}
	}
	var ps Problems
	for _, d := range f.docs {
		ps = append(ps, checkTree(name, d)...)
	}
	if ps.Err() != nil {
		f.docs = nil
	}
	return f, ps
}

// parseOne reads a file that must hold exactly one document, a mapping.
func parseOne(name string, raw []byte) (yamlFile, *yaml.Node, Problems) {
	f, ps := parseYAML(name, raw)
	switch {
	case ps.Err() != nil:
		return f, nil, ps
	case len(f.docs) == 0:
		return f, nil, Problems{{Severity: SeverityError, File: name, Line: 1, Column: 1, Message: "the file is empty"}}
	case len(f.docs) > 1:
		d := f.docs[1]
		return f, nil, Problems{{Severity: SeverityError, File: name, Line: d.Line, Column: d.Column,
			Message: "a second YAML document begins here", Hint: "keep one document: remove the line --- and what does not belong"}}
	case f.docs[0].Kind != yaml.MappingNode:
		d := f.docs[0]
		return f, nil, Problems{{Severity: SeverityError, File: name, Line: d.Line, Column: d.Column,
			Message: "must be a mapping of keys to values, is " + kindName(d)}}
	}
	return f, f.docs[0], ps
}

// checkText refuses bytes that YAML cannot hold, with a better position than
// the parser's, and takes a UTF-8 byte order mark away.
func checkText(name string, raw []byte) ([]byte, *Problem) {
	bad := func(at int, message, hint string) *Problem {
		line := 1 + bytes.Count(raw[:at], []byte("\n"))
		col := 1 + utf8.RuneCount(raw[bytes.LastIndexByte(raw[:at], '\n')+1:at])
		return &Problem{Severity: SeverityError, File: name, Line: line, Column: col, Message: message, Hint: hint}
	}
	if len(raw) > maxYAMLBytes {
		return nil, &Problem{Severity: SeverityError, File: name,
			Message: fmt.Sprintf("is larger than %d KiB", maxYAMLBytes>>10), Hint: "large content belongs in files of its own"}
	}
	if bytes.HasPrefix(raw, []byte{0xff, 0xfe}) || bytes.HasPrefix(raw, []byte{0xfe, 0xff}) {
		return nil, bad(0, "is UTF-16", "save the file as UTF-8")
	}
	text := bytes.TrimPrefix(raw, []byte("\ufeff"))
	raw = text
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return nil, bad(i, "is not valid UTF-8", "save the file as UTF-8")
		case r == 0:
			return nil, bad(i, "holds a NUL byte", "this is not a text file, or it was damaged")
		case r < ' ' && r != '\n' && r != '\r' && r != '\t', r == 0x7f:
			return nil, bad(i, fmt.Sprintf("holds the control character %U", r), "remove it")
		}
		i += size
	}
	return text, nil
}

// syntaxProblem gives the parser's error its place and plain words.
func syntaxProblem(name string, text []byte, err error) Problem {
	p := Problem{Severity: SeverityError, File: name, Message: "not valid YAML: " + err.Error()}
	var le *yaml.LoadError
	if !errors.As(err, &le) {
		return p
	}
	p.Line, p.Column = le.Mark.Line, le.Mark.Column
	p.Message = "not valid YAML: " + le.Message
	if le.ContextMsg != "" {
		p.Message += " " + le.ContextMsg
		if le.ContextMark.Line > 0 && le.ContextMark.Line != le.Mark.Line {
			p.Message += fmt.Sprintf(" that begins at line %d", le.ContextMark.Line)
		}
	}
	lines := strings.Split(string(text), "\n")
	if p.Line > 0 && p.Line <= len(lines) {
		line := lines[p.Line-1]
		indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		if strings.Contains(indent, "\t") {
			p.Message = "not valid YAML: a tab indents this line"
			p.Hint = "indent with spaces"
		}
	}
	return p
}

// checkTree refuses what would be too deep or too large to look at, aliases
// that hold themselves, keys that are not text, and keys set twice.
func checkTree(name string, root *yaml.Node) Problems {
	t := treeCheck{file: name, seen: map[*yaml.Node]extent{}}
	e := t.visit(root)
	switch {
	case t.problems.Err() != nil:
	case e.nodes > maxYAMLNodes:
		t.add(root, "is too large once its aliases (*name) are written out", "use fewer aliases")
	case e.depth > maxYAMLDepth:
		t.add(root, fmt.Sprintf("is nested more than %d deep", maxYAMLDepth), "")
	}
	return t.problems
}

// extent is how large a tree is with every alias written out.
type extent struct{ nodes, depth int }

// treeCheck measures each node once, so aliases of aliases cost nothing. The
// parser itself stops at a depth that is safe to walk.
type treeCheck struct {
	file     string
	seen     map[*yaml.Node]extent // zero while a node is being measured
	problems Problems
}

func (t *treeCheck) add(n *yaml.Node, message, hint string) {
	t.problems = append(t.problems, Problem{Severity: SeverityError, File: t.file, Line: n.Line, Column: n.Column, Message: message, Hint: hint})
}

func (t *treeCheck) visit(n *yaml.Node) extent {
	if n.Kind == yaml.AliasNode {
		e, ok := t.seen[n.Alias]
		if ok && e.nodes == 0 {
			t.add(n, fmt.Sprintf("the alias *%s holds itself", n.Value), "")
			return extent{1, 1}
		}
		return t.visit(n.Alias)
	}
	if e, ok := t.seen[n]; ok {
		return e
	}
	t.seen[n] = extent{}
	if n.Kind == yaml.MappingNode {
		t.keys(n)
	}
	e := extent{1, 1}
	for _, c := range n.Content {
		ce := t.visit(c)
		e.nodes = min(e.nodes+ce.nodes, maxYAMLNodes+1)
		e.depth = max(e.depth, ce.depth+1)
	}
	t.seen[n] = e
	return e
}

func (t *treeCheck) keys(n *yaml.Node) {
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := resolve(n.Content[i])
		if k.Kind != yaml.ScalarNode {
			t.add(n.Content[i], "a key must be text, is "+kindName(k), "")
			continue
		}
		if line, ok := seen[k.Value]; ok {
			t.add(n.Content[i], fmt.Sprintf("the key %q is already set at line %d", k.Value, line), "keep one of the two")
			continue
		}
		seen[k.Value] = n.Content[i].Line
	}
}

// resolve follows an alias; checkTree has made sure that it ends.
func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}

// child gives key and value of an entry of a mapping.
func child(n *yaml.Node, key string) (k, v *yaml.Node) {
	if n = resolve(n); n.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}

// index adds every entry of a tree: for a key its place, for an item of a list
// the place of the item. What an alias stands for is not entered again.
func (x NodeIndex) index(path string, n *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			k := n.Content[i]
			p := join(path, k.Value)
			if _, ok := x[p]; !ok {
				x[p] = Position{k.Line, k.Column}
			}
			x.index(p, n.Content[i+1])
		}
	case yaml.SequenceNode:
		for i, c := range n.Content {
			p := join(path, strconv.Itoa(i))
			if _, ok := x[p]; !ok {
				x[p] = Position{c.Line, c.Column}
			}
			x.index(p, c)
		}
	}
}

// Find gives the place of a dotted path, or of the nearest thing around it.
func (x NodeIndex) Find(path string) (Position, bool) {
	for path != "" {
		if p, ok := x[path]; ok {
			return p, true
		}
		i := strings.LastIndexByte(path, '.')
		if i < 0 {
			break
		}
		path = path[:i]
	}
	return Position{}, false
}

// join puts a key behind a dotted path.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// kindName says what a node is, for people.
func kindName(n *yaml.Node) string {
	switch n = resolve(n); n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!null":
		return "empty"
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	}
	return "text"
}

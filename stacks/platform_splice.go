package stacks

import (
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// platformEdit edits the nodes of croft.yaml and, along with them, the lines of
// those entries that changed: a stack under stacks, else a key of the top.
type platformEdit struct {
	lines   []string
	eol     string
	root    *yaml.Node
	was     *yaml.Node // the root as it was read: where entries begin and end
	splices []splice
	failed  error
}

// splice replaces lines from..to, both from 0, to excluded.
type splice struct {
	from, to int
	text     string
}

func newPlatformEdit(f yamlFile, root *yaml.Node) *platformEdit {
	e := &platformEdit{root: root, was: shallow(root), eol: "\n", lines: strings.SplitAfter(string(f.text), "\n")}
	if strings.HasSuffix(e.lines[0], "\r\n") {
		e.eol = "\r\n"
	}
	return e
}

// shallow copies a mapping, so that its entries can be changed in one of the two.
func shallow(m *yaml.Node) *yaml.Node {
	out := *m
	out.Content = slices.Clone(m.Content)
	return &out
}

// change makes the file mean p instead of was.
func (e *platformEdit) change(was, p Platform) {
	for _, t := range []pair{
		{"name", &p.Name, &was.Name}, {"domain", &p.Domain, &was.Domain},
		{"timezone", &p.Timezone, &was.Timezone}, {"expose", (*string)(&p.Expose), (*string)(&was.Expose)},
	} {
		if *t.now != *t.was {
			e.top(t.key, func(v *yaml.Node) *yaml.Node { return text(v, *t.now) })
		}
	}
	if p.Admin != was.Admin {
		e.top("admin", func(v *yaml.Node) *yaml.Node {
			return texts(v, []pair{{"name", &p.Admin.Name, &was.Admin.Name}, {"email", &p.Admin.Email, &was.Admin.Email}})
		})
	}
	if p.Storage != was.Storage {
		e.top("storage", func(v *yaml.Node) *yaml.Node { return texts(v, storageKeys(&p, &was)) })
	}
	e.stacks(was, p)
}

// text gives a scalar another value, or is nil where there is none.
func text(v *yaml.Node, s string) *yaml.Node {
	if s == "" {
		return nil
	}
	out := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	if v != nil && v.Kind == yaml.ScalarNode {
		out.Style = v.Style &^ (yaml.LiteralStyle | yaml.FoldedStyle | yaml.TaggedStyle)
		out.LineComment = v.LineComment
	}
	return out
}

// owned gives a mapping that may be changed: an alias is written out first.
func owned(v *yaml.Node) *yaml.Node {
	if v == nil || resolve(v).Kind != yaml.MappingNode {
		return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	}
	if v.Kind != yaml.AliasNode {
		return v
	}
	out := shallow(v.Alias)
	out.Anchor = ""
	return out
}

// put sets, adds or (nil) removes an entry of a mapping.
func put(m *yaml.Node, key string, v *yaml.Node) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value != key {
			continue
		}
		if v == nil {
			m.Content = slices.Delete(m.Content, i, i+2)
		} else {
			m.Content[i+1] = v
		}
		return
	}
	if v != nil {
		m.Content = append(m.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, v)
		if len(m.Content) == 2 {
			m.Style &^= yaml.FlowStyle // {} was written because it was empty
		}
	}
}

func texts(v *yaml.Node, pairs []pair) *yaml.Node {
	m := owned(v)
	for _, t := range pairs {
		if *t.now != *t.was {
			_, old := child(m, t.key)
			put(m, t.key, text(old, *t.now))
		}
	}
	if len(m.Content) == 0 {
		return nil
	}
	return m
}

// top changes an entry of the top.
func (e *platformEdit) top(key string, change func(*yaml.Node) *yaml.Node) {
	k, v := child(e.root, key)
	to := change(v)
	switch {
	case k != nil && to == nil:
		from, end := e.span(e.was, k)
		e.splices = append(e.splices, splice{from, end, ""})
	case k != nil:
		from, end := e.span(e.was, k)
		e.splices = append(e.splices, splice{from, end, e.entry(k, to, 0)})
	case to != nil:
		at := e.place(key)
		e.splices = append(e.splices, splice{at, at, e.entry(&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, to, 0)})
	}
	put(e.root, key, to)
}

// place gives the line for a new key: behind the last of those that usually
// come before it.
func (e *platformEdit) place(key string) int {
	order := []string{"version", "name", "expose", "domain", "timezone", "admin", "storage", "stacks"}
	at := 0
	for _, before := range order[:slices.Index(order, key)] {
		if k, _ := child(e.root, before); k != nil && k.Line > 0 {
			_, end := e.span(e.was, k)
			at = max(at, end)
		}
	}
	return at
}

func (e *platformEdit) stacks(was, p Platform) {
	_, v := child(e.root, "stacks")
	var changed []string
	for _, name := range slices.Sorted(maps.Keys(p.Stacks)) {
		if old, ok := was.Stacks[name]; !ok || !sameChoice(old, p.Stacks[name]) {
			changed = append(changed, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(was.Stacks)) {
		if _, ok := p.Stacks[name]; !ok {
			changed = append(changed, name)
		}
	}
	if len(changed) == 0 {
		return
	}
	block := v.Kind == yaml.MappingNode && v.Style&yaml.FlowStyle == 0 && len(v.Content) > 0 && len(p.Stacks) > 0
	edit := func(m *yaml.Node, each func(k, to *yaml.Node, name string)) {
		for _, name := range changed {
			k, old := child(m, name)
			var to *yaml.Node
			if c, ok := p.Stacks[name]; ok {
				to = stackNode(old, c)
			}
			each(k, to, name)
			put(m, name, to)
		}
	}
	if !block {
		e.top("stacks", func(v *yaml.Node) *yaml.Node {
			m := owned(v)
			edit(m, func(_, _ *yaml.Node, _ string) {})
			if len(m.Content) == 0 {
				m.Style |= yaml.FlowStyle
			}
			return m
		})
		return
	}
	column, before := v.Content[0].Column-1, shallow(v)
	_, end := e.span(before, v.Content[len(v.Content)-2])
	edit(v, func(k, to *yaml.Node, name string) {
		switch {
		case k == nil && to != nil:
			e.splices = append(e.splices, splice{end, end, e.entry(&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name}, to, column)})
		case k != nil && to == nil:
			from, end := e.span(before, k)
			e.splices = append(e.splices, splice{from, end, ""})
		case k != nil:
			from, end := e.span(before, k)
			e.splices = append(e.splices, splice{from, end, e.entry(k, to, column)})
		}
	})
}

// stackNode gives an entry of stacks other options.
func stackNode(old *yaml.Node, c StackChoice) *yaml.Node {
	m := owned(old)
	putAdopt(m, c.Adopt)
	if len(c.Options) == 0 {
		put(m, "options", nil)
		if c.Adopt == nil {
			m.Style |= yaml.FlowStyle
		}
		return m
	}
	_, o := child(m, "options")
	options := owned(o)
	for i := len(options.Content) - 2; i >= 0; i -= 2 {
		if _, ok := c.Options[options.Content[i].Value]; !ok {
			options.Content = slices.Delete(options.Content, i, i+2)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(c.Options)) {
		_, was := child(options, k)
		if was != nil && resolve(was).Value == c.Options[k] {
			continue
		}
		to := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: c.Options[k]}
		if was != nil {
			to.LineComment = was.LineComment
		}
		put(options, k, to)
	}
	put(m, "options", options)
	return m
}

// span gives the lines of an entry, without blank lines and comments that
// follow it and stand no deeper than its key: they belong to what comes next.
func (e *platformEdit) span(m, k *yaml.Node) (from, to int) {
	from = k.Line - 1
	to = e.ending(m, k)
	for to > from+1 {
		line := e.lines[to-1]
		body := strings.TrimLeft(line, " \t")
		blank := strings.TrimSpace(body) == ""
		outer := strings.HasPrefix(body, "#") && len(line)-len(body) <= k.Column-1
		if !blank && !outer {
			break
		}
		to--
	}
	return from, to
}

// ending gives the line where the next entry of the mapping begins, or what
// comes after the mapping.
func (e *platformEdit) ending(m, k *yaml.Node) int {
	if !startsLine(e.lines, m, k) {
		e.failed = errNotLines
		return k.Line
	}
	end := entryEnd(e.lines, m, k)
	if m != e.was {
		if top, _ := child(e.was, "stacks"); top != nil {
			end = min(end, entryEnd(e.lines, e.was, top))
		}
	}
	return end
}

// entry writes one entry at a column.
func (e *platformEdit) entry(k, v *yaml.Node, column int) string {
	key := *k
	key.HeadComment, key.FootComment = "", "" // their lines stay where they are
	out, err := encode(&yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{&key, v}}, 2)
	if err != nil {
		e.failed = err
		return ""
	}
	var b strings.Builder
	for _, line := range strings.SplitAfter(strings.TrimSuffix(string(out), "\n"), "\n") {
		if strings.TrimSpace(line) != "" {
			b.WriteString(strings.Repeat(" ", column))
		}
		b.WriteString(strings.TrimSuffix(line, "\n") + e.eol)
	}
	return b.String()
}

// text gives the edited file.
func (e *platformEdit) text() ([]byte, error) {
	if e.failed != nil {
		return nil, e.failed
	}
	lines := slices.Clone(e.lines)
	if last := len(lines) - 1; lines[last] == "" {
		lines = lines[:last]
	} else {
		lines[last] += e.eol
	}
	slices.SortStableFunc(e.splices, func(a, b splice) int { return a.from - b.from })
	var b strings.Builder
	at := 0
	for _, s := range e.splices {
		if s.from < at || s.to > len(lines) {
			return nil, errNotLines
		}
		b.WriteString(strings.Join(lines[at:s.from], "") + s.text)
		at = s.to
	}
	return []byte(b.String() + strings.Join(lines[at:], "")), nil
}

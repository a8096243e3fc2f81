package stacks

import (
	"bytes"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// ours tells whether Compose must not see an entry: x-croft, and version, which
// it ignores but for a line on its log.
func ours(k, v *yaml.Node) bool {
	return k.Value == xKey || k.Value == "version" && v.Kind == yaml.ScalarNode && v.ShortTag() == "!!str"
}

// withoutXCroft gives the text of a file without its x-croft blocks. Lines stay
// where they are, so that what Compose says about a line is true.
func withoutXCroft(f yamlFile) ([]byte, error) {
	lines := strings.SplitAfter(string(f.text), "\n")
	for _, doc := range f.docs {
		left := len(doc.Content) / 2
		for i := 0; i+1 < len(doc.Content); i += 2 {
			k := doc.Content[i]
			if !ours(k, doc.Content[i+1]) {
				continue
			}
			if !startsLine(lines, doc, k) {
				return remarshalled(f)
			}
			for i := k.Line - 1; i < entryEnd(lines, doc, k); i++ {
				lines[i] = "\n"
			}
			if left--; left == 0 {
				lines[k.Line-1] = "{}\n" // Compose wants a mapping, be it empty
			}
		}
	}
	out := []byte(strings.Join(lines, ""))
	if !sameRest(f, out) {
		return remarshalled(f)
	}
	return out, nil
}

// sameRest makes sure that what is left still reads as it did: YAML has ways to
// write a key that lines alone do not show.
func sameRest(f yamlFile, out []byte) bool {
	rest, ps := parseYAML(f.name, out)
	if ps.Err() != nil {
		return false
	}
	var before, after []string
	for _, d := range f.docs {
		for i := 0; i+1 < len(d.Content); i += 2 {
			if !ours(d.Content[i], d.Content[i+1]) {
				before = append(before, d.Content[i].Value)
			}
		}
	}
	for _, d := range rest.docs {
		for i := 0; i+1 < len(d.Content); i += 2 {
			after = append(after, d.Content[i].Value)
		}
	}
	return slices.Equal(before, after)
}

// startsLine tells whether a key of a mapping is the first on its line, so that
// the entry is made of whole lines.
func startsLine(lines []string, mapping, key *yaml.Node) bool {
	if mapping.Style&yaml.FlowStyle != 0 || key.Line < 1 || key.Line > len(lines) {
		return false
	}
	before := []rune(strings.TrimPrefix(lines[key.Line-1], "\ufeff"))
	if key.Column < 1 || key.Column-1 > len(before) {
		return false
	}
	return strings.TrimSpace(string(before[:key.Column-1])) == ""
}

// entryEnd gives the line behind an entry of a block mapping, from 0: where the
// next entry begins, or the document ends.
func entryEnd(lines []string, mapping, key *yaml.Node) int {
	next := len(lines)
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if l := mapping.Content[i].Line - 1; l > key.Line-1 && l < next {
			next = l
		}
	}
	for i := key.Line; i < next; i++ {
		if strings.HasPrefix(lines[i], "---") || strings.HasPrefix(lines[i], "...") {
			return i
		}
	}
	return next
}

// remarshalled writes the documents anew without x-croft, for files whose root
// is in flow style; the places Compose tells of are lost.
func remarshalled(f yamlFile) ([]byte, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	for _, doc := range f.docs {
		out := *doc
		out.Content = nil
		for i := 0; i+1 < len(doc.Content); i += 2 {
			if !ours(doc.Content[i], doc.Content[i+1]) {
				out.Content = append(out.Content, doc.Content[i], doc.Content[i+1])
			}
		}
		if err := enc.Encode(&out); err != nil {
			return nil, err
		}
	}
	if err := enc.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

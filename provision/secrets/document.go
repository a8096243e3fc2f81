package secrets

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

const formatVersion = "1"

const heading = `# Secrets of this platform. Names are readable, values are encrypted to the
# recipients. Comments and order may be edited; values with croft secrets set.
`

// document is the file as text: what its lines say, with nothing opened yet.
// Lines are kept as they were, so comments and order survive.
type document struct {
	recipients []string
	key        []byte // age file that holds the file key
	mac        []byte
	sealed     map[string][]byte
	lines      []line
}

// line is one line of the file. Of key, mac and values the text is written
// anew, of the others it is kept.
type line struct {
	kind lineKind
	text string // comments and blank lines
	name string // of a value; or the recipient
}

type lineKind int

const (
	lineComment lineKind = iota
	lineVersion
	lineRecipients
	lineRecipient
	lineKey
	lineMAC
	lineValues
	lineValue
)

var (
	nameForm      = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*/[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	recipientForm = regexp.MustCompile(`^age1[a-z0-9]+$`)
)

// parser reads the file line by line. It is strict: a file that means two
// things is refused.
type parser struct {
	doc  document
	seen map[lineKind]bool
	in   lineKind // the list that indented lines belong to
}

func parseDocument(path string, data []byte) (document, error) {
	p := parser{doc: document{sealed: map[string][]byte{}}, seen: map[lineKind]bool{}}
	n := 0
	for text := range strings.SplitSeq(strings.TrimSuffix(string(data), "\n"), "\n") {
		n++
		text = strings.TrimRight(text, " \t\r")
		if err := p.line(text); err != nil {
			return document{}, damaged(fmt.Sprintf("%s:%d", path, n), err.Error())
		}
	}
	for kind, name := range map[lineKind]string{lineVersion: "version", lineKey: "key", lineMAC: "mac", lineValues: "values", lineRecipients: "recipients"} {
		if !p.seen[kind] {
			return document{}, damaged(path, "the line "+name+": is missing")
		}
	}
	if len(p.doc.recipients) == 0 {
		return document{}, damaged(path, "there is no recipient")
	}
	return p.doc, nil
}

func (p *parser) line(text string) error {
	trimmed := strings.TrimSpace(text)
	if trimmed == "" || strings.HasPrefix(trimmed, "#") {
		p.doc.lines = append(p.doc.lines, line{kind: lineComment, text: text})
		return nil
	}
	if strings.HasPrefix(text, "  ") && len(text)-len(trimmed) == 2 {
		return p.item(trimmed)
	}
	word, rest, ok := strings.Cut(text, ":")
	if !ok || (rest != "" && rest[0] != ' ') {
		return fmt.Errorf("this line is not understood")
	}
	return p.section(word, strings.TrimSpace(rest))
}

func (p *parser) section(word, rest string) error {
	kinds := map[string]lineKind{"version": lineVersion, "recipients": lineRecipients, "key": lineKey, "mac": lineMAC, "values": lineValues}
	kind, ok := kinds[word]
	if !ok {
		return fmt.Errorf("this line is not understood")
	}
	if p.seen[kind] {
		return fmt.Errorf("%s: stands here twice", word)
	}
	p.seen[kind], p.in = true, lineComment
	var err error
	switch kind {
	case lineVersion:
		if rest != formatVersion {
			err = fmt.Errorf("version %q is not known to this croft, which knows %s", rest, formatVersion)
		}
	case lineKey:
		p.doc.key, err = decode("key", rest)
	case lineMAC:
		p.doc.mac, err = decode("mac", rest)
	default:
		p.in = kind
		if rest != "" {
			err = fmt.Errorf("%s: has something behind it", word)
		}
	}
	p.doc.lines = append(p.doc.lines, line{kind: kind})
	return err
}

func (p *parser) item(text string) error {
	switch p.in {
	case lineRecipients:
		r, ok := strings.CutPrefix(text, "- ")
		if !ok || !recipientForm.MatchString(r) {
			return fmt.Errorf("this is no recipient")
		}
		if slices.Contains(p.doc.recipients, r) {
			return fmt.Errorf("this recipient stands here twice")
		}
		p.doc.recipients = append(p.doc.recipients, r)
		p.doc.lines = append(p.doc.lines, line{kind: lineRecipient, name: r})
		return nil
	case lineValues:
		name, rest, ok := strings.Cut(text, ": ")
		if !ok || !nameForm.MatchString(name) {
			// What stands there instead is not repeated: it could be a value that
			// somebody wrote in by hand.
			return fmt.Errorf("this is no secret of the form stack/name: value")
		}
		if _, twice := p.doc.sealed[name]; twice {
			return fmt.Errorf("secret %s stands here twice", name)
		}
		raw, err := decode("secret "+name, strings.TrimSpace(rest))
		if err != nil {
			return err
		}
		p.doc.sealed[name] = raw
		p.doc.lines = append(p.doc.lines, line{kind: lineValue, name: name})
		return nil
	}
	return fmt.Errorf("this indented line belongs to nothing")
}

// decode is strict about the last bits, so that one value has one text.
func decode(what, text string) ([]byte, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return nil, fmt.Errorf("%s is cut off or changed: it is no base64", what)
	}
	return raw, nil
}

// text writes the document. Names and recipients without a line of their own
// come last in their list; lines whose name is gone are left out.
func (d document) text() []byte {
	var b strings.Builder
	written := map[string]bool{}
	value := func(name string) {
		if raw, ok := d.sealed[name]; ok && !written[name] {
			written[name] = true
			fmt.Fprintf(&b, "  %s: %s\n", name, base64.StdEncoding.EncodeToString(raw))
		}
	}
	recipient := func(r string) {
		if slices.Contains(d.recipients, r) && !written[r] {
			written[r] = true
			fmt.Fprintf(&b, "  - %s\n", r)
		}
	}
	for i, l := range d.lines {
		switch l.kind {
		case lineComment:
			fmt.Fprintln(&b, l.text)
		case lineVersion:
			fmt.Fprintf(&b, "version: %s\n", formatVersion)
		case lineRecipients:
			fmt.Fprintln(&b, "recipients:")
		case lineRecipient:
			recipient(l.name)
		case lineKey:
			fmt.Fprintf(&b, "key: %s\n", base64.StdEncoding.EncodeToString(d.key))
		case lineMAC:
			fmt.Fprintf(&b, "mac: %s\n", base64.StdEncoding.EncodeToString(d.mac))
		case lineValues:
			fmt.Fprintln(&b, "values:")
		case lineValue:
			value(l.name)
		}
		switch d.listEnding(i) {
		case lineRecipients:
			for _, r := range d.recipients {
				recipient(r)
			}
		case lineValues:
			for _, name := range sortedKeys(d.sealed) {
				value(name)
			}
		}
	}
	return []byte(b.String())
}

// listEnding tells which list ends with line i: new entries go there.
func (d document) listEnding(i int) lineKind {
	head := map[lineKind]lineKind{lineRecipients: lineRecipients, lineRecipient: lineRecipients, lineValues: lineValues, lineValue: lineValues}[d.lines[i].kind]
	if head == lineComment {
		return lineComment
	}
	for _, l := range d.lines[i+1:] {
		if l.kind == lineRecipient || l.kind == lineValue {
			return lineComment
		}
		if l.kind != lineComment {
			break
		}
	}
	return head
}

// newDocument is the skeleton of a file that does not exist yet.
func newDocument() document {
	d := document{sealed: map[string][]byte{}}
	for text := range strings.SplitSeq(strings.TrimSuffix(heading, "\n"), "\n") {
		d.lines = append(d.lines, line{kind: lineComment, text: text})
	}
	for _, kind := range []lineKind{lineVersion, lineRecipients, lineKey, lineMAC, lineValues} {
		d.lines = append(d.lines, line{kind: kind})
	}
	return d
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

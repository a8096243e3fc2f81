package stacks

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// hardenComment stands above the block that EditHardening adds.
const hardenComment = "# What croft brings to these services, and what they answer: croft help stack harden.\n"

// HardenedFile is a Compose file with a proposal written into it.
type HardenedFile struct {
	Text      []byte
	Hardening Hardening // what is written: without what had no place
	ByHand    []string  // that
}

// EditHardening writes a proposal into a Compose file: the x-croft block before
// the first key, lines at the end of their service. Every other byte stays.
func EditHardening(file string, old []byte, h Hardening) (HardenedFile, error) {
	f, root, ps := parseOne(file, old)
	if err := ps.Err(); err != nil {
		return HardenedFile{}, err
	}
	e := hardenEdit{platformEdit: newPlatformEdit(f, root)}
	if len(root.Content) == 0 || !startsLine(e.lines, root, root.Content[0]) {
		return HardenedFile{}, fmt.Errorf("%s: its keys are %w, so nothing can be put between them", file, errNotLines)
	}
	out := HardenedFile{Hardening: h}
	out.Hardening.Services = slices.Clone(h.Services)
	sk, services := child(root, "services")
	for i, s := range h.Services {
		if len(s.Lines) > 0 && !e.service(sk, services, s) {
			out.ByHand = append(out.ByHand, s.Name+": "+s.inWords())
			out.Hardening.Services[i] = s.withoutLines()
		}
	}
	block, err := e.block(out.Hardening)
	if err != nil {
		return HardenedFile{}, err
	}
	at := root.Content[0].Line - 1
	if at > 0 && strings.HasPrefix(e.lines[at-1], "#") {
		block = e.eol + block // the comment above is about the file
	}
	e.splices = append(e.splices, splice{at, at, block})
	out.Text, err = e.text()
	return out, err
}

// withoutLines takes the lines out. What needed memory for what it writes must be
// able to write.
func (s HardenedService) withoutLines() HardenedService {
	for _, l := range s.Lines {
		if l.Key != "tmpfs" {
			continue
		}
		why := fmt.Sprintf("has written to %s", strings.Join(l.Value.([]string), ", "))
		if s.Answer.Why != "" {
			why = s.Answer.Why + "; " + why
		}
		s.Answer.Writable, s.Answer.Why = true, why
	}
	s.Lines = []HardenLine{}
	return s
}

// hardenEdit edits a Compose file as croft.yaml is edited.
type hardenEdit struct{ *platformEdit }

// block writes the x-croft block.
func (e hardenEdit) block(h Hardening) (string, error) {
	x := mapping("title", scalarNode(h.Title))
	if len(h.Jobs) > 0 {
		put(x, "jobs", flowList(h.Jobs))
	}
	answers := mapping()
	for _, s := range h.Services {
		a := mapping()
		if s.Answer.Root {
			put(a, "root", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"})
		}
		if s.Answer.Writable {
			put(a, "writable", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"})
		}
		if len(s.Answer.Caps) > 0 {
			put(a, "caps", flowList(s.Answer.Caps))
		}
		if s.Answer.Why != "" {
			put(a, "why", scalarNode(s.Answer.Why))
		}
		if len(a.Content) > 0 {
			put(answers, s.Name, a)
		}
	}
	if len(answers.Content) > 0 {
		put(x, "harden", answers)
	}
	text := e.entry(scalarNode(xKey), x, 0)
	return strings.ReplaceAll(hardenComment, "\n", e.eol) + text + e.eol, e.failed
}

// service adds the lines of one service. It gives false where they have no place:
// the service is an alias, or its text stands for others as well.
func (e hardenEdit) service(sk, services *yaml.Node, s HardenedService) bool {
	if services == nil || services.Kind != yaml.MappingNode || services.Anchor != "" {
		return false
	}
	k, v := child(services, s.Name)
	if k == nil || v.Kind != yaml.MappingNode || v.Anchor != "" || !startsLine(e.lines, services, k) {
		return false
	}
	end := min(entryEnd(e.lines, services, k), entryEnd(e.lines, e.was, sk))
	for end > k.Line && e.loose(e.lines[end-1], k.Column-1) {
		end--
	}
	add := mapping()
	for _, l := range s.Lines {
		var n yaml.Node
		if err := n.Encode(l.Value); err != nil {
			return false
		}
		if n.Kind == yaml.SequenceNode {
			n.Style |= yaml.FlowStyle
		}
		if n.Kind == yaml.MappingNode {
			inOrder(&n)
		}
		put(add, l.Key, &n)
	}
	if v.Style&yaml.FlowStyle != 0 {
		whole := shallow(v)
		whole.Content = append(whole.Content, add.Content...)
		e.splices = append(e.splices, splice{k.Line - 1, end, e.entry(k, whole, k.Column-1)})
		return true
	}
	if len(v.Content) == 0 || !startsLine(e.lines, v, v.Content[0]) {
		return false
	}
	var text strings.Builder
	for i := 0; i+1 < len(add.Content); i += 2 {
		text.WriteString(e.entry(add.Content[i], add.Content[i+1], v.Content[0].Column-1))
	}
	e.splices = append(e.splices, splice{end, end, text.String()})
	return true
}

// loose tells whether a line behind an entry belongs to what comes next.
func (e hardenEdit) loose(line string, column int) bool {
	body := strings.TrimLeft(line, " \t")
	return strings.TrimSpace(body) == "" || strings.HasPrefix(body, "#") && len(line)-len(body) <= column
}

// inOrder puts the keys of a health check as people write them, and its command in
// one line.
func inOrder(n *yaml.Node) {
	out := mapping()
	for _, key := range []string{"test", "interval", "timeout", "retries", "start_period"} {
		if _, v := child(n, key); v != nil {
			if v.Kind == yaml.SequenceNode {
				v.Style |= yaml.FlowStyle
			}
			put(out, key, v)
		}
	}
	n.Content = out.Content
}

func mapping(entries ...any) *yaml.Node {
	m := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for i := 0; i+1 < len(entries); i += 2 {
		put(m, entries[i].(string), entries[i+1].(*yaml.Node))
	}
	return m
}

func scalarNode(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
}

func flowList(list []string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Style: yaml.FlowStyle}
	for _, s := range list {
		n.Content = append(n.Content, scalarNode(s))
	}
	return n
}

// inWords gives the lines of a service for a person who writes them.
func (s HardenedService) inWords() string {
	m := mapping()
	m.Style |= yaml.FlowStyle
	for _, l := range s.Lines {
		var n yaml.Node
		if err := n.Encode(l.Value); err == nil {
			put(m, l.Key, &n)
		}
	}
	m.Style |= yaml.FlowStyle
	out, err := encode(m, 2)
	if err != nil {
		return ""
	}
	return strings.Trim(strings.Join(strings.Fields(string(out)), " "), "{}")
}

// SameButHardened makes sure that an edit of EditHardening says what the stack
// said before, with the proposal and nothing else.
func SameButHardened(before, after *Stack, h Hardening) error {
	if after.X == nil || after.X.Title != h.Title || !slices.Equal(after.X.Jobs, h.Jobs) {
		return errors.New("the x-croft block does not read as it was meant")
	}
	if len(before.Project.Services) != len(after.Project.Services) {
		return errors.New("the services are not the same any more")
	}
	for _, s := range h.Services {
		was, now := before.Project.Services[s.Name], after.Project.Services[s.Name]
		for _, l := range s.Lines {
			switch l.Key {
			case "user":
				now.User = was.User
			case "tmpfs":
				now.Tmpfs = was.Tmpfs
			case "mem_limit":
				now.MemLimit = was.MemLimit
			case "pids_limit":
				now.PidsLimit = was.PidsLimit
			case "healthcheck":
				now.HealthCheck = was.HealthCheck
			}
		}
		if !reflect.DeepEqual(was, now) {
			return fmt.Errorf("service %s says something else than before", s.Name)
		}
		answer := after.X.Harden[s.Name]
		if answer.Root != s.Answer.Root || answer.Writable != s.Answer.Writable || answer.Why != s.Answer.Why || !slices.Equal(answer.Caps, s.Answer.Caps) {
			return fmt.Errorf("the answers of service %s do not read as they were meant", s.Name)
		}
	}
	b, a := before.Project, after.Project
	if !reflect.DeepEqual(b.Volumes, a.Volumes) || !reflect.DeepEqual(b.Networks, a.Networks) ||
		!reflect.DeepEqual(b.Configs, a.Configs) || !reflect.DeepEqual(b.Secrets, a.Secrets) {
		return errors.New("volumes, networks, configs or secrets say something else than before")
	}
	return nil
}

package users

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// tree is the file as YAML nodes: fields and comments that croft does not know
// go through it unchanged.
type tree struct {
	document *yaml.Node
	list     *yaml.Node // the mapping under users:
}

// parseTree refuses what Authelia would refuse too, as far as a later edit would
// otherwise build on it. Errors of the YAML parser are not passed on beyond
// their line: they may quote a hash.
func parseTree(path string, data []byte) (*tree, error) {
	bad := func(line int, message string) error {
		subject := path
		if line > 0 {
			subject = fmt.Sprintf("%s:%d", path, line)
		}
		return failed(ErrDamaged, subject, message, "mend it by hand, or put a copy of it back")
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, bad(lineOf(err), "is no YAML")
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, bad(0, "has no users")
	}
	t := &tree{document: &doc}
	top := doc.Content[0]
	for i := 0; i+1 < len(top.Content); i += 2 {
		if top.Content[i].Value != "users" {
			continue
		}
		if t.list != nil {
			return nil, bad(top.Content[i].Line, "users: stands here twice")
		}
		t.list = top.Content[i+1]
	}
	if t.list == nil || t.list.Kind != yaml.MappingNode || len(t.list.Content) == 0 {
		return nil, bad(0, "has no users")
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(t.list.Content); i += 2 {
		key, value := t.list.Content[i], t.list.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode || key.Value == "" || key.Tag == "!!merge":
			return nil, bad(key.Line, "is no user name")
		case seen[key.Value]:
			return nil, bad(key.Line, fmt.Sprintf("user %q stands here twice", key.Value))
		case value.Kind != yaml.MappingNode:
			return nil, bad(key.Line, fmt.Sprintf("user %q has no fields of its own", key.Value))
		}
		seen[key.Value] = true
	}
	return t, nil
}

// lineOf finds the line in an error of the parser without the text around it.
func lineOf(err error) int {
	_, after, ok := strings.Cut(err.Error(), "line ")
	if !ok {
		return 0
	}
	line := 0
	for _, r := range after {
		if r < '0' || r > '9' || line > 1<<20 {
			break
		}
		line = line*10 + int(r-'0')
	}
	return line
}

// users decodes what croft knows of each.
func (t *tree) users() ([]User, error) {
	var out []User
	for i := 0; i+1 < len(t.list.Content); i += 2 {
		var fields struct {
			Password    string   `yaml:"password"`
			DisplayName string   `yaml:"displayname"`
			Email       string   `yaml:"email"`
			Groups      []string `yaml:"groups"`
			Disabled    bool     `yaml:"disabled"`
		}
		key, value := t.list.Content[i], t.list.Content[i+1]
		if err := value.Decode(&fields); err != nil {
			return nil, failed(ErrDamaged, fmt.Sprintf("user %q", key.Value), fmt.Sprintf("a field at or after line %d has the wrong form", key.Line), "mend it by hand, or put a copy of it back")
		}
		if fields.Password == "" || fields.DisplayName == "" {
			return nil, failed(ErrDamaged, fmt.Sprintf("user %q", key.Value), fmt.Sprintf("has no password or no displayname (line %d); Authelia does not start with it", key.Line), "mend it by hand")
		}
		out = append(out, User{Name: key.Value, DisplayName: fields.DisplayName, Email: fields.Email, Groups: fields.Groups, Disabled: fields.Disabled})
	}
	return out, nil
}

func newTree() *tree {
	list := &yaml.Node{Kind: yaml.MappingNode}
	users := plain("users")
	users.HeadComment = "# The people of this platform. Authelia and croft both write here:\n# croft user add|remove|password, or a reset at sign-in."
	top := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{users, list}}
	return &tree{document: &yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{top}}, list: list}
}

func (t *tree) text() ([]byte, error) {
	return yaml.Dump(t.document, yaml.WithV4Defaults(), yaml.WithLineWidth(-1))
}

func (t *tree) has(name string) bool { return t.find(name) >= 0 }

func (t *tree) find(name string) int {
	for i := 0; i+1 < len(t.list.Content); i += 2 {
		if t.list.Content[i].Value == name {
			return i
		}
	}
	return -1
}

func (t *tree) add(u User, hash string) {
	groups := &yaml.Node{Kind: yaml.SequenceNode}
	if len(u.Groups) == 0 {
		groups.Style = yaml.FlowStyle
	}
	for _, g := range u.Groups {
		groups.Content = append(groups.Content, quoted(g))
	}
	fields := []*yaml.Node{
		plain("displayname"), quoted(u.DisplayName),
		plain("password"), quoted(hash),
		plain("email"), quoted(u.Email),
		plain("groups"), groups,
	}
	if u.Disabled {
		fields = append(fields, plain("disabled"), &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"})
	}
	t.list.Style = 0 // a list in braces becomes an ordinary one
	t.list.Content = append(t.list.Content, quoted(u.Name), &yaml.Node{Kind: yaml.MappingNode, Content: fields})
}

func (t *tree) remove(name string) {
	if i := t.find(name); i >= 0 {
		t.list.Content = append(t.list.Content[:i:i], t.list.Content[i+2:]...)
	}
}

func (t *tree) setPassword(name, hash string) error {
	i := t.find(name)
	if i < 0 {
		return noUser(name)
	}
	fields := t.list.Content[i+1]
	for j := 0; j+1 < len(fields.Content); j += 2 {
		if fields.Content[j].Value == "password" {
			old := fields.Content[j+1]
			fresh := quoted(hash)
			fresh.HeadComment, fresh.LineComment, fresh.FootComment = old.HeadComment, old.LineComment, old.FootComment
			fields.Content[j+1] = fresh
			return nil
		}
	}
	fields.Content = append(fields.Content, plain("password"), quoted(hash))
	return nil
}

func plain(text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
}

// quoted keeps a name like "no" or "1e3" a string for every reader.
func quoted(text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text, Style: yaml.SingleQuotedStyle}
}

package tui

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/croft-sh/croft/stacks"
)

// Answers are given before anything is asked: key -> answer.
type Answers map[string]string

// An Asker gives the answer to a question that was not answered before. def is
// the default, ok tells whether there is one.
type Asker func(q stacks.Question, def string, ok bool) (string, error)

// MissingError says that a question has no answer.
type MissingError struct {
	Key   string
	Title string
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("no answer to %q (%s)", e.Key, strings.TrimSuffix(e.Title, "?"))
}

// AnswerError says that an answer that was given is refused.
type AnswerError struct {
	Key string
	Err error
}

func (e *AnswerError) Error() string { return fmt.Sprintf("answer to %q: %v", e.Key, e.Err) }
func (e *AnswerError) Unwrap() error { return e.Err }

// Fill puts the answer of every question into the draft, in order. One that is
// given is used even where the question would not be asked; the others are
// asked where they make sense. A bad given answer is an error, as nobody is
// there to give another; an Asker that can ask again checks by itself.
func Fill(qs []stacks.Question, p *stacks.Platform, given Answers, ask Asker) error {
	for _, q := range qs {
		answer, ok := given[q.Key]
		if !ok {
			if q.When != nil && !q.When(*p) {
				continue
			}
			def, has := "", q.Default != nil
			if has {
				def = q.Default(*p)
			}
			var err error
			if answer, err = ask(q, def, has); err != nil {
				return err
			}
		}
		if err := Check(q, answer); err != nil {
			return &AnswerError{Key: q.Key, Err: err}
		}
		q.Set(p, answer)
	}
	return nil
}

// Check tells what is wrong with an answer: first its form, then what the
// question itself refuses.
func Check(q stacks.Question, answer string) error {
	switch q.Kind {
	case stacks.KindChoice:
		if !hasChoice(q, answer) {
			return fmt.Errorf("%q is not one of %s", answer, choiceValues(q))
		}
	case stacks.KindMany:
		for _, v := range SplitList(answer) {
			if !hasChoice(q, v) {
				return fmt.Errorf("%q is not one of %s", v, choiceValues(q))
			}
		}
	case stacks.KindYesNo:
		if answer != "yes" && answer != "no" {
			return fmt.Errorf("%q is neither yes nor no", answer)
		}
	}
	if q.Check == nil {
		return nil
	}
	return q.Check(answer)
}

// Defaults answers every question with its default.
func Defaults(q stacks.Question, def string, ok bool) (string, error) {
	if !ok {
		return "", &MissingError{Key: q.Key, Title: q.Title}
	}
	return def, nil
}

// Refuse answers nothing: a question that was not answered before is an error
// that names its key.
func Refuse(q stacks.Question, _ string, _ bool) (string, error) {
	return "", &MissingError{Key: q.Key, Title: q.Title}
}

// Unknown gives the keys that answer none of the questions, sorted.
func (a Answers) Unknown(qs []stacks.Question) []string {
	known := make(map[string]bool, len(qs))
	for _, q := range qs {
		known[q.Key] = true
	}
	var out []string
	for k := range a {
		if !known[k] {
			out = append(out, k)
		}
	}
	sort.Strings(out)
	return out
}

// ParseAnswers reads a YAML map of answers. Keys are the places in croft.yaml,
// nested or dotted; lists become one answer. A mapping named stacks stands for
// its keys and holds the stacks' options, so a croft.yaml is a file of answers.
func ParseAnswers(text []byte) (Answers, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, err
	}
	out := Answers{}
	if len(root.Content) == 0 {
		return out, nil
	}
	if root.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("not a map of answers")
	}
	if err := out.flatten("", root.Content[0]); err != nil {
		return nil, err
	}
	delete(out, "version")
	return out, nil
}

func (a Answers) flatten(prefix string, n *yaml.Node) error {
	switch n.Kind {
	case yaml.AliasNode:
		// One alias may stand for thousands of nodes, or for itself.
		return fmt.Errorf("line %d: %s: aliases are not read here", n.Line, prefix)
	case yaml.ScalarNode:
		if n.Tag != "!!null" {
			a[prefix] = n.Value
		}
		return nil
	case yaml.SequenceNode:
		items := make([]string, 0, len(n.Content))
		for _, item := range n.Content {
			if item.Kind != yaml.ScalarNode {
				return fmt.Errorf("line %d: %s: a list of plain values is expected", item.Line, prefix)
			}
			items = append(items, item.Value)
		}
		a[prefix] = strings.Join(items, ",")
		return nil
	}
	var keys []string
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i].Value
		keys = append(keys, key)
		if prefix != "" {
			key = prefix + "." + key
		}
		if err := a.flatten(key, n.Content[i+1]); err != nil {
			return err
		}
	}
	if prefix == KeyStacks {
		sort.Strings(keys)
		a[prefix] = strings.Join(keys, ",")
	}
	return nil
}

// SplitList reads a comma-separated answer.
func SplitList(s string) []string {
	var out []string
	for _, v := range strings.Split(s, ",") {
		if v = strings.TrimSpace(v); v != "" {
			out = append(out, v)
		}
	}
	return out
}

func hasChoice(q stacks.Question, value string) bool {
	for _, c := range q.Choices {
		if c.Value == value {
			return true
		}
	}
	return false
}

func choiceValues(q stacks.Question) string {
	values := make([]string, len(q.Choices))
	for i, c := range q.Choices {
		values[i] = c.Value
	}
	return strings.Join(values, ", ")
}

package secrets

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"text/template"
	"text/template/parse"

	"github.com/croft-sh/croft/stacks"
)

// revealed is a value on its way into a file. It is no string, so the functions
// that take names refuse it, and no error can repeat it as an unknown name.
type revealed string

// filler fills the placeholders of one file. A name without a stack is one of
// the stack that the file belongs to.
type filler struct {
	store *Store
	stack string
	salt  stacks.Secret // key that salts are derived with
}

// fill executes the text of a grant, which is rendered already but for actions
// between << and >>:
//
//	<< secret "name" >>      the value
//	<< scram "name" >>       verifier as PostgreSQL stores it
//	<< argon2id "name" >>    hash as Authelia stores it
//	<< pbkdf2 "name" >>      hash of an OIDC client's secret as Authelia takes it
//	<< sha256hex "name" >>
//
// each with | quote behind it for a JSON (and YAML) string. Anything else is
// refused. Salts are derived, so the same secrets give the same file.
func (f filler) fill(what string, text []byte) ([]byte, error) {
	funcs := template.FuncMap{
		"secret":    f.secret,
		"scram":     f.scram,
		"argon2id":  f.argon2id,
		"pbkdf2":    f.pbkdf2,
		"sha256hex": f.sha256hex,
		"quote":     quote,
	}
	t, err := template.New(what).Delims("<<", ">>").Funcs(funcs).Parse(string(text))
	if err != nil {
		return nil, failed(nil, "secret "+what, err.Error(), `between << and >> stands a function and a name, as in << secret "stack/name" >>`)
	}
	if t.Tree == nil || t.Root == nil {
		return text, nil // nothing but a comment or white space
	}
	for _, node := range t.Root.Nodes {
		if err := onlyPlaceholders(node, funcs); err != nil {
			return nil, failed(nil, "secret "+what, err.Error(), `between << and >> stands a function and a name, as in << secret "stack/name" >>`)
		}
	}
	var out bytes.Buffer
	if err := t.Execute(&out, nil); err != nil {
		return nil, failed(ErrUnknown, "secret "+what, err.Error(), "")
	}
	return out.Bytes(), nil
}

// onlyPlaceholders keeps text/template's other powers out: with printf or index
// a value could get into an error.
func onlyPlaceholders(node parse.Node, funcs template.FuncMap) error {
	switch n := node.(type) {
	case *parse.TextNode, *parse.CommentNode:
		return nil
	case *parse.ActionNode:
		if len(n.Pipe.Decl) == 0 && len(n.Pipe.Cmds) <= 2 && isPlaceholder(n.Pipe.Cmds[0], funcs) {
			if len(n.Pipe.Cmds) == 1 || n.Pipe.Cmds[1].String() == "quote" {
				return nil
			}
		}
	}
	return fmt.Errorf("%s is not allowed here", node)
}

func isPlaceholder(c *parse.CommandNode, funcs template.FuncMap) bool {
	id, ok := c.Args[0].(*parse.IdentifierNode)
	if !ok || funcs[id.Ident] == nil || id.Ident == "quote" || len(c.Args) < 2 {
		return false
	}
	for _, a := range c.Args[1:] {
		if _, ok := a.(*parse.StringNode); !ok {
			return false
		}
	}
	return true
}

func quote(v revealed) (string, error) {
	raw, err := json.Marshal(string(v))
	return string(raw), err
}

func (f filler) secret(name string) (revealed, error) {
	_, value, err := f.lookup(name)
	return revealed(value), err
}

// scram takes the role as templates may name it; the verifier does not depend
// on it.
func (f filler) scram(name string, _ ...string) (revealed, error) {
	full, value, err := f.lookup(name)
	if err != nil {
		return "", err
	}
	out, err := scramVerifier(value, keyed(f.salt, "scram", full)[:16])
	if err != nil {
		return "", fmt.Errorf("secret %s: %w", full, err)
	}
	return revealed(out), nil
}

func (f filler) argon2id(name string) (revealed, error) {
	full, value, err := f.lookup(name)
	if err != nil {
		return "", err
	}
	return revealed(argon2idHash(value, keyed(f.salt, "argon2id", full)[:16])), nil
}

func (f filler) pbkdf2(name string) (revealed, error) {
	full, value, err := f.lookup(name)
	if err != nil {
		return "", err
	}
	out, err := pbkdf2Hash(value, keyed(f.salt, "pbkdf2", full)[:16])
	return revealed(out), err
}

func (f filler) sha256hex(name string) (revealed, error) {
	_, value, err := f.lookup(name)
	return revealed(sha256Hex(value)), err
}

// lookup gives the full name and the value in the clear.
func (f filler) lookup(name string) (full, value string, err error) {
	full = name
	if !strings.Contains(name, "/") {
		full = f.stack + "/" + name
	}
	if err := notReserved(full); err != nil {
		return full, "", err
	}
	s, ok := f.store.Get(full)
	if !ok {
		return full, "", fmt.Errorf("secret %s is not known", full)
	}
	return full, stacks.Reveal(s), nil
}

package stacks

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// recoverTo turns a panic of a parser into an error: a file that an admin wrote
// must never end the program.
func recoverTo(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("the parser gave up on this file: %v", r)
	}
}

// composeErrors gives what compose-go says its places. Its errors carry none,
// but name what they are about.
type composeErrors struct {
	at   *locator
	root string            // slash path of the stack within the platform
	hide []string          // path prefixes that mean nothing to a reader, longest first
	vars map[string]string // variables whose values are not repeated
}

// problems takes a joined error apart.
func (c composeErrors) problems(err error) Problems {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var ps Problems
		for _, e := range many.Unwrap() {
			ps = append(ps, c.problems(e)...)
		}
		return ps
	}
	return Problems{c.problem(err.Error())}
}

func (c composeErrors) problem(text string) Problem {
	for _, h := range c.hide {
		text = strings.ReplaceAll(text, h+"/", "")
		text = strings.ReplaceAll(text, h, ".")
	}
	names := slices.SortedFunc(maps.Keys(c.vars), func(a, b string) int {
		return cmp.Or(len(c.vars[b])-len(c.vars[a]), strings.Compare(a, b))
	})
	for _, n := range names {
		if len(c.vars[n]) > 3 { // short ones would be found in any word
			text = strings.ReplaceAll(text, c.vars[n], "${"+n+"}")
		}
	}
	text = regexp.MustCompile(`^validating [^:]*: `).ReplaceAllString(text, "")
	text = regexp.MustCompile(`: (invalid compose project|.*ErrInvalid)$`).ReplaceAllString(text, "")
	p := Problem{Severity: SeverityError, Message: strings.Join(strings.Fields(text), " ")}
	if strings.Contains(text, "invalid interpolation format") {
		p.Hint = "write $$ for a dollar sign that belongs to the text"
	}
	if m := regexp.MustCompile(`^failed to parse ([^:]+): .*?line (\d+)`).FindStringSubmatch(text); m != nil {
		p.File = path.Join(c.root, m[1])
		p.Line, _ = strconv.Atoi(m[2]) // digits by the expression
		return p
	}
	p.File, p.Line, p.Column, p.Subject = c.place(text)
	return p
}

// place finds the longest path a text tells of, in its three spellings.
func (c composeErrors) place(text string) (file string, line, column int, subject string) {
	found := ""
	for _, m := range regexp.MustCompile(`(?:services|networks|volumes|secrets|configs|models|include)(?:\.[A-Za-z0-9_\[\]./-]+)*`).FindAllString(text, -1) {
		m = strings.TrimRight(strings.ReplaceAll(m, "[]", ""), ".")
		for m != "" && !c.known(m) && strings.Contains(m, ".") {
			m = m[:strings.LastIndexByte(m, '.')]
		}
		if len(m) > len(found) && c.known(m) {
			found = m
		}
	}
	if found == "" || !strings.Contains(found, ".") {
		for _, e := range []string{`service "?([A-Za-z0-9_.-]+)"?`, `"services\.([^"]+)"`} {
			if m := regexp.MustCompile(e).FindStringSubmatch(text); m != nil && c.known("services."+m[1]) {
				found = "services." + m[1]
				break
			}
		}
	}
	found = c.closer(found, text)
	if found == "" {
		if len(c.at.files) > 0 {
			return c.at.files[0].name, 0, 0, ""
		}
		return c.root, 0, 0, ""
	}
	f, pos := c.at.find(found)
	return f, pos.Line, pos.Column, found
}

// closer goes one step down where the text names the very key.
func (c composeErrors) closer(found, text string) string {
	for _, try := range []struct{ expression, key string }{
		{`additional properties '([^']+)'`, "."},
		{`undefined network`, ".networks"},
		{`undefined volume`, ".volumes"},
		{`undefined secret`, ".secrets"},
		{`undefined config`, ".configs"},
		{`depends on undefined`, ".depends_on"},
	} {
		m := regexp.MustCompile(try.expression).FindStringSubmatch(text)
		if m == nil {
			continue
		}
		key := try.key
		if len(m) == 2 {
			key += m[1]
		}
		if next := strings.TrimPrefix(found+key, "."); c.known(next) {
			return next
		}
	}
	return found
}

func (c composeErrors) known(p string) bool {
	for _, x := range c.at.index {
		if _, ok := x[p]; ok {
			return true
		}
	}
	return false
}

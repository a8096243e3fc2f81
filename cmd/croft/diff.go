package main

import (
	"strings"

	"github.com/pmezard/go-difflib/difflib"

	"github.com/croft-sh/croft/tui"
)

// diffText gives a unified diff of one file; "" where nothing differs.
func diffText(name string, before, after []byte) string {
	text, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
		A: difflib.SplitLines(string(before)), B: difflib.SplitLines(string(after)),
		FromFile: "a/" + name, ToFile: "b/" + name, Context: 3,
	})
	if err != nil {
		return "" // it writes to memory: cannot fail
	}
	return text
}

// paintDiff colours a diff.
func paintDiff(diff string, s tui.Style) string {
	lines := strings.SplitAfter(diff, "\n")
	for i, line := range lines {
		body, end, _ := strings.Cut(line, "\n")
		if strings.HasSuffix(line, "\n") {
			end = "\n"
		}
		switch {
		case strings.HasPrefix(body, "+++"), strings.HasPrefix(body, "---"):
			lines[i] = s.Bold(body) + end
		case strings.HasPrefix(body, "+"):
			lines[i] = s.Green(body) + end
		case strings.HasPrefix(body, "-"):
			lines[i] = s.Red(body) + end
		case strings.HasPrefix(body, "@@"):
			lines[i] = s.Cyan(body) + end
		}
	}
	return strings.Join(lines, "")
}

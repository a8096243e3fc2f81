package stacks

import (
	"fmt"
	"strings"
)

// Severity says whether a Problem stops the work.
type Severity string

// The two severities. A warning is told and changes nothing else.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// Problem is one thing that is wrong with what an admin wrote, where it stands
// and what to do about it. It is an error, and its text never holds a secret.
type Problem struct {
	Severity Severity `json:"severity"`
	File     string   `json:"file,omitempty"` // slash path relative to the platform
	Line     int      `json:"line,omitempty"` // from 1; 0: unknown
	Column   int      `json:"column,omitempty"`
	Subject  string   `json:"subject,omitempty"` // "stack gitea", "stacks.gitea.options"
	Message  string   `json:"message"`
	Hint     string   `json:"hint,omitempty"`
}

// Position gives "file:line:column" as far as it is known, else "".
func (p Problem) Position() string {
	switch {
	case p.File == "":
		return ""
	case p.Line == 0:
		return p.File
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Error gives position, subject and message on one line, without the hint.
func (p Problem) Error() string {
	var parts []string
	if pos := p.Position(); pos != "" {
		parts = append(parts, pos)
	}
	if p.Subject != "" {
		parts = append(parts, p.Subject)
	}
	return strings.Join(append(parts, p.Message), ": ")
}

// Problems is every problem found in one go. It is an error only by way of Err.
type Problems []Problem

// Error joins all problems, one a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Err gives the problems as an error if at least one of them is one, else nil.
func (ps Problems) Err() error {
	for _, p := range ps {
		if p.Severity == SeverityError {
			return ps
		}
	}
	return nil
}

// Warnings gives those that do not stop the work.
func (ps Problems) Warnings() Problems {
	var out Problems
	for _, p := range ps {
		if p.Severity == SeverityWarning {
			out = append(out, p)
		}
	}
	return out
}

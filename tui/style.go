package tui

import (
	"strings"
	"unicode/utf8"
)

// Style says what the place that is drawn to can do.
type Style struct {
	Color bool
	Width int // columns; 0: no limit is known
}

// Bold, Dim and the colours mark text where there is colour. Meaning never
// hangs on colour alone.
func (s Style) Bold(text string) string   { return s.paint("1", text) }
func (s Style) Dim(text string) string    { return s.paint("2", text) }
func (s Style) Red(text string) string    { return s.paint("31", text) }
func (s Style) Green(text string) string  { return s.paint("32", text) }
func (s Style) Yellow(text string) string { return s.paint("33", text) }
func (s Style) Cyan(text string) string   { return s.paint("36", text) }

func (s Style) paint(code, text string) string {
	if !s.Color || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// Wrap breaks text at spaces into lines of at most width columns, each with the
// indent in front. A word longer than that stays whole. width 0 never breaks.
func Wrap(text string, width int, indent string) string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case width > 0 && utf8.RuneCountInString(indent+line)+1+utf8.RuneCountInString(word) > width:
			lines = append(lines, indent+line)
			line = word
		default:
			line += " " + word
		}
	}
	if line != "" {
		lines = append(lines, indent+line)
	}
	return strings.Join(lines, "\n")
}

// Truncate cuts text to width columns; what is cut shows as an ellipsis.
func Truncate(text string, width int) string {
	if width <= 0 || utf8.RuneCountInString(text) <= width {
		return text
	}
	if width == 1 {
		return "…"
	}
	return string([]rune(text)[:width-1]) + "…"
}

// Pad fills text with spaces up to width columns.
func Pad(text string, width int) string {
	if n := width - utf8.RuneCountInString(text); n > 0 {
		return text + strings.Repeat(" ", n)
	}
	return text
}

// Printable replaces control characters, so that text from outside (a log, a
// container's output) cannot steer the terminal.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return ' '
		}
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return -1
		}
		return r
	}, text)
}

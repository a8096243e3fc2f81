package tui

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/croft-sh/croft/stacks"
)

// A Prompt asks one line at a time. It needs no cursor, so it also serves
// screen readers and a terminal that can do nothing.
type Prompt struct {
	out    io.Writer
	style  Style
	read   *lineReader
	secret func(context.Context) (string, error)
}

// NewPrompt makes a prompt. secret reads a line without echo.
func NewPrompt(in io.Reader, out io.Writer, style Style, secret func(context.Context) (string, error)) *Prompt {
	return &Prompt{out: out, style: style, read: newLineReader(in), secret: secret}
}

// ErrAborted says that whoever was asked left.
var ErrAborted = errors.New("aborted")

// Ask asks one question until the answer is good. It is an [Asker] once ctx is
// bound. End of input is a [MissingError].
func (p *Prompt) Ask(ctx context.Context, q stacks.Question, def string, ok bool) (string, error) {
	p.printf("\n%s\n", p.style.Bold(q.Title))
	if q.Help != "" {
		p.printf("%s\n", p.style.Dim(Wrap(q.Help, p.style.Width-2, "  ")))
	}
	for i, c := range q.Choices {
		p.printf("%s\n", p.choiceLine(i, c, choiceWidth(q), q.Kind == stacks.KindMany && contains(SplitList(def), c.Value)))
	}
	for {
		p.printf("%s", askLine(q, def, ok))
		line, err := p.line(ctx, q)
		if errors.Is(err, io.EOF) {
			p.printf("\n")
			return "", &MissingError{Key: q.Key, Title: q.Title}
		}
		if err != nil {
			return "", err
		}
		answer := normalise(q, line)
		if line == "" && ok {
			answer = def
		}
		if err := Check(q, answer); err != nil {
			text := strings.TrimLeft(Wrap(err.Error(), p.style.Width, "    "), " ")
			p.printf("  %s %s\n", p.style.Red("!"), text)
			continue
		}
		return answer, nil
	}
}

// Confirm asks yes or no. End of input is no answer: [ErrAborted].
func (p *Prompt) Confirm(ctx context.Context, text string, def bool) (bool, error) {
	choices := "[y/N]"
	if def {
		choices = "[Y/n]"
	}
	for {
		p.printf("%s %s ", text, choices)
		line, err := p.read.line(ctx)
		if errors.Is(err, io.EOF) {
			p.printf("\n")
			return false, ErrAborted
		}
		if err != nil {
			return false, err
		}
		switch strings.ToLower(line) {
		case "":
			return def, nil
		case "y", "yes":
			return true, nil
		case "n", "no":
			return false, nil
		}
		p.printf("  %s answer y or n\n", p.style.Red("!"))
	}
}

// Line asks for one line as it is. End of input is [ErrAborted].
func (p *Prompt) Line(ctx context.Context, text string) (string, error) {
	p.printf("%s ", text)
	line, err := p.read.line(ctx)
	if errors.Is(err, io.EOF) {
		return "", ErrAborted
	}
	return line, err
}

// Secret asks for a line that is not shown.
func (p *Prompt) Secret(ctx context.Context, text string) (string, error) {
	p.printf("%s ", text)
	line, err := p.secret(ctx)
	p.printf("\n")
	if errors.Is(err, io.EOF) {
		return "", ErrAborted
	}
	return line, err
}

// Printf shows something between questions.
func (p *Prompt) Printf(format string, args ...any) { p.printf(format, args...) }

// Writer is where the prompt draws.
func (p *Prompt) Writer() io.Writer { return p.out }

// printf writes to a terminal; if that fails, reading from it will too.
func (p *Prompt) printf(format string, args ...any) { _, _ = fmt.Fprintf(p.out, format, args...) }

func (p *Prompt) line(ctx context.Context, q stacks.Question) (string, error) {
	if q.Kind == stacks.KindSecret {
		return p.secret(ctx)
	}
	return p.read.line(ctx)
}

// choiceLine draws a choice; a star marks one that the default has.
func (p *Prompt) choiceLine(i int, c stacks.Choice, width int, marked bool) string {
	mark := " "
	if marked {
		mark = "*"
	}
	head := fmt.Sprintf("  %s%2d  %-*s", mark, i+1, width, c.Value)
	if c.Label == "" {
		return head
	}
	return Truncate(head+"  "+c.Label, p.style.Width)
}

func choiceWidth(q stacks.Question) int {
	width := 0
	for _, c := range q.Choices {
		width = max(width, len(c.Value))
	}
	return width
}

func askLine(q stacks.Question, def string, ok bool) string {
	lead := ""
	switch q.Kind {
	case stacks.KindChoice:
		lead = "number or name "
	case stacks.KindMany:
		lead = "numbers or names, with commas "
		if def != "" {
			def = "those with a *"
		}
	}
	if !ok || def == "" {
		return "  " + lead + "> "
	}
	return "  " + lead + "[" + def + "] > "
}

// normalise turns what was typed into an answer: numbers into the choices they
// stand for, y and n into words.
func normalise(q stacks.Question, line string) string {
	switch q.Kind {
	case stacks.KindChoice:
		return numbered(q, line)
	case stacks.KindMany:
		items := SplitList(strings.ReplaceAll(line, " ", ","))
		for i := range items {
			items[i] = numbered(q, items[i])
		}
		return strings.Join(items, ",")
	case stacks.KindYesNo:
		switch strings.ToLower(line) {
		case "y":
			return "yes"
		case "n":
			return "no"
		}
		return strings.ToLower(line)
	}
	return line
}

func contains(list []string, s string) bool {
	for _, item := range list {
		if item == s {
			return true
		}
	}
	return false
}

func numbered(q stacks.Question, item string) string {
	if n, err := strconv.Atoi(item); err == nil && n >= 1 && n <= len(q.Choices) && !hasChoice(q, item) {
		return q.Choices[n-1].Value
	}
	return item
}

// lineReader reads lines in a goroutine of its own, as reading from a terminal
// cannot be interrupted. A line that arrives after ctx ended waits for the next
// call; at the program's end it is lost with it.
type lineReader struct {
	in    *bufio.Reader
	lines chan readLine
	busy  bool
}

type readLine struct {
	text string
	err  error
}

// maxLine bounds an answer; nothing that is asked comes near.
const maxLine = 64 << 10

func newLineReader(in io.Reader) *lineReader {
	return &lineReader{in: bufio.NewReaderSize(in, maxLine), lines: make(chan readLine, 1)}
}

func (r *lineReader) line(ctx context.Context) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if !r.busy {
		r.busy = true
		go func() {
			text, prefix, err := r.in.ReadLine()
			if prefix {
				err = errors.New("the answer is too long")
			}
			r.lines <- readLine{strings.TrimSpace(string(text)), err}
		}()
	}
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case l := <-r.lines:
		r.busy = false
		return l.text, l.err
	}
}

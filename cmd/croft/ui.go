package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v4"
	"golang.org/x/term"

	"github.com/croft-sh/croft/stacks"
	"github.com/croft-sh/croft/tui"
)

// The rules of what is said where. Everything that prints goes through here.
//
//   - What was asked for goes to standard output, whole, in the form that -o
//     names. Text and JSON are views of one value: nothing is in one alone.
//   - Everything else (progress, notes, warnings, errors) goes to standard
//     error. -q leaves errors only. No capital at the start, no period at the
//     end of errors.
//   - Questions go to the terminal itself, never to a stream that may be a
//     file, and so does a secret that is shown. Where standard input is not a
//     terminal, nothing is asked: an answer is given by flag, file or variable,
//     or it is missing.
//   - Colour and lines that are drawn over only on a terminal, and never with
//     NO_COLOR, --no-color or TERM=dumb.

// print gives the value of a command: its text, or itself as JSON or YAML.
func (a *app) print(value any, text func(io.Writer, tui.Style)) error {
	switch a.flags.output {
	case outputJSON:
		enc := json.NewEncoder(a.out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(value)
	case outputYAML:
		return printYAML(a.out, value)
	}
	// Text is made first: a pipe that breaks must not cut a value in half
	// without an error.
	var b strings.Builder
	text(&b, a.outStyle())
	_, err := io.WriteString(a.out, b.String())
	return err
}

// printYAML goes by way of JSON, so that both have the same keys.
func printYAML(w io.Writer, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	var tree any
	if err := json.Unmarshal(raw, &tree); err != nil {
		return err
	}
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(tree); err != nil {
		return err
	}
	return enc.Close()
}

// printLine gives one value of a stream: one JSON object a line.
func (a *app) printLine(value any) error {
	enc := json.NewEncoder(a.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(value)
}

// structured tells whether standard output is read by a program.
func (a *app) structured() bool { return a.flags.output != outputText }

// note says something beside the result.
func (a *app) note(format string, args ...any) {
	if !a.flags.quiet {
		a.say(format+"\n", args...)
	}
}

// debugf says something only with -v.
func (a *app) debugf(format string, args ...any) {
	if a.flags.verbose {
		a.say("debug: "+format+"\n", args...)
	}
}

// say writes to standard error. Where that is gone there is nobody to tell.
func (a *app) say(format string, args ...any) { _, _ = fmt.Fprintf(a.err, format, args...) }

func (a *app) outStyle() tui.Style { return a.styleOf(a.out) }
func (a *app) errStyle() tui.Style { return a.styleOf(a.err) }

func (a *app) stdoutIsTerminal() bool { return isTerminal(a.out) }

func (a *app) styleOf(w io.Writer) tui.Style {
	if !isTerminal(w) {
		return tui.Style{Width: plainWidth}
	}
	return tui.Style{Color: a.color(), Width: widthOf(w.(*os.File))}
}

// plainWidth is how wide text is where nobody can tell.
const plainWidth = 80

func (a *app) color() bool {
	_, noColor := a.env["NO_COLOR"]
	return !a.flags.noColor && !noColor && a.env["TERM"] != "dumb"
}

// live tells whether lines of w may be drawn over.
func (a *app) live(w io.Writer) bool { return isTerminal(w) && a.env["TERM"] != "dumb" }

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func widthOf(f *os.File) int {
	if w, _, err := term.GetSize(int(f.Fd())); err == nil && w >= 20 {
		return w
	}
	return plainWidth
}

// terminal is where a person sits.
type terminal struct {
	file  *os.File
	owned bool // opened here
	app   *app
	asker *tui.Prompt
}

// openTerminal gives the terminal, or nil where nobody can be asked: standard
// input is a file, a pipe or nothing.
func openTerminal(a *app) *terminal {
	if !isTerminal(a.in) {
		return nil
	}
	if f, err := os.OpenFile("/dev/tty", os.O_RDWR, 0); err == nil {
		return &terminal{file: f, owned: true, app: a}
	}
	// A terminal that controls nothing, as in some containers.
	f := a.in.(*os.File)
	return &terminal{file: f, app: a}
}

func (t *terminal) close() {
	if t != nil && t.owned {
		_ = t.file.Close() // only read from and drawn to
	}
}

// prompt gives the line prompt; one for the whole run, as it reads ahead.
func (t *terminal) prompt() *tui.Prompt {
	if t.asker == nil {
		style := tui.Style{Color: t.app.color(), Width: widthOf(t.file)}
		t.asker = tui.NewPrompt(t.file, t.file, style, t.readSecret)
	}
	return t.asker
}

// endLine ends the line of a question that nobody answered.
func (t *terminal) endLine(err error) {
	if t != nil && t.asker != nil && exitCode(err) == exitInterrupted {
		t.asker.Printf("\n")
	}
}

// readSecret reads a line without echo. When ctx ends first, the echo comes back.
func (t *terminal) readSecret(ctx context.Context) (string, error) {
	fd := int(t.file.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	type read struct {
		text []byte
		err  error
	}
	done := make(chan read, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		done <- read{text, err}
	}()
	select {
	case <-ctx.Done():
		return "", errJoin(ctx.Err(), term.Restore(fd, before))
	case r := <-done:
		return string(r.text), r.err
	}
}

// confirm asks before something is changed. -y answers it; without a terminal
// it is an error that says so.
func (a *app) confirm(ctx context.Context, question, doing string) error {
	if a.flags.yes {
		return nil
	}
	if a.terminal == nil {
		return &usageError{err: fmt.Errorf("%s: nobody can be asked, standard input is not a terminal", doing),
			hint: "add -y to go ahead without being asked"}
	}
	ok, err := a.terminal.prompt().Confirm(ctx, question, false)
	if err != nil {
		return err
	}
	if !ok {
		return &declinedError{doing: doing}
	}
	return nil
}

// declinedError says that a person said no.
type declinedError struct{ doing string }

func (e *declinedError) Error() string { return e.doing + ": not done, as you said no" }

// asking asks on the terminal.
func (t *terminal) asking(ctx context.Context) tui.Asker {
	return func(q stacks.Question, def string, ok bool) (string, error) {
		return t.prompt().Ask(ctx, q, def, ok)
	}
}

// printWarnings tells what does not stop the work.
func (a *app) printWarnings(ps stacks.Problems) {
	if !a.flags.quiet {
		a.printProblems(ps)
	}
}

// registerCompletion offers values of a flag.
func registerCompletion(cmd *cobra.Command, flag string, f cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic(err) // the flag is not there: a mistake that every test meets
	}
}

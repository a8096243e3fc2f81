package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/croft-sh/croft/stacks"
	"github.com/croft-sh/croft/tui"
)

func newStackInfo(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "info STACK", Short: "Show what a stack is, needs and asks",
		Long: `info shows what a stack says about itself: its options with their present
answers, its addresses, secrets, images, and what it needs. Of a stack that the
platform has, the platform's own copy is shown.`,
		Example:           "  croft stack info gitea\n  croft stack info gitea -o json",
		Args:              wantArgs(1, 1, "the name of a stack"),
		ValidArgsFunction: a.completeKnown,
		RunE:              func(_ *cobra.Command, args []string) error { return runStackInfo(a, args[0]) },
	}
}

// stackInfoView is what stack info says.
type stackInfoView struct {
	Schema  string            `json:"schema"`
	Name    string            `json:"name"`
	Chosen  bool              `json:"chosen"`
	Answers map[string]string `json:"answers"` // option -> present answer
	Images  []string          `json:"images"`
	Adopted *stacks.Adopt     `json:"adopted,omitempty"` // how it was adopted
	stacks.XCroft
}

func runStackInfo(a *app, name string) error {
	if err := nameStack(name); err != nil {
		return err
	}
	d, err := a.draftHere(true)
	if err != nil {
		return err
	}
	x, images, problems, err := d.info(name)
	if err != nil {
		return err
	}
	if err := problems.Err(); err != nil {
		return err
	}
	v := stackInfoView{Schema: "croft/stack-info/v1", Name: name, XCroft: x, Answers: map[string]string{}, Images: append([]string{}, images...)}
	choice, chosen := d.platform.Stacks[name]
	v.Chosen, v.Adopted = chosen, choice.Adopt
	for key, opt := range x.Options {
		v.Answers[key] = opt.Default
		if answer, ok := choice.Options[key]; ok {
			v.Answers[key] = answer
		}
	}
	return a.print(v, v.text)
}

func (v stackInfoView) text(w io.Writer, s tui.Style) {
	title := v.Name
	if v.Title != "" {
		title += "  " + v.Title
	}
	fmt.Fprintln(w, s.Bold(title))
	if v.About != "" {
		fmt.Fprintln(w, tui.Wrap(tui.Printable(v.About), s.Width, "  "))
	}
	if !v.Chosen {
		fmt.Fprintf(w, "  not in the platform: croft stack add %s\n", v.Name)
	}
	if v.Adopted != nil {
		fmt.Fprintf(w, "  adopted: the Compose project %s in %s\n", v.Adopted.Project, tui.Printable(v.Adopted.Dir))
	}
	v.list(w, s, "needs", v.Needs)
	v.options(w, s)
	var routes []string
	for _, name := range sortedNames(v.Routes) {
		r := v.Routes[name]
		routes = append(routes, fmt.Sprintf("%s  to %s:%d, %s", r.Host, firstNonEmpty(r.Service, "the service"), r.Port, firstNonEmpty(string(r.Access), string(stacks.AccessTwoFactor))))
	}
	v.list(w, s, "addresses", routes)
	var secrets []string
	for _, name := range sortedNames(v.Secrets) {
		spec := v.Secrets[name]
		text := name
		if spec.Rotate == "never" {
			text += "  never replaced: " + spec.Why
		}
		secrets = append(secrets, text)
	}
	v.list(w, s, "secrets", secrets)
	v.list(w, s, "images", v.Images)
}

func (v stackInfoView) options(w io.Writer, s tui.Style) {
	if len(v.Options) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", s.Bold("options"))
	for _, name := range sortedNames(v.Options) {
		opt := v.Options[name]
		fmt.Fprintf(w, "  %s = %s\n", name, tui.Printable(firstNonEmpty(v.Answers[name], `""`)))
		about := opt.Ask
		if opt.Help != "" {
			about += ". " + opt.Help
		}
		if opt.Check != "" {
			about += " (" + opt.Check + ")"
		}
		fmt.Fprintln(w, s.Dim(tui.Wrap(tui.Printable(about), s.Width, "      ")))
	}
}

func (v stackInfoView) list(w io.Writer, s tui.Style, title string, items []string) {
	if len(items) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", s.Bold(title))
	for _, item := range items {
		fmt.Fprintln(w, tui.Truncate("  "+tui.Printable(item), s.Width))
	}
}

func firstNonEmpty(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func trimIndent(s string) string { return strings.TrimLeft(s, " ") }

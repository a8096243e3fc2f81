package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/croft-sh/croft/stacks"
	"github.com/croft-sh/croft/tui"
)

func newStackAdd(a *app) *cobra.Command {
	var set []string
	cmd := &cobra.Command{
		Use: "add STACK...", Short: "Add stacks to the platform",
		Long: `add copies a stack of the catalogue into the platform, with the stacks it needs,
asks for its options on a terminal, and names it in croft.yaml; comments there
stay. A directory that is there already is never written over, so a stack of
your own is added by making its directory first. croft apply then starts it.`,
		Example: `  croft stack add gitea
  croft stack add gitea --set GITEA_SSH_PORT=2223
  croft stack add gitea grafana --set gitea.GITEA_SSH_PORT=2223`,
		Args:              wantArgs(1, -1, "the name of a stack"),
		ValidArgsFunction: a.completeKnown,
		RunE:              func(cmd *cobra.Command, args []string) error { return runStackAdd(cmd.Context(), a, args, set) },
	}
	cmd.Flags().StringArrayVar(&set, "set", nil, "answer an option: `NAME=VALUE` or STACK.NAME=VALUE; may be repeated")
	return cmd
}

// editView is what stack add and stack remove say.
type editView struct {
	Schema string    `json:"schema"`
	Dir    string    `json:"dir"`
	Files  []written `json:"files"`
	Diff   string    `json:"diff"` // of croft.yaml
	Next   string    `json:"next"`
	Notes  []string  `json:"notes"`
}

func runStackAdd(ctx context.Context, a *app, names, set []string) error {
	d, err := a.draftHere(false)
	if err != nil {
		return err
	}
	answers, err := stackAnswers(names, set)
	if err != nil {
		return err
	}
	before := sortedNames(d.platform.Stacks)
	for _, name := range names {
		if err := nameStack(name); err != nil {
			return err
		}
		if _, there := d.platform.Stacks[name]; !there {
			d.platform.Stacks[name] = stacks.StackChoice{}
		}
	}
	if err := d.complete(); err != nil {
		return err
	}
	var fresh []string
	for _, name := range sortedNames(d.platform.Stacks) {
		if !contains(before, name) || contains(names, name) {
			fresh = append(fresh, name)
		}
	}
	if err := a.askOptions(ctx, d, fresh, answers, false); err != nil {
		return err
	}
	return a.finishEdit(d, "croft/stack-add/v1", "croft apply", nil)
}

// finishEdit checks, writes and shows an edit of a platform that is there.
func (a *app) finishEdit(d *draft, schema, next string, notes []string) error {
	desired, err := d.check(a.facts(a.pathsFor(d.platform.Name)))
	if err != nil {
		return err
	}
	a.printWarnings(desired.Warnings)
	text, err := d.text()
	if err != nil {
		return err
	}
	files, err := d.write()
	if err != nil {
		return err
	}
	v := editView{Schema: schema, Dir: d.dir, Files: files, Next: next, Notes: append([]string{}, notes...),
		Diff: diffText(stacks.PlatformFile, d.old, text)}
	return a.print(v, v.text)
}

func (v editView) text(w io.Writer, s tui.Style) {
	for _, f := range v.Files {
		if f.Action == "created" {
			fmt.Fprintf(w, "%s %s\n", s.Green("+"), f.Path)
		}
	}
	fmt.Fprint(w, paintDiff(v.Diff, s))
	if v.Diff == "" {
		fmt.Fprintf(w, "%s is as it was\n", stacks.PlatformFile)
	}
	for _, n := range v.Notes {
		fmt.Fprintln(w, tui.Wrap(n, s.Width, ""))
	}
	if v.Diff != "" {
		fmt.Fprintf(w, "next: %s\n", v.Next)
	}
}

// stackAnswers reads --set of stack add: NAME=VALUE belongs to the only stack.
func stackAnswers(names, set []string) (tui.Answers, error) {
	answers := tui.Answers{}
	for _, s := range set {
		key, value, ok := strings.Cut(s, "=")
		if !ok || key == "" {
			return nil, &usageError{err: fmt.Errorf("--set %q is not NAME=VALUE", s), hint: "croft stack info " + names[0] + " shows the names"}
		}
		stack, option, dotted := strings.Cut(key, ".")
		switch {
		case strings.HasPrefix(key, tui.KeyStacks+"."):
		case dotted:
			key = tui.OptionKey(stack, option)
		case len(names) == 1:
			key = tui.OptionKey(names[0], key)
		default:
			return nil, &usageError{err: fmt.Errorf("--set %s: of which stack?", key), hint: "write it as STACK." + key + "=VALUE"}
		}
		answers[key] = value
	}
	return answers, nil
}

// askOptions asks for the options of stacks. Without a terminal, or with
// defaults, what is not answered keeps its default.
func (a *app) askOptions(ctx context.Context, d *draft, names []string, answers tui.Answers, defaults bool) error {
	var qs []stacks.Question
	for _, name := range names {
		x, _, problems, err := d.info(name)
		if err != nil {
			return err
		}
		if problems.Err() == nil { // else check says all of them
			qs = append(qs, tui.OptionQuestions(name, x.Options)...)
		}
	}
	for _, key := range answers.Unknown(qs) {
		if strings.HasPrefix(key, tui.KeyStacks+".") {
			return unknownKey(key, qs)
		}
	}
	ask := tui.Defaults
	if a.terminal != nil && !defaults && !a.flags.yes {
		ask = a.terminal.asking(ctx)
	}
	return tui.Fill(qs, &d.platform, answers, ask)
}

// completeKnown offers every stack there is.
func (a *app) completeKnown(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	d := &draft{}
	if err := bindVariables(cmd.Flags(), a.env); err == nil {
		if here, err := a.draftHere(true); err == nil {
			d = here
		}
	}
	var names []string
	for _, name := range d.known() {
		if !contains(args, name) {
			names = append(names, name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

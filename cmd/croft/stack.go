package main

import (
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/croft-sh/croft/stacks"
	"github.com/croft-sh/croft/tui"
)

func newStack(a *app) *cobra.Command {
	return newGroup("stack", "List, describe, add, adopt and remove stacks",
		`A stack is a directory with a Compose file. The catalogue in croft is a source
of stacks: add copies one into the platform, and from then on it is yours.
import adopts a Compose project that runs already.`,
		"  croft stack list\n  croft stack info gitea\n  croft stack add gitea",
		newStackList(a), newStackInfo(a), newStackAdd(a), newStackRemove(a), newStackImport(a), newStackHarden(a))
}

func newStackList(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the stacks of the platform and of the catalogue",
		Long: `list shows the stacks of the platform first, then what else the catalogue has.
Without a platform it shows the catalogue.`,
		Example: "  croft stack list\n  croft stack list -o json",
		Args:    wantArgs(0, 0, ""),
		RunE:    func(*cobra.Command, []string) error { return runStackList(a) },
	}
}

// stackListView is what stack list says.
type stackListView struct {
	Schema string      `json:"schema"`
	Stacks []stackLine `json:"stacks"`
}

type stackLine struct {
	Name   string `json:"name"`
	Title  string `json:"title,omitempty"`
	About  string `json:"about,omitempty"`
	Chosen bool   `json:"chosen"`        // croft.yaml names it
	Source string `json:"source"`        // catalogue, own, adopted
	Dir    string `json:"dir,omitempty"` // of an adopted project
}

func runStackList(a *app) error {
	d, err := a.draftHere(true)
	if err != nil {
		return err
	}
	v := stackListView{Schema: "croft/stack-list/v1", Stacks: []stackLine{}}
	for _, name := range d.known() {
		line := stackLine{Name: name, Source: "own"}
		var choice stacks.StackChoice
		choice, line.Chosen = d.platform.Stacks[name]
		if choice.Adopt != nil {
			line.Source, line.Dir = "adopted", choice.Adopt.Dir
		} else if slices.Contains(stacks.CatalogNames(), name) {
			line.Source = "catalogue"
		}
		// One that cannot be read is listed all the same; validate says why.
		if x, _, _, err := d.info(name); err == nil {
			line.Title, line.About = x.Title, x.About
		}
		v.Stacks = append(v.Stacks, line)
	}
	return a.print(v, v.text)
}

// draftHere begins with the platform that is meant. optional: without one, with
// nothing.
func (a *app) draftHere(optional bool) (*draft, error) {
	dir, err := a.findPlatform()
	if err != nil {
		if optional && a.flags.dir == "" && exitCode(err) == exitNoPlatform {
			return &draft{}, nil
		}
		return nil, err
	}
	return loadDraft(dir)
}

// known gives every stack there is: chosen, lying in the platform, catalogue.
func (d *draft) known() []string {
	names := make(map[string]bool)
	for name := range d.platform.Stacks {
		names[name] = true
	}
	for _, name := range stacks.CatalogNames() {
		names[name] = true
	}
	if d.dir != "" {
		files, err := filepath.Glob(filepath.Join(d.dir, stacksDir, "*", "compose.y*ml"))
		if err == nil { // the pattern is well-formed unless the path holds one itself
			for _, f := range files {
				if name := filepath.Base(filepath.Dir(f)); !strings.HasPrefix(name, ".") {
					names[name] = true
				}
			}
		}
	}
	return sortedNames(names)
}

func (v stackListView) text(w io.Writer, s tui.Style) {
	width := 0
	for _, l := range v.Stacks {
		width = max(width, len(l.Name))
	}
	for _, chosen := range []bool{true, false} {
		title := "platform"
		if !chosen {
			title = "not in the platform (croft stack add NAME)"
		}
		first := true
		for _, l := range v.Stacks {
			if l.Chosen != chosen {
				continue
			}
			if first {
				fmt.Fprintln(w, s.Bold(title))
				first = false
			}
			about := l.About
			if about == "" && l.Source == "own" {
				about = "a stack of your own"
			}
			if about == "" && l.Source == "adopted" {
				about = "adopted, in " + l.Dir
			}
			fmt.Fprintln(w, strings.TrimRight(tui.Truncate("  "+tui.Pad(l.Name, width)+"  "+tui.Printable(about), s.Width), " "))
		}
	}
}

// nameStack refuses what cannot be a stack's name before it becomes a path.
func nameStack(name string) error {
	if stacks.CheckAnswer(`match:[a-z][a-z0-9-]{0,29}`, name) != nil {
		return &usageError{err: fmt.Errorf("%q is no name of a stack", name), hint: "small letters, digits and dashes; croft stack list shows them"}
	}
	return nil
}

// relative gives a path of the platform for people.
func (d *draft) relative(parts ...string) string {
	full := filepath.Join(d.dir, path.Join(parts...))
	here, err := os.Getwd()
	if err != nil {
		return full
	}
	if rel, err := filepath.Rel(here, full); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return full
}

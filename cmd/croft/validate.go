package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/croft-sh/croft/stacks"
	"github.com/croft-sh/croft/tui"
)

func newValidate(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "validate", Short: "Check the whole platform without touching anything",
		Long: `validate reads croft.yaml and every stack, resolves and renders them, and
reports every problem at once, each with its file, its line and what to do
about it. It needs no container engine and changes nothing.

It exits 0 where the platform is valid, warnings or not, else 13.`,
		Example: "  croft validate\n  croft validate -o json",
		Args:    wantArgs(0, 0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runValidate(cmd, a) },
	}
}

// validation is what validate says.
type validation struct {
	Schema   string          `json:"schema"`
	Platform string          `json:"platform,omitempty"`
	Valid    bool            `json:"valid"`
	Stacks   int             `json:"stacks"`
	Services int             `json:"services"`
	Routes   int             `json:"routes"`
	Problems stacks.Problems `json:"problems"`
}

func runValidate(cmd *cobra.Command, a *app) error {
	v := validation{Schema: "croft/validate/v1", Problems: stacks.Problems{}}
	err := a.validate(cmd, &v)
	var problems stacks.Problems
	if err != nil && !errors.As(err, &problems) {
		return err
	}
	v.Valid = err == nil
	v.Problems = append(v.Problems, problems...)
	if err := a.print(v, v.text); err != nil {
		return err
	}
	if v.Valid {
		return nil
	}
	n := 0
	for _, p := range v.Problems {
		if p.Severity == stacks.SeverityError {
			n++
		}
	}
	return &refusedError{err: fmt.Errorf("the platform is not valid: %s", countOf(n, "problem")),
		hint: "correct what is listed above and run croft validate again"}
}

func (a *app) validate(cmd *cobra.Command, v *validation) error {
	p, err := a.openPlatform()
	if err != nil {
		return err
	}
	defer p.close()
	v.Platform = p.Name
	d, err := p.desired()
	if err != nil {
		return err
	}
	v.Problems = append(v.Problems, d.Warnings...)
	v.Stacks, v.Routes = len(d.Stacks), len(d.Routes)
	for _, s := range d.Stacks {
		if s.Project != nil {
			v.Services += len(s.Project.Services)
		}
	}
	_, err = a.rendered(cmd.Context(), p, d)
	return err
}

func (v validation) text(w io.Writer, s tui.Style) {
	for _, p := range v.Problems {
		word := s.Red("error")
		if p.Severity == stacks.SeverityWarning {
			word = s.Yellow("warning")
		}
		fmt.Fprintf(w, "%s: %s\n", word, tui.Printable(p.Error()))
		if p.Hint != "" {
			fmt.Fprintf(w, "  %s: %s\n", s.Cyan("hint"), tui.Printable(p.Hint))
		}
	}
	if v.Valid {
		fmt.Fprintf(w, "%s is valid: %s, %s, %s\n", s.Bold(v.Platform), countOf(v.Stacks, "stack"),
			countOf(v.Services, "service"), countOf(v.Routes, "route"))
	}
}

// countOf says "1 stack", "2 stacks".
func countOf(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

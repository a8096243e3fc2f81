package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/provision/host"
	"github.com/croft-sh/croft/tui"
)

func newHistory(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "history", Short: "List what was applied, newest first",
		Long:    "history lists the revisions: what was applied, when, and how it ended. One that\nwas killed says what it had done until then.",
		Example: "  croft history\n  croft history -o json",
		Args:    wantArgs(0, 0, ""),
		RunE:    func(*cobra.Command, []string) error { return runHistory(a) },
	}
}

// running is the result of a revision that has not ended yet.
const running = "running"

// underWay tells whether the newest revision is merely not done yet: a killed run
// holds no lock any more.
func underWay(paths host.Paths, result string) bool {
	return result == "interrupted" && host.Locked(paths.Flock) != nil
}

// historyView is what history says.
type historyView struct {
	Schema    string               `json:"schema"`
	Platform  string               `json:"platform"`
	Revisions []provision.Revision `json:"revisions"`
}

func runHistory(a *app) error {
	p, err := a.openPlatform()
	if err != nil {
		return err
	}
	defer p.close()
	revisions, err := a.offline(p).History()
	if err != nil {
		return err
	}
	if len(revisions) > 0 && underWay(p.paths, revisions[0].Result) {
		revisions[0].Result, revisions[0].Failure = running, ""
	}
	v := historyView{Schema: "croft/history/v1", Platform: p.Name, Revisions: append([]provision.Revision{}, revisions...)}
	return a.print(v, v.text)
}

func (v historyView) text(w io.Writer, s tui.Style) {
	if len(v.Revisions) == 0 {
		fmt.Fprintf(w, "nothing was applied to %s yet\n", v.Platform)
		return
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "REVISION\tAT\tRESULT\tTOOK\tNOTE")
	for _, r := range v.Revisions {
		fmt.Fprintf(tw, "%d\t%s\t%s\t%s\t%s\n", r.Number, r.At.Local().Format("2006-01-02 15:04:05"), r.Result, r.Duration,
			tui.Truncate(tui.Printable(r.Failure), max(10, s.Width-50)))
	}
	_ = tw.Flush() // writes to memory
}

package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/croft-sh/croft/provision/docker"
)

type logsOptions struct {
	follow bool
	tail   string
	since  string
}

func newLogs(a *app) *cobra.Command {
	var o logsOptions
	cmd := &cobra.Command{
		Use: "logs [STACK[/SERVICE]]...", Short: "Show what services write",
		Long: `logs shows the logs of the stacks or services that are named, or of all, each
line with its source. What they write is shown as it is, in every output form.`,
		Example: `  croft logs gitea
  croft logs -f --tail 20 traefik authelia
  croft logs --since 10m gitea/gitea`,
		ValidArgsFunction: a.completeStacks,
		RunE:              func(cmd *cobra.Command, args []string) error { return runLogs(cmd.Context(), a, o, args) },
	}
	cmd.Flags().BoolVarP(&o.follow, "follow", "f", false, "go on as more is written")
	cmd.Flags().StringVar(&o.tail, "tail", "200", "last `lines` of each service, or all")
	cmd.Flags().StringVar(&o.since, "since", "", "only after this `time`, as in 10m or 2026-11-01T12:00:00Z")
	return cmd
}

func runLogs(ctx context.Context, a *app, o logsOptions, args []string) error {
	tail, err := parseTail(o.tail)
	if err != nil {
		return err
	}
	if err := checkSince(o.since); err != nil {
		return err
	}
	m, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer m.close()
	found, err := m.containers(ctx, args)
	if err != nil {
		return err
	}
	req := docker.LogRequest{Follow: o.follow, Tail: tail, Since: o.since}
	for _, c := range found {
		req.Sources = append(req.Sources, docker.LogSource{ID: c.ID, Name: c.Stack + "/" + c.Service})
	}
	return m.engine.Logs(ctx, req, a.out)
}

// parseTail gives the engine's number: 0 is all.
func parseTail(s string) (int, error) {
	if s == "all" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, &usageError{err: fmt.Errorf("--tail %q is no number of lines", s), hint: "give a number from 1, or all"}
	}
	return n, nil
}

func checkSince(s string) error {
	if s == "" {
		return nil
	}
	if _, err := time.ParseDuration(s); err == nil {
		return nil
	}
	if _, err := time.Parse(time.RFC3339, s); err == nil {
		return nil
	}
	return &usageError{err: fmt.Errorf("--since %q is no time", s), hint: "give a duration such as 10m, or a time such as 2026-11-01T12:00:00Z"}
}

package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/stacks"
	"github.com/croft-sh/croft/tui"
)

func newPull(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "pull [STACK]...", Short: "Fetch what the images' tags mean now",
		Long: `pull asks the registries what the images of the named stacks, or of all, are
now, and fetches what is not here. What runs is not touched: where a tag has
another image now, the next croft plan names it, and only an apply carries it
out and locks it. A later apply need not wait for what was pulled.

An apply by itself never takes another image than the locked one. Images that
were built or loaded on this machine are left as they are.`,
		Example: `  croft pull
  croft pull gitea
  croft pull -o json    # an event a line, then the result`,
		ValidArgsFunction: a.completeStacks,
		RunE:              func(cmd *cobra.Command, args []string) error { return runPull(cmd.Context(), a, args) },
	}
}

func runPull(ctx context.Context, a *app, names []string) error {
	m, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer m.close()
	d, err := m.desired()
	if err != nil {
		return err
	}
	if err := stackNames(d, names); err != nil {
		return err
	}
	r, err := a.rendered(ctx, m.platform, d)
	if err != nil {
		return err
	}
	// What a reference means must not change under an apply.
	release, err := m.lock()
	if err != nil {
		return err
	}
	defer release()
	v, err := m.pull(ctx, r, imagesOf(r, names))
	if err != nil {
		return err
	}
	if a.structured() {
		return a.printLine(v)
	}
	return a.print(v, v.text)
}

// pull fetches what references mean now. Nothing is fetched where one of them
// cannot be had, or the disk is too small for all.
func (m *machine) pull(ctx context.Context, r stacks.Rendered, refs []string) (pulledView, error) {
	lock, err := m.readLock()
	if err != nil {
		return pulledView{}, err
	}
	wants := make([]provision.PullRequest, len(refs))
	for i, ref := range refs {
		wants[i] = provision.PullRequest{Reference: ref, Locked: lock.Images[ref], Fresh: true}
	}
	before, err := m.engine.Observe(ctx, m.Name)
	if err != nil {
		return pulledView{}, err
	}
	events, done := m.app.events()
	defer done()
	blocked, err := m.engine.Check(ctx, wants, events)
	if err != nil {
		return pulledView{}, err
	}
	if len(blocked) > 0 {
		return pulledView{}, &provision.BlockedError{Blocked: blocked}
	}
	if err := m.engine.Pull(ctx, wants, events); err != nil {
		return pulledView{}, err
	}
	after, err := m.engine.Observe(ctx, m.Name)
	if err != nil {
		return pulledView{}, err
	}
	v := pulledView{Schema: "croft/pull/v1", Done: "present", On: refs, Images: []pulledImage{}}
	was, now := before.For(r).Images, after.For(r).Images
	for _, ref := range refs {
		im := pulledImage{Reference: ref, ID: now[ref], Was: lock.Images[ref].ID}
		im.Digest = stacks.DigestOf(after.Images, ref, im.ID, "")
		if im.Was == "" {
			im.Was = was[ref]
		}
		v.Images = append(v.Images, im)
	}
	return v, nil
}

// pulledView is what the images are after a pull.
type pulledView struct {
	Schema string        `json:"schema"`
	Done   string        `json:"done"`
	On     []string      `json:"on"`
	Images []pulledImage `json:"images"`
}

type pulledImage struct {
	Reference string `json:"reference"`
	ID        string `json:"id"`
	Digest    string `json:"digest,omitempty"`
	Was       string `json:"was,omitempty"` // as locked; before the first apply, as it was here
}

func (v pulledView) text(w io.Writer, s tui.Style) {
	moved := false
	for _, im := range v.Images {
		if im.Was == "" || im.Was == im.ID {
			fmt.Fprintf(w, "%s %s\n", v.Done, im.Reference)
			continue
		}
		moved = true
		fmt.Fprintf(w, "%s %s, another one now (%s -> %s)\n", v.Done, im.Reference, stacks.ShortDigest(im.Was), stacks.ShortDigest(im.ID))
	}
	if moved {
		fmt.Fprintln(w, s.Dim("croft plan names what would change; nothing that runs was touched"))
	}
}

// imagesOf gives what the stacks run from, each once; what is built here is not
// fetched.
func imagesOf(r stacks.Rendered, names []string) []string {
	refs := []string{}
	for _, s := range r.Stacks {
		if len(names) > 0 && !contains(names, s.Name) {
			continue
		}
		for _, svc := range s.Services {
			if !svc.Build && !contains(refs, svc.Image) {
				refs = append(refs, svc.Image)
			}
		}
	}
	return refs
}

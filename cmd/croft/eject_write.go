package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/croft-sh/croft/provision/host"
	"github.com/croft-sh/croft/stacks"
	"github.com/croft-sh/croft/templates"
)

// secretsPart is where secrets are written before they go to their stacks.
const secretsPart = ".secrets"

// writeEjected writes beside dir and renames. Killed in between, dir is as it
// was and dir.part stays, 0700, which the next eject takes away.
func (p *platform) writeEjected(ctx context.Context, a *app, r stacks.Rendered, e templates.Ejected, dir string) (err error) {
	part, err := host.Begin(dir)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil { // secrets in the clear must not stay behind
			err = errJoin(err, os.RemoveAll(part))
		}
	}()
	for _, f := range e.Files {
		target := filepath.Join(part, filepath.FromSlash(f.Path))
		if err := host.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := host.WriteFile(target, f.Content, fs.FileMode(f.Mode)); err != nil {
			return err
		}
	}
	if err := p.ejectSecrets(a, r, e, part); err != nil {
		return err
	}
	if e.Users {
		// With their owner: the program that reads them also writes them.
		if err := (host.Aside{}).Copy(ctx, p.paths.Users, filepath.Join(part, templates.EjectedUsers)); err != nil {
			return fmt.Errorf("accounts: %w", err)
		}
	}
	return host.Commit(part, dir)
}

// ejectSecrets has the keeper write them as it does in memory, each readable to
// its reader alone, and moves them to the services they are for.
func (p *platform) ejectSecrets(a *app, r stacks.Rendered, e templates.Ejected, part string) error {
	k := p.keeper(a.now)
	k.Dir, k.Guard = filepath.Join(part, secretsPart), nil
	var grants []stacks.Grant
	for _, s := range r.Stacks {
		for _, svc := range s.Services {
			for _, g := range svc.Grants {
				rel, err := filepath.Rel(p.paths.Secrets, g.Path)
				if err != nil {
					return err
				}
				g.Path = filepath.Join(k.Dir, rel)
				grants = append(grants, g)
			}
		}
	}
	if len(grants) == 0 {
		return nil
	}
	if err := k.Deliver(grants); err != nil {
		return err
	}
	for from, to := range e.Secrets {
		rel, err := filepath.Rel(p.paths.Secrets, from)
		if err != nil {
			return err
		}
		target := filepath.Join(part, filepath.FromSlash(to))
		// Exactly this mode: the reader in the container walks through it.
		if err := host.MkdirAll(filepath.Dir(target), 0o711); err != nil {
			return err
		}
		if _, err := os.Lstat(target); !errors.Is(err, fs.ErrNotExist) {
			return &refusedError{err: fmt.Errorf("secret %s would lie where the stack has a file of its own", to), hint: "rename the file of the stack"}
		}
		if err := os.Rename(filepath.Join(k.Dir, rel), target); err != nil {
			return err
		}
	}
	return os.RemoveAll(k.Dir)
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/croft-sh/croft/provision/host"
	"github.com/croft-sh/croft/stacks"
)

// status asks how the platform stands, with lists that are never null.
func (m *machine) status(ctx context.Context) (stacks.Status, error) {
	st, err := m.prov.Status(ctx)
	if err != nil {
		return st, err
	}
	if st.Revision != nil && underWay(m.paths, st.Revision.Result) {
		st.Revision.Result = running
	}
	if st.Drift, err = m.drift(ctx, st.Drift); err != nil {
		st.Warnings = append(st.Warnings, "what drifted is not known: "+err.Error())
	}
	st.Stacks = append([]stacks.StackStatus{}, st.Stacks...)
	st.Drift = append([]string{}, st.Drift...)
	st.Warnings = append([]string{}, st.Warnings...)
	return st, nil
}

// publish says where the platform is reached, and puts where people find it the
// authority that a browser has to trust for that.
func (m *machine) publish(d stacks.Desired) {
	a := m.app
	file, err := m.writeAuthority()
	if err != nil {
		a.note("warning: %v", err)
	}
	if a.structured() {
		return
	}
	width := 0
	for _, r := range d.Routes {
		width = max(width, len(r.URL))
	}
	for _, r := range d.Routes {
		a.note("  %-*s  %s", width, r.URL, a.errStyle().Dim(r.Stack))
	}
	if len(d.Routes) > 0 && file != "" {
		a.note("browsers trust these after importing %s", file)
	}
}

// writeAuthority puts the authority's certificate where people find it: it is
// public, and browsers have to import it. "" where no stack has a certificate.
func (m *machine) writeAuthority() (string, error) {
	cert, err := m.keeper(m.app.now).CACert()
	if err != nil {
		return "", nil
	}
	file := filepath.Join(m.paths.State, "authority.pem")
	return file, host.WriteFile(file, cert, 0o644)
}

// readJSON reads a file of croft's own.
func readJSON(file string, into any) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s is damaged: %w", file, err)
	}
	return nil
}

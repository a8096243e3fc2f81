package main

import (
	"context"

	"github.com/croft-sh/croft/provision"
)

// drift gives what somebody did behind croft's back: what a plan finds. Of a
// platform that is not valid, or was never applied, only what status sees itself.
func (m *machine) drift(ctx context.Context, seen []string) ([]string, error) {
	if m.broken != nil {
		return seen, nil
	}
	d, err := m.prov.Desired(m.load)
	if err != nil {
		return seen, nil // croft validate says what is wrong
	}
	prepared, err := m.prov.Plan(ctx, d, provision.PlanOptions{})
	if err != nil {
		return seen, err
	}
	return prepared.Plan.Drift, nil
}

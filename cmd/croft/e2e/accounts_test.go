//go:build e2e

package e2e

import "testing"

func (p *platform) authority(t *testing.T) []byte   { t.Helper(); return nil }
func (p *platform) password(t *testing.T) string    { t.Helper(); return "" }
func (p *platform) totpSecret(t *testing.T) string  { t.Helper(); return "" }
func (p *platform) stderrLog(t *testing.T, c container) string { t.Helper(); return "" }

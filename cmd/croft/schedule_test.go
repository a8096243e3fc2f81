package main

import (
	"strings"
	"testing"

	"github.com/croft-sh/croft/provision/host"
)

func TestUnitsNeedSystemd(t *testing.T) {
	if err := mayHaveUnits(false); err != nil {
		t.Errorf("units cannot be written elsewhere: %v", err)
	}
	err := mayHaveUnits(true)
	if host.Systemd() {
		t.Logf("systemd runs this machine, so only root matters: %v", err)
		return
	}
	if exitCode(err) != exitRefused || !strings.Contains(hintOf(err), "croft boot --secrets") {
		t.Errorf("%v, hint %q", err, hintOf(err))
	}
}

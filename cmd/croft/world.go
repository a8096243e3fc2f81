package main

import (
	"errors"
	"strings"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/provision/docker"
	"github.com/croft-sh/croft/provision/host"
	"github.com/croft-sh/croft/provision/secrets"
	"github.com/croft-sh/croft/provision/users"
	"github.com/croft-sh/croft/tui"
)

// worldCode is the part of exitCode that knows the errors of what croft works
// with.
func worldCode(err error) int {
	var (
		failed  *provision.FailedError
		stale   *provision.StaleError
		blocked *provision.BlockedError
		back    *provision.RollbackError
		unknown *provision.UnknownDataError
	)
	switch {
	case errors.Is(err, tui.ErrAborted):
		return exitInterrupted
	case errors.Is(err, host.ErrLocked):
		return exitLocked
	case errors.Is(err, secrets.ErrWrongKey):
		return exitWrongKey
	case errors.Is(err, docker.ErrNoEngine), errors.Is(err, docker.ErrNoRights),
		errors.As(err, &stale), errors.As(err, &blocked),
		errors.Is(err, users.ErrExists), errors.Is(err, users.ErrLastAdmin), errors.Is(err, users.ErrHasTOTP):
		return exitRefused
	case errors.As(err, &back) && !back.Wrong:
		return exitRefused
	case errors.Is(err, users.ErrNoUser), errors.As(err, &back), errors.As(err, &unknown):
		return exitUsage
	case errors.As(err, &failed) && failed.TakenBack > 0 && !failed.Partial:
		return exitTakenBack
	case errors.As(err, &failed) && failed.Partial:
		return exitPartly
	}
	return exitFailed
}

// logLines is how much of a failed service's log is shown.
const logLines = 12

// logTail gives the end of the log of the service that failed.
func logTail(err error) []string {
	var failed *provision.FailedError
	if !errors.As(err, &failed) || strings.TrimSpace(failed.LogTail) == "" {
		return nil
	}
	lines := strings.Split(strings.TrimSpace(failed.LogTail), "\n")
	return lines[max(0, len(lines)-logLines):]
}

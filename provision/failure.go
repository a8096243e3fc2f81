package provision

import (
	"fmt"
	"strings"

	"github.com/croft-sh/croft/stacks"
)

// BlockedError means that something must be cleared first; nothing was changed.
type BlockedError struct{ Blocked []stacks.Blocked }

func (e *BlockedError) Error() string {
	lines := make([]string, len(e.Blocked))
	for i, b := range e.Blocked {
		lines[i] = b.Subject + ": " + b.Why
	}
	return strings.Join(lines, "\n")
}

// Hint gives what to do about the first of them.
func (e *BlockedError) Hint() string { return e.Blocked[0].Hint }

// StaleError means that the machine is not what the plan was made from any
// more; nothing was changed.
type StaleError struct{}

func (e *StaleError) Error() string { return "the machine changed since this plan was made" }

// Hint says how to go on.
func (e *StaleError) Hint() string { return "croft plan shows what is to be done now" }

// DamagedError is a file of the state directory that cannot be read.
type DamagedError struct {
	Path string
	Err  error
}

func (e *DamagedError) Error() string { return fmt.Sprintf("%s is damaged: %v", e.Path, e.Err) }
func (e *DamagedError) Unwrap() error { return e.Err }

// Hint says how to go on.
func (e *DamagedError) Hint() string {
	return "put it back from a backup of the state directory, or move it away: croft apply then writes it from what runs, " +
		"and forgets what was stopped, held or begun"
}

// FailedError is a service that did not come up.
type FailedError struct {
	Stack, Service string
	Reason         string
	LogTail        string   // end of its log
	Partial        bool     // other stacks were applied
	Skipped        bool     // not tried, because what it needs failed
	TakenBack      int      // revision that runs again; 0: the way back was not taken or failed
	WayBack        string   // why the way back failed
	Left           []string // data that went without a copy, as asked: there is no way back
}

func (e *FailedError) Error() string {
	on := e.Stack
	if e.Service != "" {
		on += "/" + e.Service
	}
	switch {
	case e.TakenBack > 0:
		return fmt.Sprintf("%s: %s; %s was taken back to revision %d", on, e.Reason, e.Stack, e.TakenBack)
	case len(e.Left) > 0:
		return fmt.Sprintf("%s: %s; it was not taken back, because %s went without a copy, as asked", on, e.Reason, strings.Join(e.Left, ", "))
	case e.WayBack != "":
		return fmt.Sprintf("%s: %s; the way back failed as well: %s", on, e.Reason, e.WayBack)
	}
	return fmt.Sprintf("%s: %s", on, e.Reason)
}

// Hint says where to look.
func (e *FailedError) Hint() string {
	if e.TakenBack > 0 {
		return "mend the cause and croft apply, or croft release " + e.Stack + " to try the same again"
	}
	if len(e.Left) > 0 {
		return "mend the cause and croft apply; before the old version is started again, put back the data that you backed up"
	}
	if e.Service == "" {
		return "croft status shows what runs; mend the cause and croft apply goes on from here"
	}
	return fmt.Sprintf("croft logs %s %s shows why; mend the cause and croft apply goes on from here", e.Stack, e.Service)
}

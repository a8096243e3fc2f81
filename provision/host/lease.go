package host

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/croft-sh/croft/stacks"
)

// Leases keeps two who work on the same stack apart: who copies its data, and who
// changes its containers. Dir holds a file a stack. A lease is a lock of the
// kernel, so it ends with the process that holds it, however that ends.
type Leases struct{ Dir string }

// LeasedError says who holds a stack. It is an ErrLocked.
type LeasedError struct {
	Stack string
	Holder
}

// Holder is who holds a lease, as far as he wrote it down.
type Holder struct {
	Why     string
	Command string
	PID     int
	Since   time.Time
}

func (h Holder) String() string {
	if h.PID == 0 {
		return "another run"
	}
	return fmt.Sprintf("%s (%s, process %d, since %s)", h.Why, h.Command, h.PID, h.Since.Format(time.RFC3339))
}

func (e *LeasedError) Error() string {
	return fmt.Sprintf("stack %s is held by %s", e.Stack, e.Holder)
}

// Unwrap gives the sentinel, and a Problem so that the hint is found.
func (e *LeasedError) Unwrap() []error {
	hint := "nothing was touched; run the command again when it is done"
	if e.PID != 0 {
		hint = fmt.Sprintf("nothing was touched; wait for process %d to end and run the command again", e.PID)
	}
	return []error{ErrLocked, stacks.Problem{Severity: stacks.SeverityError, Subject: "stack " + e.Stack, Message: ErrLocked.Error(), Hint: hint}}
}

// Take takes the lease of a stack without waiting; why is for whoever is refused.
// Killed at any point: the kernel gives the lease back.
func (l Leases) Take(stack, why string) (release func(), err error) {
	path, err := l.path(stack)
	if err != nil {
		return nil, err
	}
	release, err = acquire(path, why)
	var locked *LockedError
	if errors.As(err, &locked) {
		return nil, &LeasedError{Stack: stack, Holder: holderOf(locked)}
	}
	return release, err
}

// Held says who holds a stack now, "" where nobody does.
func (l Leases) Held(stack string) string {
	path, err := l.path(stack)
	if err != nil {
		return ""
	}
	locked := Locked(path)
	if locked == nil {
		return ""
	}
	return holderOf(locked).String()
}

func holderOf(e *LockedError) Holder {
	return Holder{Why: e.Why, Command: e.Command, PID: e.PID, Since: e.Since}
}

func (l Leases) path(stack string) (string, error) {
	if stack == "" || strings.Contains(stack, "/") || !filepath.IsLocal(stack) {
		return "", failed("stack "+stack, "is no name of a stack", "", nil)
	}
	return filepath.Join(l.Dir, stack), nil
}

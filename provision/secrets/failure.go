package secrets

import (
	"errors"

	"github.com/croft-sh/croft/stacks"
)

// What can be asked of an error with errors.Is.
var (
	ErrWrongKey = errors.New("wrong key")            // the file is encrypted to other keys
	ErrDamaged  = errors.New("damaged secrets file") // changed by something that is not croft
	ErrUnknown  = errors.New("unknown secret")
	ErrChanged  = errors.New("changed by another run")
)

// failure is a Problem, so that the command line finds its hint, and one of the
// errors above.
type failure struct {
	stacks.Problem
	is error
}

func (f failure) Unwrap() []error {
	if f.is == nil {
		return []error{f.Problem}
	}
	return []error{f.Problem, f.is}
}

// failed says what failed, on what, why and what to do. The message never holds
// a value.
func failed(is error, subject, message, hint string) error {
	return failure{stacks.Problem{Severity: stacks.SeverityError, Subject: subject, Message: message, Hint: hint}, is}
}

const restoreHint = "restore the file from a backup; comments and order may be edited by hand, values with croft secrets set only"

func damaged(subject, message string) error {
	return failed(ErrDamaged, subject, message, restoreHint)
}

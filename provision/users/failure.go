package users

import (
	"errors"

	"github.com/croft-sh/croft/stacks"
)

// What can be asked of an error with errors.Is.
var (
	ErrNoUser    = errors.New("no such user")
	ErrExists    = errors.New("user exists")
	ErrLastAdmin = errors.New("last admin")
	ErrChanged   = errors.New("changed by somebody else")
	ErrDamaged   = errors.New("users file is not understood")
	ErrHasTOTP   = errors.New("user has a second factor already")
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

func failed(is error, subject, message, hint string) error {
	return failure{stacks.Problem{Severity: stacks.SeverityError, Subject: subject, Message: message, Hint: hint}, is}
}

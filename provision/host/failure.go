package host

import "github.com/croft-sh/croft/stacks"

// failure is a Problem, so that the command line finds its hint, and whatever
// caused it, so that errors.Is finds that too.
type failure struct {
	stacks.Problem
	cause error
}

func (f failure) Unwrap() []error {
	if f.cause == nil {
		return []error{f.Problem}
	}
	return []error{f.Problem, f.cause}
}

// failed says what failed, on what, why and what to do.
func failed(subject, message, hint string, cause error) error {
	if cause != nil {
		message += ": " + cause.Error()
	}
	return failure{stacks.Problem{Severity: stacks.SeverityError, Subject: subject, Message: message, Hint: hint}, cause}
}

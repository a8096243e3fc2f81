package docker

import (
	"errors"
	"strings"
)

// ErrNoEngine is in the chain of an error when no container engine answers.
var ErrNoEngine = errors.New("no container engine answers")

// ErrNoRights is in the chain when the engine is there, but not for this user.
var ErrNoRights = errors.New("no rights on the container engine")

// Error is what failed, on what, why, and what to do about it.
type Error struct {
	Doing  string // "pull image traefik:v3.7.9"
	Err    error
	Advice string // "" where there is nothing sensible to say
}

// Error gives what failed and why on one line, without the hint.
func (e *Error) Error() string { return e.Doing + ": " + oneLine(e.Err.Error()) }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Hint says what to do about it, or nothing.
func (e *Error) Hint() string { return e.Advice }

// failed wraps err with what was being done. Advice is looked up in what the
// engine says, as the engine's errors have no finer class than an HTTP status.
func failed(doing string, err error) error {
	if err == nil {
		return nil
	}
	var inner *Error
	if errors.As(err, &inner) && inner.Advice != "" {
		return &Error{Doing: doing, Err: err, Advice: inner.Advice}
	}
	return &Error{Doing: doing, Err: err, Advice: advice(err.Error())}
}

// knownFailure pairs words of the engine with what to do about them.
type knownFailure struct {
	words  []string
	advice string
}

func knownFailures() []knownFailure {
	return []knownFailure{
		{[]string{"address already in use", "port is already allocated"},
			"another program holds this port: stop it, or give the service another port (ss -ltnp shows who listens)"},
		{[]string{"could not select device driver"},
			"the container runtime for this GPU is not set up: install the NVIDIA Container Toolkit, or set gpu: none"},
		{[]string{"unknown or invalid runtime name", "Unknown runtime specified"},
			"the engine does not have this runtime: see docker info, or take runtime: out of the service"},
		{[]string{"Pool overlaps", "invalid pool request"},
			"the subnet is used by another network: see docker network ls and ip route, then choose another range"},
		{[]string{"bind source path does not exist"},
			"make the directory on the host, or correct the path in the stack"},
		{[]string{"no space left on device"},
			"the disk is full: free space under the engine's data directory (docker system df)"},
		{[]string{"has active endpoints"},
			"containers are still on the network: docker network inspect names them"},
		{[]string{"volume is in use"},
			"a container still uses the volume: remove the container first"},
	}
}

func advice(text string) string {
	for _, k := range knownFailures() {
		for _, w := range k.words {
			if strings.Contains(text, w) {
				return k.advice
			}
		}
	}
	return ""
}

// oneLine folds the multi-line errors of the engine into one line.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

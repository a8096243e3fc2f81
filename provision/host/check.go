package host

import (
	"context"
	"fmt"
	"time"

	"github.com/croft-sh/croft/stacks"
)

// CheckState is how a check came out.
type CheckState string

// The states of a check. Failed stops an apply, a warning does not.
const (
	OK      CheckState = "ok"
	Warning CheckState = "warning"
	Failed  CheckState = "failed"
)

// Result says how one check came out and what to do about it.
type Result struct {
	State  CheckState `json:"state"`
	Detail string     `json:"detail"`
	Hint   string     `json:"hint,omitempty"`
}

// Check is one question about the machine.
type Check struct {
	Name string
	Run  func(ctx context.Context) Result
}

// Finding is a check and its result: one line of doctor.
type Finding struct {
	Name string `json:"name"`
	Result
}

// checkLimit bounds one check: a hanging engine or network file system must not
// hang doctor.
const checkLimit = 15 * time.Second

// RunChecks runs all, one after the other.
func RunChecks(ctx context.Context, checks []Check) []Finding {
	out := make([]Finding, 0, len(checks))
	for _, c := range checks {
		out = append(out, Finding{Name: c.Name, Result: runOne(ctx, c)})
	}
	return out
}

// runOne gives up on a check that does not: a statfs of a dead network file
// system never returns, so it is left behind in its goroutine.
func runOne(ctx context.Context, c Check) Result {
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	done := make(chan Result, 1)
	go func() { done <- c.Run(ctx) }()
	select {
	case r := <-done:
		return r
	case <-ctx.Done():
		return Result{State: Failed, Detail: "no answer: " + ctx.Err().Error(), Hint: "run croft doctor again; a file system or the engine hangs"}
	}
}

// Preflight is what the checks need to know.
type Preflight struct {
	Paths   Paths
	Engine  func(ctx context.Context) (version string, err error)
	Socket  string                 // of the engine; "" for /var/run/docker.sock
	Ports   []stacks.PublishedPort // wanted
	Held    []stacks.PublishedPort // held by containers of this platform: those are free to it
	Storage []string               // storage roots
	Dir     string                 // of the platform; "" before there is one
	Adopted map[string][]string    // directory of an adopted project -> files that are read
	Owners  []int                  // who may own its files beside the one who runs croft: SUDO_UID
	Units   []Unit                 // what systemd should do at boot; none before there is a platform
	UnitDir string                 // "" for systemd's own
	Now     func() time.Time       // nil: time.Now
}

// Checks gives the checks in the order in which they are worth reading.
func (p Preflight) Checks() []Check {
	if p.Socket == "" {
		p.Socket = "/var/run/docker.sock"
	}
	if p.Now == nil {
		p.Now = time.Now
	}
	return []Check{
		{"rights", p.rights},
		{"engine", p.engine},
		{"ports", p.ports},
		{"disk", p.disk},
		{"memory", p.memory},
		{"tmpfs", p.tmpfs},
		{"state-directory", p.stateDirectory},
		{"platform-files", p.platformFiles},
		{"boot", p.boot},
		{"clock", p.clock},
		{"cgroups", p.cgroups},
	}
}

func ok(format string, args ...any) Result {
	return Result{State: OK, Detail: fmt.Sprintf(format, args...)}
}

func warn(hint, format string, args ...any) Result {
	return Result{State: Warning, Detail: fmt.Sprintf(format, args...), Hint: hint}
}

func fail(hint, format string, args ...any) Result {
	return Result{State: Failed, Detail: fmt.Sprintf(format, args...), Hint: hint}
}

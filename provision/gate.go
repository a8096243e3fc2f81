package provision

import (
	"context"
	"fmt"
	"time"

	"github.com/croft-sh/croft/stacks"
)

// The gate: a service with a health check must become healthy; one without must
// run for settle without a restart; a job must end with exit code 0.
const (
	settle       = 10 * time.Second
	gatePoll     = 500 * time.Millisecond
	settlePoll   = 2 * time.Second // where only time must pass: looking costs the engine what starts need
	restartLimit = 3               // restarts of a fresh container before it counts as a crash loop
)

// verdict is what one look at a container says.
type verdict int

const (
	waiting  verdict = iota
	settling         // runs, and only time must pass
	passed
	broken
)

// gate waits until every container passed, or gives the first that did not.
func (r *run) gate(ctx context.Context, s stacks.RenderedStack, ids map[string][]string) error {
	deadline := r.p.Now().Add(r.o.WaitTimeout)
	first := map[string]Inspected{}
	open := map[string]string{} // container -> service
	for service, list := range ids {
		for _, id := range list {
			open[id] = service
		}
	}
	told := map[string]bool{}
	for {
		list := make([]string, 0, len(open))
		for id := range open {
			list = append(list, id)
		}
		seen, err := r.p.Containers.Inspect(ctx, list)
		if err != nil {
			return err
		}
		next := settlePoll
		for _, c := range seen {
			if _, ok := first[c.ID]; !ok {
				first[c.ID] = c
			}
			svc, _ := s.Service(open[c.ID])
			at := r.p.Now()
			v, why := judge(svc, first[c.ID], c, at)
			switch {
			case v == broken:
				return r.failure(ctx, s.Name, svc.Name, c, why)
			case v == passed:
				r.ev(stacks.Event{Stack: s.Name, Service: svc.Name, Phase: "gate", State: stacks.Done, Message: why})
				delete(open, c.ID)
			case at.After(deadline):
				return r.failure(ctx, s.Name, svc.Name, c, fmt.Sprintf("%s after %s", why, r.o.WaitTimeout))
			default:
				next = min(next, nextLook(v, c, at))
				if !told[c.ID] {
					told[c.ID] = true
					r.ev(stacks.Event{Stack: s.Name, Service: svc.Name, Phase: "gate", State: stacks.Working, Message: why})
				}
			}
		}
		if len(open) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(next):
		}
	}
}

// nextLook tells how long a container that has not passed may be left alone.
func nextLook(v verdict, c Inspected, at time.Time) time.Duration {
	if v != settling {
		return gatePoll
	}
	return min(settlePoll, settle-at.Sub(c.StartedAt))
}

// judge decides from the first and the latest look at a container.
func judge(svc stacks.RenderedService, first, now Inspected, at time.Time) (verdict, string) {
	if now.Error != "" {
		return broken, now.Error
	}
	if now.Restarts-first.Restarts >= restartLimit {
		return broken, fmt.Sprintf("it crashes again and again, last with exit code %d%s", now.ExitCode, oom(now))
	}
	switch now.State {
	case "gone":
		return broken, "its container is gone"
	case "dead":
		return broken, "the engine could not stop or remove it"
	case "exited":
		if now.ExitCode == 0 && (svc.Job || now.RestartPolicy == "no" || now.RestartPolicy == "") {
			return passed, "done"
		}
		return broken, fmt.Sprintf("it ended with exit code %d%s", now.ExitCode, oom(now))
	case "running":
		return judgeRunning(svc, now, at)
	}
	return waiting, "it is " + now.State
}

func oom(c Inspected) string {
	if c.OOMKilled {
		return ", killed because it used more memory than its limit"
	}
	return ""
}

func judgeRunning(svc stacks.RenderedService, now Inspected, at time.Time) (verdict, string) {
	switch now.Health {
	case "healthy":
		return passed, "healthy"
	case "unhealthy":
		return broken, "its health check fails: " + firstOf(now.HealthLog, "no output")
	case "starting":
		return waiting, "its health check has not passed yet"
	}
	if svc.Job {
		return waiting, "the job has not ended yet"
	}
	if svc.Healthy {
		return waiting, "its health check has not run yet"
	}
	if at.Sub(now.StartedAt) >= settle { // since the last restart, if there was one
		return passed, "running"
	}
	return settling, "it has no health check: it must run for 10 s without a restart"
}

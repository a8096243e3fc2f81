//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// startRounds is how often croft and docker compose each start everything anew.
const startRounds = 3

// starts are the times of first starts, one of each kind a round.
type starts struct {
	whole []time.Duration // croft apply, with the gate
	last  []time.Duration // until the last container of croft's runs
	loop  []time.Duration // until the last one of docker compose's runs
}

// firstStart applies the platform that nothing runs of.
func (s *starts) firstStart(p *platform) error {
	began := time.Now()
	whole, err := p.timed("apply", "-y")
	if err != nil {
		return err
	}
	last, err := p.lastStarted()
	if err != nil {
		return err
	}
	s.whole, s.last = append(s.whole, whole.wall), append(s.last, last.Sub(began))
	return nil
}

// rounds takes everything down and starts it again, in turn with docker compose
// from the same files. It begins and ends with the platform running.
func (s *starts) rounds(p *platform, compose string, files []string) error {
	for i := range startRounds {
		if _, err := p.timed("destroy", "-y"); err != nil {
			return err
		}
		began := time.Now()
		if _, err := composeLoop(compose, files); err != nil {
			return err
		}
		last, err := p.lastStarted()
		if err != nil {
			return err
		}
		s.loop = append(s.loop, last.Sub(began))
		if i == startRounds-1 {
			break
		}
		if _, err := p.timed("destroy", "-y"); err != nil {
			return err
		}
		if err := s.firstStart(p); err != nil {
			return err
		}
	}
	return nil
}

// lastStarted tells when the container that started last did, by the engine.
func (p *platform) lastStarted() (time.Time, error) {
	var last time.Time
	ids, err := exec.Command("docker", "ps", "-q", "--filter", "label=croft.platform="+p.name).Output()
	if err != nil {
		return last, err
	}
	list := strings.Fields(string(ids))
	if len(list) != scaleServices {
		return last, fmt.Errorf("%d containers run, want %d", len(list), scaleServices)
	}
	out, err := exec.Command("docker", append([]string{"inspect", "-f", "{{.State.StartedAt}}"}, list...)...).Output()
	if err != nil {
		return last, err
	}
	var errs []error
	for _, line := range strings.Fields(string(out)) {
		at, err := time.Parse(time.RFC3339Nano, line)
		errs = append(errs, err)
		if at.After(last) {
			last = at
		}
	}
	return last, errors.Join(errs...)
}

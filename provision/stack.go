package provision

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/croft-sh/croft/stacks"
)

// stack changes one stack: files, containers, joined networks, gate, reloads,
// setup. Killed after the files were written, the next plan still sees the old
// containers' labels and goes on; killed during setup, the setup runs again,
// because only its end is remembered.
func (r *run) stack(ctx context.Context, s stacks.RenderedStack) error {
	if err := ctx.Err(); err != nil {
		return err // interrupted before this stack: not even its files change
	}
	r.ev(stacks.Event{Stack: s.Name, Phase: "files", State: stacks.Working})
	if err := r.writeStack(s); err != nil {
		return fmt.Errorf("live files: %w", err)
	}
	changes := r.prep.Plan.Of(s.Name)
	var up, again []string
	for _, c := range changes {
		switch c.Action {
		case stacks.ActionCreate, stacks.ActionRecreate, stacks.ActionRestart, stacks.ActionStart:
			up = append(up, c.Service)
		case stacks.ActionReload:
			again = append(again, c.Service)
		}
	}
	if len(up) > 0 {
		ids, err := r.change(ctx, s, up)
		if err != nil {
			return err
		}
		if err := r.gate(ctx, s, ids); err != nil {
			return err
		}
		if err := r.recognize(ctx, s, ids); err != nil {
			return err
		}
	}
	for _, name := range again {
		if err := r.reload(ctx, s, name); err != nil {
			return err
		}
	}
	if err := r.setup(ctx, s, append(up, again...)); err != nil {
		return err
	}
	if err := r.keepResult(s); err != nil {
		return err
	}
	if err := r.clearPending(s.Name); err != nil {
		return err
	}
	r.ev(stacks.Event{Stack: s.Name, Phase: "up", State: stacks.Done})
	return r.journal("stack done", s.Name)
}

// change touches containers, as one of a few stacks at a time.
func (r *run) change(ctx context.Context, s stacks.RenderedStack, services []string) (map[string][]string, error) {
	select {
	case r.pace.places <- struct{}{}:
		defer func() { <-r.pace.places }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if !r.back {
		more, err := r.begin(ctx, s, services)
		if err != nil {
			return nil, err
		}
		services = more
	}
	// The limit is for starting: neither waiting for a place nor copying data
	// counts.
	ctx, cancel := context.WithTimeout(ctx, r.o.WaitTimeout*time.Duration(1+len(services)))
	defer cancel()
	ids, err := r.up(ctx, s, services)
	if err != nil {
		return ids, err
	}
	return ids, r.unhalt(ctx, s.Name)
}

// up starts services and joins them to the networks they are hubs of. It gives
// their containers.
func (r *run) up(ctx context.Context, s stacks.RenderedStack, services []string) (map[string][]string, error) {
	file := filepath.Join(r.p.liveDir(s.Name), stacks.ComposeFile)
	r.ev(stacks.Event{Stack: s.Name, Phase: "up", State: stacks.Working, Message: strings.Join(services, ", ")})
	upErr := r.p.Engine.Up(ctx, UpRequest{File: file, Project: s.Project, Services: services, SideBySide: r.pace.sideBySide, Anew: r.anew(s.Name, services)}, r.ev)
	ids, err := r.join(ctx, s, services)
	if upErr != nil {
		return ids, r.guilty(ctx, s, ids, upErr)
	}
	if err != nil {
		return ids, err
	}
	return r.mendNetworks(ctx, s, services, ids)
}

// recognize remembers the containers that passed the gate: another ID in their
// place is not croft's. It also remembers with which image they did.
func (r *run) recognize(ctx context.Context, s stacks.RenderedStack, ids map[string][]string) error {
	state, err := r.p.Engine.Observe(ctx, r.p.Platform)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sawImages(s, state, true)
	for service, list := range ids {
		key := s.Name + "/" + service
		r.memory.Made[key] = list
		delete(r.memory.Ended, key)
		for _, c := range state.Of(s.Project, service) {
			r.memory.Ran[key] = c.ImageID
			if c.State == "exited" && c.ExitCode == 0 {
				r.memory.Ended[key] = true
			}
		}
	}
	return r.p.writeMemory(r.memory)
}

// mendNetworks makes containers anew that miss a network. The SDK leaves one
// like that when an earlier Up broke off between two connects, and never
// repairs it.
func (r *run) mendNetworks(ctx context.Context, s stacks.RenderedStack, services []string, ids map[string][]string) (map[string][]string, error) {
	state, err := r.p.Engine.Observe(ctx, r.p.Platform)
	if err != nil {
		return ids, err
	}
	var broken []string
	for _, name := range services {
		svc, _ := s.Service(name)
		for _, c := range state.Of(s.Project, name) {
			if c.Running() && slices.ContainsFunc(svc.Networks, func(n string) bool { return !slices.Contains(c.Networks, n) }) {
				broken = append(broken, c.ID)
			}
		}
	}
	if len(broken) == 0 {
		return ids, nil
	}
	r.ev(stacks.Event{Stack: s.Name, Phase: "up", State: stacks.Warning, Message: "a container missed a network and is made anew"})
	if err := r.p.Engine.Remove(ctx, broken); err != nil {
		return ids, err
	}
	file := filepath.Join(r.p.liveDir(s.Name), stacks.ComposeFile)
	if err := r.p.Engine.Up(ctx, UpRequest{File: file, Project: s.Project, Services: services, SideBySide: r.pace.sideBySide}, r.ev); err != nil {
		return ids, err
	}
	return r.join(ctx, s, services)
}

// join connects the fresh containers of hubs to every network they serve, and
// gives the containers of the services by service name.
func (r *run) join(ctx context.Context, s stacks.RenderedStack, services []string) (map[string][]string, error) {
	state, err := r.p.Engine.Observe(ctx, r.p.Platform)
	if err != nil {
		return nil, err
	}
	ids := map[string][]string{}
	for _, name := range services {
		for _, c := range state.Of(s.Project, name) {
			ids[name] = append(ids[name], c.ID)
			for _, n := range r.prep.Rendered.Networks {
				for _, h := range n.Hubs {
					if h.Stack != s.Name || h.Service != name {
						continue
					}
					if err := r.p.Networks.Connect(ctx, n.Name, c.ID, h.Aliases); err != nil {
						return ids, fmt.Errorf("network %s: %w", n.Name, err)
					}
				}
			}
		}
	}
	return ids, nil
}

// guilty finds the service behind a failed Up by looking at its containers: the
// SDK's errors are untyped text.
func (r *run) guilty(ctx context.Context, s stacks.RenderedStack, ids map[string][]string, upErr error) error {
	if errors.Is(upErr, context.Canceled) {
		return upErr
	}
	ctx = context.WithoutCancel(ctx)
	for _, svc := range s.Services {
		seen, err := r.p.Containers.Inspect(ctx, ids[svc.Name])
		if err != nil {
			continue
		}
		for _, c := range seen {
			if c.Error != "" || c.Health == "unhealthy" || (c.State == "exited" && c.ExitCode != 0) {
				return r.failure(ctx, s.Name, svc.Name, c, firstOf(c.Error, upErr.Error()))
			}
		}
	}
	return &FailedError{Stack: s.Name, Reason: upErr.Error()}
}

func firstOf(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}

// failure describes a failed service with the end of its log.
func (r *run) failure(ctx context.Context, stack, service string, c Inspected, reason string) *FailedError {
	f := &FailedError{Stack: stack, Service: service, Reason: reason}
	if tail, err := r.p.Containers.Tail(context.WithoutCancel(ctx), c.ID, 12); err == nil {
		f.LogTail = tail
	}
	return f
}

// reload tells a running service to read its files again.
func (r *run) reload(ctx context.Context, s stacks.RenderedStack, name string) error {
	svc, _ := s.Service(name)
	if svc.Signal == "" {
		return nil // it watches its files
	}
	for _, c := range r.prep.State.Of(s.Project, name) {
		if err := r.p.Containers.Signal(ctx, c.ID, svc.Signal); err != nil {
			return fmt.Errorf("reload %s: %w", name, err)
		}
	}
	r.ev(stacks.Event{Stack: s.Name, Service: name, Phase: "reload", State: stacks.Done})
	return nil
}

// setup runs the idempotent commands of changed services and remembers, only
// after they succeeded, what they were run for.
func (r *run) setup(ctx context.Context, s stacks.RenderedStack, services []string) error {
	for _, name := range services {
		svc, ok := s.Service(name)
		if !ok || svc.Reload == "" {
			continue
		}
		for _, cmd := range s.Setup {
			if cmd.Service != name {
				continue
			}
			if err := r.runSetup(ctx, s, cmd); err != nil {
				return err
			}
		}
		if err := r.remember(s.Name+"/"+name, svc.Reload); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) runSetup(ctx context.Context, s stacks.RenderedStack, cmd stacks.Setup) error {
	state, err := r.p.Engine.Observe(ctx, r.p.Platform)
	if err != nil {
		return err
	}
	about := firstOf(cmd.About, cmd.Command[0])
	for _, c := range state.Of(s.Project, cmd.Service) {
		r.ev(stacks.Event{Stack: s.Name, Service: cmd.Service, Phase: "setup", State: stacks.Working, Message: about})
		got, err := r.p.Containers.Exec(ctx, c.ID, cmd.Command, nil)
		if err != nil {
			return &FailedError{Stack: s.Name, Service: cmd.Service, Reason: "setup (" + about + "): " + err.Error()}
		}
		if got.ExitCode != 0 {
			return &FailedError{Stack: s.Name, Service: cmd.Service, LogTail: lastLines(got.Stderr+got.Stdout, 12),
				Reason: fmt.Sprintf("setup (%s) ended with exit code %d", about, got.ExitCode)}
		}
	}
	r.ev(stacks.Event{Stack: s.Name, Service: cmd.Service, Phase: "setup", State: stacks.Done, Message: about})
	return nil
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func (r *run) remember(key, hash string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.memory.Reloaded[key] = hash
	return r.p.writeMemory(r.memory)
}

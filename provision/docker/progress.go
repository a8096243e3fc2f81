package docker

import (
	"context"
	"regexp"
	"strings"
	"sync"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/api/types/container"

	"github.com/croft-sh/croft/stacks"
)

// progress turns the SDK's events into ours and answers its questions. The SDK
// calls it from several goroutines.
type progress struct {
	emit stacks.Events

	mu       sync.Mutex
	stack    string
	project  string
	services map[string]string // container name -> service
	seen     map[api.Resource]bool
}

func newProgress(emit stacks.Events) *progress {
	return &progress{emit: emit, services: map[string]string{}, seen: map[api.Resource]bool{}}
}

// know teaches which container belongs to which service: those there are by
// their labels, those to come by the name they will get.
func (p *progress) know(project *types.Project, existing []container.Summary) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.project, p.stack = project.Name, project.Name
	for name, s := range project.Services {
		if stack := s.Labels[stacks.LabelStack]; stack != "" {
			p.stack = stack
		}
		if s.ContainerName != "" {
			p.services[s.ContainerName] = name
		}
	}
	for _, c := range existing {
		p.services[nameOf(c)] = c.Labels[api.ServiceLabel]
	}
}

// decline answers every question of the SDK with no. It asks only whether it
// may remove something to make it anew, such as a volume whose options changed.
func (p *progress) decline(message string, _ bool) (bool, error) {
	p.mu.Lock()
	stack := p.stack
	p.mu.Unlock()
	p.emit(stacks.Event{Stack: stack, Phase: "up", State: stacks.Warning, Message: "kept as it is: " + oneLine(message)})
	return false, nil
}

// warn tells of something done that a person may want to know.
func (p *progress) warn(service, message string) {
	p.mu.Lock()
	stack := p.stack
	p.mu.Unlock()
	p.emit(stacks.Event{Stack: stack, Service: service, Phase: "up", State: stacks.Warning, Message: message})
}

// Start is of no use here: the caller knows what it began.
func (p *progress) Start(context.Context, string) {}

// Done is ignored: the SDK inverts its flag, and Up's error says it.
func (p *progress) Done(string, bool) {}

// On takes events of the SDK. Those of networks and volumes come twice.
func (p *progress) On(events ...api.Resource) {
	for _, r := range events {
		if e, ok := p.event(r); ok {
			p.emit(e)
		}
	}
}

func (p *progress) event(r api.Resource) (stacks.Event, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen[r] {
		return stacks.Event{}, false
	}
	p.seen[r] = true
	e := stacks.Event{Stack: p.stack, Phase: "up", State: stateOf(r.Status)}
	text := r.Text
	if r.Details != "" {
		text += ": " + r.Details
	}
	kind, name, ok := strings.Cut(r.ID, " ")
	switch {
	case ok && kind == "Container":
		e.Service = p.serviceOf(name)
		e.Message = text
	case ok && (kind == "Network" || kind == "Volume" || kind == "Image"):
		e.Message = strings.ToLower(kind) + " " + name + ": " + text
	default: // warnings at creation have the service's name alone
		e.Service = p.serviceOf(r.ID)
		e.Message = text
	}
	e.Message = oneLine(e.Message)
	return e, true
}

func stateOf(s api.EventStatus) stacks.EventState {
	switch s {
	case api.Done:
		return stacks.Done
	case api.Warning:
		return stacks.Warning
	case api.Error:
		return stacks.Failed
	}
	return stacks.Working
}

// composedName is <service>-<number>, what follows the project in a name.
var composedName = regexp.MustCompile(`^(.+)-\d+$`)

// serviceOf finds the service of a container's name, which may be the name a
// container bears while it replaces another.
func (p *progress) serviceOf(name string) string {
	if m := replacing.FindStringSubmatch(name); m != nil && p.services[name] == "" {
		name = m[2]
	}
	if s := p.services[name]; s != "" {
		return s
	}
	if rest, ok := strings.CutPrefix(name, p.project+"-"); ok {
		if m := composedName.FindStringSubmatch(rest); m != nil {
			return m[1]
		}
	}
	return name
}

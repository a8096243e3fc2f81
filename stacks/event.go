package stacks

import "time"

// EventState says how a step stands.
type EventState string

// The states of a step.
const (
	Working EventState = "working"
	Done    EventState = "done"
	Warning EventState = "warning"
	Failed  EventState = "error"
)

// Progress counts within a step; the unit is the step's own (bytes, images).
type Progress struct {
	Current int64 `json:"current"`
	Total   int64 `json:"total"`
}

// Event is one thing that happened while a plan is carried out. Its JSON form
// is a contract: one object a line.
type Event struct {
	At       time.Time  `json:"at"`
	Stack    string     `json:"stack,omitempty"`
	Service  string     `json:"service,omitempty"`
	Phase    string     `json:"phase"` // pull, networks, files, up, gate, setup, users, remove, revision
	State    EventState `json:"state"`
	Message  string     `json:"message,omitempty"`
	Progress *Progress  `json:"progress,omitempty"`
}

// Events takes what happens. It may be called from several goroutines.
type Events func(Event)

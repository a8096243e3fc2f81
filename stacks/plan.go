package stacks

import (
	"fmt"
	"strings"
)

// Action is what happens to a service.
type Action string

// The actions, mildest last.
const (
	ActionCreate   Action = "create"
	ActionRecreate Action = "recreate"
	ActionRestart  Action = "restart"
	ActionReload   Action = "reload"
	ActionStart    Action = "start"
	ActionRemove   Action = "remove"
	ActionNone     Action = "none"
)

// Risk is the worst that carrying out a change means for its users.
type Risk string

// The risks, in ascending order.
const (
	RiskNone     Risk = "none"
	RiskRestart  Risk = "restart"  // seconds without the service
	RiskDowntime Risk = "downtime" // others that need it notice
	RiskData     Risk = "data"     // a new image meets existing data
)

// Change is what happens to one service, and why.
type Change struct {
	Stack   string   `json:"stack"`
	Service string   `json:"service"`
	Action  Action   `json:"action"`
	Causes  []string `json:"causes"`
	Risk    Risk     `json:"risk"`
	// Containers are the observed ones that the change touches.
	Containers []string `json:"containers,omitempty"`
}

// ResourceChange is what happens to a network, a volume or a tag of an image.
type ResourceChange struct {
	Name   string   `json:"name"`
	Action Action   `json:"action"` // create, recreate, remove, connect, disconnect, tag
	Causes []string `json:"causes"`
	// Containers are taken off the network.
	Containers []string `json:"containers,omitempty"`
	// ImageID is what the tag is to mean.
	ImageID string `json:"image_id,omitempty"`
}

// What happens to resources alone.
const (
	ActionConnect    Action = "connect"    // a running hub (Traefik, Prometheus, a database) joins a network
	ActionDisconnect Action = "disconnect" // a container leaves a network it does not ask for
	ActionTag        Action = "tag"        // a reference means again what it meant
)

// Blocked is something that must be cleared before the plan can be applied.
type Blocked struct {
	Subject string `json:"subject"`
	Why     string `json:"why"`
	Hint    string `json:"hint"`
}

// Plan is what must change, per service, each change with its cause and risk.
type Plan struct {
	Schema     string           `json:"schema"` // croft/plan/v1
	Platform   string           `json:"platform"`
	Revision   string           `json:"revision"` // hash of what would be written
	State      string           `json:"state"`    // token of the state it was made from
	Changes    []Change         `json:"changes"`
	Networks   []ResourceChange `json:"networks"`
	Volumes    []ResourceChange `json:"volumes"`
	Images     []ResourceChange `json:"images"`
	Tunnel     []ResourceChange `json:"tunnel"`
	Blocked    []Blocked        `json:"blocked"`
	NotChecked []string         `json:"not_checked"`
	Warnings   []string         `json:"warnings"`
	Summary    map[Action]int   `json:"summary"`
	// Files lists live files that would be written, as "stack/path"; also files of
	// the state directory by name, and secrets on the tmpfs by their whole path.
	Files []string `json:"files"`
	// Drift is what somebody did behind croft's back, "subject: what", whether the
	// plan undoes it or only warns. What follows from croft.yaml is not in it.
	Drift []string `json:"drift"`
	// Data is what new images are about to meet, and what becomes of it.
	Data []DataChange `json:"data"`
}

// Empty tells whether there is nothing to do.
func (p Plan) Empty() bool {
	for _, c := range p.Changes {
		if c.Action != ActionNone {
			return false
		}
	}
	return len(p.Networks)+len(p.Volumes)+len(p.Images)+len(p.Tunnel)+len(p.Files) == 0
}

// Of gives the changes of one stack, without those that do nothing.
func (p Plan) Of(stack string) []Change {
	var out []Change
	for _, c := range p.Changes {
		if c.Stack == stack && c.Action != ActionNone {
			out = append(out, c)
		}
	}
	return out
}

// String gives the plan as text, a line a change: what tests compare.
func (p Plan) String() string {
	var b strings.Builder
	for _, n := range p.Networks {
		fmt.Fprintf(&b, "network %s: %s (%s)\n", n.Name, n.Action, strings.Join(n.Causes, "; "))
	}
	for _, v := range p.Volumes {
		fmt.Fprintf(&b, "volume %s: %s (%s)\n", v.Name, v.Action, strings.Join(v.Causes, "; "))
	}
	for _, i := range p.Images {
		fmt.Fprintf(&b, "image %s: %s (%s)\n", i.Name, i.Action, strings.Join(i.Causes, "; "))
	}
	for _, c := range p.Data {
		fmt.Fprintf(&b, "data %s: %s (%s)\n", c.Name, c.Action, strings.Join(c.Causes, "; "))
	}
	for _, c := range p.Changes {
		if c.Action == ActionNone {
			continue
		}
		fmt.Fprintf(&b, "%s/%s: %s, risk %s (%s)\n", c.Stack, c.Service, c.Action, c.Risk, strings.Join(c.Causes, "; "))
	}
	for _, bl := range p.Blocked {
		fmt.Fprintf(&b, "blocked %s: %s\n", bl.Subject, bl.Why)
	}
	return b.String()
}

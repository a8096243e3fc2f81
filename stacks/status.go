package stacks

import "time"

// Status is how a platform stands. Its JSON form is a contract.
type Status struct {
	Schema   string          `json:"schema"` // croft/status/v1
	Platform string          `json:"platform"`
	StateDir string          `json:"state_dir"`
	Revision *RevisionStatus `json:"revision"`
	Stacks   []StackStatus   `json:"stacks"`
	Backup   *BackupStatus   `json:"backup"`
	Drift    []string        `json:"drift"`
	Warnings []string        `json:"warnings"`
}

// RevisionStatus is the newest revision.
type RevisionStatus struct {
	Number int       `json:"number"`
	Commit string    `json:"commit,omitempty"`
	Result string    `json:"result"` // applied, partial, failed, taken-back, interrupted, running
	At     time.Time `json:"at"`
}

// BackupStatus is how old the newest proofs are; nil until there are backups.
type BackupStatus struct {
	Last                        time.Time `json:"last"`
	AgeSeconds                  int64     `json:"age_seconds"`
	DrillAgeSeconds             int64     `json:"drill_age_seconds"`
	RecoveryRehearsalAgeSeconds int64     `json:"recovery_rehearsal_age_seconds"`
}

// Health is the state of a stack in one word.
type Health string

// The states of a stack.
const (
	Healthy  Health = "healthy"
	Starting Health = "starting"
	Degraded Health = "degraded" // some services run, some do not
	Broken   Health = "failed"
	Stopped  Health = "stopped"
	Held     Health = "held"
)

// StackStatus is one stack.
type StackStatus struct {
	Name     string          `json:"name"`
	State    Health          `json:"state"`
	Project  string          `json:"project"`
	Services []ServiceStatus `json:"services"`
}

// ServiceStatus is one service.
type ServiceStatus struct {
	Name     string `json:"name"`
	State    string `json:"state"`  // running, exited, missing, ...
	Health   string `json:"health"` // healthy, unhealthy, starting, "" without a check
	Image    string `json:"image"`
	ImageID  string `json:"image_id"`
	Restarts int    `json:"restarts"`
	URL      string `json:"url,omitempty"`
}

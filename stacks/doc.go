// Package stacks holds the words croft thinks in and everything that can be
// decided without touching the world: Platform, Stack, Service, Route, Secret,
// State, Plan, Change, Event, Problem and Question; loading a stack's Compose
// file from an fs.FS; Resolve (croft.yaml and stacks become Desired), Diff
// (what would run and what runs become a Plan); and the embedded catalogue.
//
// It may import the Compose model (compose-go) and a YAML parser. It may not
// talk to Docker, read the environment, write a file, log, or import any other
// package of croft.
package stacks

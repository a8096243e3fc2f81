// Package tui draws what croft asks and shows on a terminal: questions as a
// line prompt, a plan, the status of a platform, the steps of an apply.
//
// Questions are data ([stacks.Question]); [Fill] walks them, and the ways to
// answer (a file, --set, the defaults, a person) differ in nothing else. The
// views are functions from a value to text. It imports stacks alone: what it
// needs to know of the machine is handed to it.
package tui

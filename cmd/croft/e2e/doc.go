// Package e2e drives the built croft against a real Docker engine and the real
// programs: one platform is applied once, and the tests look at it from
// outside, as an admin, a visitor, a neighbour container or an attacker would.
//
// It imports nothing of croft: what it relies on is what croft promises, its
// commands, exit codes and JSON. The tests are behind the build tag e2e and
// need root; `make e2e` brings what else they need.
package e2e

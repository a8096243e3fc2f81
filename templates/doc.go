// Package templates renders: Desired and the lock become Files, an ordinary
// Compose project per stack and the configuration files beside it. Compose
// projects are decorated as typed values, never glued as text; configuration
// files come from the stack's own *.tmpl files.
//
// It is pure: same input, same bytes. It may import stacks and the Compose
// model, and touches neither disk, network nor clock.
package templates

// Command croft turns one Linux machine with Docker into a private platform.
//
// One file holds one command: a constructor, its options, what it runs. What a
// command says is one value with two views, text and JSON. The rules of output
// are in ui.go, of errors and exit codes in exit.go, of flags and variables in
// flags.go; where the platform is found, in discover.go.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	_ "time/tzdata" // time zones on a machine without any
)

// Set by the linker: see the Makefile.
var (
	version = "dev"
	commit  = "unknown"
)

func main() {
	// Most runs read, compare and end: collecting their garbage early would cost a
	// fifth of their time.
	debug.SetGCPercent(400)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

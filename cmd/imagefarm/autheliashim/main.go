// Command autheliashim stands in front of a real but older Authelia, so that
// configuration and requests meant for 4.39 meet a program that checks them:
// users, rules, hashes and sign-in are then proven by the real thing. It
// translates what it knows and refuses everything else loudly; it decides
// nothing about access itself, and it proves nothing about 4.39.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// realProgram is the Authelia behind the shim; childAddress is where it
// listens, inside the container only.
const (
	realProgram  = "/app/authelia-4.37.5"
	childAddress = "127.0.0.1:19091"
)

func main() {
	code, err := run(os.Args[1:], os.Environ())
	if err != nil {
		fmt.Fprintln(os.Stderr, "authelia (image farm's shim):", err)
	}
	os.Exit(code)
}

func run(args, environ []string) (int, error) {
	call, err := parseCall(args, environ)
	if err != nil {
		return 1, err
	}
	if call.plain() {
		return runReal(call.args, environ)
	}
	tr, err := load(call.configs, call.template, environ)
	if err != nil {
		return 1, err
	}
	file, remove, err := writePrivate(tr.out)
	if err != nil {
		return 1, err
	}
	defer remove()
	if len(call.args) == 0 {
		return serve(tr, file)
	}
	if call.validates() {
		return validate(call.real(file), tr.environ)
	}
	return runReal(call.real(file), tr.environ)
}

// call is one invocation in 4.39's form: the configuration options taken out,
// the command left.
type call struct {
	configs  []string
	template bool
	args     []string
}

func parseCall(args, environ []string) (call, error) {
	c := call{}
	filters := lookup(environ, "X_AUTHELIA_CONFIG_FILTERS")
	for i := 0; i < len(args); i++ {
		name, value, inline := strings.Cut(args[i], "=")
		switch name {
		case "--config", "-c", "--config.filters", "--config.experimental.filters":
			if !inline {
				if i++; i == len(args) {
					return c, fmt.Errorf("%s needs a value", name)
				}
				value = args[i]
			}
			if strings.HasSuffix(name, "filters") {
				filters = value
			} else {
				c.configs = append(c.configs, strings.Split(value, ",")...)
			}
		case "--":
			c.args = append(c.args, args[i:]...)
			i = len(args)
		default:
			c.args = append(c.args, args[i])
		}
	}
	if len(c.configs) == 0 {
		if value := lookup(environ, "X_AUTHELIA_CONFIG"); value != "" {
			c.configs = strings.Split(value, ",")
		} else {
			c.configs = []string{"configuration.yml"}
		}
	}
	switch filters {
	case "":
	case "template":
		c.template = true
	default:
		return c, fmt.Errorf("the filter %q is not translated", filters)
	}
	return c, c.known()
}

// known refuses commands that nobody has compared between the two versions.
func (c call) known() error {
	if len(c.args) == 0 || c.plain() {
		return nil
	}
	known := []string{"storage", "config validate", "validate-config", "access-control"}
	line := strings.Join(c.args, " ") + " "
	if slices.ContainsFunc(known, func(k string) bool { return strings.HasPrefix(line, k+" ") }) {
		return nil
	}
	return fmt.Errorf("the command %q is not translated: there are %s and crypto", strings.TrimSpace(line), strings.Join(known, ", "))
}

// plain commands read no configuration.
func (c call) plain() bool {
	return len(c.args) > 0 &&
		slices.Contains([]string{"crypto", "build-info", "--version", "-v", "--help", "-h", "help"}, c.args[0])
}

// real is the command line of the older program.
func (c call) real(file string) []string {
	option := "--config=" + file
	switch {
	case c.args[0] == "config":
		return append([]string{"validate-config", option}, c.args[2:]...)
	default:
		return append([]string{c.args[0], option}, c.args[1:]...)
	}
}

func (c call) validates() bool { return c.args[0] == "config" || c.args[0] == "validate-config" }

// validate fails on errors in the configuration, as 4.39 does; 4.37 prints
// them and succeeds.
func validate(args, environ []string) (int, error) {
	cmd := exec.Command(realProgram, args...)
	cmd.Env, cmd.Stderr = environ, os.Stderr
	out, err := cmd.Output()
	fmt.Print(string(out))
	if err == nil && strings.Contains(string(out), "loaded with errors") {
		err = errors.New("configuration validation failed")
	}
	if err != nil {
		return 1, err
	}
	return 0, nil
}

func runReal(args, environ []string) (int, error) {
	cmd := exec.Command(realProgram, args...)
	cmd.Env = environ
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exitCode(exit.ProcessState), nil
	}
	if err != nil {
		return 1, err
	}
	return 0, nil
}

// writePrivate puts the translated configuration, which may hold secrets,
// where only this user reads it.
func writePrivate(tree map[string]any) (file string, remove func(), err error) {
	text, err := marshal(tree)
	if err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp("", "authelia-")
	if err != nil {
		return "", nil, err
	}
	remove = func() { _ = os.RemoveAll(dir) } // a tmpfs forgets it anyway
	file = filepath.Join(dir, "configuration.yml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		remove()
		return "", nil, err
	}
	return file, remove, nil
}

func lookup(environ []string, name string) string {
	for _, v := range environ {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

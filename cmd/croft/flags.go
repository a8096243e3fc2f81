package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// globalFlags are the flags of every command. A value comes from the flag, else
// from the variable named after it, else it is the default.
type globalFlags struct {
	output  string
	json    bool
	yes     bool
	quiet   bool
	verbose bool
	noColor bool
	dir     string
	state   string
	timeout time.Duration

	// onTimeout arms --timeout; what it gives disarms it.
	onTimeout func(time.Duration) func()
}

// The forms of output.
const (
	outputText = "text"
	outputJSON = "json"
	outputYAML = "yaml"
)

func (g *globalFlags) register(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVarP(&g.output, "output", "o", outputText, "form of the output: `text|json|yaml`")
	f.BoolVar(&g.json, "json", false, "same as -o json")
	f.BoolVarP(&g.yes, "yes", "y", false, "do not ask, go ahead")
	f.BoolVarP(&g.quiet, "quiet", "q", false, "say only what was asked for, and errors")
	f.BoolVarP(&g.verbose, "verbose", "v", false, "say more, for finding out what went wrong")
	f.BoolVar(&g.noColor, "no-color", false, "no colours (also NO_COLOR)")
	f.StringVar(&g.dir, "dir", "", "`directory` of the platform (default: here, else the one known)")
	f.StringVar(&g.state, "state", "", "`directory` of the state (default: /var/lib/croft/NAME)")
	f.DurationVar(&g.timeout, "timeout", 0, "give up after this long, as in 10m (default: never)")
}

// complete takes variables for flags that were not given, and checks what
// commands share.
func (g *globalFlags) complete(cmd *cobra.Command, a *app) error {
	if err := bindVariables(cmd.Flags(), a.env); err != nil {
		return err
	}
	if g.json {
		g.output = outputJSON
	}
	switch g.output {
	case outputText, outputJSON, outputYAML:
	default:
		return &usageError{err: fmt.Errorf("there is no output form %q", g.output), hint: "use -o text, -o json or -o yaml"}
	}
	if g.timeout < 0 {
		return &usageError{err: fmt.Errorf("--timeout %s is negative", g.timeout), hint: "give a duration such as 10m"}
	}
	if g.timeout > 0 {
		g.onTimeout(g.timeout)
	}
	return nil
}

// variableOf is the variable of a flag: --wait-timeout is CROFT_WAIT_TIMEOUT.
func variableOf(flag string) string {
	return "CROFT_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// bindVariables sets every flag that was not given from its variable, or from
// the file that the variable with _FILE names.
func bindVariables(flags *pflag.FlagSet, env map[string]string) error {
	var first error
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == "help" || first != nil {
			return
		}
		name := variableOf(f.Name)
		value := env[name]
		if path := env[name+"_FILE"]; value == "" && path != "" {
			text, err := os.ReadFile(path)
			if err != nil {
				first = &usageError{err: fmt.Errorf("%s_FILE: %w", name, err), hint: "name a file that can be read, or unset it"}
				return
			}
			value = strings.TrimRight(string(text), "\r\n")
		}
		if value == "" {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			first = &usageError{err: fmt.Errorf("variable %s: not a value for --%s", name, f.Name),
				hint: "correct or unset " + name}
		}
	})
	return first
}

func newEnvironmentHelp() *cobra.Command {
	return &cobra.Command{
		Use: "environment", Short: "The variables that croft reads",
		Example: "  CROFT_DIR=/srv/home croft status\n  CROFT_OUTPUT=json croft plan",
		Long: `Every flag has a variable: CROFT_ and the flag's name in capitals, with _ for -.
--wait-timeout is CROFT_WAIT_TIMEOUT, --dir is CROFT_DIR. With _FILE behind it,
the variable names a file that holds the value. A flag goes before its variable,
the variable before its file, the file before the default.

  CROFT_DIR      directory of the platform
  CROFT_STATE    directory of the state
  CROFT_OUTPUT   form of the output: text, json, yaml
  CROFT_YES      1: do not ask
  NO_COLOR       anything: no colours
  DOCKER_HOST    the container engine, as for docker
  TMPDIR         where croft checks a change before it is written`,
	}
}

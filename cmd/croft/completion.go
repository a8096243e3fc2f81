package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newCompletion(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "completion bash|zsh|fish|powershell", Short: "Print the completion of a shell",
		Long: `completion prints a script that completes commands, flags, and the names of
stacks and services.`,
		Example: `  # this shell only
  source <(croft completion bash)

  # for good
  croft completion bash > /etc/bash_completion.d/croft
  croft completion zsh > "${fpath[1]}/_croft"
  croft completion fish > ~/.config/fish/completions/croft.fish`,
		Args:      wantArgs(1, 1, "the name of a shell: bash, zsh, fish or powershell"),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.out, true)
			case "zsh":
				return root.GenZshCompletion(a.out)
			case "fish":
				return root.GenFishCompletion(a.out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(a.out)
			}
			return &usageError{err: fmt.Errorf("there is no completion for %q", args[0]), hint: "use bash, zsh, fish or powershell"}
		},
	}
}

// completeStacks offers the stacks of the platform, once each.
func (a *app) completeStacks(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	p, err := a.platformForCompletion(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer p.close()
	var names []string
	for _, name := range sortedNames(p.Stacks) {
		if !contains(args, name) {
			names = append(names, name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeServices offers the services of the platform, as STACK/SERVICE.
func (a *app) completeServices(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	p, err := a.platformForCompletion(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer p.close()
	d, err := p.desired()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, s := range d.Stacks {
		if s.Project == nil {
			continue
		}
		for _, svc := range s.Project.ServiceNames() {
			if name := s.Name + "/" + svc; !contains(args, name) {
				names = append(names, name)
			}
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// platformForCompletion opens the platform: while completing, cobra does not
// run what reads the variables.
func (a *app) platformForCompletion(cmd *cobra.Command) (*platform, error) {
	if err := bindVariables(cmd.Flags(), a.env); err != nil {
		return nil, err
	}
	return a.openPlatform()
}

func contains(list []string, s string) bool {
	for _, item := range list {
		if item == s {
			return true
		}
	}
	return false
}

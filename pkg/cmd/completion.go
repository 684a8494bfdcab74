package cmd

import (
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"k8s.io/kubectl/pkg/util/completion"
)

// registerCompletions completes the kubeconfig flags as kubectl does.
func registerCompletions(root *cobra.Command, flags *genericclioptions.ConfigFlags) {
	factory := cmdutil.NewFactory(flags)
	completion.SetFactoryForCompletion(factory)
	type complete = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)
	for flag, complete := range map[string]complete{
		"namespace": func(_ *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
			return completion.CompGetResource(factory, "namespace", toComplete), cobra.ShellCompDirectiveNoFileComp
		},
		"context": func(_ *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
			return completion.ListContextsInConfig(toComplete), cobra.ShellCompDirectiveNoFileComp
		},
		"cluster": func(_ *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
			return completion.ListClustersInConfig(toComplete), cobra.ShellCompDirectiveNoFileComp
		},
		"user": func(_ *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
			return completion.ListUsersInConfig(toComplete), cobra.ShellCompDirectiveNoFileComp
		},
	} {
		cmdutil.CheckErr(root.RegisterFlagCompletionFunc(flag, complete))
	}
}

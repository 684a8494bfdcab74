package complete

import (
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
)

// ImageApps completes one argument with the apps that the namespace may have images of.
func ImageApps(config *genericclioptions.ConfigFlags) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		const none = cobra.ShellCompDirectiveNoFileComp
		if len(args) > 0 {
			return nil, none
		}
		clients, err := kube.New(config)
		if err != nil {
			return nil, none
		}
		// A completion cannot show an error.
		apps, _ := images.Apps(cmd.Context(), clients.Dynamic, clients.Namespace)
		return apps, none
	}
}

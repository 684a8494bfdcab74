package cmd

import (
	"maps"
	"slices"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
)

// registerCompletions completes the kubeconfig flags as kubectl does. kubectl's
// own completions are not used because they bring half of kubectl into the
// binary, and 20 ms to each start of it.
func registerCompletions(root *cobra.Command, flags *genericclioptions.ConfigFlags) {
	complete := func(flag string, names func(*cobra.Command) []string) {
		// Fails for an unknown flag only, which the tests would show.
		_ = root.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			return names(cmd), cobra.ShellCompDirectiveNoFileComp
		})
	}
	kubeconfig := func() *clientcmdapi.Config {
		config, err := flags.ToRawKubeConfigLoader().RawConfig()
		if err != nil {
			return clientcmdapi.NewConfig()
		}
		return &config
	}
	complete("context", func(*cobra.Command) []string { return slices.Sorted(maps.Keys(kubeconfig().Contexts)) })
	complete("cluster", func(*cobra.Command) []string { return slices.Sorted(maps.Keys(kubeconfig().Clusters)) })
	complete("user", func(*cobra.Command) []string { return slices.Sorted(maps.Keys(kubeconfig().AuthInfos)) })
	complete("namespace", func(cmd *cobra.Command) []string {
		clients, err := kube.New(flags)
		if err != nil {
			return nil
		}
		namespaces, err := clients.Kube.CoreV1().Namespaces().List(cmd.Context(), metav1.ListOptions{})
		if err != nil {
			return nil
		}
		names := make([]string, len(namespaces.Items))
		for i, namespace := range namespaces.Items {
			names[i] = namespace.Name
		}
		return names
	})
}

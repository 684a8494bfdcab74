package cmd

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/usage"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
)

// completionTimeout bounds what a shell waits for after Tab: a cluster that does not answer by then
// completes nothing.
const completionTimeout = 1500 * time.Millisecond

// isCompletion reports whether a shell runs the program to complete a command line.
func isCompletion(args []string) bool {
	return len(args) > 0 && (args[0] == cobra.ShellCompRequestCmd || args[0] == cobra.ShellCompNoDescRequestCmd)
}

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
	objects := map[string]func(context.Context, *kube.Clients) (runtime.Object, error){
		"registry-storage-class": func(ctx context.Context, clients *kube.Clients) (runtime.Object, error) {
			return clients.Kube.StorageV1().StorageClasses().List(ctx, metav1.ListOptions{})
		},
		"git-secret": func(ctx context.Context, clients *kube.Clients) (runtime.Object, error) {
			return clients.Kube.CoreV1().Secrets(clients.Namespace).List(ctx, metav1.ListOptions{})
		},
	}
	for flag, list := range objects {
		usage.Walk(root, func(cmd *cobra.Command) {
			// Fails for a verb without the flag, and for one that completes it itself.
			_ = cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
				return objectNames(cmd.Context(), flags, list), cobra.ShellCompDirectiveNoFileComp
			})
		})
	}
}

// objectNames returns the names in a list of the cluster; none if it cannot be read.
func objectNames(ctx context.Context, flags *genericclioptions.ConfigFlags, list func(context.Context, *kube.Clients) (runtime.Object, error)) []string {
	clients, err := kube.New(flags)
	if err != nil {
		return nil
	}
	objects, err := list(ctx, clients)
	if err != nil {
		return nil
	}
	var names []string
	_ = meta.EachListItem(objects, func(object runtime.Object) error {
		if accessor, err := meta.Accessor(object); err == nil {
			names = append(names, accessor.GetName())
		}
		return nil
	})
	return names
}

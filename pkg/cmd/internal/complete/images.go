package complete

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
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

// Images completes any number of images, as APP:TAG, with what the newest runs of the
// namespace have pushed.
func Images(config *genericclioptions.ConfigFlags) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		const directive = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
		clients, err := kube.New(config)
		if err != nil {
			return nil, directive
		}
		return imagesOf(cmd.Context(), clients.Tekton, clients.Namespace, args, time.Now()), directive
	}
}

// imagesOf returns the images of runs, the newest first, without those in args.
func imagesOf(ctx context.Context, client versioned.Interface, namespace string, args []string, now time.Time) []string {
	// A completion cannot show an error.
	list, err := status.Runs(ctx, client, status.RunOptions{Namespace: namespace, Now: now})
	if err != nil {
		return nil
	}
	var completions []string
	for _, run := range list.Items {
		if name := run.App + ":" + run.Name; run.Digest != "" && !slices.Contains(args, name) {
			completions = append(completions, cobra.CompletionWithDesc(name, display.Digest(run.Digest, false)+", "+about(run, now)))
		}
	}
	return completions
}

// Package complete has the completions of arguments that verbs share.
package complete

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
)

// Options say what is completed.
type Options struct {
	// Apps are completed beside runs, or alone.
	Apps, Runs bool
	// Unfinished leaves out runs that have ended.
	Unfinished bool
	// Many allows any number of arguments; otherwise there is one.
	Many bool
}

// New completes what the namespace has of runs and apps, the newest run first,
// with a word about each.
func New(config *genericclioptions.ConfigFlags, options Options) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		const directive = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
		if len(args) > 0 && !options.Many {
			return nil, directive
		}
		clients, err := kube.New(config)
		if err != nil {
			return nil, directive
		}
		return candidates(cmd.Context(), clients.Tekton, clients.Namespace, args, options, time.Now()), directive
	}
}

// Apps completes the apps that the namespace runs, each with its workloads. With many it
// completes any number of arguments, otherwise one.
func Apps(config *genericclioptions.ConfigFlags, many bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		const directive = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
		if len(args) > 0 && !many {
			return nil, directive
		}
		clients, err := kube.New(config)
		if err != nil {
			return nil, directive
		}
		return deployed(cmd.Context(), clients.Kube, clients.Namespace, args, word), directive
	}
}

// deployed are the names of the apps that a namespace runs; of the app in a word such as shop/,
// its parts.
func deployed(ctx context.Context, client kubernetes.Interface, namespace string, args []string, word string) []string {
	list, err := app.List(ctx, client, namespace)
	if err != nil {
		return nil // a completion has no place for an error
	}
	var completions []string
	of, _, part := strings.Cut(word, "/")
	for _, one := range list {
		if part {
			for i, name := range one.Parts() {
				if w := one.Workloads[i]; one.Name == of {
					completions = append(completions, cobra.CompletionWithDesc(of+"/"+name, strings.ToLower(w.Kind)+"/"+w.Meta.Name))
				}
			}
			continue
		}
		if slices.Contains(args, one.Name) {
			continue
		}
		var about []string
		for _, w := range one.Workloads {
			about = append(about, strings.ToLower(w.Kind)+"/"+w.Meta.Name)
		}
		completions = append(completions, cobra.CompletionWithDesc(one.Name, strings.Join(about, ", ")))
	}
	return completions
}

// candidates are the completions; a completion has no place for an error.
func candidates(ctx context.Context, client versioned.Interface, namespace string, args []string, options Options, now time.Time) []string {
	list, err := status.Runs(ctx, client, status.RunOptions{Namespace: namespace, Now: now})
	if err != nil {
		return nil
	}
	var completions []string
	if options.Apps {
		completions = apps(list.Items, args, now)
	}
	for _, run := range list.Items {
		if !options.Runs || slices.Contains(args, run.Name) || (options.Unfinished && run.Finished != nil) {
			continue
		}
		completions = append(completions, cobra.CompletionWithDesc(run.Name, run.App+", "+about(run, now)))
	}
	return completions
}

func apps(runs []status.Run, args []string, now time.Time) []string {
	newest := map[string]status.Run{}
	for _, run := range slices.Backward(runs) {
		newest[run.App] = run
	}
	var completions []string
	for app, run := range newest {
		if !slices.Contains(args, app) {
			completions = append(completions, cobra.CompletionWithDesc(app, "newest run "+run.Name+", "+about(run, now)))
		}
	}
	slices.SortFunc(completions, func(a, b string) int {
		nameA, _, _ := strings.Cut(a, "\t")
		nameB, _, _ := strings.Cut(b, "\t")
		return cmp.Compare(nameA, nameB)
	})
	return completions
}

func about(run status.Run, now time.Time) string {
	return run.Ending() + ", " + display.Age(run.Started, now) + " ago"
}

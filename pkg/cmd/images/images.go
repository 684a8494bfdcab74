// Package images is the verb that shows what the registry stores, and prunes it.
package images

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
)

// Flags are what the command line says.
type Flags struct {
	config *genericclioptions.ConfigFlags

	AllNamespaces bool
	Output        option.Output
}

// NewCommand makes the verb.
func NewCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{config: config}
	cmd := &cobra.Command{
		Use:   "images [APP]",
		Short: "Show, inspect, prune and mirror images",
		Long: `Show the images that the registry has of the apps in a namespace: their tags,
which are the names of the runs that built them, digests, compressed sizes and
ages, and which workloads run them. A workload that would run an image after a
rollback only is marked "(previous)".

With the right to read the platform's own login, Secret pyflow-registry in
namespace pyflow-system, the registry is asked what it has; --all-namespaces needs
it. Otherwise the apps are those that the namespace's runs and workloads know of.`,
		Example: `  # The images of the current namespace
  kubectl pyflow images

  # One app, with whole digests, and what the namespace stores in all
  kubectl pyflow images mountains -o wide

  # The digest of the newest image, for a script
  kubectl pyflow images mountains -o jsonpath='{.items[0].digest}'

  # Everything that builds have pushed
  kubectl pyflow images --all-namespaces`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeApps(config),
		RunE: func(cmd *cobra.Command, args []string) error {
			options, err := flags.ToOptions(streams, args)
			if err != nil {
				return err
			}
			return options.Run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&flags.AllNamespaces, "all-namespaces", "A", false, "Show the images of all namespaces")
	flags.Output.AddListFlags(cmd, "a table")
	cmd.AddCommand(newInspectCommand(config, streams), newPruneCommand(config, streams), newPlatformCommand(streams))
	return cmd
}

// completeApps completes the names of the namespace's apps.
func completeApps(config *genericclioptions.ConfigFlags) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		const none = cobra.ShellCompDirectiveNoFileComp
		if len(args) > 0 {
			return nil, none
		}
		clients, err := kube.New(config)
		if err != nil {
			return nil, none
		}
		// A completion has no place for an error.
		apps, _ := images.Apps(cmd.Context(), clients.Dynamic, clients.Namespace)
		return apps, none
	}
}

// Options are a run of images.
type Options struct {
	Clients *kube.Clients
	Streams genericiooptions.IOStreams
	// App restricts the list to one; empty is all.
	App           string
	AllNamespaces bool
	// Sum adds what the namespaces store in all.
	Sum bool
	// Print writes a list to Streams.Out.
	Print func(*images.List, io.Writer) error
	// Person says that Print is for one, who is also told of an empty list.
	Person bool
}

// ToOptions checks the flags.
func (f *Flags) ToOptions(streams genericiooptions.IOStreams, args []string) (*Options, error) {
	o := &Options{Streams: streams, AllNamespaces: f.AllNamespaces, App: strings.Join(args, "")}
	printer, err := f.Output.ToPrinter()
	switch {
	case err != nil:
		return nil, err
	case printer != nil:
		o.Sum = true
		o.Print = func(list *images.List, out io.Writer) error { return printer.PrintObj(list, out) }
	case f.Output.Format == option.Name:
		o.Print = printNames
	default:
		o.Person, o.Sum = true, f.Output.Format == option.Wide
		o.Print = func(list *images.List, out io.Writer) error {
			return printTable(list, tableOptions{Now: time.Now(), Namespaces: f.AllNamespaces, Wide: o.Sum}, out)
		}
	}
	o.Clients, err = kube.New(f.config)
	return o, err
}

// Run prints the list.
func (o *Options) Run(ctx context.Context) error {
	config, err := platform.Config(ctx, o.Clients.Kube)
	if err != nil {
		return err
	}
	finder := &finder{clients: o.Clients, config: config, app: o.App, waiting: func(err error) {
		fmt.Fprintf(o.Streams.ErrOut, "waiting for the registry, which is being restarted or cleaned up: %v; see: kubectl pyflow status\n", err)
	}}
	defer finder.close()
	if o.AllNamespaces {
		err = finder.everywhere(ctx)
	} else {
		err = finder.namespace(ctx, o.Clients.Namespace)
	}
	if err != nil {
		return err
	}
	if err := finder.read(ctx, o.Sum); err != nil {
		return err
	}
	scope := o.Clients.Namespace
	if o.AllNamespaces {
		scope = ""
	}
	usage, err := images.Workloads(ctx, o.Clients.Dynamic, scope, finder.repositories())
	if err != nil {
		return err
	}
	list := images.NewList(config.Registry, finder.repositories(), usage)
	if o.Sum {
		list.Stored = images.Sum(finder.repositories())
	}
	if o.App != "" && len(list.Items) == 0 {
		return fmt.Errorf("app %q has no images %s", o.App, o.where())
	}
	if err := o.Print(list, o.Streams.Out); err != nil {
		return fmt.Errorf("print the images: %w", err)
	}
	for _, warning := range list.Warnings {
		fmt.Fprintln(o.Streams.ErrOut, "warning:", warning)
	}
	if o.Person && len(list.Items) == 0 {
		fmt.Fprintf(o.Streams.ErrOut, "no images %s yet; to build one: kubectl pyflow build DIRECTORY\n", o.where())
	}
	return nil
}

func (o *Options) where() string {
	if o.AllNamespaces {
		return "in any namespace"
	}
	return "in namespace " + o.Clients.Namespace
}

// printNames writes the references by which nodes pull.
func printNames(list *images.List, out io.Writer) error {
	var text strings.Builder
	for _, image := range list.Items {
		fmt.Fprintln(&text, image.Reference)
	}
	_, err := io.WriteString(out, text.String())
	return err
}

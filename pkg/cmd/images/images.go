// Package images is the verb that shows what the registry stores, and prunes it.
package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/usage"
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
	return newCommand(config, streams, false)
}

// newListCommand returns the verb as its own subcommand.
func newListCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	cmd := newCommand(config, streams, true)
	cmd.Use, cmd.Short = "list [APP]", "List images"
	cmd.Example = strings.ReplaceAll(cmd.Example, "pyflow images", "pyflow images list")
	return cmd
}

func newCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams, list bool) *cobra.Command {
	flags := &Flags{config: config}
	cmd := &cobra.Command{
		Use:   "images [APP]",
		Short: "List, inspect and prune images",
		Long: `List the images of the apps in a namespace, with size, age and the workloads that run
them. A tag is the name of the run that built the image. A workload that runs an image
only after a rollback is marked "(previous)".

If you are allowed to read Secret pyflow-registry in namespace pyflow-system, pyflow
lists what the registry stores; --all-namespaces needs this permission. Otherwise it
lists the apps of the runs and workloads in the namespace.

"images list" does the same, also for an app that has the name of a subcommand.`,
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
			err = options.Run(cmd.Context())
			if errors.Is(err, errNoImages) && !list {
				// The app may be a misspelled subcommand.
				return fmt.Errorf("%w%s", err, usage.DidYouMean(usage.Verbs(cmd, options.App)))
			}
			return err
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&flags.AllNamespaces, "all-namespaces", "A", false, "Show the images of all namespaces")
	flags.Output.AddListFlags(cmd, "a table")
	if list {
		return cmd
	}
	cmd.AddCommand(newListCommand(config, streams), newInspectCommand(config, streams), newPruneCommand(config, streams), newPlatformCommand(streams))
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

// errNoImages reports an app without images.
var errNoImages = errors.New("no images")

// Options are a run of images.
type Options struct {
	Clients *kube.Clients
	Streams genericiooptions.IOStreams
	// App restricts the list to one; empty is all.
	App           string
	AllNamespaces bool
	// Sum adds what the namespaces store in all.
	Sum bool
	// Sort sorts the images.
	Sort func([]images.Image) error
	// Print writes a list to Streams.Out.
	Print func(*images.List, io.Writer) error
	// Person says that Print is for one, who is also told of an empty list.
	Person bool
}

// ToOptions checks the flags.
func (f *Flags) ToOptions(streams genericiooptions.IOStreams, args []string) (*Options, error) {
	o := &Options{Streams: streams, AllNamespaces: f.AllNamespaces, App: strings.Join(args, "")}
	o.Sort = func(items []images.Image) error { return option.Sort(&f.Output, items) }
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
			return printTable(list, tableOptions{Now: time.Now(), Namespaces: f.AllNamespaces, Wide: o.Sum, NoHeaders: f.Output.NoHeaders}, out)
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
		return fmt.Errorf("app %q has %w %s", o.App, errNoImages, o.where())
	}
	if err := o.Sort(list.Items); err != nil {
		return err
	}
	if err := o.Print(list, o.Streams.Out); err != nil {
		return fmt.Errorf("print the images: %w", err)
	}
	for _, warning := range list.Warnings {
		fmt.Fprintln(o.Streams.ErrOut, "warning:", warning)
	}
	if o.Person && len(list.Items) == 0 {
		fmt.Fprintf(o.Streams.ErrOut, "no images %s yet; build one: kubectl pyflow build DIR\n", o.where())
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

// Package images lists the images in the registry. Its subcommands inspect, delete and prune them.
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

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/images/attest"
	imagesdelete "github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/images/delete"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/images/inspect"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/images/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/images/prune"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/images/verify"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/complete"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/usage"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
)

// Flags are the flags of the verb.
type Flags struct {
	config *genericclioptions.ConfigFlags

	AllNamespaces bool
	Output        option.Output
}

// NewCommand returns the verb.
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
		Short: "List, inspect, delete and prune images",
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
		ValidArgsFunction: complete.ImageApps(config),
		RunE: func(cmd *cobra.Command, args []string) error {
			options, err := flags.ToOptions(streams, args)
			if err != nil {
				return err
			}
			err = options.Run(cmd.Context())
			if errors.Is(err, images.ErrNoImages) && !list {
				// The app may be a misspelled subcommand.
				return fmt.Errorf("%w%s", err, usage.DidYouMean(usage.Verbs(cmd, options.Scope.App)))
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
	cmd.AddCommand(newListCommand(config, streams), inspect.NewCommand(config, streams), imagesdelete.NewCommand(config, streams), prune.NewCommand(config, streams), platform.NewCommand(streams),
		attest.NewCommand(config, streams), verify.NewCommand(config, streams))
	return cmd
}

// Options are the checked options of the verb.
type Options struct {
	Clients *kube.Clients
	Streams genericiooptions.IOStreams
	// Scope selects the images.
	Scope images.Scope
	// Sort sorts the images.
	Sort func([]images.Image) error
	// Print writes a list to Streams.Out.
	Print func(*images.List, io.Writer) error
	// Person reports that a person reads the output, who gets a message for an empty list.
	Person bool
}

// ToOptions checks the flags and reads the kubeconfig.
func (f *Flags) ToOptions(streams genericiooptions.IOStreams, args []string) (*Options, error) {
	o := &Options{Streams: streams, Scope: images.Scope{App: strings.Join(args, "")}}
	o.Sort = func(items []images.Image) error { return option.Sort(&f.Output, items) }
	printer, err := f.Output.ToPrinter()
	switch {
	case err != nil:
		return nil, err
	case printer != nil:
		o.Scope.AllKinds = true
		o.Print = func(list *images.List, out io.Writer) error { return printer.PrintObj(list, out) }
	case f.Output.Format == option.Name:
		o.Print = printNames
	default:
		wide := f.Output.Format == option.Wide
		o.Person, o.Scope.AllKinds = true, wide
		o.Print = func(list *images.List, out io.Writer) error {
			return printTable(list, tableOptions{Now: time.Now(), Namespaces: f.AllNamespaces, Wide: wide, NoHeaders: f.Output.NoHeaders}, out)
		}
	}
	if o.Clients, err = kube.New(f.config); err != nil {
		return nil, err
	}
	if !f.AllNamespaces {
		o.Scope.Namespace = o.Clients.Namespace
	}
	return o, nil
}

// Run prints the list.
func (o *Options) Run(ctx context.Context) error {
	list, err := images.ReadList(ctx, o.Clients, o.Scope, func(err error) {
		fmt.Fprintf(o.Streams.ErrOut, "waiting for the registry, which is restarting or being cleaned up: %v; see: kubectl pyflow status\n", err)
	})
	if err != nil {
		return err
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
		fmt.Fprintf(o.Streams.ErrOut, "no images %s yet; build one: kubectl pyflow build DIR\n", o.Scope.Where())
	}
	return nil
}

// printNames prints the references by which nodes pull the images.
func printNames(list *images.List, out io.Writer) error {
	var text strings.Builder
	for _, image := range list.Items {
		fmt.Fprintln(&text, image.Reference)
	}
	_, err := io.WriteString(out, text.String())
	return err
}

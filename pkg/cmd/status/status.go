// Package status is the verb that shows the platform, the last runs and the apps.
package status

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
)

// ErrUnhealthy says that a report was printed and that something in it is not
// healthy. The report says what, so that nobody has to print this error.
var ErrUnhealthy = errors.New("something is unhealthy")

// Flags are what the command line says.
type Flags struct {
	config *genericclioptions.ConfigFlags

	AllNamespaces bool
	Output        option.Output
	Runs          int
}

// NewCommand makes the verb.
func NewCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{config: config, Runs: 5}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the platform, the last runs and the apps",
		Long: `Show the parts of the platform with their versions, the last runs, and the apps
with their ready replicas, image digest, age and URL.

The exit code is 1 when a part of the platform or an app is unhealthy; how the
last runs ended does not count. A part that you have no right to read is shown as
unknown.`,
		Example: `  # The platform, and the runs and apps of the current namespace
  kubectl pyflow status

  # Everything that pyflow runs on the cluster
  kubectl pyflow status --all-namespaces

  # The URL of an app, for a script
  kubectl pyflow status -o jsonpath='{.apps[?(@.name=="mountains")].url}'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			options, err := flags.ToOptions(streams)
			if err != nil {
				return err
			}
			return options.Run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&flags.AllNamespaces, "all-namespaces", "A", false, "Show the runs and apps of all namespaces")
	flags.Output.AddListFlags(cmd, "tables")
	f.IntVar(&flags.Runs, "runs", flags.Runs, "How many of the last runs to show")
	return cmd
}

// Options are a run of status.
type Options struct {
	Clients status.Clients
	Streams genericiooptions.IOStreams
	Report  status.Options
	// Print writes a report to Streams.Out.
	Print func(*status.Status, io.Writer) error
	// Person says that Print is for one, who is also told of empty lists.
	Person bool
	Now    func() time.Time
}

// ToOptions checks the flags.
func (f *Flags) ToOptions(streams genericiooptions.IOStreams) (*Options, error) {
	o := &Options{Streams: streams, Now: time.Now}
	if f.Runs < 0 {
		return nil, option.Usagef("--runs %d is negative", f.Runs)
	}
	printer, err := f.Output.ToPrinter()
	switch {
	case err != nil:
		return nil, err
	case printer != nil:
		o.Print = func(snapshot *status.Status, out io.Writer) error { return printer.PrintObj(snapshot, out) }
	case f.Output.Format == option.Name:
		o.Print = printNames
	default:
		o.Person = true
		o.Print = func(snapshot *status.Status, out io.Writer) error {
			return printTable(snapshot, tableOptions{Now: o.Now(), Namespaces: f.AllNamespaces, Wide: f.Output.Format == option.Wide}, out)
		}
	}
	clients, err := kube.New(f.config)
	if err != nil {
		return nil, err
	}
	o.Clients = status.Clients{Kube: clients.Kube, Tekton: clients.Tekton}
	o.Report = status.Options{Namespace: clients.Namespace, AllNamespaces: f.AllNamespaces, Runs: f.Runs}
	return o, nil
}

// Run prints the report. It returns ErrUnhealthy when something is.
func (o *Options) Run(ctx context.Context) error {
	options := o.Report
	options.Now = o.Now()
	snapshot, err := status.Collect(ctx, o.Clients, options)
	if err != nil {
		return err
	}
	if err := o.Print(snapshot, o.Streams.Out); err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	for _, warning := range snapshot.Warnings {
		fmt.Fprintln(o.Streams.ErrOut, "warning:", warning)
	}
	if o.Person {
		o.advise(snapshot)
	}
	if !snapshot.Healthy {
		return ErrUnhealthy
	}
	return nil
}

// advise tells a person what comes next.
func (o *Options) advise(snapshot *status.Status) {
	where := "in namespace " + o.Report.Namespace
	if o.Report.AllNamespaces {
		where = "in any namespace"
	}
	for _, part := range snapshot.Platform {
		missing := &platform.NamespaceNotSetUpError{Namespace: part.Namespace}
		if part.Message == missing.Error() {
			fmt.Fprintf(o.Streams.ErrOut, "hint: run: kubectl pyflow setup --namespace %s\n", part.Namespace)
			return
		}
	}
	if len(snapshot.Warnings) == 0 && len(snapshot.Apps) == 0 {
		fmt.Fprintf(o.Streams.ErrOut, "no apps %s yet; to deliver one: kubectl pyflow build DIRECTORY\n", where)
	}
}

// printNames writes what kubectl takes as arguments: the runs and the workloads.
func printNames(snapshot *status.Status, out io.Writer) error {
	var names []string
	for _, run := range snapshot.Runs {
		names = append(names, "pipelinerun.tekton.dev/"+run.Name)
	}
	for _, app := range snapshot.Apps {
		names = slices.Concat(names, app.Workloads)
	}
	if len(names) == 0 {
		return nil
	}
	_, err := fmt.Fprintln(out, strings.Join(names, "\n"))
	return err
}

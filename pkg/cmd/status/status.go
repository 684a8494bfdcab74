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
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/dynamic"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/app/reach"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/complete"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
)

// ErrUnhealthy says that a report was printed and that something in it is not
// healthy. The report says what, so that no caller has to print this error.
var ErrUnhealthy = errors.New("something is unhealthy")

// Flags are what the command line says.
type Flags struct {
	config *genericclioptions.ConfigFlags

	AllNamespaces bool
	Output        option.Output
	Runs          int
	Selector      string
	Watch         bool
	ExitCode      bool
}

// NewCommand makes the verb.
func NewCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{config: config, Runs: 5}
	cmd := &cobra.Command{
		Use:   "status [APP]",
		Short: "Show the platform, the last runs and the apps",
		Long: `Show the platform, the last runs, and the apps with their replicas, image and URL.

A healthy platform is one line; -o wide lists its parts. A part that you are not
allowed to read is unknown.

With --exit-code the exit code is 1 if a part of the platform or an app is unhealthy.
How the last runs ended does not count.`,
		Example: `  # The platform, and the runs and apps of the current namespace
  kubectl pyflow status

  # Everything that pyflow runs on the cluster
  kubectl pyflow status --all-namespaces

  # One app, redrawn whenever something changes
  kubectl pyflow status mountains --watch

  # Fail if something is unhealthy, for a script
  kubectl pyflow status --exit-code

  # The URL of an app
  kubectl pyflow status -o jsonpath='{.apps[?(@.name=="mountains")].url}'`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: complete.New(config, complete.Options{Apps: true}),
		RunE: func(cmd *cobra.Command, args []string) error {
			options, err := flags.ToOptions(streams, args)
			if err != nil {
				return err
			}
			return options.Run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&flags.AllNamespaces, "all-namespaces", "A", false, "Show the runs and apps of all namespaces")
	f.StringVarP(&flags.Selector, "selector", "l", "", "Label selector of the runs and apps, such as team=shop")
	f.BoolVarP(&flags.Watch, "watch", "w", false, "Show the report again whenever something changes; outside of a terminal only the runs and apps that changed")
	f.BoolVar(&flags.ExitCode, "exit-code", false, "Exit with 1 if something is unhealthy")
	flags.Output.AddListFlags(cmd, "tables")
	f.IntVar(&flags.Runs, "runs", flags.Runs, "Number of the last runs to show")
	return cmd
}

// Options are a run of status.
type Options struct {
	Clients status.Clients
	Streams genericiooptions.IOStreams
	Report  status.Options
	// Mark marks the apps whose URL does not answer from here; nil marks none.
	Mark func(context.Context, []status.App)
	// Print writes a report to Streams.Out.
	Print func(*status.Status, io.Writer) error
	// Sort sorts the runs and apps.
	Sort func(*status.Status) error
	// ExitCode makes Run return ErrUnhealthy.
	ExitCode bool
	// Watch is the client that watches for changes; nil prints the report once.
	Watch dynamic.Interface
	// Redraw clears the terminal before each report but the first; without it, only what
	// changed is printed.
	Redraw bool
	// Person reports that a person reads the output: empty lists then have lines of their own.
	Person bool
	Now    func() time.Time
}

// ToOptions checks the flags.
func (f *Flags) ToOptions(streams genericiooptions.IOStreams, args []string) (*Options, error) {
	o := &Options{Streams: streams, Now: time.Now, ExitCode: f.ExitCode, Redraw: display.IsTerminal(streams.Out)}
	if f.Runs < 0 {
		return nil, option.Usagef("--runs %d is negative", f.Runs)
	}
	selector, err := labels.Parse(f.Selector)
	if err != nil {
		return nil, option.Usagef("--selector: %w", err)
	}
	o.Sort = func(snapshot *status.Status) error {
		return errors.Join(option.Sort(&f.Output, snapshot.Runs), option.Sort(&f.Output, snapshot.Apps))
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
			return printTable(snapshot, tableOptions{Now: o.Now(), Namespaces: f.AllNamespaces, Wide: f.Output.Format == option.Wide, NoHeaders: f.Output.NoHeaders}, out)
		}
	}
	clients, err := kube.New(f.config)
	if err != nil {
		return nil, err
	}
	o.Clients = status.Clients{Kube: clients.Kube, Tekton: clients.Tekton}
	o.Mark = reach.NewProber(reach.Short).Mark
	o.Report = status.Options{Namespace: clients.Namespace, AllNamespaces: f.AllNamespaces, Runs: f.Runs, App: strings.Join(args, ""), Selector: selector}
	if f.Watch {
		o.Watch = clients.Dynamic
	}
	return o, nil
}

// Run prints the report, and with Watch again after each change until ctx ends. With
// ExitCode it returns ErrUnhealthy if something is.
func (o *Options) Run(ctx context.Context) error {
	if o.Watch != nil {
		return o.watch(ctx)
	}
	snapshot, err := o.collect(ctx)
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
	if !snapshot.Healthy && o.ExitCode {
		return ErrUnhealthy
	}
	return nil
}

func (o *Options) collect(ctx context.Context) (*status.Status, error) {
	options := o.Report
	options.Now = o.Now()
	snapshot, err := status.Collect(ctx, o.Clients, options)
	if err != nil {
		return nil, err
	}
	if o.Mark != nil {
		o.Mark(ctx, snapshot.Apps)
	}
	return snapshot, o.Sort(snapshot)
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
			fmt.Fprintf(o.Streams.ErrOut, "hint: a cluster administrator sets it up: %s\n", display.QuoteCommand("kubectl", "pyflow", "setup", "--namespace", part.Namespace))
			return
		}
	}
	if len(snapshot.Warnings) == 0 && len(snapshot.Apps) == 0 {
		if o.Report.App != "" {
			fmt.Fprintf(o.Streams.ErrOut, "app %q does not run %s\n", o.Report.App, where)
			return
		}
		fmt.Fprintf(o.Streams.ErrOut, "no apps %s yet; deploy one: kubectl pyflow build DIR\n", where)
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

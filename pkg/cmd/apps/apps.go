// Package apps is the verb that lists the apps of a namespace.
package apps

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/dynamic"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/app/reach"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/refresh"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/workload"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
)

// Flags are what the command line says.
type Flags struct {
	config *genericclioptions.ConfigFlags

	AllNamespaces bool
	Output        option.Output
	Selector      string
	Watch         bool
}

// NewCommand makes the verb.
func NewCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{config: config}
	cmd := &cobra.Command{
		Use:   "apps",
		Short: "List apps",
		Long: `List the apps that a namespace runs, with their image, replicas, state and URL.

An unhealthy app has the reason of Kubernetes beside its state; status also shows what to
do about it.`,
		Example: `  # The apps of the current namespace
  kubectl pyflow apps

  # With whole references, workloads and messages
  kubectl pyflow apps -o wide

  # The apps of all namespaces that are not healthy
  kubectl pyflow apps -A -o jsonpath='{.items[?(@.healthy==false)].name}'

  # Watch what changes
  kubectl pyflow apps --watch`,
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
	f.BoolVarP(&flags.AllNamespaces, "all-namespaces", "A", false, "List the apps of all namespaces")
	f.StringVarP(&flags.Selector, "selector", "l", "", "Label selector of the apps, such as team=shop")
	f.BoolVarP(&flags.Watch, "watch", "w", false, "List the apps, then each app that changes")
	flags.Output.AddListFlags(cmd, "a table")
	return cmd
}

// Options are a run of apps.
type Options struct {
	Clients status.Clients
	Streams genericiooptions.IOStreams
	// Report selects the apps.
	Report status.Options
	// Mark marks the apps whose URL does not answer from here.
	Mark func(context.Context, []status.App)
	// Watch is the client that watches for changes; nil prints the list once.
	Watch dynamic.Interface
	// Sort sorts the apps.
	Sort func([]status.App) error
	// Print writes a list to Streams.Out; headers is false after the first one.
	Print func(list *status.AppList, headers bool, out io.Writer) error
	// Person reports that a person reads the output: an empty list then has a line of its own.
	Person bool
	Now    func() time.Time
}

// ToOptions checks the flags.
func (f *Flags) ToOptions(streams genericiooptions.IOStreams) (*Options, error) {
	o := &Options{Streams: streams, Now: time.Now}
	selector, err := labels.Parse(f.Selector)
	if err != nil {
		return nil, option.Usagef("--selector: %w", err)
	}
	o.Sort = func(apps []status.App) error { return option.Sort(&f.Output, apps) }
	printer, err := f.Output.ToPrinter()
	switch {
	case err != nil:
		return nil, err
	case printer != nil:
		o.Print = func(list *status.AppList, _ bool, out io.Writer) error { return printer.PrintObj(list, out) }
	case f.Output.Format == option.Name:
		o.Print = printNames
	default:
		o.Person = true
		o.Print = func(list *status.AppList, headers bool, out io.Writer) error {
			_, err := io.WriteString(out, option.Rows(columns(tableOptions{Now: o.Now(), Namespaces: f.AllNamespaces, Wide: f.Output.Format == option.Wide}), list.Items, f.Output.NoHeaders || !headers))
			return err
		}
	}
	clients, err := kube.New(f.config)
	if err != nil {
		return nil, err
	}
	o.Clients = status.Clients{Kube: clients.Kube, Tekton: clients.Tekton}
	o.Mark = reach.NewProber(reach.Short).Mark
	o.Report = status.Options{Namespace: clients.Namespace, AllNamespaces: f.AllNamespaces, Selector: selector}
	if f.Watch {
		o.Watch = clients.Dynamic
	}
	return o, nil
}

// Run prints the list, and with Watch goes on with the apps that change until ctx ends.
func (o *Options) Run(ctx context.Context) error {
	list, err := o.read(ctx)
	if err != nil {
		return err
	}
	if len(list.Items) == 0 && !o.Report.AllNamespaces {
		if err := platform.CheckNamespace(ctx, o.Clients.Kube, o.Report.Namespace); err != nil {
			return err
		}
	}
	if o.Watch != nil {
		return o.watch(ctx)
	}
	if err := o.Print(list, true, o.Streams.Out); err != nil {
		return fmt.Errorf("print the apps: %w", err)
	}
	if o.Person && len(list.Items) == 0 {
		where := "in namespace " + o.Report.Namespace
		if o.Report.AllNamespaces {
			where = "in any namespace"
		}
		fmt.Fprintf(o.Streams.ErrOut, "no apps %s yet; deploy one: kubectl pyflow build DIR\n", where)
	}
	return nil
}

// watch prints the apps, then each that changes.
func (o *Options) watch(ctx context.Context) error {
	namespace := o.Report.Namespace
	if o.Report.AllNamespaces {
		namespace = ""
	}
	kinds := []refresh.Kind{{Resource: corev1.SchemeGroupVersion.WithResource("pods"), Namespace: namespace}}
	for _, kind := range workload.Kinds() {
		kinds = append(kinds, refresh.Kind{Resource: appsv1.SchemeGroupVersion.WithResource(workload.Resource(kind)), Namespace: namespace})
	}
	printed := map[string]string{}
	headers := true
	return refresh.Run(ctx, o.Watch, kinds, func(ctx context.Context) error {
		list, err := o.read(ctx)
		if err != nil {
			return err
		}
		list.Items = slices.DeleteFunc(list.Items, func(app status.App) bool {
			text, _ := json.Marshal(app) // of strings, numbers and times, so it does not fail
			key := app.Namespace + "/" + app.Name
			unchanged := printed[key] == string(text)
			printed[key] = string(text)
			return unchanged
		})
		if len(list.Items) == 0 {
			return nil
		}
		err = o.Print(list, headers, o.Streams.Out)
		headers = false
		return err
	})
}

func (o *Options) read(ctx context.Context) (*status.AppList, error) {
	options := o.Report
	options.Now = o.Now()
	apps, err := status.Apps(ctx, o.Clients, options)
	if err != nil {
		return nil, err
	}
	o.Mark(ctx, apps)
	list := status.NewAppList(apps)
	return list, o.Sort(list.Items)
}

// printNames writes the names that the verbs for an app take.
func printNames(list *status.AppList, _ bool, out io.Writer) error {
	var text strings.Builder
	for _, app := range list.Items {
		fmt.Fprintln(&text, app.Name)
	}
	_, err := io.WriteString(out, text.String())
	return err
}

type tableOptions struct {
	Now time.Time
	// Namespaces adds the namespace of apps.
	Namespaces bool
	Wide       bool
}

func columns(options tableOptions) []display.Column[status.App] {
	var columns []display.Column[status.App]
	add := func(header string, cell func(status.App) string) {
		columns = append(columns, display.Column[status.App]{Header: header, Cell: cell})
	}
	if options.Namespaces {
		add("NAMESPACE", func(a status.App) string { return a.Namespace })
	}
	add("NAME", func(a status.App) string { return a.Name })
	add("READY", func(a status.App) string { return fmt.Sprintf("%d/%d", a.Ready, a.Desired) })
	add("STATUS", status.App.State)
	add("AGE", func(a status.App) string { return display.Age(a.Updated, options.Now) })
	add("IMAGE", func(a status.App) string {
		if options.Wide {
			return display.OrNone(a.Image)
		}
		return display.Digest(a.Digest, false)
	})
	add("URL", status.App.Address)
	if options.Wide {
		add("WORKLOADS", func(a status.App) string { return strings.Join(a.Workloads, ",") })
		add("MESSAGE", func(a status.App) string { return a.Message })
	}
	return columns
}

// Package runs is the verb that lists the runs of a namespace.
package runs

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/dynamic"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/complete"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/refresh"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
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
		Use:   "runs [APP]",
		Short: "List runs, newest first",
		Long: `List the runs of a namespace, or of one app, newest first.

Each run has its result, how long it took, the git commit it was built from ("*" if
files differed from it), and the digest of its image.`,
		Example: `  # The runs of the current namespace
  kubectl pyflow runs

  # Those of one app, with whole digests and Tekton's message
  kubectl pyflow runs mountains -o wide

  # The name of the newest run, for a script
  kubectl pyflow runs mountains -o jsonpath='{.items[0].name}'

  # Watch what changes
  kubectl pyflow runs --watch

  # The longest runs of all namespaces last
  kubectl pyflow runs -A --sort-by .durationSeconds

  # The runs of all namespaces
  kubectl pyflow runs --all-namespaces`,
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
	f.BoolVarP(&flags.AllNamespaces, "all-namespaces", "A", false, "List the runs of all namespaces")
	f.StringVarP(&flags.Selector, "selector", "l", "", "Label selector of the runs, such as team=shop")
	f.BoolVarP(&flags.Watch, "watch", "w", false, "List the runs, then each run that changes")
	flags.Output.AddListFlags(cmd, "a table")
	return cmd
}

// Options are a run of runs.
type Options struct {
	Client  versioned.Interface
	Streams genericiooptions.IOStreams
	// Namespace is that of the runs; empty is all.
	Namespace string
	// App restricts them to one; empty is all.
	App string
	// Selector restricts them by their labels; nil is all.
	Selector labels.Selector
	// Watch is the client that watches for changes; nil prints the list once.
	Watch dynamic.Interface
	// Sort sorts the runs.
	Sort func([]status.Run) error
	// Print writes a list to Streams.Out; headers is false after the first one.
	Print func(list *status.RunList, headers bool, out io.Writer) error
	// CheckNamespace returns why Namespace cannot have runs.
	CheckNamespace func(context.Context) error
	// Person reports that a person reads the output: an empty list then has a line of its own.
	Person bool
	Now    func() time.Time
}

// ToOptions checks the flags.
func (f *Flags) ToOptions(streams genericiooptions.IOStreams, args []string) (*Options, error) {
	o := &Options{Streams: streams, App: strings.Join(args, ""), Now: time.Now}
	var err error
	if o.Selector, err = labels.Parse(f.Selector); err != nil {
		return nil, option.Usagef("--selector: %w", err)
	}
	o.Sort = func(runs []status.Run) error { return option.Sort(&f.Output, runs) }
	printer, err := f.Output.ToPrinter()
	switch {
	case err != nil:
		return nil, err
	case printer != nil:
		o.Print = func(list *status.RunList, _ bool, out io.Writer) error { return printer.PrintObj(list, out) }
	case f.Output.Format == option.Name:
		o.Print = printNames
	default:
		o.Person = true
		o.Print = func(list *status.RunList, headers bool, out io.Writer) error {
			_, err := io.WriteString(out, option.Rows(columns(tableOptions{Now: o.Now(), Namespaces: f.AllNamespaces, Wide: f.Output.Format == option.Wide}), list.Items, f.Output.NoHeaders || !headers))
			return err
		}
	}
	clients, err := kube.New(f.config)
	if err != nil {
		return nil, err
	}
	o.Client = clients.Tekton
	o.CheckNamespace = func(ctx context.Context) error { return platform.CheckNamespace(ctx, clients.Kube, o.Namespace) }
	if f.Watch {
		o.Watch = clients.Dynamic
	}
	if !f.AllNamespaces {
		o.Namespace = clients.Namespace
	}
	return o, nil
}

// Run prints the list, and with Watch goes on with the runs that change until ctx ends.
func (o *Options) Run(ctx context.Context) error {
	if o.Watch == nil {
		return o.list(ctx)
	}
	resource := schema.GroupVersionResource{Group: "tekton.dev", Version: "v1", Resource: "pipelineruns"}
	printed := map[string]string{}
	headers, first := true, true
	return refresh.Run(ctx, o.Watch, []refresh.Kind{{Resource: resource, Namespace: o.Namespace}}, func(ctx context.Context) error {
		list, err := o.read(ctx)
		if err != nil {
			return err
		}
		if first && len(list.Items) == 0 {
			if err := o.CheckNamespace(ctx); err != nil {
				return err
			}
		}
		first = false
		list.Items = slices.DeleteFunc(list.Items, func(run status.Run) bool {
			key, now := run.Namespace+"/"+run.Name, state(run)
			unchanged := printed[key] == now
			printed[key] = now
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

// state is what of a run counts as a change; the time that it takes does not.
func state(run status.Run) string {
	if run.Finished == nil {
		run.DurationSeconds = 0
	}
	text, _ := json.Marshal(run) // of strings, numbers and times, so it does not fail
	return string(text)
}

func (o *Options) read(ctx context.Context) (*status.RunList, error) {
	list, err := status.Runs(ctx, o.Client, status.RunOptions{Namespace: o.Namespace, App: o.App, Selector: o.Selector, Now: o.Now()})
	if err != nil {
		return nil, err
	}
	return list, o.Sort(list.Items)
}

// list prints the runs once. An app that has no runs is an error if others have.
func (o *Options) list(ctx context.Context) error {
	list, err := o.read(ctx)
	if err != nil {
		return err
	}
	if len(list.Items) == 0 {
		if err := o.CheckNamespace(ctx); err != nil {
			return err
		}
	}
	if len(list.Items) == 0 && o.Selector.Empty() && o.App != "" && o.Namespace != "" {
		_, err := pipelinerun.Find(ctx, o.Client, o.Namespace, o.App)
		if err == nil {
			return fmt.Errorf("%s is a run, not an app", o.App)
		}
		return err
	}
	if err := o.Print(list, true, o.Streams.Out); err != nil {
		return fmt.Errorf("print the runs: %w", err)
	}
	if o.Person && len(list.Items) == 0 {
		where := "in namespace " + o.Namespace
		if o.Namespace == "" {
			where = "in any namespace"
		}
		fmt.Fprintf(o.Streams.ErrOut, "no runs %s yet; start one: kubectl pyflow build DIR\n", where)
	}
	return nil
}

// printNames writes what kubectl, and the verbs that take a run, have as arguments.
func printNames(list *status.RunList, _ bool, out io.Writer) error {
	var text strings.Builder
	for _, run := range list.Items {
		fmt.Fprintln(&text, "pipelinerun.tekton.dev/"+run.Name)
	}
	_, err := io.WriteString(out, text.String())
	return err
}

type tableOptions struct {
	Now time.Time
	// Namespaces adds the namespace of runs.
	Namespaces bool
	Wide       bool
}

func columns(options tableOptions) []display.Column[status.Run] {
	var columns []display.Column[status.Run]
	add := func(header string, cell func(status.Run) string) {
		columns = append(columns, display.Column[status.Run]{Header: header, Cell: cell})
	}
	if options.Namespaces {
		add("NAMESPACE", func(r status.Run) string { return r.Namespace })
	}
	add("NAME", func(r status.Run) string { return r.Name })
	add("APP", func(r status.Run) string { return r.App })
	add("STATUS", status.Run.Ending)
	add("AGE", func(r status.Run) string { return display.Age(r.Started, options.Now) })
	add("DURATION", func(r status.Run) string {
		return duration.HumanDuration(time.Duration(r.DurationSeconds) * time.Second)
	})
	add("COMMIT", func(r status.Run) string { return display.Commit(r.Commit, r.Dirty, options.Wide) })
	add("DIGEST", func(r status.Run) string { return display.Digest(r.Digest, options.Wide) })
	if options.Wide {
		add("PIPELINE", func(r status.Run) string { return display.OrNone(r.Pipeline) })
		add("MESSAGE", func(r status.Run) string { return r.Message })
	}
	return columns
}

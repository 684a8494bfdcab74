// Package runs is the verb that lists the runs of a namespace.
package runs

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/complete"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
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
		Use:   "runs [APP]",
		Short: "List runs, newest first",
		Long: `List the runs of the namespace, or those of one app, newest first: what each came
to, how long it took, the git commit it was built from ("*" when files differed
from it), and the digest of its image.`,
		Example: `  # The runs of the current namespace
  kubectl pyflow runs

  # Those of one app, with whole digests and what Tekton says
  kubectl pyflow runs mountains -o wide

  # The name of the newest run, for a script
  kubectl pyflow runs mountains -o jsonpath='{.items[0].name}'

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
	// Print writes a list to Streams.Out.
	Print func(*status.RunList, io.Writer) error
	// Person says that Print is for one, who is also told of an empty list.
	Person bool
	Now    func() time.Time
}

// ToOptions checks the flags.
func (f *Flags) ToOptions(streams genericiooptions.IOStreams, args []string) (*Options, error) {
	o := &Options{Streams: streams, App: strings.Join(args, ""), Now: time.Now}
	printer, err := f.Output.ToPrinter()
	switch {
	case err != nil:
		return nil, err
	case printer != nil:
		o.Print = func(list *status.RunList, out io.Writer) error { return printer.PrintObj(list, out) }
	case f.Output.Format == option.Name:
		o.Print = printNames
	default:
		o.Person = true
		o.Print = func(list *status.RunList, out io.Writer) error {
			_, err := io.WriteString(out, display.Table(columns(tableOptions{Now: o.Now(), Namespaces: f.AllNamespaces, Wide: f.Output.Format == option.Wide}), list.Items))
			return err
		}
	}
	clients, err := kube.New(f.config)
	if err != nil {
		return nil, err
	}
	o.Client = clients.Tekton
	if !f.AllNamespaces {
		o.Namespace = clients.Namespace
	}
	return o, nil
}

// Run prints the list. An app that has no runs is an error when there are others.
func (o *Options) Run(ctx context.Context) error {
	list, err := status.Runs(ctx, o.Client, status.RunOptions{Namespace: o.Namespace, App: o.App, Now: o.Now()})
	if err != nil {
		return err
	}
	if len(list.Items) == 0 && o.App != "" && o.Namespace != "" {
		_, err := pipelinerun.Find(ctx, o.Client, o.Namespace, o.App)
		if err == nil {
			return fmt.Errorf("%s is a run, not an app", o.App)
		}
		return err
	}
	if err := o.Print(list, o.Streams.Out); err != nil {
		return fmt.Errorf("print the runs: %w", err)
	}
	if o.Person && len(list.Items) == 0 {
		where := "in namespace " + o.Namespace
		if o.Namespace == "" {
			where = "in any namespace"
		}
		fmt.Fprintf(o.Streams.ErrOut, "no runs %s yet; to start one: kubectl pyflow build DIRECTORY\n", where)
	}
	return nil
}

// printNames writes what kubectl, and the verbs that take a run, have as arguments.
func printNames(list *status.RunList, out io.Writer) error {
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
	add("COMMIT", func(r status.Run) string { return commit(r, options.Wide) })
	add("DIGEST", func(r status.Run) string { return display.Digest(r.Digest, options.Wide) })
	if options.Wide {
		add("PIPELINE", func(r status.Run) string { return display.OrNone(r.Pipeline) })
		add("MESSAGE", func(r status.Run) string { return r.Message })
	}
	return columns
}

// commit is as git abbreviates it, with a star when files differed from it.
func commit(run status.Run, whole bool) string {
	const short = 7
	text := run.Commit
	if len(text) > short && !whole {
		text = text[:short]
	}
	if text != "" && run.Dirty {
		text += "*"
	}
	return display.OrNone(text)
}

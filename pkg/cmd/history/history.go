// Package history is the verb that lists the releases of an app, and compares two of them.
package history

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/complete"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
)

// Flags are what the command line says.
type Flags struct {
	config *genericclioptions.ConfigFlags

	AllNamespaces bool
	// Diff is a release, and the first argument after APP another one.
	Diff   int
	Output option.Output
}

// NewCommand returns the verb.
func NewCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{config: config}
	cmd := &cobra.Command{
		Use:   "history [APP] [--diff N [M]]",
		Short: "List the releases of an app, newest first",
		Long: `List the releases of an app, newest first.

Every deployment is a release with a number, that of its run. A release is recorded
before anything is applied, with its manifests, the digest of its image, the commit and
who started it. The record outlives the run and cannot change. STATE is read off the
objects of the app:

  Live        the app runs it
  RollingOut  its replicas replace those of another release
  Failed      it is on the workloads, and its pods have a problem
  Replaced    another release followed
  NotApplied  its deployment broke off before the workloads

--diff shows what changed between two releases: the manifests, and the layers and
packages of the images. Without M it compares release N with the one before it.`,
		Example: `  # The releases of an app
  kubectl pyflow history mountains

  # What release 7 changed
  kubectl pyflow history mountains --diff 7

  # What changed from release 3 to release 7
  kubectl pyflow history mountains --diff 3 7

  # The digest of the live release, for a script
  kubectl pyflow history mountains -o jsonpath='{.items[?(@.state=="Live")].digest}'`,
		Args:              cobra.MaximumNArgs(2),
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
	f.BoolVarP(&flags.AllNamespaces, "all-namespaces", "A", false, "List the releases of all namespaces")
	f.IntVar(&flags.Diff, "diff", 0, "Show what changed from this release to the one after --diff, or to this release from the one before it")
	_ = cmd.RegisterFlagCompletionFunc("diff", cobra.NoFileCompletions)
	flags.Output.AddListFlags(cmd, "a table")
	return cmd
}

// Options are the checked options of the verb.
type Options struct {
	Clients *kube.Clients
	Streams genericiooptions.IOStreams

	Select status.Options
	// Diff are the releases to compare, the older one first; zeros list the releases. If the
	// older one is 0, it is the one before.
	Diff [2]int
	// Sort sorts the releases, Print writes them to Streams.Out.
	Sort  func([]status.Release) error
	Print func(*status.ReleaseList, io.Writer) error
	// Person reports that a person reads the output: an empty list then has a line of its own.
	Person bool
}

// ToOptions checks the flags.
func (f *Flags) ToOptions(streams genericiooptions.IOStreams, args []string) (*Options, error) {
	o := &Options{Streams: streams, Select: status.Options{AllNamespaces: f.AllNamespaces, Now: time.Now()}}
	if len(args) > 0 {
		o.Select.App = args[0]
	}
	var err error
	if o.Diff, err = f.toDiff(args); err != nil {
		return nil, err
	}
	o.Sort = func(releases []status.Release) error { return option.Sort(&f.Output, releases) }
	printer, err := f.Output.ToPrinter()
	switch {
	case err != nil:
		return nil, err
	case printer != nil:
		o.Print = func(list *status.ReleaseList, out io.Writer) error { return printer.PrintObj(list, out) }
	case f.Output.Format == option.Name:
		o.Print = printNames
	default:
		o.Person = true
		o.Print = func(list *status.ReleaseList, out io.Writer) error {
			_, err := io.WriteString(out, option.Rows(columns(f.AllNamespaces, f.Output.Format == option.Wide, o.Select.Now), list.Items, f.Output.NoHeaders))
			return err
		}
	}
	if o.Clients, err = kube.New(f.config); err != nil {
		return nil, err
	}
	o.Select.Namespace = o.Clients.Namespace
	return o, nil
}

// toDiff reads the releases to compare.
func (f *Flags) toDiff(args []string) ([2]int, error) {
	other := ""
	if len(args) > 1 {
		other = args[1]
	}
	switch {
	case f.Diff < 0:
		return [2]int{}, option.Usagef("--diff %d is not the number of a release", f.Diff)
	case f.Diff == 0 && other != "":
		return [2]int{}, option.Usagef("%s is an argument too many: only --diff N takes a second release", other)
	case f.Diff == 0:
		return [2]int{}, nil
	case len(args) == 0:
		return [2]int{}, option.Usagef("--diff needs the name of the app: kubectl pyflow history APP --diff %d", f.Diff)
	case f.AllNamespaces || f.Output.Format != "":
		return [2]int{}, option.Usagef("--diff prints the differences between two releases of one app: leave --all-namespaces and --output out")
	case other == "":
		return [2]int{0, f.Diff}, nil
	}
	number, err := strconv.Atoi(other)
	if err != nil || number < 1 || strconv.Itoa(number) != other {
		return [2]int{}, option.Usagef("%s is not the number of a release", other)
	}
	return [2]int{f.Diff, number}, nil
}

// Run lists the releases, or compares two.
func (o *Options) Run(ctx context.Context) error {
	if o.Diff != [2]int{} {
		return o.compare(ctx)
	}
	list, err := status.Releases(ctx, status.Clients{Kube: o.Clients.Kube, Tekton: o.Clients.Tekton}, o.Select)
	if err != nil {
		return err
	}
	if err := o.Sort(list.Items); err != nil {
		return err
	}
	if len(list.Items) == 0 && !o.Select.AllNamespaces {
		if err := platform.CheckNamespace(ctx, o.Clients.Kube, o.Select.Namespace); err != nil {
			return err
		}
	}
	if err := o.Print(list, o.Streams.Out); err != nil {
		return fmt.Errorf("print the releases: %w", err)
	}
	if o.Person && len(list.Items) == 0 {
		fmt.Fprintf(o.Streams.ErrOut, "no releases%s yet; build and deploy one: kubectl pyflow build DIR\n", o.where())
	}
	return nil
}

// where returns the selection as a phrase.
func (o *Options) where() string {
	where := " in namespace " + o.Select.Namespace
	if o.Select.AllNamespaces {
		where = " in any namespace"
	}
	if o.Select.App != "" {
		return " of app " + o.Select.App + where
	}
	return where
}

// printNames writes the records as kubectl names them.
func printNames(list *status.ReleaseList, out io.Writer) error {
	var text strings.Builder
	for _, release := range list.Items {
		fmt.Fprintln(&text, "configmap/"+release.Name)
	}
	_, err := io.WriteString(out, text.String())
	return err
}

func columns(namespaces, wide bool, now time.Time) []display.Column[status.Release] {
	var columns []display.Column[status.Release]
	add := func(header string, cell func(status.Release) string) {
		columns = append(columns, display.Column[status.Release]{Header: header, Cell: cell})
	}
	if namespaces {
		add("NAMESPACE", func(r status.Release) string { return r.Namespace })
	}
	add("APP", func(r status.Release) string { return r.App })
	add("RELEASE", func(r status.Release) string { return strconv.Itoa(r.Number) })
	add("STATE", status.Release.Ending)
	add("AGE", func(r status.Release) string { return display.Age(metav1.NewTime(r.Created), now) })
	add("BY", func(r status.Release) string { return display.OrNone(r.By) })
	add("COMMIT", func(r status.Release) string { return display.Commit(r.Commit, r.Dirty, wide) })
	add("DIGEST", func(r status.Release) string { return display.Digest(r.Digest, wide) })
	add("NOTE", status.Release.Note)
	if wide {
		add("RUN", func(r status.Release) string { return r.Run })
		add("MESSAGE", func(r status.Release) string { return r.Message })
	}
	return columns
}

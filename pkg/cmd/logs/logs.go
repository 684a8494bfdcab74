// Package logs is the verb that shows what the steps of a run have written.
package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/tektoncd/pipeline/pkg/apis/pipeline"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/follow"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/junit"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/complete"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
)

// ErrGone says that the pods of a run are gone, and their logs with them.
var ErrGone = errors.New("its pods are gone, and their logs with them")

// Flags are what the command line says.
type Flags struct {
	config *genericclioptions.ConfigFlags

	Follow     bool
	Stage      string
	Tail       int
	Timestamps bool
	All        bool
	JUnit      bool
}

// stages are those that have a log.
func stages() []string {
	return []string{string(event.Fetch), string(event.Build), string(event.Push), string(event.Test), string(event.Deploy)}
}

// NewCommand makes the verb.
func NewCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{config: config, Tail: -1}
	cmd := &cobra.Command{
		Use:   "logs [APP|RUN]",
		Short: "Show the log of a run",
		Long: `Show what the steps of a run have written: of the run that is named, of the newest
one of an app, or without a name of the newest one of the namespace. What the build
engine says about its own work is left out; --all shows every line as it was written.

Each line stands after its step in brackets, except with --stage build and push,
which have one step. Interrupting the command does not touch the run.`,
		Example: `  # The newest run of the namespace
  kubectl pyflow logs

  # Follow the newest run of an app until it ends; the exit code says how
  kubectl pyflow logs mountains -f

  # The results of a run's tests, as JUnit's XML
  kubectl pyflow logs mountains-x7k2p --junit > results.xml

  # What the Dockerfile of one run wrote, with the time of each line
  kubectl pyflow logs mountains-x7k2p --stage build --timestamps`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: complete.New(config, complete.Options{Apps: true, Runs: true}),
		RunE: func(cmd *cobra.Command, args []string) error {
			options, err := flags.ToOptions(streams, args)
			if err != nil {
				return err
			}
			return options.Run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&flags.Follow, "follow", "f", false, "Go on until the run ends; the exit code is 1 when it does not succeed")
	f.StringVar(&flags.Stage, "stage", "", "Show one stage only: "+strings.Join(stages(), ", "))
	f.IntVar(&flags.Tail, "tail", flags.Tail, "How many of the last lines there are to show; -1 is all")
	f.BoolVar(&flags.Timestamps, "timestamps", false, "Begin each line with its time")
	f.BoolVar(&flags.JUnit, "junit", false, "Print the results of the tests as JUnit's XML, and nothing else")
	f.BoolVar(&flags.All, "all", false, "Show every line as it was written, what the build engine says about its own work too")
	_ = cmd.RegisterFlagCompletionFunc("stage", cobra.FixedCompletions(stages(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// Options are a run of logs.
type Options struct {
	Clients   follow.Clients
	Streams   genericiooptions.IOStreams
	Namespace string
	// Target is a run or an app; empty is the newest run.
	Target string
	Follow bool
	// Stage restricts it to one; empty is all.
	Stage event.Phase
	// Tail is how many of the lines that are there are shown; negative is all.
	Tail       int
	Timestamps bool
	All        bool
	// JUnit shows the results of the tests instead of the log.
	JUnit bool
}

// ToOptions checks the flags.
func (f *Flags) ToOptions(streams genericiooptions.IOStreams, args []string) (*Options, error) {
	o := &Options{
		Streams: streams, Target: strings.Join(args, ""), Follow: f.Follow, Stage: event.Phase(f.Stage),
		Tail: f.Tail, Timestamps: f.Timestamps, All: f.All, JUnit: f.JUnit,
	}
	if f.Stage != "" && !slices.Contains(stages(), f.Stage) {
		return nil, option.OneOf("stage", f.Stage, stages()...)
	}
	if f.JUnit && (f.Follow || f.Stage != "" || f.Tail >= 0 || f.Timestamps || f.All) {
		return nil, option.Usagef("--junit prints no log: it goes without --follow, --stage, --tail, --timestamps and --all")
	}
	if f.Tail < -1 {
		return nil, option.Usagef("--tail %d is negative", f.Tail)
	}
	clients, err := kube.New(f.config)
	if err != nil {
		return nil, err
	}
	o.Clients, o.Namespace = follow.Clients{Tekton: clients.Tekton, Kube: clients.Kube}, clients.Namespace
	return o, nil
}

// Run shows the log. With Follow it returns when the run has ended, and why when
// that was no success.
func (o *Options) Run(ctx context.Context) error {
	run, err := pipelinerun.Find(ctx, o.Clients.Tekton, o.Namespace, o.Target)
	if err != nil {
		return err
	}
	printer := newPrinter(o, run)
	if o.JUnit {
		return o.results(ctx, run, printer)
	}
	if o.Tail >= 0 {
		// What is there is counted first: following tells it again, in the same
		// order, and all but the last lines of it are left out then.
		counter := newPrinter(o, run)
		counter.out, counter.errOut = io.Discard, io.Discard
		if _, err := o.show(ctx, run, follow.Past, counter); err != nil {
			return err
		}
		printer.skip = max(0, counter.lines-o.Tail)
	}
	if !o.Follow {
		end, err := o.show(ctx, run, follow.Past, printer)
		if err != nil || printer.lines > 0 {
			return err
		}
		return o.nothing(ctx, end, printer)
	}
	end, err := o.show(ctx, run, toItsEnd, printer)
	if err != nil {
		return err
	}
	return printer.tracker.Verdict(end)
}

// results prints those of the tests of run.
func (o *Options) results(ctx context.Context, run *tektonv1.PipelineRun, printer *printer) error {
	if !pipelinerun.Tests(run) {
		return fmt.Errorf("run %s tests nothing", run.Name)
	}
	printer.out, printer.errOut = io.Discard, io.Discard
	end, err := o.show(ctx, run, follow.Past, printer)
	if err != nil {
		return err
	}
	results := printer.tracker.JUnit()
	if len(results) > 0 {
		if _, err := o.Streams.Out.Write(results); err != nil {
			return fmt.Errorf("print the results: %w", err)
		}
		if _, err := junit.Parse(results); err != nil {
			fmt.Fprintf(o.Streams.ErrOut, "warning: this is not JUnit's XML, or was cut off: %v\n", err)
		}
		return nil
	}
	if printer.lines+printer.others == 0 {
		if err := o.nothing(ctx, end, printer); err != nil {
			return err
		}
	}
	return fmt.Errorf("run %s has no results of tests as JUnit's XML", run.Name)
}

// toItsEnd is follow.Run as a source.
func toItsEnd(ctx context.Context, clients follow.Clients, namespace, name string) (<-chan follow.Event, error) {
	return follow.Run(ctx, clients, namespace, name)
}

// source is toItsEnd or follow.Past.
type source func(ctx context.Context, clients follow.Clients, namespace, name string) (<-chan follow.Event, error)

// show hands the events to printer, and returns the run as it is at last.
func (o *Options) show(ctx context.Context, run *tektonv1.PipelineRun, source source, printer *printer) (*tektonv1.PipelineRun, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	events, err := source(ctx, o.Clients, run.Namespace, run.Name)
	if err != nil {
		return nil, err
	}
	end := follow.Event{Run: run}
	var broken error
	for e := range events {
		end = e
		if broken != nil {
			continue
		}
		if broken = printer.show(e); broken != nil {
			// Who reads has gone: the rest is not fetched.
			stop()
		}
	}
	switch {
	case broken != nil:
		return nil, fmt.Errorf("print the log: %w", broken)
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case end.Err != nil:
		return nil, fmt.Errorf("follow run %s: %w", run.Name, end.Err)
	}
	return end.Run, nil
}

// nothing says why a run has no line to show.
func (o *Options) nothing(ctx context.Context, run *tektonv1.PipelineRun, printer *printer) error {
	outcome := pipelinerun.Verdict(run)
	switch {
	case printer.others > 0:
		if o.Stage == "" {
			fmt.Fprintf(o.Streams.ErrOut, "run %s has written nothing yet but what the build engine says about its own work: --all shows it\n", run.Name)
			return nil
		}
		fmt.Fprintf(o.Streams.ErrOut, "run %s has no lines to show of stage %s; with what the build engine says about its own work: --all\n", run.Name, o.Stage)
		return nil
	case !outcome.Done:
		fmt.Fprintf(o.Streams.ErrOut, "run %s has written nothing yet; to wait for it: %s\n", run.Name, display.QuoteCommand("kubectl", "pyflow", "logs", run.Name, "-f"))
		return nil
	case len(run.Status.ChildReferences) == 0:
		return fmt.Errorf("run %s has no log: %s", run.Name, outcome.Message)
	}
	pods, err := o.Clients.Kube.CoreV1().Pods(run.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: labels.Set{pipeline.PipelineRunLabelKey: run.Name}.String(), Limit: 1,
	})
	if err == nil && len(pods.Items) == 0 {
		return fmt.Errorf("log of run %s: %w", run.Name, ErrGone)
	}
	fmt.Fprintf(o.Streams.ErrOut, "run %s has written nothing\n", run.Name)
	return nil
}

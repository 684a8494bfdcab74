// Package logs is the verb that prints the log of a run.
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

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/follow"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/junit"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/track"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/complete"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/find"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
)

// ErrLogsGone reports that the pods of a run are deleted, and their logs with them.
var ErrLogsGone = errors.New("its pods are deleted, and their logs with them")

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

// Run prints the log. With Follow it returns when the run has ended and, if the run was
// running, when the app has rolled out: with the reason if that was no success.
func (o *Options) Run(ctx context.Context) error {
	object, err := find.Run(ctx, pipelinerun.Clients{Tekton: o.Clients.Tekton, Kube: o.Clients.Kube}, o.Namespace, o.Target)
	if err != nil {
		return err
	}
	run := build.Existing(object)
	printer := newPrinter(o)
	if o.JUnit {
		return o.results(ctx, run, printer)
	}
	if o.Tail >= 0 {
		// The lines so far are counted first: following repeats them in the same
		// order, and all but the last of them are skipped then.
		counter := newPrinter(o)
		counter.out, counter.errOut = io.Discard, io.Discard
		if _, err := o.replay(ctx, run, counter); err != nil {
			return err
		}
		printer.skip = max(0, counter.lines-o.Tail)
	}
	if o.Follow {
		return o.follow(ctx, run, printer)
	}
	result, err := o.replay(ctx, run, printer)
	if err == nil && printer.lines == 0 {
		err = o.nothing(ctx, result.Object, printer)
	}
	if err == nil {
		o.pointToApp(ctx, run)
	}
	return err
}

// replay prints what a run has written so far.
func (o *Options) replay(ctx context.Context, run *build.Run, printer *printer) (build.Result, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	result, err := build.Replay(ctx, o.Clients, run, o.recorder(run, printer, stop))
	if printer.broken != nil {
		err = printer.broken
	}
	return result, err
}

// follow prints what a run writes until it has ended. It never cancels the run.
func (o *Options) follow(ctx context.Context, run *build.Run, printer *printer) error {
	following, stop := context.WithCancel(ctx)
	defer stop()
	recorder := o.recorder(run, printer, stop)
	result, err := build.Watch(following, o.Clients, run, recorder, build.WatchOptions{
		// The rollout of a run that ended before may be that of a later run.
		NoRollout: run.Object.IsDone() || o.Stage != "" && o.Stage != event.Rollout,
	})
	if printer.broken != nil {
		return printer.broken
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return recorder.Finish(ctx, result.Result, err)
}

// recorder passes the events of a run to printer. It stops when the reader of standard
// output has gone: the rest is not fetched.
func (o *Options) recorder(run *build.Run, printer *printer, stop func()) *track.Recorder {
	return track.NewRecorder(run.App(), o.Namespace, func(e event.Event) {
		printer.show(e)
		if printer.broken != nil {
			stop()
		}
	})
}

// results prints the test results of run.
func (o *Options) results(ctx context.Context, run *build.Run, printer *printer) error {
	name := run.Object.Name
	if !run.Tests() {
		return fmt.Errorf("run %s tests nothing", name)
	}
	printer.out, printer.errOut = io.Discard, io.Discard
	result, err := o.replay(ctx, run, printer)
	if err != nil {
		return err
	}
	if len(result.JUnit) > 0 {
		if _, err := o.Streams.Out.Write(result.JUnit); err != nil {
			return fmt.Errorf("print the results: %w", err)
		}
		if _, err := junit.Parse(result.JUnit); err != nil {
			fmt.Fprintf(o.Streams.ErrOut, "warning: the results are not JUnit XML, or are cut off: %v\n", err)
		}
		return nil
	}
	if printer.lines+printer.others == 0 {
		if err := o.nothing(ctx, result.Object, printer); err != nil {
			return err
		}
	}
	return fmt.Errorf("run %s has no test results as JUnit XML", name)
}

// pointToApp prints how to see the log of the app itself, which a person who names an
// app may expect, if the cluster runs the app.
func (o *Options) pointToApp(ctx context.Context, run *build.Run) {
	if o.Target == "" || o.Target != run.App() {
		return
	}
	current, err := release.Current(ctx, o.Clients.Kube, o.Namespace, run.App(), run.Repository())
	if err != nil {
		return // a hint is not worth an error
	}
	for _, workload := range current.Workloads {
		if workload.Built {
			fmt.Fprintf(o.Streams.ErrOut, "This is the log of build %s. For the log of the app: %s\n", run.Object.Name,
				display.QuoteCommand("kubectl", "logs", "--namespace", o.Namespace, strings.ToLower(workload.Kind)+"/"+workload.Name))
			return
		}
	}
}

// nothing reports why a run has no line to print.
func (o *Options) nothing(ctx context.Context, run *tektonv1.PipelineRun, printer *printer) error {
	outcome := pipelinerun.Verdict(run)
	switch {
	case printer.others > 0:
		if o.Stage == "" {
			fmt.Fprintf(o.Streams.ErrOut, "run %s has written nothing yet, except about the work of the build engine: --all prints it\n", run.Name)
			return nil
		}
		fmt.Fprintf(o.Streams.ErrOut, "run %s has no lines of stage %s; --all also prints the lines about the work of the build engine\n", run.Name, o.Stage)
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
		return fmt.Errorf("log of run %s: %w", run.Name, ErrLogsGone)
	}
	fmt.Fprintf(o.Streams.ErrOut, "run %s has written nothing\n", run.Name)
	return nil
}

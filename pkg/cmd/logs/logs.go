// Package logs is the verb that prints the log of an app, or of a run.
package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

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
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/logs/replicas"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/podlog"
)

// ErrLogsGone reports that the pods of a run are deleted, and their logs with them.
var ErrLogsGone = errors.New("its pods are deleted, and their logs with them")

// Flags are what the command line says.
type Flags struct {
	config *genericclioptions.ConfigFlags

	Build      bool
	Follow     bool
	Since      time.Duration
	Previous   bool
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
		Short: "Show the log of an app or of a build",
		Long: `Show the log of an app: what all of its replicas write, in the order of the time, each
line after the end of its pod's name. APP/PROCESS or APP/WORKLOAD is one workload. Without a
name it is the only app of the namespace. With -f it goes on over rollouts and broken
connections until you press Ctrl-C.

With --build, or the name of a run, show the log of a build: of the newest run of the
app, or without a name of the namespace. What the build engine says about its own work is
left out; --all shows every line as it was written. Each line stands after its step in
brackets, except with --stage build and push, which have one step. The flags --stage,
--all and --junit are for builds. Interrupting the command does not touch the run.`,
		Example: `  # What an app has written in the last ten minutes, and writes from now on
  kubectl pyflow logs mountains --since 10m -f

  # What the replicas wrote that have crashed
  kubectl pyflow logs mountains --previous

  # The build of an app, until it ends; the exit code says how
  kubectl pyflow logs --build mountains -f

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
	f.BoolVar(&flags.Build, "build", false, "Show the log of a build: the newest run of the app")
	f.BoolVarP(&flags.Follow, "follow", "f", false, "Go on; with a run until it ends, and the exit code is 1 if it does not succeed")
	f.DurationVar(&flags.Since, "since", 0, "Leave out lines of the app that are older, such as 10m")
	f.BoolVarP(&flags.Previous, "previous", "p", false, "Show what the containers of the app wrote before they restarted")
	f.StringVar(&flags.Stage, "stage", "", "Show one stage only: "+strings.Join(stages(), ", "))
	f.IntVar(&flags.Tail, "tail", flags.Tail, "Number of the last lines to show: of each container of an app, or of the run; -1 is all")
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
	// Target is a run or an app; empty is the only app, or with Build the newest run.
	Target string
	// Build reports that the log of a build is wanted, also if Target is an app.
	Build bool
	// Replicas is how the log of an app is printed. Its fields that Options has too are those
	// of Options.
	Replicas replicas.Options
	Follow   bool
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
		Build: f.Build || f.Stage != "" || f.All || f.JUnit,
	}
	if f.Stage != "" && !slices.Contains(stages(), f.Stage) {
		return nil, option.OneOf("stage", f.Stage, stages()...)
	}
	if f.JUnit && (f.Follow || f.Stage != "" || f.Tail >= 0 || f.Timestamps || f.All) {
		return nil, option.Usagef("--junit prints no log: it goes without --follow, --stage, --tail, --timestamps and --all")
	}
	switch {
	case f.Tail < -1:
		return nil, option.Usagef("--tail %d is negative", f.Tail)
	case f.Since < 0:
		return nil, option.Usagef("--since %s is negative", f.Since)
	case f.Previous && f.Follow:
		return nil, option.Usagef("--previous shows what has ended: leave out --follow")
	case o.Build && (f.Previous || f.Since > 0):
		return nil, errAppOnly()
	}
	clients, err := kube.New(f.config)
	if err != nil {
		return nil, err
	}
	o.Clients, o.Namespace = follow.Clients{Tekton: clients.Tekton, Kube: clients.Kube}, clients.Namespace
	o.Replicas = replicas.Options{
		Kube: clients.Kube, Logs: podlog.From(clients.Kube), Streams: streams, Follow: f.Follow,
		Since: f.Since, Tail: f.Tail, Previous: f.Previous, Timestamps: f.Timestamps, Now: time.Now,
	}
	return o, nil
}

// errAppOnly is the error of flags for an app with a build.
func errAppOnly() error {
	return option.Usagef("--since and --previous are for the log of an app, not of a build")
}

// Run prints the log. With Follow of a run it returns when the run has ended and, if the run was
// running, when the app has rolled out: with the reason if that was no success.
func (o *Options) Run(ctx context.Context) error {
	if !o.Build && !pipelinerun.IsRunName(o.Target) {
		found, isApp, err := o.app(ctx)
		if err != nil {
			return err
		}
		if isApp {
			return o.Replicas.Run(ctx, found)
		}
	}
	if o.Replicas.Since > 0 || o.Replicas.Previous {
		return errAppOnly()
	}
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

// Package cancel is the verb that ends runs.
package cancel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/complete"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
)

// Flags are what the command line says.
type Flags struct {
	config *genericclioptions.ConfigFlags

	Wait    bool
	Timeout time.Duration
	Output  string
}

// NewCommand makes the verb.
func NewCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{config: config, Wait: true, Timeout: 2 * time.Minute}
	cmd := &cobra.Command{
		Use:   "cancel RUN...",
		Short: "Cancel runs",
		Long: `Cancel runs by name, and wait until they have ended: their pods are stopped, and
nothing more is pushed or delivered. What was delivered already stays.

A run that has ended is an error, as there is nothing to cancel; the others that are
named are canceled all the same.`,
		Example: `  # Cancel one run
  kubectl pyflow cancel mountains-x7k2p

  # Cancel several, and do not wait
  kubectl pyflow cancel mountains-x7k2p rivers-b5c1d --wait=false`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: complete.New(config, complete.Options{Runs: true, Unfinished: true, Many: true}),
		RunE: func(cmd *cobra.Command, args []string) error {
			options, err := flags.ToOptions(streams, args)
			if err != nil {
				return err
			}
			return options.Run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.BoolVar(&flags.Wait, "wait", flags.Wait, "Wait until the runs have ended")
	f.DurationVar(&flags.Timeout, "timeout", flags.Timeout, "How long to wait for that")
	f.StringVarP(&flags.Output, "output", "o", "", "Format: name (default: a sentence per run)")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"name"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// Options are a run of cancel.
type Options struct {
	Client    versioned.Interface
	Streams   genericiooptions.IOStreams
	Namespace string
	// Runs are names, each once.
	Runs    []string
	Wait    bool
	Timeout time.Duration
	// Names prints names only.
	Names bool
}

// ToOptions checks the flags.
func (f *Flags) ToOptions(streams genericiooptions.IOStreams, args []string) (*Options, error) {
	o := &Options{Streams: streams, Wait: f.Wait, Timeout: f.Timeout, Names: f.Output == "name"}
	if f.Output != "" && !o.Names {
		return nil, option.OneOf("output", f.Output, "name")
	}
	if f.Timeout <= 0 {
		return nil, option.Usagef("--timeout %s is not positive", f.Timeout)
	}
	for _, name := range args {
		if !slices.Contains(o.Runs, name) {
			o.Runs = append(o.Runs, name)
		}
	}
	clients, err := kube.New(f.config)
	if err != nil {
		return nil, err
	}
	o.Client, o.Namespace = clients.Tekton, clients.Namespace
	return o, nil
}

// Run cancels all of the runs before it waits for the first. It goes on with the
// others when one can not be canceled, and returns what went wrong with each.
func (o *Options) Run(ctx context.Context) error {
	ctx, stop := context.WithTimeoutCause(ctx, o.Timeout, fmt.Errorf("not after %s; its pods may be on a node that does not answer", o.Timeout))
	defer stop()
	var canceled []*tektonv1.PipelineRun
	var failures []error
	for _, name := range o.Runs {
		run, err := o.cancel(ctx, name)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		canceled = append(canceled, run)
	}
	for _, run := range canceled {
		if err := o.finish(ctx, run); err != nil {
			failures = append(failures, err)
		}
	}
	return errors.Join(failures...)
}

// cancel asks for the end of one run; an app's name does not do: its newest run
// may be another one by the time that it is read.
func (o *Options) cancel(ctx context.Context, name string) (*tektonv1.PipelineRun, error) {
	run, err := pipelinerun.FindRun(ctx, o.Client, o.Namespace, name)
	if err != nil {
		return nil, err
	}
	if err := pipelinerun.CheckRunning(run); err != nil {
		return nil, err
	}
	return run, pipelinerun.Cancel(ctx, o.Client, run.Namespace, run.Name)
}

// finish says what became of a run that was asked to end.
func (o *Options) finish(ctx context.Context, run *tektonv1.PipelineRun) error {
	text := fmt.Sprintf("run %s is being canceled", run.Name)
	if o.Wait {
		end, err := pipelinerun.AwaitEnd(ctx, o.Client, run.Namespace, run.Name, run.UID)
		if err != nil {
			return err
		}
		if !pipelinerun.Verdict(end).Canceled {
			// It was faster.
			return pipelinerun.CheckRunning(end)
		}
		text = fmt.Sprintf("run %s canceled", run.Name)
	}
	if o.Names {
		text = "pipelinerun.tekton.dev/" + run.Name
	}
	_, err := fmt.Fprintln(o.Streams.Out, text)
	return err
}

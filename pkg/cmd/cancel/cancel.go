// Package cancel is the verb that cancels runs.
package cancel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/complete"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/find"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
)

// Flags are the flags of the command line.
type Flags struct {
	config *genericclioptions.ConfigFlags

	Wait    bool
	Timeout time.Duration
	Output  string
}

// NewCommand returns the verb.
func NewCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{config: config, Wait: true, Timeout: 2 * time.Minute}
	cmd := &cobra.Command{
		Use:   "cancel APP|RUN...",
		Short: "Cancel runs",
		Long: `Cancel runs and wait until they have ended.

RUN is the name of a run; APP means all running runs of the app. Canceling stops the pods
of a run, and the run pushes and deploys nothing more. What it has deployed stays.

pyflow cancels every run that it can, and fails if a run has ended already.`,
		Example: `  # Cancel the running runs of an app
  kubectl pyflow cancel mountains

  # Cancel one run
  kubectl pyflow cancel mountains-x7k2p

  # Cancel two runs, and do not wait
  kubectl pyflow cancel mountains-x7k2p rivers-b5c1d --wait=false`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: complete.New(config, complete.Options{Apps: true, Runs: true, Unfinished: true, Many: true}),
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
	f.DurationVar(&flags.Timeout, "timeout", flags.Timeout, "Time limit for canceling and waiting")
	f.StringVarP(&flags.Output, "output", "o", "", "Output format: name (default: a sentence per run)")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"name"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// Options are the runs to cancel.
type Options struct {
	Clients   pipelinerun.Clients
	Streams   genericiooptions.IOStreams
	Namespace string
	// Runs are names of runs and apps, each once.
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
	o.Clients, o.Namespace = pipelinerun.Clients{Tekton: clients.Tekton, Kube: clients.Kube}, clients.Namespace
	return o, nil
}

// Run cancels all runs before it waits for the first one to end. It continues after a
// failure, and returns all failures.
func (o *Options) Run(ctx context.Context) error {
	ctx, stop := context.WithTimeoutCause(ctx, o.Timeout, fmt.Errorf("not canceled within %s; its pods may be on a node that does not answer", o.Timeout))
	defer stop()
	runs, failures := o.find(ctx)
	var canceled []*tektonv1.PipelineRun
	for _, run := range runs {
		if err := pipelinerun.Cancel(ctx, o.Clients.Tekton, run.Namespace, run.Name, pipelinerun.Ending{Reason: pipelinerun.ReasonCanceled, Message: "by kubectl pyflow cancel"}); err != nil {
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

// find returns the runs to cancel, each once, and why some names mean none.
func (o *Options) find(ctx context.Context) (runs []*tektonv1.PipelineRun, failures []error) {
	seen := map[string]bool{}
	for _, name := range o.Runs {
		found, err := pipelinerun.FindRunning(ctx, o.Clients.Tekton, o.Namespace, name)
		if err != nil {
			why := find.Why(ctx, o.Clients.Kube, o.Namespace, err)
			if why != err { //nolint:errorlint // Why returns err itself, or what is true of all names
				return nil, []error{why}
			}
			failures = append(failures, err)
			continue
		}
		for _, run := range found {
			if !seen[run.Name] {
				seen[run.Name] = true
				runs = append(runs, run)
			}
		}
	}
	return runs, failures
}

// finish waits until a canceled run has ended, if Wait is set, and prints it.
func (o *Options) finish(ctx context.Context, run *tektonv1.PipelineRun) error {
	text := fmt.Sprintf("run %s is being canceled", run.Name)
	if o.Wait {
		end, err := pipelinerun.AwaitEnd(ctx, o.Clients.Tekton, run.Namespace, run.Name, run.UID)
		if err != nil {
			return err
		}
		if !pipelinerun.Verdict(end).Canceled {
			// The run ended before Tekton canceled it.
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

// Package scale is the verb that changes how many replicas an app has.
package scale

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/app/scale"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/complete"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/rolling"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
)

// Flags are what the command line says.
type Flags struct {
	config *genericclioptions.ConfigFlags
	rolling.Flags
}

// NewCommand makes the verb.
func NewCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{config: config}
	cmd := &cobra.Command{
		Use:   "scale APP REPLICAS",
		Short: "Set the number of replicas of an app",
		Long: `Set the number of replicas of an app, and wait until they are ready.

APP is every workload that runs the image of the app and is no worker, APP/PROCESS or
APP/WORKLOAD is one workload. If an autoscaler sets the replicas, nothing changes.

Builds keep the number from then on, and say so; build --adopt sets that of the settings or
manifests again.`,
		Example: `  # Run five replicas
  kubectl pyflow scale mountains 5

  # Stop one process of an app
  kubectl pyflow scale shop/worker 0

  # Do not wait
  kubectl pyflow scale mountains 5 --no-wait`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: complete.Apps(config, false),
		RunE: func(cmd *cobra.Command, args []string) error {
			options, err := flags.ToOptions(streams, args)
			if err != nil {
				return err
			}
			return options.Run(cmd.Context())
		},
	}
	flags.Add(cmd)
	return cmd
}

// Options are a run of scale.
type Options struct {
	Clients  *kube.Clients
	Streams  genericiooptions.IOStreams
	Rollout  rolling.Flags
	App      string
	Replicas int32
}

// ToOptions checks the flags.
func (f *Flags) ToOptions(streams genericiooptions.IOStreams, args []string) (*Options, error) {
	replicas, err := strconv.ParseInt(args[1], 10, 32)
	if err != nil || replicas < 0 {
		return nil, option.Usagef("%q is not a number of replicas", args[1])
	}
	if err := f.Check(); err != nil {
		return nil, err
	}
	o := &Options{Streams: streams, Rollout: f.Flags, App: args[0], Replicas: int32(replicas)}
	o.Clients, err = kube.New(f.config)
	return o, err
}

// Run scales the app and waits for its replicas.
func (o *Options) Run(ctx context.Context) error {
	workloads, err := rolling.Find(ctx, o.Clients, o.App)
	if err != nil {
		return err
	}
	if _, _, part := strings.Cut(o.App, "/"); !part {
		workloads = scale.Serving(workloads)
	}
	if err := scale.Check(ctx, o.Clients.Kube, o.Clients.Namespace, workloads); err != nil {
		return err
	}
	if err := scale.Scale(ctx, o.Clients.Kube, o.Clients.Namespace, workloads, o.Replicas); err != nil {
		return err
	}
	changed := false
	for _, w := range workloads {
		changed = changed || w.State.Desired != o.Replicas
		if _, err := fmt.Fprintf(o.Streams.Out, "%s scaled from %d to %s\n", scale.Name(w), w.State.Desired, display.Count(int(o.Replicas), "replica")); err != nil {
			return fmt.Errorf("print the workloads: %w", err)
		}
	}
	if changed {
		fmt.Fprintln(o.Streams.ErrOut, nextBuild)
	}
	return o.Rollout.Watch(ctx, o.Clients, o.Streams, workloads)
}

// nextBuild is what the next build does with the number.
const nextBuild = "Builds keep this number from now on; build --adopt sets that of the settings or manifests again"

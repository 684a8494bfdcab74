// Package restart is the verb that replaces the pods of an app.
package restart

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/app/scale"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/complete"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/rolling"
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
		Use:   "restart APP",
		Short: "Restart the replicas of an app",
		Long: `Replace the pods of an app one after another, as a rollout does, and wait until the new
ones are ready: for example after a Secret or a ConfigMap has changed.

APP is every workload that runs the image of the app, APP/PROCESS or APP/WORKLOAD is one of
them.`,
		Example: `  # Restart an app
  kubectl pyflow restart mountains

  # Restart one workload of an app
  kubectl pyflow restart shop/worker`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: complete.Apps(config, false),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := flags.Check(); err != nil {
				return err
			}
			clients, err := kube.New(config)
			if err != nil {
				return err
			}
			return (&Options{Clients: clients, Streams: streams, Rollout: flags.Flags, App: args[0], Now: time.Now}).Run(cmd.Context())
		},
	}
	flags.Add(cmd)
	return cmd
}

// Options are a run of restart.
type Options struct {
	Clients *kube.Clients
	Streams genericiooptions.IOStreams
	Rollout rolling.Flags
	App     string
	Now     func() time.Time
}

// Run restarts the app and waits for its new replicas.
func (o *Options) Run(ctx context.Context) error {
	workloads, err := rolling.Find(ctx, o.Clients, o.App)
	if err != nil {
		return err
	}
	if err := scale.Restart(ctx, o.Clients.Kube, o.Clients.Namespace, workloads, o.Now()); err != nil {
		return err
	}
	for _, w := range workloads {
		if _, err := fmt.Fprintf(o.Streams.Out, "%s restarted\n", scale.Name(w)); err != nil {
			return fmt.Errorf("print the workloads: %w", err)
		}
	}
	return o.Rollout.Watch(ctx, o.Clients, o.Streams, workloads)
}

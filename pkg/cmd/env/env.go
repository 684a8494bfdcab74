// Package env is the verb that lists and sets the variables of an app.
package env

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/app/env"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/app/scale"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/rolling"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/usage"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
)

// NewCommand makes the verb.
func NewCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "env",
		Short: "List and set the variables of an app",
		Long: `List and set the variables of an app.

What "env set" sets is in a ConfigMap and a Secret of the namespace, which the app reads
when it starts. Builds and rollbacks leave them alone. No command prints a value.`,
		Example: `  # Where the variables of an app come from
  kubectl pyflow env list mountains

  # Set a variable
  kubectl pyflow env set mountains LOG_LEVEL=debug

  # Set a password, which is asked for
  kubectl pyflow env set mountains DATABASE_PASSWORD --secret`,
	}
	usage.Parent(cmd)
	cmd.AddCommand(newListCommand(config, streams), newSetCommand(config, streams), newUnsetCommand(config, streams))
	return cmd
}

// find returns the app of a name, and the path of its repository.
func find(ctx context.Context, clients *kube.Clients, name string) (app.App, string, error) {
	config, err := platform.Config(ctx, clients.Kube)
	if err != nil {
		return app.App{}, "", fmt.Errorf("read the platform's configuration: %w", err)
	}
	found, err := app.Find(ctx, clients.Kube, clients.Namespace, name)
	if errors.As(err, new(*app.NotFoundError)) {
		if reason := platform.CheckNamespace(ctx, clients.Kube, clients.Namespace); reason != nil {
			err = reason
		}
	}
	if err != nil {
		return app.App{}, "", err
	}
	return found, config.Registry.Path(found.Namespace, found.Name), nil
}

// Options are a run of set or unset.
type Options struct {
	Clients *kube.Clients
	Streams genericiooptions.IOStreams
	Rollout rolling.Flags
	App     string
	// Change is what changes, and Names are the names in the order of the command line.
	Change env.Change
	Names  []string
	Now    func() time.Time
}

// Run changes the variables, restarts the workloads that read them, and waits for the rollout.
func (o *Options) Run(ctx context.Context) error {
	found, _, err := find(ctx, o.Clients, o.App)
	if err != nil {
		return err
	}
	readers, err := env.Readers(found, o.Change)
	if err != nil {
		return err
	}
	changed, err := env.Apply(ctx, o.Clients.Kube, found.Namespace, found.Name, o.Change)
	if err != nil {
		return err
	}
	verb := "unset"
	if len(o.Change.Set) > 0 {
		verb = "set"
	}
	for _, name := range o.Names {
		if _, err := fmt.Fprintf(o.Streams.Out, "variable/%s %s\n", name, verb); err != nil {
			return fmt.Errorf("print the variables: %w", err)
		}
	}
	if !changed {
		// Whoever has set it may have been interrupted before the restart.
		if readers, err = env.Stale(ctx, o.Clients.Kube, found.Namespace, found.Name, readers); err != nil {
			return err
		}
		if len(readers) == 0 {
			fmt.Fprintln(o.Streams.ErrOut, "Nothing has changed, so nothing restarts")
			return nil
		}
		fmt.Fprintln(o.Streams.ErrOut, "Nothing has changed, but pods are older than the last change")
	}
	if err := scale.Restart(ctx, o.Clients.Kube, found.Namespace, readers, o.Now()); err != nil {
		return err
	}
	return o.Rollout.Watch(ctx, o.Clients, o.Streams, readers)
}

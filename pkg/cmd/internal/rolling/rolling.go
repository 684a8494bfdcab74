// Package rolling has what verbs share that change the workloads of an app and watch the
// rollout.
package rolling

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/app/scale"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/workload"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/rollout"
)

// Flags are the flags for watching a rollout.
type Flags struct {
	NoWait  bool
	Timeout time.Duration
}

// Add adds the flags to a command.
func (f *Flags) Add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.NoWait, "no-wait", false, "Do not wait for the rollout")
	cmd.Flags().DurationVar(&f.Timeout, "timeout", 5*time.Minute, "Time limit of the rollout")
}

// Check returns a usage error for a wrong flag.
func (f *Flags) Check() error {
	if f.Timeout <= 0 {
		return option.Usagef("--timeout %s is not positive", f.Timeout)
	}
	return nil
}

// Find returns the workloads that an argument names: APP is those that run the image of the app,
// APP/PROCESS and APP/WORKLOAD are one of them.
func Find(ctx context.Context, clients *kube.Clients, argument string) ([]workload.Workload, error) {
	config, err := platform.Config(ctx, clients.Kube)
	if err != nil {
		return nil, fmt.Errorf("read the platform's configuration: %w", err)
	}
	found, err := app.Find(ctx, clients.Kube, clients.Namespace, argument)
	if errors.As(err, new(*app.NotFoundError)) {
		if reason := platform.CheckNamespace(ctx, clients.Kube, clients.Namespace); reason != nil {
			err = reason
		}
	}
	if err != nil || found.Part {
		return found.Workloads, err
	}
	return found.BuiltWorkloads(config.Registry.Path(found.Namespace, found.Name)), nil
}

// Watch waits for the rollout, unless NoWait is set, and prints its progress to standard error.
func (f *Flags) Watch(ctx context.Context, clients *kube.Clients, streams genericiooptions.IOStreams, workloads []workload.Workload) error {
	if f.NoWait {
		return nil
	}
	err := scale.Watch(ctx, clients.Kube, clients.Namespace, workloads, f.Timeout, func(text string) {
		fmt.Fprintln(streams.ErrOut, display.OneLine(text))
	})
	var failure *rollout.Failure
	if errors.As(err, &failure) {
		for _, line := range failure.Log {
			fmt.Fprintln(streams.ErrOut, "  "+display.SanitizeLog(line, false))
		}
		return &failed{failure}
	}
	return err
}

// failed is a failed rollout with its advice.
type failed struct{ *rollout.Failure }

// Advice returns what to do.
func (f *failed) Advice() []string {
	if f.Failure.Advice == "" {
		return nil
	}
	return []string{f.Failure.Advice}
}

// Unwrap returns the failure.
func (f *failed) Unwrap() error { return f.Failure }

// Package cmd is the command tree of kubectl pyflow.
package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/build"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/cancel"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/compare"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/gather"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/images"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/initialize"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/usage"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/lint"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/logs"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/runs"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/setup"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/status"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/teardown"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/version"
)

// Exit codes, as documented in docs/output.md.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// Run executes the command line args and returns the exit code. What went wrong
// has been written to streams.ErrOut by then.
func Run(ctx context.Context, streams genericiooptions.IOStreams, args []string) int {
	root := New(streams)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, status.ErrUnhealthy), errors.Is(err, lint.ErrFindings):
		// The report itself has said what is wrong.
		return exitFailed
	case ctx.Err() != nil:
		fmt.Fprintln(streams.ErrOut, "interrupted")
		return exitInterrupted
	default:
		// It may have words of a program that has failed.
		for line := range strings.SplitSeq("error: "+explain(err), "\n") {
			fmt.Fprintln(streams.ErrOut, display.Sanitize(line))
		}
		if errors.As(err, new(*option.UsageError)) || errors.As(err, new(*project.OptionError)) {
			return exitUsage
		}
		return exitFailed
	}
}

// New makes the command tree.
func New(streams genericiooptions.IOStreams) *cobra.Command {
	flags := genericclioptions.NewConfigFlags(true)
	flags.WrapConfigFn = func(config *rest.Config) *rest.Config {
		config.UserAgent = "kubectl-pyflow/" + version.Version()
		// Deprecation warnings of the server are for those who write the
		// manifests, and these are ours.
		config.WarningHandlerWithContext = rest.NoWarnings{}
		return config
	}
	root := &cobra.Command{
		Use:   "kubectl-pyflow",
		Short: "Build a Python service in the cluster and deliver it there",
		Long: `Take a Python service from a folder to running replicas on Kubernetes, with
nothing but a kubeconfig: the image is built in the cluster by a Tekton pipeline
with Kaniko, pushed to a private registry there, and delivered by digest.`,
		Example: `  # Once per cluster
  kubectl pyflow setup

  # A new service, or a project that is there, ready to be built
  kubectl pyflow init shop

  # Build and deliver the service in this directory
  kubectl pyflow build

  # See the platform, the last runs and the apps
  kubectl pyflow status`,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl pyflow"},
		Version:       version.Version(),
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.ErrOut)
	verbosity := 0
	root.PersistentFlags().IntVarP(&verbosity, "v", "v", 0, "Log level of the Kubernetes client, 0 to 9")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		quietClient(verbosity, streams.ErrOut)
		return usage.CheckFlags(cmd)
	}
	flags.AddFlags(root.PersistentFlags())
	root.AddCommand(
		setup.NewCommand(flags, streams),
		initialize.NewCommand(streams),
		build.NewCommand(flags, streams),
		build.NewRerunCommand(flags, streams),
		lint.NewCommand(streams),
		runs.NewCommand(flags, streams),
		logs.NewCommand(flags, streams),
		cancel.NewCommand(flags, streams),
		status.NewCommand(flags, streams),
		images.NewCommand(flags, streams),
		compare.NewCommand(flags, streams),
		gather.NewCommand(flags, streams),
		teardown.NewCommand(flags, streams),
	)
	registerCompletions(root, flags)
	usage.Strict(root)
	return root
}

// quietClient keeps client-go's own log off the terminal unless it is asked for.
func quietClient(verbosity int, out io.Writer) {
	if verbosity == 0 {
		klog.SetLogger(klog.New(nil))
		return
	}
	var level klog.Level
	_ = level.Set(fmt.Sprint(verbosity))
	klog.LogToStderr(false)
	klog.SetOutput(out)
}

// Package cmd is the command tree of kubectl pyflow.
package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	appshell "github.com/pyflow-dev/kubectl-pyflow/pkg/app/shell"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine/installed"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/apps"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/build"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/cancel"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/compare"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/completion"
	deleteverb "github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/delete"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/env"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/gather"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/history"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/images"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/initialize"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/session"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/signing"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/usage"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/lint"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/logs"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/open"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/promote"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/rerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/restart"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/rollback"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/runs"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/scale"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/setup"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/shell"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/status"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/teardown"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/ui"
	versionverb "github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/version"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/secret"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/version"
)

// Exit codes, as documented in docs/output.md.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
	exitHangup      = 129
)

// ErrHangup is the cause of a context that ended because the terminal was closed: a run goes on
// then.
var ErrHangup = session.ErrHangup

// Run executes the command line args and returns the exit code. It prints errors to
// streams.ErrOut.
func Run(ctx context.Context, streams genericiooptions.IOStreams, args []string) int {
	root := New(streams)
	root.SetArgs(args)
	working, stop := ctx, func() {}
	if isCompletion(args) {
		working, stop = context.WithTimeout(ctx, completionTimeout)
	}
	defer stop()
	err := root.ExecuteContext(working)
	var ended *appshell.ExitError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, status.ErrUnhealthy), errors.Is(err, lint.ErrFindings):
		// The report itself shows what is wrong.
		return exitFailed
	case errors.As(err, &ended):
		// The command in the pod has said what is wrong.
		return ended.Code
	case errors.Is(context.Cause(ctx), ErrHangup):
		return exitHangup
	case ctx.Err() != nil:
		fmt.Fprintln(streams.ErrOut, "interrupted")
		return exitInterrupted
	default:
		// The error may contain the output of a program.
		for line := range strings.SplitSeq("error: "+explain(err), "\n") {
			fmt.Fprintln(streams.ErrOut, display.Sanitize(secret.ReplaceTokens(line, secret.Hidden)))
		}
		if errors.As(err, new(*option.UsageError)) || errors.As(err, new(*project.OptionError)) {
			return exitUsage
		}
		return exitFailed
	}
}

// New returns the command tree.
func New(streams genericiooptions.IOStreams) *cobra.Command {
	flags := genericclioptions.NewConfigFlags(true)
	flags.WrapConfigFn = func(config *rest.Config) *rest.Config {
		config.UserAgent = "kubectl-pyflow/" + version.Version()
		kube.RejectPages(config)
		// The server warns about deprecated manifests, and these are ours.
		config.WarningHandlerWithContext = rest.NoWarnings{}
		return config
	}
	root := &cobra.Command{
		Use:   "kubectl-pyflow",
		Short: "Build and deploy Python services in the cluster",
		Long: `Build and deploy Python services on any Kubernetes cluster.

You need a kubeconfig. You do not need Docker, a registry account or a CI server: a
Tekton pipeline builds the image in the cluster with ` + installed.Engine().Name() + `, pushes it to a private
registry there, and deploys it by digest.`,
		Example: `  # Install the platform, once per cluster
  kubectl pyflow setup

  # Start a new service, or prepare an existing project
  kubectl pyflow init shop

  # Build and deploy the service in the current directory
  kubectl pyflow build

  # Show the platform, the last runs and the apps
  kubectl pyflow status`,
		Annotations:       map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl pyflow"},
		Version:           version.Version(),
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
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
	usage.Describe(root, "docs/output.md", "KUBECONFIG")
	usage.Help(root)
	for _, group := range groups(flags, streams) {
		root.AddGroup(&cobra.Group{ID: group.title, Title: group.title})
		for i, verb := range group.verbs {
			verb.command.GroupID = group.title
			usage.Place(verb.command, i)
			usage.Describe(verb.command, verb.page, verb.environment...)
			root.AddCommand(verb.command)
		}
	}
	registerCompletions(root, flags)
	usage.Strict(root)
	return root
}

// group is a title in root's help with its verbs, in the order of use.
type group struct {
	title string
	verbs []verb
}

// verb is a command with the page that explains it and the environment
// variables that it reads.
type verb struct {
	command     *cobra.Command
	page        string
	environment []string
}

func groups(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) []group {
	cluster := []string{"KUBECONFIG"}
	terminal := []string{"KUBECONFIG", "TERM"}
	view := []string{"KUBECONFIG", "CI", "NO_COLOR", "TERM"}
	signed := append(slices.Clone(view), signing.PasswordVariable)
	return []group{
		{"Start", []verb{
			{setup.NewCommand(flags, streams), "docs/cluster.md", terminal},
			{initialize.NewCommand(streams), "docs/init.md", nil},
		}},
		{"Build and run", []verb{
			{build.NewCommand(flags, streams), "docs/build.md", signed},
			{rerun.NewCommand(flags, streams), "docs/runs.md", signed},
			{rollback.NewCommand(flags, streams), "docs/releases.md", view},
			{promote.NewCommand(flags, streams), "docs/releases.md", view},
			{cancel.NewCommand(flags, streams), "docs/runs.md", cluster},
			{compare.NewCommand(flags, streams), "docs/compare.md", []string{"KUBECONFIG", "LC_ALL", "LC_CTYPE", "LANG", "TERM"}},
		}},
		{"Look after an app", []verb{
			{apps.NewCommand(flags, streams), "docs/apps.md", cluster},
			{open.NewCommand(flags, streams), "docs/apps.md", []string{"KUBECONFIG", "BROWSER"}},
			{logs.NewCommand(flags, streams), "docs/apps.md", cluster},
			{shell.NewCommand(flags, streams), "docs/apps.md", terminal},
			{env.NewCommand(flags, streams), "docs/configuration.md", terminal},
			{scale.NewCommand(flags, streams), "docs/apps.md", cluster},
			{restart.NewCommand(flags, streams), "docs/apps.md", cluster},
			{deleteverb.NewCommand(flags, streams), "docs/apps.md", terminal},
		}},
		{"Inspect", []verb{
			{status.NewCommand(flags, streams), "docs/cluster.md", terminal},
			{runs.NewCommand(flags, streams), "docs/runs.md", cluster},
			{history.NewCommand(flags, streams), "docs/releases.md", terminal},
			{ui.NewCommand(flags, streams, ui.Program{Run: Run, Explain: explain}), "docs/ui.md", []string{"KUBECONFIG", "BROWSER"}},
			{images.NewCommand(flags, streams), "docs/images.md", terminal},
			{lint.NewCommand(streams), "pkg/dockerfile/lint/pages/README.md", []string{"NO_COLOR", "TERM"}},
			{gather.NewCommand(flags, streams), "docs/runs.md", terminal},
		}},
		{"Administer", []verb{
			{teardown.NewCommand(flags, streams), "docs/cluster.md", terminal},
			{versionverb.NewCommand(flags, streams), "docs/output.md", cluster},
			{completion.NewCommand(streams), "docs/output.md", []string{"PATH"}},
		}},
	}
}

// quietClient hides client-go's own log unless verbosity asks for it.
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

// Package delete is the verb that deletes an app with everything that belongs to it.
package delete

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/app/remove"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/complete"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
)

var (
	// ErrNotInteractive reports that the verb needs an answer and there is no terminal.
	ErrNotInteractive = errors.New("delete asks before it deletes, and there is no terminal to ask on")
	// ErrDeclined reports that the answer was not yes. Nothing was changed.
	ErrDeclined = errors.New("not confirmed: nothing was changed")
)

// Flags are what the command line says.
type Flags struct {
	config *genericclioptions.ConfigFlags

	Yes        bool
	Force      bool
	KeepImages bool
	DryRun     option.DryRun
}

// NewCommand makes the verb.
func NewCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{config: config}
	cmd := &cobra.Command{
		Use:   "delete APP",
		Short: "Delete an app with everything that belongs to it",
		Long: `Delete an app: its objects, volume claims among them, the records of its releases, its
runs with their Secrets and logs, and what the registry has of it: images, build contexts
and cached layers. It first lists what goes, and asks.

Only what a build has labeled for the app is deleted. While the app is being built, nothing
is deleted; --force cancels the build first.`,
		Example: `  # List what would go
  kubectl pyflow delete mountains --dry-run

  # Delete an app without a question, and keep its images
  kubectl pyflow delete mountains --yes --keep-images`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: complete.Apps(config, false),
		RunE: func(cmd *cobra.Command, args []string) error {
			clients, err := kube.New(config)
			if err != nil {
				return err
			}
			return flags.toOptions(clients, streams, args[0]).Run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&flags.Yes, "yes", "y", false, "Do not ask")
	f.BoolVar(&flags.Force, "force", false, "Cancel the builds of the app that are running")
	f.BoolVar(&flags.KeepImages, "keep-images", false, "Keep what the registry has of the app")
	flags.DryRun.AddFlag(cmd, "List what would be deleted and change nothing, with client")
	return cmd
}

// Options are an app to delete.
type Options struct {
	Clients    *kube.Clients
	Streams    genericiooptions.IOStreams
	App        string
	Yes        bool
	Force      bool
	KeepImages bool
	DryRun     bool
	// Ask asks the user and returns the answer; nil without a terminal.
	Ask func(ctx context.Context, prompt string) (string, error)
}

func (f *Flags) toOptions(clients *kube.Clients, streams genericiooptions.IOStreams, name string) *Options {
	o := &Options{
		Clients: clients, Streams: streams, App: name,
		Yes: f.Yes, Force: f.Force, KeepImages: f.KeepImages, DryRun: f.DryRun.Enabled(),
	}
	if display.CanAsk(streams.In, streams.ErrOut) {
		o.Ask = func(ctx context.Context, prompt string) (string, error) {
			return display.Ask(ctx, streams.In, streams.ErrOut, prompt)
		}
	}
	return o
}

// Run lists what goes, asks, and deletes it.
func (o *Options) Run(ctx context.Context) error {
	plan, err := remove.Find(ctx, o.Clients, o.App, o.KeepImages)
	if errors.As(err, new(*app.NotFoundError)) {
		if reason := platform.CheckNamespace(ctx, o.Clients.Kube, o.Clients.Namespace); reason != nil {
			err = reason
		}
	}
	if err != nil {
		return err
	}
	for _, text := range plan.Unknown {
		fmt.Fprintln(o.Streams.ErrOut, "warning:", text)
	}
	if o.DryRun {
		return o.list(plan)
	}
	if len(plan.Running) > 0 && !o.Force {
		return &remove.RunningError{App: o.App, Runs: plan.Running}
	}
	if err := o.confirm(ctx, plan); err != nil {
		return err
	}
	var broken error
	err = plan.Run(ctx, o.Clients, o.Force, func(name string) {
		if _, err := fmt.Fprintln(o.Streams.Out, name+" deleted"); err != nil && broken == nil {
			broken = fmt.Errorf("print what is deleted: %w", err)
		}
	})
	return errors.Join(err, broken)
}

// list prints what a dry run would delete.
func (o *Options) list(plan *remove.Plan) error {
	for _, line := range lines(plan) {
		if _, err := fmt.Fprintln(o.Streams.Out, line+" deleted (dry run)"); err != nil {
			return fmt.Errorf("print what would be deleted: %w", err)
		}
	}
	return nil
}

// lines names what goes.
func lines(plan *remove.Plan) []string {
	var all []string
	for _, object := range plan.Objects {
		all = append(all, object.String())
	}
	if len(plan.Images) > 0 {
		all = append(all, display.Count(len(plan.Images), "manifest")+" of images, build contexts and cached layers")
	}
	return all
}

// confirm lists what goes, and asks.
func (o *Options) confirm(ctx context.Context, plan *remove.Plan) error {
	if o.Yes {
		return nil
	}
	for _, line := range lines(plan) {
		fmt.Fprintln(o.Streams.ErrOut, line)
	}
	if o.Ask == nil {
		return ErrNotInteractive
	}
	answer, err := o.Ask(ctx, fmt.Sprintf("Delete app %s of namespace %s? Type yes to continue: ", plan.App, plan.Namespace))
	if err != nil {
		return err
	}
	if answer != "yes" {
		return ErrDeclined
	}
	return nil
}

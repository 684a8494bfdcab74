// Package shell is the verb that opens a shell in a pod of an app, or runs a command there.
package shell

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/app/shell"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/complete"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
)

// NewCommand makes the verb.
func NewCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	image := ""
	cmd := &cobra.Command{
		Use:   "shell APP [-- COMMAND]",
		Short: "Open a shell in a pod of an app",
		Long: `Open a shell in the container of an app, in a pod that is ready, or run a command there.
The exit code is that of the command.

If the image has no shell, add a debug container to the pod, which sees the processes of
the app and runs as its user. It ends with the pod, at the latest after an hour. COMMAND
always runs in the container of the app, unless --image is given.`,
		Example: `  # Open a shell
  kubectl pyflow shell mountains

  # Run a command
  kubectl pyflow shell mountains -- python -c 'import sys; print(sys.version)'

  # Beside a distroless image, with tools of your own
  kubectl pyflow shell mountains --image docker.io/library/busybox:1.37`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: complete.Apps(config, false),
		RunE: func(cmd *cobra.Command, args []string) error {
			clients, err := kube.New(config)
			if err != nil {
				return err
			}
			return (&Options{Clients: clients, Streams: streams, App: args[0], Command: args[1:], Image: image}).Run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&image, "image", "", "Image of a debug container to use in any case (default: an image of the platform with sh, if the app has no shell)")
	return cmd
}

// Options are a shell to open.
type Options struct {
	Clients *kube.Clients
	Streams genericiooptions.IOStreams
	App     string
	// Command is what runs; empty is a shell.
	Command []string
	// Image is that of a debug container; empty uses one only without a shell.
	Image string
}

// Run runs the command until it ends.
func (o *Options) Run(ctx context.Context) error {
	config, err := platform.Config(ctx, o.Clients.Kube)
	if err != nil {
		return fmt.Errorf("read the platform's configuration: %w", err)
	}
	found, err := app.Find(ctx, o.Clients.Kube, o.Clients.Namespace, o.App)
	if errors.As(err, new(*app.NotFoundError)) {
		if reason := platform.CheckNamespace(ctx, o.Clients.Kube, o.Clients.Namespace); reason != nil {
			err = reason
		}
	}
	if err != nil {
		return err
	}
	container, err := shell.Find(ctx, o.Clients.Kube, found, config.Registry.Path(found.Namespace, found.Name))
	if err != nil {
		return err
	}
	if container, err = o.withShell(ctx, container, manifests.ShellImage(config.ImageMirrors)); err != nil {
		return err
	}
	command := o.Command
	if len(command) == 0 {
		command = []string{"sh", "-c", "command -v bash > /dev/null && exec bash || exec sh"}
	}
	return o.exec(ctx, container, command)
}

// withShell returns the container to use: that of the app, or a debug container beside it.
func (o *Options) withShell(ctx context.Context, container shell.Container, image string) (shell.Container, error) {
	if o.Image == "" {
		if len(o.Command) > 0 {
			return container, nil
		}
		has, err := shell.HasShell(ctx, o.Clients.Config, o.Clients.Kube, container)
		if has || err != nil {
			return container, err
		}
	} else {
		image = o.Image
	}
	fmt.Fprintf(o.Streams.ErrOut, "Adding a debug container with image %s to pod %s\n", image, container.Pod)
	return shell.Debug(ctx, o.Clients.Kube, container, image)
}

// exec runs a command, with a terminal if standard input and output are one.
func (o *Options) exec(ctx context.Context, container shell.Container, command []string) error {
	streams := shell.Streams{In: o.Streams.In, Out: o.Streams.Out, ErrOut: o.Streams.ErrOut}
	in, isFile := o.Streams.In.(*os.File)
	if !isFile || !term.IsTerminal(int(in.Fd())) || !display.IsTerminal(o.Streams.Out) {
		return shell.Exec(ctx, o.Clients.Config, o.Clients.Kube, container, command, streams)
	}
	state, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return fmt.Errorf("set the terminal to raw mode: %w", err)
	}
	defer term.Restore(int(in.Fd()), state) //nolint:errcheck // the terminal is gone then
	sizes, stop := newSizes(in)
	defer stop()
	streams.TTY, streams.Sizes = true, sizes
	return shell.Exec(ctx, o.Clients.Config, o.Clients.Kube, container, command, streams)
}

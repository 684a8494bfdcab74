// Package open is the verb that opens an app: at its URL if that answers, otherwise through a
// port-forward.
package open

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/app/reach"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/browse"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/complete"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
)

// Flags are what the command line says.
type Flags struct {
	config *genericclioptions.ConfigFlags

	Port      int
	NoBrowser bool
}

// NewCommand makes the verb.
func NewCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{config: config, Port: -1}
	cmd := &cobra.Command{
		Use:   "open [APP]",
		Short: "Open an app in the browser",
		Long: `Open an app in the browser.

If the URL of the app answers from here, open it. Otherwise, or with --port, forward a
port of this machine to a ready pod of the app, through the API server, until you press
Ctrl-C. When the pod is replaced, new connections go to another one.

Without a name it is the only app of the namespace, or the one of the project in the
current directory.`,
		Example: `  # Open an app
  kubectl pyflow open mountains

  # Print its address only
  kubectl pyflow open mountains --no-browser

  # Forward port 8080 to the app, also if its URL answers
  kubectl pyflow open mountains --port 8080`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: complete.Apps(config, false),
		RunE: func(cmd *cobra.Command, args []string) error {
			options, err := flags.ToOptions(streams, args)
			if err != nil {
				return err
			}
			return options.Run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.IntVar(&flags.Port, "port", flags.Port, "Local port to forward to the app; 0 is any that is free")
	f.BoolVar(&flags.NoBrowser, "no-browser", false, "Print the address without opening a browser")
	return cmd
}

// Options are an app to open.
type Options struct {
	Clients *kube.Clients
	Streams genericiooptions.IOStreams
	// App names the app; empty is the only one, or that of Project.
	App string
	// Project returns the name of the app in the current directory; empty if there is none.
	Project func() string
	// Port is the local port of a forward; negative prefers the URL.
	Port int
	// Browse opens an address in the browser; nil opens nothing.
	Browse func(address string) error
	// Answers reports whether an address answers.
	Answers func(ctx context.Context, address string) bool
}

// ToOptions checks the flags.
func (f *Flags) ToOptions(streams genericiooptions.IOStreams, args []string) (*Options, error) {
	if f.Port < -1 || f.Port > 65535 {
		return nil, option.Usagef("--port %d is not a port", f.Port)
	}
	clients, err := kube.New(f.config)
	if err != nil {
		return nil, err
	}
	o := New(clients, streams, strings.Join(args, ""))
	o.Port = f.Port
	if f.NoBrowser {
		o.Browse = nil
	}
	return o, nil
}

// New returns the options that open an app in the browser.
func New(clients *kube.Clients, streams genericiooptions.IOStreams, name string) *Options {
	return &Options{
		Clients: clients, Streams: streams, App: name, Project: current, Port: -1,
		Browse: browse.Open, Answers: reach.NewProber(reach.Long).Answers,
	}
}

// current returns the name of the app of the project in the current directory.
func current() string {
	found, err := project.Resolve(".", project.Options{})
	if err != nil {
		return ""
	}
	return found.Name.Value
}

// Run opens the app. With a port-forward it returns when ctx ends.
func (o *Options) Run(ctx context.Context) error {
	found, err := o.find(ctx)
	if err != nil {
		return err
	}
	if o.Port < 0 && !found.Part {
		address, err := status.AppURL(ctx, o.Clients.Kube, found.Namespace, found.Name)
		if err != nil {
			return err
		}
		if address != "" && o.Answers(ctx, address) {
			return o.show(address)
		}
		if address != "" {
			fmt.Fprintf(o.Streams.ErrOut, "%s does not answer from here: forwarding a port\n", address)
		}
	}
	target, err := reach.FindTarget(ctx, o.Clients.Kube, found)
	if err != nil {
		return err
	}
	forward, err := reach.Listen(ctx, o.Clients.Config, o.Clients.Kube, target, max(o.Port, 0), func(text string) {
		fmt.Fprintln(o.Streams.ErrOut, text)
	})
	if err != nil {
		return err
	}
	serving, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		if err := o.show(forward.URL()); err != nil {
			stop(err)
		}
		fmt.Fprintln(o.Streams.ErrOut, "Press Ctrl-C to end")
	}()
	err = forward.Serve(serving)
	<-shown
	return err
}

// find returns the app to open.
func (o *Options) find(ctx context.Context) (app.App, error) {
	found, err := app.Find(ctx, o.Clients.Kube, o.Clients.Namespace, o.App)
	var several *app.AmbiguousError
	if errors.As(err, &several) {
		if name := o.Project(); slices.Contains(several.Apps, name) {
			return app.Find(ctx, o.Clients.Kube, o.Clients.Namespace, name)
		}
	}
	if errors.As(err, new(*app.NotFoundError)) {
		if reason := platform.CheckNamespace(ctx, o.Clients.Kube, o.Clients.Namespace); reason != nil {
			err = reason
		}
	}
	return found, err
}

// show prints an address and opens it in the browser.
func (o *Options) show(address string) error {
	if _, err := fmt.Fprintln(o.Streams.Out, address); err != nil {
		return fmt.Errorf("print the address: %w", err)
	}
	if o.Browse == nil {
		return nil
	}
	if err := o.Browse(address); err != nil {
		fmt.Fprintf(o.Streams.ErrOut, "warning: no browser can be opened (%v): open the address yourself\n", err)
	}
	return nil
}

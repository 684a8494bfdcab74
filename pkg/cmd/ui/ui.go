// Package ui is the verb that serves the console in the browser.
package ui

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/browse"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/complete"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/find"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/console"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/console/view"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/version"
)

// Flags are what the command line says.
type Flags struct {
	config *genericclioptions.ConfigFlags

	Port          int
	NoBrowser     bool
	AllNamespaces bool
}

// Program is the command line itself, which the console runs for what the user does in it.
type Program struct {
	// Run runs a command, and returns its exit code. Explain returns an error with what to
	// do about it.
	Run     func(ctx context.Context, streams genericiooptions.IOStreams, args []string) int
	Explain func(error) string
}

// NewCommand returns the verb.
func NewCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams, program Program) *cobra.Command {
	flags := &Flags{config: config}
	cmd := &cobra.Command{
		Use:   "ui [APP|RUN]",
		Short: "Open the console in the browser",
		Long: `Open the registry, the runs and the apps of the cluster in the browser.

pyflow serves the page on this machine, on the loopback interface, and reads the cluster
with your kubeconfig: the page shows and does what you may do, and installs nothing. With
APP or RUN it opens the page of that app or run.

The address holds a key, which lets nobody else on this machine use the page. Press Ctrl-C
to end it.`,
		Example: `  # Open the console for the current namespace
  kubectl pyflow ui

  # Open the page of an app, or of a run
  kubectl pyflow ui mountains
  kubectl pyflow ui mountains-x7k2p

  # All namespaces
  kubectl pyflow ui -A

  # On a machine without a browser: forward the port, and open the printed address there
  kubectl pyflow ui --no-browser --port 8080`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: complete.New(config, complete.Options{Apps: true, Runs: true}),
		RunE: func(cmd *cobra.Command, args []string) error {
			options, err := flags.ToOptions(streams, args)
			if err != nil {
				return err
			}
			given, shown := inherited(cmd)
			options.Console.Flags, options.Console.Explain = shown, program.Explain
			options.Console.Verb = func(ctx context.Context, args []string, out, errOut io.Writer) int {
				return program.Run(ctx, genericiooptions.IOStreams{In: strings.NewReader(""), Out: out, ErrOut: errOut}, slices.Concat(given, args))
			}
			return options.Run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.IntVar(&flags.Port, "port", 0, "Local port (default: any that is free)")
	f.BoolVar(&flags.NoBrowser, "no-browser", false, "Print the address without opening a browser")
	f.BoolVarP(&flags.AllNamespaces, "all-namespaces", "A", false, "Show all namespaces")
	return cmd
}

// inherited returns the flags of the kubeconfig that the command line has, and those of
// them that can be shown: not the ones that hold credentials. The namespace is not among
// them, because each command names its own.
func inherited(cmd *cobra.Command) (given, shown []string) {
	cmd.InheritedFlags().VisitAll(func(flag *pflag.Flag) {
		if !flag.Changed || flag.Name == "namespace" {
			return
		}
		values := []string{flag.Value.String()}
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		for _, value := range values {
			argument := "--" + flag.Name + "=" + value
			given = append(given, argument)
			if flag.Name != "token" && flag.Name != "v" {
				shown = append(shown, argument)
			}
		}
	})
	return given, shown
}

// Options are a console to serve.
type Options struct {
	Console console.Options
	Streams genericiooptions.IOStreams
	// Name is the app or run to open; empty opens the overview.
	Name string
	// Open opens a file in the browser; nil opens nothing.
	Open func(path string) error
}

// ToOptions checks the flags.
func (f *Flags) ToOptions(streams genericiooptions.IOStreams, args []string) (*Options, error) {
	if f.Port < 0 || f.Port > 65535 {
		return nil, option.Usagef("--port %d is not a port", f.Port)
	}
	clients, err := kube.New(f.config)
	if err != nil {
		return nil, err
	}
	raw, err := f.config.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	o := &Options{Streams: streams, Name: strings.Join(args, ""), Console: console.Options{
		Clients: clients, Namespace: clients.Namespace, Port: f.Port, Version: version.Version(),
		Context: raw.CurrentContext, Server: clients.Config.Host,
	}}
	if f.config.Context != nil {
		o.Console.Context = cmp.Or(*f.config.Context, raw.CurrentContext)
	}
	if f.AllNamespaces {
		o.Console.Namespace = ""
	}
	if !f.NoBrowser {
		o.Open = browse.File
	}
	return o, nil
}

// Run serves the console until ctx ends.
func (o *Options) Run(ctx context.Context) error {
	// The console reads the cluster while the namespace is checked.
	server, err := console.Listen(ctx, o.Console)
	if err != nil {
		return err
	}
	path, err := o.path(ctx)
	if err != nil {
		server.Close()
		return err
	}
	address := server.URL(path)
	fmt.Fprintln(o.Streams.Out, address)
	if o.Open != nil {
		remove, err := o.openBrowser(address)
		defer remove()
		if err != nil {
			fmt.Fprintf(o.Streams.ErrOut, "warning: no browser can be opened (%v): open the address yourself\n", err)
		}
	}
	fmt.Fprintln(o.Streams.ErrOut, "Press Ctrl-C to end")
	return server.Serve(ctx)
}

// path checks the namespace, and returns the path of the view to open.
func (o *Options) path(ctx context.Context) (string, error) {
	if err := platform.CheckNamespace(ctx, o.Console.Clients.Kube, o.Console.Namespace); err != nil {
		return "", err
	}
	if o.Name == "" {
		return "/", nil
	}
	clients := o.Console.Clients
	run, err := find.Run(ctx, pipelinerun.Clients{Tekton: clients.Tekton, Kube: clients.Kube}, clients.Namespace, o.Name)
	switch {
	case err == nil && run.Name != o.Name && "pipelinerun.tekton.dev/"+run.Name != o.Name:
		return view.Path("apps", clients.Namespace, o.Name), nil
	case err == nil:
		return view.Path("runs", clients.Namespace, run.Name), nil
	case !errors.As(err, new(*pipelinerun.NotFoundError)):
		return "", err
	}
	// An app whose runs are gone.
	apps, unknown := status.Apps(ctx, status.Clients{Kube: clients.Kube, Tekton: clients.Tekton}, status.Options{Namespace: clients.Namespace, App: o.Name})
	if unknown == nil && len(apps) > 0 {
		return view.Path("apps", clients.Namespace, o.Name), nil
	}
	return "", err
}

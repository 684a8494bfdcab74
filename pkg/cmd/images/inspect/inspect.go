// Package inspect shows what an image is made of.
package inspect

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/complete"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/attestation"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/inspect"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/version"
)

// Flags are the flags of the verb.
type Flags struct {
	config *genericclioptions.ConfigFlags

	Top      int
	Platform string
	SBOM     bool
	Output   option.Output
	Timeout  time.Duration
	Wait     time.Duration
}

// NewCommand returns the verb.
func NewCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{config: config, Top: 10, Timeout: 10 * time.Minute, Wait: 2 * time.Minute}
	cmd := &cobra.Command{
		Use:   "inspect APP|APP:TAG|DIGEST",
		Short: "Show what an image is made of",
		Long: `Show what an image is made of: its layers, each with the instruction of the
Dockerfile that made it, compressed and on disk; the packages in it, of Python and
of Debian, and their share; the largest files; and what is wasted: files that a
later layer replaces or deletes, caches, lists of apt, tests of packages, and byte
code that is never read.

The image stays in the cluster: a pod there lists its files, and the list travels.
APP alone is the app's newest image; a tag is the name of the run that built it.`,
		Example: `  # The newest image of an app
  kubectl pyflow images inspect mountains

  # One of a run, with more of its packages and files
  kubectl pyflow images inspect mountains:mountains-x7k2p --top 30

  # All that is installed, as CycloneDX JSON
  kubectl pyflow images inspect mountains --sbom > mountains.cdx.json

  # What is wasted in all, in bytes
  kubectl pyflow images inspect mountains -o json | jq '[.waste[].bytes] | add'`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: complete.ImageApps(config),
		RunE: func(cmd *cobra.Command, args []string) error {
			options, err := flags.ToOptions(streams, args[0])
			if err != nil {
				return err
			}
			return options.Run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.IntVar(&flags.Top, "top", flags.Top, "How many packages and files to show, the largest ones; 0 for all")
	f.StringVar(&flags.Platform, "platform", "", "Platform of an image for several platforms, as OS/ARCHITECTURE")
	f.BoolVar(&flags.SBOM, "sbom", false, "Print the SBOM of the image, as CycloneDX JSON")
	flags.Output.AddObjectFlags(cmd, "tables", option.Wide)
	f.DurationVar(&flags.Timeout, "timeout", flags.Timeout, "How long listing the files may take")
	f.DurationVar(&flags.Wait, "wait-timeout", flags.Wait, "How long the pod may wait to start, when waiting could still help; 0 for as long as --timeout")
	return cmd
}

// Options are the checked options of the verb.
type Options struct {
	Clients *kube.Clients
	Streams genericiooptions.IOStreams
	Request inspect.Request
	// SBOM prints the SBOM in place of the result.
	SBOM bool
	// Print writes the result to Streams.Out.
	Print func(*inspect.Analysis, io.Writer) error
}

// ToOptions checks the flags and reads the kubeconfig.
func (f *Flags) ToOptions(streams genericiooptions.IOStreams, image string) (*Options, error) {
	name, err := images.ParseName(image)
	if err != nil {
		return nil, option.Usage(err)
	}
	o := &Options{Streams: streams, SBOM: f.SBOM, Request: inspect.Request{
		Name: name, Platform: f.Platform, Top: f.Top, Timeout: f.Timeout, WaitTimeout: f.Wait,
	}}
	switch {
	case f.SBOM && f.Output.Format != "":
		return nil, option.Usagef("--sbom and --output exclude each other")
	case f.Top < 0:
		return nil, option.Usagef("--top %d is negative", f.Top)
	case f.Timeout <= 0:
		return nil, option.Usagef("--timeout %s is not positive", f.Timeout)
	case f.Wait < 0:
		return nil, option.Usagef("--wait-timeout %s is negative", f.Wait)
	case f.Platform != "" && strings.Count(f.Platform, "/") != 1:
		return nil, option.Usagef("--platform %s is not of the form OS/ARCHITECTURE, such as linux/amd64", f.Platform)
	}
	printer, err := f.Output.ToPrinter()
	switch {
	case err != nil:
		return nil, err
	case printer != nil:
		o.Print = func(analysis *inspect.Analysis, out io.Writer) error { return printer.PrintObj(analysis, out) }
	default:
		o.Print = func(analysis *inspect.Analysis, out io.Writer) error {
			return printAnalysis(analysis, f.Top, f.Output.Format == option.Wide, out)
		}
	}
	o.Clients, err = kube.New(f.config)
	return o, err
}

// Run inspects the image, and prints what it is made of.
func (o *Options) Run(ctx context.Context) error {
	if o.SBOM {
		return o.printSBOM(ctx)
	}
	analysis, err := inspect.Inspect(ctx, o.Clients, o.Request, display.NewSteps(o.Streams.ErrOut))
	if err != nil {
		return err
	}
	if err := o.Print(analysis, o.Streams.Out); err != nil {
		return fmt.Errorf("print what the image is made of: %w", err)
	}
	return nil
}

// printSBOM prints the SBOM of the files that the image has, and not one that is attached to it.
func (o *Options) printSBOM(ctx context.Context) error {
	content, err := inspect.Examine(ctx, o.Clients, o.Request, display.NewSteps(o.Streams.ErrOut))
	if err != nil {
		return err
	}
	document, err := attestation.Document(content, version.Version())
	if err == nil {
		_, err = o.Streams.Out.Write(document)
	}
	return err
}

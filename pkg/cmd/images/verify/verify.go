// Package verify checks that a key has signed an image.
package verify

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

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/complete"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/signing"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/usage"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/attestation"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
)

// The values of --require.
const (
	sbomValue       = "sbom"
	provenanceValue = "provenance"
)

// Flags are the flags of the verb.
type Flags struct {
	config *genericclioptions.ConfigFlags

	Key     signing.Reference
	Require []string
	Output  option.Output
}

// NewCommand returns the verb.
func NewCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{config: config}
	cmd := &cobra.Command{
		Use:   "verify APP|APP:TAG|DIGEST --key FILE",
		Short: "Verify that a key has signed an image",
		Long: `Verify that a key has signed an image, and print what else it has signed: the SBOM and
the provenance. The command fails if the signature is missing or is not valid, and if the
SBOM that is attached for other tools is not the one that the key has signed.

It verifies what "images attest --sign-key" and cosign 3 have signed with a key.`,
		Example: `  # Verify the newest image of an app
  kubectl pyflow images verify mountains --key cosign.pub

  # Require the provenance and the SBOM as well, and print the source that was built
  kubectl pyflow images verify mountains --key cosign.pub --require sbom,provenance \
    -o jsonpath='{.provenance.buildDefinition.externalParameters.source}'`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: complete.Images(config),
		RunE: func(cmd *cobra.Command, args []string) error {
			options, err := flags.ToOptions(streams, args[0])
			if err != nil {
				return err
			}
			return options.Run(cmd.Context())
		},
	}
	cmd.Flags().StringVar((*string)(&flags.Key), "key", "", "Public key: a file, cosign.pub, or k8s://NAMESPACE/SECRET")
	cmd.Flags().StringSliceVar(&flags.Require, "require", nil, "What has to be signed beside the image: sbom, provenance")
	flags.Output.AddObjectFlags(cmd, "a list")
	_ = cmd.RegisterFlagCompletionFunc("require", cobra.FixedCompletions([]string{sbomValue, provenanceValue}, cobra.ShellCompDirectiveNoFileComp))
	usage.Describe(cmd, "docs/attestations.md", "KUBECONFIG")
	return cmd
}

// Options are the checked options of the verb.
type Options struct {
	Clients *kube.Clients
	Streams genericiooptions.IOStreams
	Name    images.Name
	Key     signing.Reference
	// Require are the types of statements that there have to be.
	Require []string
	// Print writes the report to Streams.Out.
	Print func(*attestation.Report, io.Writer) error
}

// ToOptions checks the flags and reads the kubeconfig.
func (f *Flags) ToOptions(streams genericiooptions.IOStreams, image string) (*Options, error) {
	o := &Options{Streams: streams, Key: f.Key, Print: printReport}
	var err error
	if o.Name, err = images.ParseName(image); err != nil {
		return nil, option.Usage(err)
	}
	if f.Key == "" {
		return nil, option.Usagef("--key is missing: name the public key, such as cosign.pub")
	}
	if err := f.Key.Check("key"); err != nil {
		return nil, err
	}
	kinds := map[string]string{sbomValue: attestation.SBOM, provenanceValue: attestation.Provenance}
	for _, value := range f.Require {
		if kinds[value] == "" {
			return nil, option.OneOf("require", value, sbomValue, provenanceValue)
		}
		o.Require = append(o.Require, kinds[value])
	}
	printer, err := f.Output.ToPrinter()
	if err != nil {
		return nil, err
	}
	if printer != nil {
		o.Print = func(report *attestation.Report, out io.Writer) error { return printer.PrintObj(report, out) }
	}
	o.Clients, err = kube.New(f.config)
	return o, err
}

// Run verifies the image, and prints what is signed. It prints that also if it is too little.
func (o *Options) Run(ctx context.Context) error {
	key, err := o.Key.Public(ctx, o.Clients.Kube)
	if err != nil {
		return err
	}
	report, failed := attestation.Verify(ctx, o.Clients, o.Name, key, o.Require, func(err error) {
		fmt.Fprintf(o.Streams.ErrOut, "waiting for the registry, which is restarting or being cleaned up: %v; see: kubectl pyflow status\n", err)
	})
	if report == nil {
		return failed
	}
	if err := o.Print(report, o.Streams.Out); err != nil {
		return errors.Join(failed, fmt.Errorf("print what is signed: %w", err))
	}
	return failed
}

// printReport prints a report for a person.
func printReport(report *attestation.Report, out io.Writer) error {
	state := func(kind string) string {
		if slices.Contains(report.Signed, kind) {
			return "signed"
		}
		return "not signed"
	}
	var text strings.Builder
	fmt.Fprintf(&text, "image       %s@%s\n", report.Repository, report.Digest)
	fmt.Fprintf(&text, "signature   %s\n", state(attestation.Signature))
	document := state(attestation.SBOM)
	if report.SBOMs == 0 && document != "signed" {
		document = "none"
	}
	fmt.Fprintf(&text, "sbom        %s\n", document)
	fmt.Fprintf(&text, "provenance  %s\n", state(attestation.Provenance))
	if report.Others > 0 {
		fmt.Fprintf(&text, "others      %s\n", display.Count(report.Others, "statement")+" of other keys, or not valid")
	}
	_, err := io.WriteString(out, text.String())
	return err
}

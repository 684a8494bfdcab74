// Package attest attaches what is known of an image to it: its SBOM, and with a key a signature
// and its provenance.
package attest

import (
	"context"
	"fmt"
	"time"

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
	"github.com/pyflow-dev/kubectl-pyflow/pkg/version"
)

// Flags are the flags of the verb.
type Flags struct {
	config *genericclioptions.ConfigFlags

	Key     signing.Reference
	Timeout time.Duration
	Wait    time.Duration
}

// NewCommand returns the verb.
func NewCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{config: config, Timeout: 10 * time.Minute, Wait: 2 * time.Minute}
	cmd := &cobra.Command{
		Use:   "attest APP|APP:TAG|DIGEST",
		Short: "Attach the SBOM, a signature and the provenance of an image to it",
		Long: `Attach to an image its SBOM, a CycloneDX document that lists what is installed in it.
With --sign-key, sign the image, the SBOM, and the provenance: source, commit, builder.

"build --attest" and "build --sign-key" do the same after a build. The registry keeps what
is attached as OCI referrers of the image. They go with it: "images delete" and
"images prune" delete them, "promote" copies them.

A pod in the cluster lists the files of the image. What is attached already stays as it is.`,
		Example: `  # Attach the SBOM of the newest image of an app
  kubectl pyflow images attest mountains

  # Make a key pair, and sign the image of a run
  cosign generate-key-pair
  kubectl pyflow images attest mountains:mountains-7 --sign-key cosign.key

  # Verify it, here or with cosign
  kubectl pyflow images verify mountains:mountains-7 --key cosign.pub`,
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
	flags.Key.AddSign(cmd, "Key to sign with")
	cmd.Flags().DurationVar(&flags.Timeout, "timeout", flags.Timeout, "How long listing the files may take")
	cmd.Flags().DurationVar(&flags.Wait, "wait-timeout", flags.Wait, "How long the pod may wait to start, when waiting could still help; 0 for as long as --timeout")
	usage.Describe(cmd, "docs/attestations.md", "KUBECONFIG", "TERM", signing.PasswordVariable)
	return cmd
}

// Options are the checked options of the verb.
type Options struct {
	Clients *kube.Clients
	Streams genericiooptions.IOStreams
	Key     signing.Reference
	Request attestation.Request
}

// ToOptions checks the flags and reads the kubeconfig.
func (f *Flags) ToOptions(streams genericiooptions.IOStreams, image string) (*Options, error) {
	name, err := images.ParseName(image)
	if err != nil {
		return nil, option.Usage(err)
	}
	switch {
	case f.Timeout <= 0:
		return nil, option.Usagef("--timeout %s is not positive", f.Timeout)
	case f.Wait < 0:
		return nil, option.Usagef("--wait-timeout %s is negative", f.Wait)
	}
	if err := f.Key.Check("sign-key"); err != nil {
		return nil, err
	}
	o := &Options{Streams: streams, Key: f.Key, Request: attestation.Request{
		Name: name, Version: version.Version(), Timeout: f.Timeout, WaitTimeout: f.Wait,
	}}
	o.Clients, err = kube.New(f.config)
	return o, err
}

// Run attaches, and prints the image by its digest.
func (o *Options) Run(ctx context.Context) error {
	var err error
	if o.Request.Key, err = o.Key.Private(ctx, o.Clients.Kube, o.Streams); err != nil {
		return err
	}
	result, err := attestation.Attest(ctx, o.Clients, o.Request, display.NewSteps(o.Streams.ErrOut))
	if err != nil {
		return err
	}
	if result.NoProvenance && o.Request.Key != nil {
		fmt.Fprintln(o.Streams.ErrOut, "warning:", signing.NoProvenance)
	}
	_, err = fmt.Fprintf(o.Streams.Out, "%s@%s\n", result.Repository, result.Digest)
	return err
}

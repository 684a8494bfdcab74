package signing

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/track"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/attestation"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/version"
)

// Attest are the flags by which a build attests its image.
type Attest struct {
	attest    bool
	reference Reference

	// key is what reference names.
	key *attestation.Key
}

// Add adds the flags to a command.
func (a *Attest) Add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&a.attest, "attest", false, "Attach the SBOM of the image to it, when everything has succeeded")
	a.reference.AddSign(cmd, "Sign the image, its SBOM and its provenance, when everything has succeeded")
}

// Check returns a usage error for flags that cannot be followed. Nobody attests the image of a run
// that is not watched.
func (a *Attest) Check(detach bool) error {
	if detach && (a.attest || a.reference != "") {
		return option.Usagef("--attest and --sign-key need the image, which --detach does not wait for; later: kubectl pyflow images attest")
	}
	return a.reference.Check("sign-key")
}

// Open reads the key, before anything is built.
func (a *Attest) Open(ctx context.Context, client kubernetes.Interface, streams genericiooptions.IOStreams) (err error) {
	a.key, err = a.reference.Private(ctx, client, streams)
	return err
}

// Run attaches to an image of an app what is known of it, if a flag asks for that. Timeout bounds
// the pod that lists the files of the image, and wait how long it may wait to start.
func (a *Attest) Run(ctx context.Context, env *build.Environment, name images.Name, timeout, wait time.Duration, recorder *track.Recorder) error {
	if name.Digest == "" || !a.attest && a.reference == "" {
		return nil
	}
	attested, err := attestation.Attest(ctx, env.Clients, attestation.Request{
		Name: name, Key: a.key, Version: version.Version(), Timeout: timeout, WaitTimeout: wait,
	}, notices{recorder})
	if err != nil {
		return fmt.Errorf("the image is built, but not attested: %w", err)
	}
	if a.key == nil {
		recorder.Notice("Attached the SBOM to the image")
		return nil
	}
	if attested.NoProvenance {
		recorder.Warn(NoProvenance)
	}
	recorder.Notice("Signed the image, with its SBOM")
	return nil
}

// NoProvenance says why an image has no provenance.
const NoProvenance = "no provenance: the run that built the image is gone"

// notices reports what an inspection prints as notices of a build.
type notices struct{ recorder *track.Recorder }

// Start implements inspect.Progress.
func (n notices) Start(string) func(string, error) { return func(string, error) {} }

// Update implements inspect.Progress.
func (n notices) Update(string) {}

// Print implements inspect.Progress.
func (n notices) Print(line string) { n.recorder.Notice(line) }

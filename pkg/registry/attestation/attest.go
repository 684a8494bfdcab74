package attestation

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/inspect"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/sbom"
)

// Request names the image to attest.
type Request struct {
	Name images.Name
	// Key signs; without one only the SBOM is attached.
	Key *Key
	// Version is that of the plugin.
	Version string
	// Timeout bounds the pod that lists the files of the image; WaitTimeout bounds how long it
	// may wait to start.
	Timeout, WaitTimeout time.Duration
}

// Result is what is attached to an image.
type Result struct {
	App, Repository, Digest string
	// Signed are the types of the statements that the key has signed, also before.
	Signed []string
	// NoProvenance reports that the run that built the image is gone.
	NoProvenance bool
}

// Attest attaches to an image in the namespace of clients its SBOM and, with a key, the signed
// statements Signature, SBOM and Provenance. It lists the files of the image in the cluster. The
// provenance is that of the newest run that pushed the image; there is none for an image whose run
// is gone. What is attached already is not attached again, and an SBOM of another version of the
// plugin is replaced. Errors are those of inspect.Examine and registry.Client.Attach.
func Attest(ctx context.Context, clients *kube.Clients, request Request, progress inspect.Progress) (*Result, error) {
	content, err := inspect.Examine(ctx, clients, inspect.Request{
		Name: request.Name, Timeout: request.Timeout, WaitTimeout: request.WaitTimeout,
	}, progress)
	if err != nil {
		return nil, err
	}
	document, err := Document(content, request.Version)
	if err != nil {
		return nil, err
	}
	config, err := platform.Config(ctx, clients.Kube)
	if err != nil {
		return nil, err
	}
	client, err := images.Open(ctx, clients, config, clients.Namespace)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	result := &Result{App: content.App, Repository: content.Image.Repository, Digest: content.Image.Manifest.Digest}
	statements, err := statementsOf(ctx, clients, config, content, document, result)
	if err != nil {
		return nil, err
	}
	done := progress.Start("Attaching what is known of the image")
	err = attach(ctx, registry.NewArtifacts(client), config.Registry.Path(clients.Namespace, content.App), document, statements, request.Key, result)
	done("Attached what is known of the image", err)
	return result, err
}

// Document returns the SBOM of an image.
func Document(content *inspect.Content, version string) ([]byte, error) {
	inventory, err := inspect.NewInventory(content.Image, content.Listing)
	if err != nil {
		return nil, err
	}
	return sbom.New(sbom.Image{
		App: content.App, Repository: content.Image.Repository, Digest: content.Image.Manifest.Digest, Created: content.Image.Config.Created,
	}, inventory, version)
}

// statementsOf returns what can be signed of an image.
func statementsOf(ctx context.Context, clients *kube.Clients, config *manifests.Config, content *inspect.Content, document []byte, result *Result) ([]Statement, error) {
	digest := content.Image.Manifest.Digest
	statements := []Statement{
		{Digest: digest, Type: Signature, Predicate: json.RawMessage("{}")},
		{Digest: digest, Type: SBOM, Predicate: document},
	}
	run, err := pipelinerun.Newest(ctx, clients.Tekton, clients.Namespace, content.App, func(run *tektonv1.PipelineRun) bool {
		return !pipelinerun.Parse(run).DeployOnly && pipelinerun.Verdict(run).Digest == digest
	})
	if err != nil {
		return nil, err
	}
	if run == nil {
		result.NoProvenance = true
		return statements, nil
	}
	provenance, err := NewProvenance(run, config)
	if err != nil {
		return nil, err
	}
	return append(statements, Statement{Digest: digest, Type: Provenance, Predicate: provenance}), nil
}

// store keeps the artifacts about images.
type store interface {
	Reader
	// Attach stores one.
	Attach(ctx context.Context, repository, subject string, artifact registry.Artifact) (string, error)
	// Delete deletes one.
	Delete(ctx context.Context, repository, digest string) error
}

// attach attaches the SBOM, and what is not signed yet of the statements. It does not sign without
// a key.
func attach(ctx context.Context, registry store, repository string, document []byte, statements []Statement, key *Key, result *Result) error {
	var public *PublicKey
	if key != nil {
		public = key.Public()
	}
	found, err := Find(ctx, registry, repository, result.Digest, public)
	if err != nil {
		return err
	}
	if _, err := registry.Attach(ctx, repository, result.Digest, artifact(sbom.MediaType, document, nil)); err != nil {
		return err
	}
	for _, former := range found.SBOMs {
		if string(former.Content) != string(document) {
			if err := registry.Delete(ctx, repository, former.Digest); err != nil {
				return err
			}
		}
	}
	if key == nil {
		return nil
	}
	var failed error
	for _, statement := range statements {
		if !found.says(statement.Type, statement.Predicate) {
			failed = errors.Join(failed, sign(ctx, registry, repository, statement, key))
		}
		result.Signed = append(result.Signed, statement.Type)
	}
	return failed
}

// sign attaches a signed statement.
func sign(ctx context.Context, registry store, repository string, statement Statement, key *Key) error {
	signed, err := key.Sign(statement)
	if err != nil {
		return err
	}
	_, err = registry.Attach(ctx, repository, statement.Digest, artifact(BundleType, signed, map[string]string{
		"dev.sigstore.bundle.content":       "dsse-envelope",
		"dev.sigstore.bundle.predicateType": statement.Type,
	}))
	return err
}

func artifact(kind string, content []byte, annotations map[string]string) registry.Artifact {
	return registry.Artifact{Type: kind, Content: content, Annotations: annotations}
}

package attestation

import (
	"context"
	"encoding/json"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
)

// The kind and the API version of the JSON form.
const (
	ReportKind = "ImageVerification"
	APIVersion = "pyflow.dev/v1"
)

// Report is what of an image a key has signed. Its JSON form is documented in docs/attestations.md.
type Report struct {
	metav1.TypeMeta `json:",inline"`
	Namespace       string `json:"namespace"`
	App             string `json:"app"`
	Repository      string `json:"repository"`
	// Digest is sha256:<hex>.
	Digest string `json:"digest"`
	// Signed are the types of the valid statements, sorted, each once.
	Signed []string `json:"signed"`
	// Provenance is that of the newest valid statement; null if there is none.
	Provenance json.RawMessage `json:"provenance"`
	// SBOMs is the number of documents that are attached for tools that read no signature.
	SBOMs int `json:"sboms"`
	// Others is the number of bundles that are not valid for the key and the image.
	Others int `json:"others"`
}

var _ runtime.Object = (*Report)(nil)

// DeepCopyObject makes Report an object that kubectl's printers accept.
func (r *Report) DeepCopyObject() runtime.Object {
	c := *r
	c.Signed, c.Provenance = slices.Clone(r.Signed), slices.Clone(r.Provenance)
	return &c
}

// Verify checks what is attached to an image in the namespace of clients, and returns what key has
// signed of it. Kinds are the types of statements that there have to be; a Signature always has to.
// Errors are an *UnsignedError, ErrDocument, an *access.MissingError, and those of images.Find.
// The report is there with the first two as well.
func Verify(ctx context.Context, clients *kube.Clients, name images.Name, key *PublicKey, kinds []string, waiting func(error)) (*Report, error) {
	config, err := platform.Config(ctx, clients.Kube)
	if err != nil {
		return nil, err
	}
	namespace := clients.Namespace
	if err := access.Check(ctx, clients.Kube, append([]access.Permission{
		{Verb: "get", Resource: "secrets", Namespace: namespace, Name: manifests.RegistrySecret},
	}, platform.RegistryPermissions(config.Registry)...)); err != nil {
		return nil, err
	}
	client, err := images.Open(ctx, clients, config, namespace)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	repositories, err := images.Fetch(ctx, clients, config, images.Scope{Namespace: namespace, App: name.App}, waiting)
	if err != nil {
		return nil, err
	}
	repository, manifest, err := images.Find(repositories, namespace, name)
	if err != nil {
		return nil, err
	}
	found, err := Find(ctx, registry.NewArtifacts(client), repository.Path, manifest.Digest, key)
	if err != nil {
		return nil, err
	}
	report := &Report{
		TypeMeta:  metav1.TypeMeta{Kind: ReportKind, APIVersion: APIVersion},
		Namespace: namespace, App: repository.App,
		Repository: config.Registry.Repository(namespace, repository.App), Digest: manifest.Digest,
		Signed: []string{}, SBOMs: len(found.SBOMs), Others: found.Others,
	}
	for _, statement := range found.Statements {
		report.Signed = append(report.Signed, statement.Type)
		if statement.Type == Provenance {
			report.Provenance = statement.Predicate
		}
	}
	slices.Sort(report.Signed)
	report.Signed = slices.Compact(report.Signed)
	return report, found.Check(manifest.Digest, append([]string{Signature}, kinds...)...)
}

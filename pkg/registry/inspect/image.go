package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
)

// Request names the image to inspect.
type Request struct {
	Name images.Name
	// Platform is OS/ARCHITECTURE; it may be empty unless the image is for several.
	Platform string
	// Top is how many of the largest files to report; 0 for all.
	Top int
	// Timeout bounds the pod that lists the files; WaitTimeout bounds how long it may
	// wait to start.
	Timeout, WaitTimeout time.Duration
}

// Progress shows the steps of an inspection.
type Progress interface {
	// Start starts a step. Done ends it with its result, or with its error.
	Start(name string) (done func(result string, err error))
	// Update replaces the text of the running step.
	Update(text string)
	// Print prints a line between the steps.
	Print(line string)
}

// Inspect reports what an image in the namespace of clients is made of. Errors are those of
// Examine and Analyze.
func Inspect(ctx context.Context, clients *kube.Clients, request Request, progress Progress) (*Analysis, error) {
	content, err := Examine(ctx, clients, request, progress)
	if err != nil {
		return nil, err
	}
	return Analyze(content.Image, content.Listing, request.Top)
}

// Content is an image of an app with the list of its files.
type Content struct {
	App     string
	Image   Image
	Listing *Listing
}

// Examine lists the files of an image in the namespace of clients. A pod in the cluster does it.
// Without a permission the error is an *access.MissingError, and for an image that does not exist
// an *images.UnknownError. Otherwise the errors are those of List.
func Examine(ctx context.Context, clients *kube.Clients, request Request, progress Progress) (*Content, error) {
	config, err := platform.Config(ctx, clients.Kube)
	if err != nil {
		return nil, err
	}
	namespace := clients.Namespace
	if err := access.Check(ctx, clients.Kube, append(permissions(namespace), platform.RegistryPermissions(config.Registry)...)); err != nil {
		return nil, err
	}
	app, image, err := readImage(ctx, clients, config, request, progress)
	if err != nil {
		return nil, err
	}
	target := Target{
		Namespace: namespace, Repository: image.Repository, Digest: image.Manifest.Digest,
		Timeout: request.Timeout, WaitTimeout: request.WaitTimeout,
	}
	for _, layer := range image.Manifest.Layers {
		target.Layers = append(target.Layers, layer.Digest)
	}
	done := progress.Start("Listing the files of " + app + " in the cluster")
	listing, err := List(ctx, Clients{Tekton: clients.Tekton, Kube: clients.Kube}, target, func(text string, waiting bool) {
		if waiting {
			progress.Print("waiting: " + text)
			return
		}
		progress.Update(text)
	})
	done("Files of "+app+" listed in the cluster", err)
	if err != nil {
		return nil, err
	}
	return &Content{App: app, Image: *image, Listing: listing}, nil
}

// readImage finds the image, and reads what the registry and its run record about it.
func readImage(ctx context.Context, clients *kube.Clients, config *manifests.Config, request Request, progress Progress) (app string, image *Image, err error) {
	namespace := clients.Namespace
	// The pod, too, uses the credentials of the namespace.
	client, err := images.Open(ctx, clients, config, namespace)
	if err != nil {
		return "", nil, err
	}
	defer client.Close()
	repositories, err := images.Fetch(ctx, clients, config, images.Scope{Namespace: namespace, App: request.Name.App}, func(err error) {
		progress.Print(fmt.Sprintf("waiting for the registry, which is restarting or being cleaned up: %v; see: kubectl pyflow status", err))
	})
	if err != nil {
		return "", nil, err
	}
	repository, manifest, err := images.Find(repositories, namespace, request.Name)
	var unknown *images.UnknownError
	if errors.As(err, &unknown) && len(unknown.Tags) == 0 {
		// The apps only improve the advice: an error is ignored.
		unknown.Apps, _ = images.Apps(ctx, clients.Dynamic, namespace)
	}
	if err != nil {
		return "", nil, err
	}
	image = &Image{Repository: config.Registry.Repository(namespace, repository.App)}
	if image.Manifest, image.Config, err = Read(ctx, client, repository.Path, manifest.Digest, request.Platform); err != nil {
		return "", nil, err
	}
	if image.Attached, err = attached(ctx, client, repository.Path, image.Manifest.Digest); err != nil {
		return "", nil, err
	}
	image.Dockerfile, image.Target, err = recordedDockerfile(ctx, clients, repository.App, manifest.Digest)
	return repository.App, image, err
}

// predicateType is the annotation in which cosign keeps the type of a signed statement.
const predicateType = "dev.sigstore.bundle.predicateType"

// attached returns the types of what the registry keeps about an image: the type of a statement,
// or the media type of anything else. Nothing of it is verified.
func attached(ctx context.Context, client *registry.Client, repository, digest string) ([]string, error) {
	artifacts, err := registry.NewArtifacts(client).Referrers(ctx, repository, digest)
	kinds := []string{}
	for _, artifact := range artifacts {
		kinds = append(kinds, cmp.Or(artifact.Annotations[predicateType], artifact.Type))
	}
	slices.Sort(kinds)
	return slices.Compact(kinds), err
}

// permissions returns the permissions to list an image's files.
func permissions(namespace string) []access.Permission {
	return []access.Permission{
		{Verb: "get", Resource: "secrets", Namespace: namespace, Name: manifests.RegistrySecret},
		{Verb: "create", Group: "tekton.dev", Resource: "pipelineruns", Namespace: namespace},
		{Verb: "delete", Group: "tekton.dev", Resource: "pipelineruns", Namespace: namespace},
		{Verb: "list", Group: "tekton.dev", Resource: "pipelineruns", Namespace: namespace},
		{Verb: "watch", Group: "tekton.dev", Resource: "pipelineruns", Namespace: namespace},
		{Verb: "watch", Group: "tekton.dev", Resource: "taskruns", Namespace: namespace},
		{Verb: "watch", Resource: "pods", Namespace: namespace},
		{Verb: "get", Resource: "pods", Subresource: "log", Namespace: namespace},
	}
}

// recordedDockerfile returns the Dockerfile and the target of the newest run that pushed
// the image; nil if there is no such run, or it recorded none.
func recordedDockerfile(ctx context.Context, clients *kube.Clients, app, digest string) (*dockerfile.Dockerfile, string, error) {
	newest, err := pipelinerun.Newest(ctx, clients.Tekton, clients.Namespace, app, func(run *tektonv1.PipelineRun) bool {
		return run.Annotations[manifests.AnnotationDockerfile] != "" && pipelinerun.Verdict(run).Digest == digest
	})
	if newest == nil || err != nil {
		return nil, "", err
	}
	file, target := Recorded(newest)
	return file, target, nil
}

// Recorded returns the Dockerfile that a run keeps, and the stage that it built; nil if it
// keeps none.
func Recorded(run *tektonv1.PipelineRun) (file *dockerfile.Dockerfile, target string) {
	info := pipelinerun.Parse(run)
	if info.DockerfileText == "" {
		return nil, ""
	}
	// A Dockerfile that was built parses, but the annotation may have been edited.
	file, err := dockerfile.Parse(info.Dockerfile, []byte(info.DockerfileText))
	if err != nil {
		return nil, ""
	}
	return file, info.Target
}

// Package pipelinerun makes, starts, stops and judges the PipelineRun of one build.
package pipelinerun

import (
	"maps"
	"strings"
	"time"

	"github.com/tektoncd/pipeline/pkg/apis/pipeline/pod"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

const (
	resultDigest = "IMAGE_DIGEST"
	resultURL    = "IMAGE_URL"

	// retries bounds how often Kaniko repeats a pull or a push that the network
	// broke.
	retries = "3"
)

// Spec is one build and its delivery.
type Spec struct {
	// App is the app's name, and the image name that stands in the manifests.
	App string
	// Namespace is where the run and the app live.
	Namespace string
	// Name is the run's name; unique in Namespace.
	Name string
	// Source is the build context's artifact, repository@digest, as pods reach it.
	Source string
	// ContextDigest is the digest of the artifact's one layer, sha256:<hex>.
	ContextDigest string
	// Repository is where pods push the image, without tag.
	Repository string
	// NodeRepository is the same repository as nodes pull it.
	NodeRepository string
	// Tag is the tag that is pushed beside the digest; empty is Name.
	Tag string
	// Dockerfile is the Dockerfile's slash-separated path inside the context;
	// empty is "Dockerfile".
	Dockerfile string
	// BuildArgs are passed to the Dockerfile's ARGs, KEY=VALUE, in order.
	BuildArgs []string
	// Mirrors redirect base images. Kaniko redirects whole registries only: a
	// mirror of a part of a registry counts when it keeps that part's path.
	Mirrors []manifests.Mirror
	// ManifestsSecret holds the kustomization to apply; empty is Name-manifests.
	ManifestsSecret string
	// Timeout bounds the run; zero leaves Tekton's default.
	Timeout time.Duration
	// Labels and Annotations are added to the run's own, which win.
	Labels, Annotations map[string]string
}

// SecretName is the name of the Secret with the manifests that the run applies.
func (s Spec) SecretName() string {
	if s.ManifestsSecret != "" {
		return s.ManifestsSecret
	}
	return s.Name + "-manifests"
}

// New makes the PipelineRun of spec. It is pure and does not validate: Tekton's
// webhook and the Pipeline's own parameters do.
func New(spec Spec) *tektonv1.PipelineRun {
	tag := spec.Tag
	if tag == "" {
		tag = spec.Name
	}
	dockerfile := spec.Dockerfile
	if dockerfile == "" {
		dockerfile = "Dockerfile"
	}
	labels, annotations := map[string]string{}, map[string]string{}
	maps.Copy(labels, spec.Labels)
	maps.Copy(labels, ownLabels(spec.App))
	maps.Copy(annotations, spec.Annotations)
	annotations[manifests.AnnotationSource] = spec.Source
	noToken := false
	registry, _, _ := strings.Cut(spec.Repository, "/")
	run := &tektonv1.PipelineRun{
		TypeMeta: metav1.TypeMeta{APIVersion: tektonv1.SchemeGroupVersion.String(), Kind: "PipelineRun"},
		ObjectMeta: metav1.ObjectMeta{
			Name:        spec.Name,
			Namespace:   spec.Namespace,
			Labels:      labels,
			Annotations: annotations,
		},
		Spec: tektonv1.PipelineRunSpec{
			PipelineRef: &tektonv1.PipelineRef{ResolverRef: tektonv1.ResolverRef{
				Resolver: "cluster",
				Params: tektonv1.Params{
					param("kind", "pipeline"),
					param("name", manifests.PipelineName),
					param("namespace", manifests.SystemNamespace),
				},
			}},
			Params: tektonv1.Params{
				param("name", spec.App),
				param("source", spec.Source),
				// An OCI layout names a blob by sha256/<hex>.
				param("context-path", strings.Replace(spec.ContextDigest, ":", "/", 1)),
				param("registry", registry),
				param("image", spec.Repository),
				param("node-image", spec.NodeRepository),
				param("tag", tag),
				param("dockerfile", dockerfile),
				{Name: "kaniko-args", Value: tektonv1.ParamValue{
					Type: tektonv1.ParamTypeArray, ArrayVal: kanikoArgs(spec),
				}},
			},
			Workspaces: []tektonv1.WorkspaceBinding{
				{Name: "registry", Secret: &corev1.SecretVolumeSource{
					SecretName: manifests.RegistrySecret,
					Items: []corev1.KeyToPath{
						{Key: corev1.DockerConfigJsonKey, Path: "config.json"},
						{Key: manifests.CAKey, Path: manifests.CAKey},
					},
				}},
				{Name: "manifests", Secret: &corev1.SecretVolumeSource{SecretName: spec.SecretName()}},
			},
			TaskRunSpecs: []tektonv1.PipelineTaskRunSpec{
				{
					PipelineTaskName:   manifests.BuildTask,
					ServiceAccountName: manifests.BuildServiceAccount,
					// A Dockerfile runs anybody's code.
					PodTemplate: &pod.PodTemplate{AutomountServiceAccountToken: &noToken},
				},
				{
					PipelineTaskName:   manifests.DeployTask,
					ServiceAccountName: manifests.DeployServiceAccount,
				},
			},
		},
	}
	if spec.Timeout > 0 {
		run.Spec.Timeouts = &tektonv1.TimeoutFields{Pipeline: &metav1.Duration{Duration: spec.Timeout}}
	}
	return run
}

// kanikoArgs are the flags that depend on the build; those that every build has
// in the same form for the Task's own paths are in the Task.
func kanikoArgs(spec Spec) []string {
	args := []string{
		"--cache=true",
		"--cache-repo=" + spec.Repository + "/cache",
		// Without it a multi-stage build repeats its first stage every time.
		"--cache-copy-layers",
		// Changes by size, time, mode and owner: hashing every file's content
		// is most of what a snapshot costs.
		"--snapshot-mode=redo",
		"--image-download-retry=" + retries,
		"--push-retry=" + retries,
		"--log-format=text",
	}
	insecure := map[string]bool{}
	for _, mirror := range spec.Mirrors {
		registry, location, ok := mirror.Registry()
		if !ok {
			continue
		}
		if registry == "docker.io" {
			// The name under which Kaniko looks Docker Hub up.
			registry = "index.docker.io"
		}
		args = append(args, "--registry-map="+registry+"="+location)
		if mirror.Insecure && !insecure[mirror.Host] {
			insecure[mirror.Host] = true
			args = append(args, "--insecure-registry="+mirror.Host)
		}
	}
	for _, arg := range spec.BuildArgs {
		args = append(args, "--build-arg="+arg)
	}
	return args
}

func param(name, value string) tektonv1.Param {
	return tektonv1.Param{Name: name, Value: *tektonv1.NewStructuredValues(value)}
}

func ownLabels(app string) map[string]string {
	return map[string]string{
		manifests.LabelManagedBy: manifests.FieldManager,
		manifests.LabelApp:       app,
	}
}

// Outcome is what a run says about itself.
type Outcome struct {
	// Done says that the run has ended, whatever its end was.
	Done bool
	// Succeeded says that it ended well.
	Succeeded bool
	// Canceled says that it ended, or is ending, because somebody canceled it.
	Canceled bool
	// Reason and Message are Tekton's own, of the condition Succeeded.
	Reason, Message string
	// Digest is the pushed image's, sha256:<hex>; empty until the run succeeded.
	Digest string
	// ImageURL is the pushed image as repository:tag[@digest].
	ImageURL string
}

// Verdict reads a run's outcome. It is pure; a nil run is an empty outcome. Give
// it the last object watched, not the one that was created.
func Verdict(run *tektonv1.PipelineRun) Outcome {
	if run == nil {
		return Outcome{}
	}
	outcome := Outcome{Canceled: run.IsCancelled()}
	if condition := run.Status.GetCondition(apis.ConditionSucceeded); condition != nil {
		outcome.Done = !condition.IsUnknown()
		outcome.Succeeded = condition.IsTrue()
		outcome.Reason, outcome.Message = condition.Reason, condition.Message
		// A run that was faster than its cancellation is not a canceled one.
		outcome.Canceled = outcome.Canceled && !outcome.Succeeded
	}
	for _, result := range run.Status.Results {
		switch result.Name {
		case resultDigest:
			outcome.Digest = strings.TrimSpace(result.Value.StringVal)
		case resultURL:
			outcome.ImageURL = strings.TrimSpace(result.Value.StringVal)
		}
	}
	return outcome
}

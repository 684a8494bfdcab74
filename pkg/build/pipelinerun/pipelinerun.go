// Package pipelinerun makes, starts, stops and judges the PipelineRun of one build.
package pipelinerun

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/tektoncd/pipeline/pkg/apis/pipeline/pod"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

const (
	resultDigest = "IMAGE_DIGEST"
	resultURL    = "IMAGE_URL"
	resultCommit = "COMMIT"

	paramDigest     = "digest"
	paramImage      = "image"
	paramDockerfile = "dockerfile"
	paramDeploy     = "deploy"
	paramTag        = "tag"
	paramRevision   = "revision"
	// paramSequence is filled in by whoever starts a run.
	paramSequence = "sequence"
	paramKaniko   = "engine-args"

	// buildStep is the step of the Task that Kaniko is.
	buildStep = "build"
	// mountDir is where the Task mounts its workspace secrets.
	mountDir = "/kaniko/build-secrets/"
	// mountMode keeps them from a RUN whose user is not root: such a user reads
	// what the RUN mounts.
	mountMode = int32(0o400)

	// dockerfileLimit bounds the Dockerfile's text on a run, in bytes; all of an
	// object's annotations may have 256 KiB.
	dockerfileLimit = 64 << 10

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
	// Git is the source instead; Source and ContextDigest are empty then.
	Git *Git
	// Digest is an image of Repository that is delivered, sha256:<hex>: nothing is
	// built, and what is about building is left out.
	Digest string
	// NoDeploy builds and pushes only.
	NoDeploy bool
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
	// Target is the stage of the Dockerfile that becomes the image; empty is the
	// last one.
	Target string
	// Test is what has to pass before the image is delivered; nil is nothing.
	Test *Test
	// NoCache carries out every instruction. Their layers do not get into the cache
	// either: Kaniko has one switch for both.
	NoCache bool
	// Secrets are for RUN --mount=type=secret.
	Secrets []BuildSecret
	// CPU, Memory and Storage (the node's disk) are what the build step asks for
	// and may have; zero leaves out the one in question.
	CPU, Memory, Storage resource.Quantity
	// NodeSelector says which nodes may run the build pod.
	NodeSelector map[string]string
	// Mirrors redirect base images. Kaniko redirects whole registries only: a
	// mirror of a part of a registry counts when it keeps that part's path.
	Mirrors []manifests.Mirror
	// ManifestsSecret holds the kustomization to apply; empty is Name-manifests.
	ManifestsSecret string
	// Timeout bounds the run; zero leaves Tekton's default.
	Timeout time.Duration
	// BuildKey is what BuildKey made of the spec; may be empty.
	BuildKey string
	// Commit is the source's git commit in full, when it is known, and Dirty says
	// that files differ from it.
	Commit string
	Dirty  bool
	// DockerfileText is kept on the run when it has at most 64 KiB, so that its
	// instructions can be shown later.
	DockerfileText string
	// Labels and Annotations are added to the run's own, which win.
	Labels, Annotations map[string]string
}

// Test says how an image is tested, in a pod of its own. At least one of its fields
// is set.
type Test struct {
	// Command is the program and its arguments; no shell is in between. It passes when
	// it ends with 0. Without it the instructions of Stage are the test.
	Command []string
	// Stage is the stage of the Dockerfile that has what the tests need. The command
	// runs in its working directory. Without one it runs in the image that is
	// delivered, in a copy of the source.
	Stage string
}

// Git is a folder of a git repository.
type Git struct {
	// URL is what git clones: https://, http://, ssh:// or user@host:path.
	URL string
	// Revision is a branch, a tag or a full commit; empty is the remote's HEAD.
	Revision string
	// Path is the slash-separated folder that is built; empty is all of it.
	Path string
	// Secret holds what git logs in with, of the run's namespace: username and
	// password, or ssh-privatekey and known_hosts; and ca.crt. Empty is none.
	Secret string
}

// BuildSecret is a secret that a RUN can mount.
type BuildSecret struct {
	// ID is its name in the Dockerfile: letters, digits, "-", "_" and ".", not
	// starting with a period.
	ID string
	// Secret is one of the run's namespace, and Key the key there.
	Secret, Key string
	// Value is the content when Secret is empty.
	Value []byte
}

// BuildSecretsName is the name of the Secret with the values of Secrets; it is
// made when there are any.
func (s Spec) BuildSecretsName() string { return s.Name + "-build-secrets" }

// SecretName is the name of the Secret with the manifests that the run applies.
func (s Spec) SecretName() string {
	if s.ManifestsSecret != "" {
		return s.ManifestsSecret
	}
	return s.Name + "-manifests"
}

// New makes the PipelineRun of spec. It is pure and does not validate: Tekton's
// webhook and the Pipeline's own parameters do. The parameter sequence, which
// takes the server's time, is added by Create.
func New(spec Spec) *tektonv1.PipelineRun {
	labels, annotations := map[string]string{}, map[string]string{}
	maps.Copy(labels, spec.Labels)
	maps.Copy(labels, ownLabels(spec.App))
	maps.Copy(annotations, spec.Annotations)
	for key, value := range map[string]string{
		manifests.AnnotationSource:     spec.Source,
		manifests.AnnotationCommit:     spec.Commit,
		manifests.AnnotationDockerfile: spec.DockerfileText,
	} {
		if value != "" && len(value) <= dockerfileLimit {
			annotations[key] = value
		}
	}
	if spec.Dirty {
		annotations[manifests.AnnotationDirty] = "true"
	}
	if spec.BuildKey != "" {
		labels[manifests.LabelBuildKey] = spec.BuildKey
	}
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
					param("name", pipeline(spec)),
					param("namespace", manifests.SystemNamespace),
				},
			}},
			Params:       params(spec),
			Workspaces:   workspaces(spec),
			TaskRunSpecs: taskRunSpecs(spec),
		},
	}
	if spec.Timeout > 0 {
		run.Spec.Timeouts = &tektonv1.TimeoutFields{Pipeline: &metav1.Duration{Duration: spec.Timeout}}
	}
	return run
}

func pipeline(spec Spec) string {
	switch {
	case spec.Digest != "":
		return manifests.DeliverPipelineName
	case spec.Git != nil && spec.Test != nil:
		return manifests.GitTestedPipelineName
	case spec.Git != nil:
		return manifests.GitPipelineName
	case spec.Test != nil:
		return manifests.TestedPipelineName
	default:
		return manifests.PipelineName
	}
}

func params(spec Spec) tektonv1.Params {
	params := tektonv1.Params{param("name", spec.App)}
	if spec.Digest != "" {
		return append(params, param("node-image", spec.NodeRepository), param(paramDigest, spec.Digest))
	}
	if spec.Git != nil {
		params = append(params,
			param("url", spec.Git.URL),
			param(paramRevision, spec.Git.Revision),
			param("path", spec.Git.Path))
	} else {
		params = append(params,
			param("source", spec.Source),
			// An OCI layout names a blob by sha256/<hex>.
			param("context-path", strings.Replace(spec.ContextDigest, ":", "/", 1)))
	}
	registry, _, _ := strings.Cut(spec.Repository, "/")
	params = append(params,
		param("registry", registry),
		param(paramImage, spec.Repository),
		param("node-image", spec.NodeRepository),
		param(paramTag, cmp.Or(spec.Tag, spec.Name)),
		param(paramDockerfile, dockerfile(spec)),
		array(paramKaniko, kanikoArgs(spec)))
	params = append(params, testParams(spec)...)
	if spec.NoDeploy {
		params = append(params, param(paramDeploy, "false"))
	}
	return params
}

func dockerfile(spec Spec) string { return cmp.Or(spec.Dockerfile, "Dockerfile") }

func workspaces(spec Spec) []tektonv1.WorkspaceBinding {
	delivery := tektonv1.WorkspaceBinding{Name: "manifests", Secret: &corev1.SecretVolumeSource{SecretName: spec.SecretName()}}
	if spec.Digest != "" {
		return []tektonv1.WorkspaceBinding{delivery}
	}
	if spec.NoDeploy {
		delivery = tektonv1.WorkspaceBinding{Name: "manifests", EmptyDir: &corev1.EmptyDirVolumeSource{}}
	}
	bindings := []tektonv1.WorkspaceBinding{
		{Name: "registry", Secret: &corev1.SecretVolumeSource{
			SecretName: manifests.RegistrySecret,
			Items: []corev1.KeyToPath{
				{Key: corev1.DockerConfigJsonKey, Path: "config.json"},
				{Key: manifests.CAKey, Path: manifests.CAKey},
			},
		}},
		delivery,
	}
	if spec.Git != nil && spec.Git.Secret != "" {
		bindings = append(bindings, tektonv1.WorkspaceBinding{
			Name: "git", Secret: &corev1.SecretVolumeSource{SecretName: spec.Git.Secret},
		})
	}
	if len(spec.Secrets) > 0 {
		mode := mountMode
		projected := &corev1.ProjectedVolumeSource{DefaultMode: &mode}
		for _, secret := range spec.Secrets {
			name, key := secret.Secret, secret.Key
			if name == "" {
				name, key = spec.BuildSecretsName(), secret.ID
			}
			projected.Sources = append(projected.Sources, corev1.VolumeProjection{Secret: &corev1.SecretProjection{
				LocalObjectReference: corev1.LocalObjectReference{Name: name},
				Items:                []corev1.KeyToPath{{Key: key, Path: secret.ID}},
			}})
		}
		bindings = append(bindings, tektonv1.WorkspaceBinding{Name: "secrets", Projected: projected})
	}
	return bindings
}

// taskRunSpecs gives each task its ServiceAccount, in the Pipeline's order.
func taskRunSpecs(spec Spec) []tektonv1.PipelineTaskRunSpec {
	deploy := tektonv1.PipelineTaskRunSpec{
		PipelineTaskName:   manifests.DeployTask,
		ServiceAccountName: manifests.DeployServiceAccount,
	}
	if spec.Digest != "" {
		return []tektonv1.PipelineTaskRunSpec{deploy}
	}
	noToken := false
	var specs []tektonv1.PipelineTaskRunSpec
	if spec.Git != nil {
		specs = append(specs, tektonv1.PipelineTaskRunSpec{
			PipelineTaskName:   manifests.FetchTask,
			ServiceAccountName: manifests.BuildServiceAccount,
			PodTemplate:        &pod.PodTemplate{AutomountServiceAccountToken: &noToken},
		})
	}
	build := tektonv1.PipelineTaskRunSpec{
		PipelineTaskName:   manifests.BuildTask,
		ServiceAccountName: manifests.BuildServiceAccount,
		// A Dockerfile runs anybody's code.
		PodTemplate: &pod.PodTemplate{
			AutomountServiceAccountToken: &noToken,
			NodeSelector:                 maps.Clone(spec.NodeSelector),
		},
	}
	wanted := corev1.ResourceList{}
	for name, quantity := range map[corev1.ResourceName]resource.Quantity{
		corev1.ResourceCPU:              spec.CPU,
		corev1.ResourceMemory:           spec.Memory,
		corev1.ResourceEphemeralStorage: spec.Storage,
	} {
		if !quantity.IsZero() {
			wanted[name] = quantity
		}
	}
	if len(wanted) > 0 {
		build.StepSpecs = []tektonv1.TaskRunStepSpec{{
			Name:             buildStep,
			ComputeResources: corev1.ResourceRequirements{Requests: wanted, Limits: wanted},
		}}
	}
	specs = append(specs, build)
	if spec.Test != nil {
		specs = append(specs, testRunSpecs(spec, build)...)
	}
	return append(specs, deploy)
}

// kanikoArgs are the flags that depend on the build; those that every build has
// in the same form for the Task's own paths are in the Task.
func kanikoArgs(spec Spec) []string {
	args := []string{"--cache=false"}
	if !spec.NoCache {
		args = []string{
			"--cache=true",
			"--cache-repo=" + spec.Repository + "/cache",
			// Without it a multi-stage build repeats its first stage every time.
			"--cache-copy-layers",
		}
	}
	args = append(args,
		// Changes by size, time, mode and owner: hashing every file's content
		// is most of what a snapshot costs.
		"--snapshot-mode=redo",
		"--image-download-retry="+retries,
		"--push-retry="+retries,
		"--log-format=text",
	)
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
	if spec.Target != "" {
		args = append(args, targetFlag+spec.Target)
	}
	for _, secret := range spec.Secrets {
		args = append(args, "--secret=id="+secret.ID+",src="+mountDir+secret.ID)
	}
	return args
}

// fullCommit is how git writes a commit in full, by SHA-1 or SHA-256.
var fullCommit = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// BuildKey is the key of the image that spec is the build of, 32 hexadecimal
// digits: equal keys are equal images. It covers the content of the source, what
// is built of it (path, Dockerfile, target, build arguments in order), how it is
// tested, the secrets and engine, the version of the build engine. It does not cover what the
// Dockerfile takes from elsewhere, which can change while the Dockerfile does not:
// the images behind tags in FROM, packages that a RUN downloads, the content of
// Secrets that are in the cluster. It is empty when the content of the source is
// not known: for git, when the revision is not a full commit. It is pure.
func BuildKey(spec Spec, engine string) string {
	source := []string{"folder", spec.ContextDigest}
	if spec.Git != nil {
		if !fullCommit.MatchString(spec.Git.Revision) {
			return ""
		}
		source = []string{"git", spec.Git.URL, spec.Git.Revision, strings.Trim(path.Clean(spec.Git.Path), "/")}
	} else if spec.ContextDigest == "" {
		return ""
	}
	// Where layers are cached and base images come from is no property of an image.
	args := kanikoArgs(Spec{BuildArgs: spec.BuildArgs, Target: spec.Target})
	secrets := make([]string, 0, 4*len(spec.Secrets))
	for _, secret := range spec.Secrets {
		value := sha256.Sum256(secret.Value)
		secrets = append(secrets, secret.ID, secret.Secret, secret.Key, hex.EncodeToString(value[:]))
	}
	sum := sha256.New()
	parts := [][]string{{engine, dockerfile(spec)}, source, args, secrets}
	if spec.Test != nil {
		parts = append(parts, append([]string{"test", spec.Test.Stage}, spec.Test.Command...))
	}
	for _, part := range parts {
		fmt.Fprintln(sum, len(part))
		for _, text := range part {
			fmt.Fprintf(sum, "%d %s\n", len(text), text)
		}
	}
	return hex.EncodeToString(sum.Sum(nil))[:32]
}

func param(name, value string) tektonv1.Param {
	return tektonv1.Param{Name: name, Value: *tektonv1.NewStructuredValues(value)}
}

func array(name string, values []string) tektonv1.Param {
	return tektonv1.Param{Name: name, Value: tektonv1.ParamValue{Type: tektonv1.ParamTypeArray, ArrayVal: values}}
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
	// Digest is the pushed image's, sha256:<hex>, empty until it was pushed. Of a
	// run that only delivers it is the digest of the image that it delivers.
	Digest string
	// ImageURL is the pushed image as repository:tag[@digest].
	ImageURL string
	// Commit is the git commit that was built, in full; empty when it is not known.
	Commit string
	// Tested says that the image has passed the tests that the run has, also when the
	// run failed later; true for a run without any that has an image.
	Tested bool
}

// Verdict reads a run's outcome. It is pure; a nil run is an empty outcome. Give
// it the last object watched, not the one that was created.
func Verdict(run *tektonv1.PipelineRun) Outcome {
	if run == nil {
		return Outcome{}
	}
	outcome := Outcome{Canceled: run.IsCancelled(), Commit: run.Annotations[manifests.AnnotationCommit]}
	if condition := run.Status.GetCondition(apis.ConditionSucceeded); condition != nil {
		outcome.Done = !condition.IsUnknown()
		outcome.Succeeded = condition.IsTrue()
		outcome.Reason, outcome.Message = condition.Reason, condition.Message
		// A run that was faster than its cancellation is not a canceled one.
		outcome.Canceled = outcome.Canceled && !outcome.Succeeded
	}
	outcome.Digest = text(run, paramDigest)
	var digest, stageURL string
	passed := false
	for _, result := range run.Status.Results {
		switch result.Name {
		case resultDigest:
			digest = strings.TrimSpace(result.Value.StringVal)
		case resultURL:
			outcome.ImageURL = strings.TrimSpace(result.Value.StringVal)
		case resultCommit:
			outcome.Commit = strings.TrimSpace(result.Value.StringVal)
		case resultTested, resultStageTested:
			passed = passed || strings.TrimSpace(result.Value.StringVal) == "true"
		case resultTestURL:
			stageURL = strings.TrimSpace(result.Value.StringVal)
		}
	}
	// Kaniko writes its results for every layer that it pushes to the cache, too.
	image := text(run, paramImage)
	switch {
	case digest == "":
	case outcome.Succeeded || image != "" && strings.HasPrefix(outcome.ImageURL, image+":"):
		outcome.Digest = digest
	default:
		outcome.ImageURL = ""
	}
	switch tests := text(run, paramTest); {
	case outcome.Digest == "":
	case tests == "" || outcome.Succeeded:
		outcome.Tested = true
	case tests == testStage:
		// The stage's image is pushed once all of its instructions have passed.
		outcome.Tested = strings.HasPrefix(stageURL, image+TestSuffix+":")
	default:
		outcome.Tested = passed
	}
	return outcome
}

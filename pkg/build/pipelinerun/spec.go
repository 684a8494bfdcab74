package pipelinerun

import (
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine"
)

// Spec describes a run: a Build, or a Deploy of an image that exists.
type Spec interface {
	// SecretName returns the name of the Secret with the manifests that the run applies.
	SecretName() string
	about() Meta
	// numbered returns the spec as that of the run of this number.
	numbered(number int) Spec
	pipeline() string
	params() tektonv1.Params
	workspaces() []tektonv1.WorkspaceBinding
	taskRunSpecs() []tektonv1.PipelineTaskRunSpec
	annotations() map[string]string
	// values are the contents of build secrets, by ID.
	values() map[string][]byte
}

// Meta is what every run has.
type Meta struct {
	// App is the app's name, and the image name in the manifests.
	App string
	// Namespace is where the run and the app live.
	Namespace string
	// Name is the name of the run, unique in Namespace.
	Name string
	// NodeRepository is the app's repository as nodes pull it, without tag.
	NodeRepository string
	// ManifestsSecret holds the kustomization to apply; empty means Name-manifests.
	ManifestsSecret string
	// UserOfImage gives the pods of the app's Deployment the user that the image names.
	UserOfImage bool
	// User gives them another user, USER or USER:GROUP in names of the image or numbers;
	// empty means none.
	User string
	// Jobs reports that there are Jobs among the manifests, which run before the workloads.
	Jobs bool
	// Number is that of the run, and of the release that it delivers; 0 records no release.
	Number int
	// Record is what the record of the release says of the run, a JSON object in one line;
	// empty says nothing.
	Record string
	// Adopt takes over objects that are not the app's, and fields of other managers.
	Adopt bool
	// Timeout bounds the run; zero leaves Tekton's default.
	Timeout time.Duration
	// BuildKey is the result of BuildKey; it may be empty.
	BuildKey string
	// Commit is the full git commit of the source, if it is known. Dirty reports that
	// files differ from it.
	Commit string
	Dirty  bool
	// Labels and Annotations are added to the run's own, which win.
	Labels, Annotations map[string]string
}

// Build builds the image of a folder or of a git repository, and deploys it unless
// NoDeploy is set.
type Build struct {
	Meta
	// Folder is the source, unless Git is set.
	Folder Folder
	Git    *Git

	// Engine builds the image with Params. SecretIDs are those of Secrets.
	Engine engine.Engine
	engine.Params
	// Tag is the tag that is pushed; empty means Name.
	Tag string
	// Dockerfile is the slash-separated path of the Dockerfile in the source; empty
	// means "Dockerfile".
	Dockerfile string
	// DockerfileText is kept on the run if it has at most 64 KiB, so that its
	// instructions can be shown later.
	DockerfileText string
	// Secrets are for RUN --mount=type=secret.
	Secrets []BuildSecret
	// Test has to pass before the image is deployed; nil tests nothing.
	Test *Test
	// UserNamespace gives the pods of builds and tests a user namespace of their own.
	UserNamespace bool
	// Resources are those of the build step, and of tests.
	Resources Resources

	NoDeploy bool
}

// Deploy deploys an image of the app's repository.
type Deploy struct {
	Meta
	// Repository is the image's, as pods reach it, without tag.
	Repository string
	// Digest is the image, sha256:<hex>.
	Digest string
	// SecretsFrom is a Secret whose key release.SecretsFile belongs to the manifests: that of
	// the record of an earlier release. Empty means none.
	SecretsFrom string
}

// Folder is a build context in the registry.
type Folder struct {
	// Artifact is repository@digest, as pods reach it.
	Artifact string
	// ContextDigest is the digest of the artifact's one layer, sha256:<hex>.
	ContextDigest string
}

// Git is a folder of a git repository.
type Git struct {
	// URL is what git clones: https://, http://, ssh:// or user@host:path.
	URL string
	// Revision is a branch, a tag or a full commit; empty means the remote's HEAD.
	Revision string
	// Path is the slash-separated folder to build; empty means the whole repository.
	Path string
	// Secret has the credentials for git, in the run's namespace: username and
	// password, or ssh-privatekey and known_hosts; and ca.crt. Empty means none.
	Secret string
}

// Test is how an image is tested. At least one field is set.
type Test struct {
	// Command is the program and its arguments, run without a shell. It passes if it
	// exits with 0. Without it the instructions of Stage are the test.
	Command []string
	// Stage is the stage of the Dockerfile with what the tests need. The engine builds it
	// with the image, and the stage dockerfile.TestRun on top of it, which runs the
	// command. Without Stage the command runs in the image, in a copy of the source, in a
	// pod of its own.
	Stage string
}

// BuildSecret is a secret that a RUN can mount.
type BuildSecret struct {
	// ID is its name in the Dockerfile: letters, digits, "-", "_" and ".", not
	// starting with a period.
	ID string
	// Secret is a Secret of the run's namespace, Key a key in it.
	Secret, Key string
	// Value is the content if Secret is empty.
	Value []byte
}

// Resources are what a pod requests and is limited to, and where it may run. A zero
// quantity is left out.
type Resources struct {
	CPU, Memory resource.Quantity
	// Storage is space on the node's disk.
	Storage      resource.Quantity
	NodeSelector map[string]string
	// Limits replace those of the Task, for resources without a quantity above. What the pod
	// requests of them stays.
	Limits corev1.ResourceList
}

const (
	pushSuffix         = "-push"
	manifestsSuffix    = "-manifests"
	buildSecretsSuffix = "-build-secrets"
)

func (m Meta) about() Meta { return m }

// SecretName returns the name of the Secret with the manifests that the run applies.
func (m Meta) SecretName() string {
	if m.ManifestsSecret != "" {
		return m.ManifestsSecret
	}
	return m.Name + manifestsSuffix
}

// BuildSecretsName returns the name of the Secret with the values of build secrets. It
// exists only if there are any.
func (m Meta) BuildSecretsName() string { return m.Name + buildSecretsSuffix }

package manifests

import "fmt"

// Names that are fixed across the cluster, as documented in docs/cluster.md.
const (
	// SystemNamespace holds the registry, node access, Tasks, Pipeline and the
	// configuration.
	SystemNamespace = "pyflow-system"
	// TektonNamespace is where setup installs Tekton Pipelines.
	TektonNamespace = "tekton-pipelines"

	// FieldManager owns every field that setup and deployments apply.
	FieldManager = "kubectl-pyflow"

	// ConfigName is the ConfigMap in SystemNamespace that holds Config under
	// ConfigKey.
	ConfigName = "pyflow"
	// ConfigKey is the key of the YAML form of Config.
	ConfigKey = "config.yaml"

	// PipelineName is the Pipeline that builds a folder and deploys the image.
	PipelineName = "pyflow"
	// GitPipelineName does the same for a git repository.
	GitPipelineName = "pyflow-git"
	// TestedPipelineName and GitTestedPipelineName do the same and test the image
	// before they deploy it.
	TestedPipelineName    = "pyflow-tested"
	GitTestedPipelineName = "pyflow-git-tested"
	// DeliverPipelineName deploys an image that is in the registry.
	DeliverPipelineName = "pyflow-deliver"
	// FetchTask is the task of GitPipelineName that pushes the source to the
	// registry.
	FetchTask = "fetch"
	// BuildTask is the Pipelines' task that builds and pushes the image.
	BuildTask = "build"
	// TestTask is the Pipelines' task that runs the test command in the image.
	TestTask = "test"
	// TestedBuildTask is the Task that builds an image whose Dockerfile tests it, and
	// prints the results.
	TestedBuildTask = "pyflow-build-tested"
	// TestRunArg is the build argument of TestedBuildTask that differs in every run. The
	// stage of package dockerfile that tests declares it.
	TestRunArg = "PYFLOW_TEST_RUN"
	// InspectTask is the Task that lists what an image is made of, and the Pipeline that
	// runs it.
	InspectTask = "pyflow-inspect"
	// DeployTask is the Pipelines' task that deploys the image.
	DeployTask = "deploy"
	// DeployTaskName is the Task that deploys an image.
	DeployTaskName = "pyflow-deploy"
	// DeployUserTask is the Task that deploys an image and gives the pods the user that
	// the image names.
	DeployUserTask = "pyflow-deploy-user"
	// DeployAsTask does the same with a user that its parameter names.
	DeployAsTask = "pyflow-deploy-as"
	// JobsSuffix is how the name of the Task ends that does the same as one of them, and runs
	// the Jobs among the manifests first.
	JobsSuffix = "-jobs"

	// BuildServiceAccount runs the build pod; it has no token.
	BuildServiceAccount = "pyflow-build"
	// DeployServiceAccount runs the deploy pod.
	DeployServiceAccount = "pyflow-deploy"
	// DeployRole is the ClusterRole that DeployServiceAccount is bound to.
	DeployRole = "pyflow-deploy"

	// RegistryName names the registry's front, which all clients talk to: its
	// StatefulSet, Service and ConfigMap. It holds no images.
	RegistryName = "registry"
	// RegistryPod is the front's one pod: its name is fixed, so that a Role can name
	// this pod and no other.
	RegistryPod = "registry-0"
	// RegistryHost is the registry for pods: the Service's name as every
	// cluster's DNS resolves it, whatever the cluster domain.
	RegistryHost = "registry.pyflow-system.svc"
	// RegistryPort is the container port of the front, TLS.
	RegistryPort = 5000
	// StorageName names the part that holds the images: StatefulSet, Service,
	// ConfigMap and volume. It talks to the front only.
	StorageName = "registry-storage"
	// StorageHost is the storage as the front sees it.
	StorageHost = "registry-storage.pyflow-system.svc"
	// RegistrySecret is the Secret with a namespace's registry credentials: the
	// keys of a kubernetes.io/dockerconfigjson Secret, and CAKey. The one in
	// SystemNamespace holds the platform's own credentials, with all permissions.
	RegistrySecret = "pyflow-registry"
	// BuilderCertificateKey and BuilderKeyKey are the keys of RegistrySecret with the CA that
	// signs the certificates of the namespace's builds. It is absent for an external registry.
	BuilderCertificateKey = "builds.crt"
	BuilderKeyKey         = "builds.key"
	// BuildSecret is the Secret with the variables and the CA that setup gives to
	// builds: in each app namespace the one that builds read, in SystemNamespace the one
	// that the next setup reads. It is absent if builds get neither.
	BuildSecret = "pyflow-build"
	// CAKey is the key of the registry's CA certificate, PEM, in RegistrySecret
	// and in the ConfigMap CAName; empty when a public CA signed it. In
	// BuildSecret it is the key of the CA that builds trust.
	CAKey = "ca.crt"
	// CAName is the ConfigMap in SystemNamespace with the registry's CA
	// certificate, and the Secret there with its key.
	CAName = "registry-ca"
	// TLSName is the Secret in SystemNamespace with the front's certificate.
	TLSName = "registry-tls"
	// StorageTLSName is the Secret there with the storage's certificate.
	StorageTLSName = "registry-storage-tls"
	// AuthName is the Secret in SystemNamespace with the registry's users, under
	// AccountsKey.
	AuthName    = "registry-auth"
	AccountsKey = "users"
	// BuildersKey is the key there of the file with the CAs that sign the certificates of builds,
	// and BuildCAKey that of the certificate of the CA above them, in the Secret TLSName.
	BuildersKey = "builders"
	BuildCAKey  = "builds-ca.crt"
	// BuildRootCertificateKey and BuildRootKeyKey are the keys of that CA in the Secret CAName.
	BuildRootCertificateKey = "builds.crt"
	BuildRootKeyKey         = "builds.key"
	// MirrorRepository is the first segment of the repositories that every
	// namespace may read and the platform's own credentials may write.
	MirrorRepository = "mirror"

	// NodeAccessName names the DaemonSet that lets nodes pull.
	NodeAccessName = "node-access"
	// NodeHost is the registry as nodes see it. Never localhost, which can
	// resolve to ::1, where nothing listens.
	NodeHost = "127.0.0.1:5180"
	// NodePortHost is the same in mode NodeAccessNodePort; its port is in the range of
	// NodePort Services.
	NodePortHost = "127.0.0.1:30518"
	// HostingName is the ConfigMap in HostingNamespace that announces the registry to
	// other tools (KEP-1755).
	HostingName      = "local-registry-hosting"
	HostingNamespace = "kube-public"

	// LabelManagedBy marks every object of ours with the value FieldManager.
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// LabelApp marks an app's runs, manifests and workloads with its name.
	LabelApp = "pyflow.dev/app"
	// LabelGenerated is "true" on the objects of a release that this program generated, and
	// not on those of the user's manifests. It is on their own metadata only: not on pods, and
	// in no selector.
	LabelGenerated = "pyflow.dev/generated"
	// AnnotationQuota is on a namespace: RegistryConfig.Quota for it alone; "0" is no limit.
	AnnotationQuota = "pyflow.dev/registry-quota"
	// AnnotationURL is on the Service of an app whose host a Gateway routes: the URL of the app.
	AnnotationURL = "pyflow.dev/url"
	// AnnotationSecretVariables is on the ConfigMap of EnvName: the names of the variables that
	// the Secret of that name has, which not everybody may read, with commas between them.
	AnnotationSecretVariables = "pyflow.dev/secret-variables" //nolint:gosec // the key of an annotation
	// LabelProcess is on the objects of a process of an app, and on its pods: the name of the
	// process. An app with one process alone has none.
	LabelProcess = "pyflow.dev/process"
	// AnnotationSource is a run's build context, as repository@digest.
	AnnotationSource = "pyflow.dev/source"
	// AnnotationCommit is the git commit that a run's source is of, in full.
	AnnotationCommit = "pyflow.dev/commit"
	// AnnotationDirty is "true" when files of the source differ from that commit.
	AnnotationDirty = "pyflow.dev/dirty"
	// AnnotationTrust is TrustUntrusted on a run that builds what nobody trusts: it reads the
	// cache and does not write it.
	AnnotationTrust = "pyflow.dev/trust"
	TrustUntrusted  = "untrusted"
	// AnnotationTarget is the stage of the Dockerfile that a run builds; without it the
	// last one. AnnotationTestStage is the stage that it tests.
	AnnotationTarget    = "pyflow.dev/target"
	AnnotationTestStage = "pyflow.dev/test-stage"
	// AnnotationDockerfile is the text of a run's Dockerfile.
	AnnotationDockerfile = "pyflow.dev/dockerfile"
	// AnnotationChecked is on the pod that fetched a repository once its Dockerfile has been
	// checked: the SHA-256 of the Dockerfile's lines, as hexadecimal digits.
	AnnotationChecked = "pyflow.dev/checked"
	// AnnotationRolloutFailed is on a run that has deployed the app, and whose rollout failed:
	// the reason, a colon and a message in one line. Whoever watched the rollout writes it.
	AnnotationRolloutFailed = "pyflow.dev/rollout-failed"
	// AnnotationEnding is on a run of which Tekton does not know why it ended: the reason, a colon
	// and a message in one line. Whoever canceled it, or saw that it is superseded, writes it.
	AnnotationEnding = "pyflow.dev/ending"
	// LabelBuildKey marks a run with what its image depends on: equal keys are
	// equal images.
	LabelBuildKey = "pyflow.dev/build-key"
	// AnnotationSequence is on every deployed object: when the run that deployed it
	// was created, RFC 3339 by the server's clock, a space and its name. Of two
	// runs the one with the greater text is the later.
	AnnotationSequence = "pyflow.dev/sequence"
	// Superseded is the end of the API server's answer, after the later run's name, to
	// the deployment of a run that a later one overtook.
	Superseded = "has deployed it already"
	// AnnotationUser is on the default Deployment whose pods run as a user that is given by
	// name: that name.
	AnnotationUser = "pyflow.dev/user"
	// LabelJobOf is on the pods of the Jobs of a release: the name of the app.
	LabelJobOf = "pyflow.dev/job-of"
	// LabelRelease marks the record of a release with its number. AnnotationRelease is on
	// every deployed object: the number of the release that deployed it.
	LabelRelease      = "pyflow.dev/release"
	AnnotationRelease = LabelRelease
	// AnnotationAdopted is "true" on an object that a deployment may take over although it
	// was not the app's.
	AnnotationAdopted = "pyflow.dev/adopted"
	// NotTheApps is how the API server's answer ends, before the name of the app, to a
	// deployment that would change an object of another owner.
	NotTheApps = ", not of app "
	// AnnotationManifests is on every deployed object: the hash of the manifests that
	// it was deployed with.
	AnnotationManifests = "pyflow.dev/manifests"
)

// RecordName is the name of the ConfigMap that records a release of an app, and of the Secret
// with the Secrets among its manifests.
func RecordName(app string, number int) string { return fmt.Sprintf("%s-release-%d", app, number) }

// EnvName returns the name of the ConfigMap and of the Secret with the variables that the verb
// env sets.
func EnvName(app string) string { return app + "-pyflow-env" }

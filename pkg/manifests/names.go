package manifests

// Names that are fixed across the cluster, as documented in docs/cluster.md.
const (
	// SystemNamespace holds the registry, node access, Tasks, Pipeline and the
	// configuration.
	SystemNamespace = "pyflow-system"
	// TektonNamespace is where setup installs Tekton Pipelines.
	TektonNamespace = "tekton-pipelines"

	// FieldManager owns every field that setup and the delivery apply.
	FieldManager = "kubectl-pyflow"

	// ConfigName is the ConfigMap in SystemNamespace that holds Config under
	// ConfigKey.
	ConfigName = "pyflow"
	// ConfigKey is the key of the YAML form of Config.
	ConfigKey = "config.yaml"

	// PipelineName is the Pipeline that every build runs.
	PipelineName = "pyflow"
	// BuildTask is the Pipeline's task that builds and pushes the image.
	BuildTask = "build"
	// DeployTask is the Pipeline's task that delivers it.
	DeployTask = "deploy"

	// BuildServiceAccount runs the build pod; it has no token.
	BuildServiceAccount = "pyflow-build"
	// DeployServiceAccount runs the deploy pod.
	DeployServiceAccount = "pyflow-deploy"
	// DeployRole is the ClusterRole that DeployServiceAccount is bound to.
	DeployRole = "pyflow-deploy"

	// RegistryName names the registry's Deployment, Service, volume and label.
	RegistryName = "registry"
	// RegistryHost is the registry for pods: the Service's name as every
	// cluster's DNS resolves it, whatever the cluster domain.
	RegistryHost = "registry.pyflow-system.svc"
	// RegistrySelector selects the registry's pods in SystemNamespace.
	RegistrySelector = "app.kubernetes.io/name=registry,app.kubernetes.io/part-of=pyflow"
	// RegistryPort is the container port of the registry, TLS.
	RegistryPort = 5000
	// RegistrySecret is the Secret with a namespace's registry credentials: the
	// keys of a kubernetes.io/dockerconfigjson Secret, and CAKey.
	RegistrySecret = "pyflow-registry"
	// CAKey is the key of the registry's CA certificate, PEM, in RegistrySecret
	// and in the ConfigMap CAName.
	CAKey = "ca.crt"
	// CAName is the ConfigMap in SystemNamespace with the registry's CA
	// certificate, and the Secret there with its key.
	CAName = "registry-ca"
	// TLSName is the Secret in SystemNamespace with the registry's certificate.
	TLSName = "registry-tls"
	// AuthName is the Secret in SystemNamespace with the registry's htpasswd
	// file and its upload-state key.
	AuthName = "registry-auth"

	// NodeAccessName names the DaemonSet that lets nodes pull.
	NodeAccessName = "node-access"
	// NodePort is the port on every node's loopback that pulls go to.
	NodePort = 5180
	// NodeHost is the registry as nodes see it. Never localhost, which can
	// resolve to ::1, where nothing listens.
	NodeHost = "127.0.0.1:5180"

	// LabelManagedBy marks every object of ours with the value FieldManager.
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// LabelApp marks an app's runs, manifests and workloads with its name.
	LabelApp = "pyflow.dev/app"
	// AnnotationSource is a run's build context, as repository@digest.
	AnnotationSource = "pyflow.dev/source"
)

// Repository is the repository of an app's images on host, which is RegistryHost
// for pods and NodeHost for nodes.
func Repository(host, namespace, app string) string {
	return host + "/" + namespace + "/" + app
}

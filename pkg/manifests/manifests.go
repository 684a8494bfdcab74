// Package manifests renders what setup applies: embedded YAML in, objects out.
package manifests

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"

	"github.com/google/go-containerregistry/pkg/authn"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/credentials"
)

//go:embed platform namespace
var embedded embed.FS

//go:embed tekton/release.yaml
var tekton []byte

// Tekton returns the embedded install manifest of Tekton Pipelines, YAML.
func Tekton() []byte { return bytes.Clone(tekton) }

// Options are everything that rendering depends on.
type Options struct {
	// Config is rendered into the configuration, and decides on storage,
	// mirrors and namespaces.
	Config Config
	// Credentials are the registry's certificates and users; every namespace of
	// Config has to have one.
	Credentials credentials.Credentials
	// BuildEnv is what every build gets; Config describes it.
	BuildEnv BuildEnv
	// TektonManifest is Tekton's install manifest, YAML; empty when Tekton is
	// adopted.
	TektonManifest []byte
	// Hosting announces the registry to other tools (KEP-1755), unless the cluster
	// announces another one already.
	Hosting bool
}

// Platform is all that setup applies, in the order in which it has to come.
type Platform struct {
	// System is pyflow-system itself with the configuration.
	System []*unstructured.Unstructured
	// Tekton is Tekton Pipelines; empty when it is adopted.
	Tekton []*unstructured.Unstructured
	// Registry is the private registry, or of an external one what the platform
	// has to know.
	Registry []*unstructured.Unstructured
	// NodeAccess lets nodes pull.
	NodeAccess []*unstructured.Unstructured
	// Pipeline is the Tasks and the Pipelines: it needs Tekton's webhook.
	Pipeline []*unstructured.Unstructured
	// Namespaces are the parts in app namespaces.
	Namespaces []*unstructured.Unstructured
}

// Objects returns every object, in order.
func (p *Platform) Objects() []*unstructured.Unstructured {
	return slices.Concat(p.System, p.Tekton, p.Registry, p.NodeAccess, p.Pipeline, p.Namespaces)
}

// Render makes the platform's objects. It is pure: equal options give equal
// objects, in equal order. Every object carries LabelManagedBy.
func Render(options Options) (*Platform, error) {
	r := renderer{Options: options}
	platform := &Platform{
		System:     r.read("platform/namespace.yaml", "platform/config.yaml", "platform/roles.yaml", "platform/delivery.yaml", "platform/developer.yaml", "platform/pods.yaml"),
		Tekton:     r.tekton(),
		Registry:   r.registry(),
		NodeAccess: r.nodeAccess(),
		Pipeline:   r.pipelines(),
	}
	for _, namespace := range options.Config.Namespaces {
		objects := r.read("namespace/access.yaml")
		r.setNamespace(objects, namespace)
		platform.Namespaces = append(platform.Namespaces, slices.Concat(objects, r.pullSecret(namespace), r.buildSecret(namespace), buildNetwork(&r, namespace))...)
	}
	platform.System = append(platform.System, r.buildSecret(SystemNamespace)...)
	platform.System = setPolicies(&r, platform.System)
	r.setConfig(platform.System)
	for _, object := range platform.Objects() {
		if r.err == nil {
			r.err = setImages(object, options.Config.ImageMirrors)
		}
		labels := object.GetLabels()
		if labels == nil {
			labels = map[string]string{}
		}
		labels[LabelManagedBy] = FieldManager
		object.SetLabels(labels)
	}
	if r.err != nil {
		return nil, r.err
	}
	return platform, nil
}

// renderer keeps the first error, so that rendering reads as a list.
type renderer struct {
	Options
	err error
}

func (r *renderer) read(files ...string) []*unstructured.Unstructured {
	var objects []*unstructured.Unstructured
	for _, file := range files {
		data, err := embedded.ReadFile(file)
		if err != nil && r.err == nil {
			r.err = err
		}
		objects = append(objects, r.decode(file, data)...)
	}
	return objects
}

// readAll reads every file of the directories, by name.
func (r *renderer) readAll(directories ...string) []*unstructured.Unstructured {
	var objects []*unstructured.Unstructured
	for _, directory := range directories {
		files, err := embedded.ReadDir(directory)
		if err != nil && r.err == nil {
			r.err = err
		}
		for _, file := range files {
			objects = append(objects, r.read(directory+"/"+file.Name())...)
		}
	}
	return objects
}

func (r *renderer) decode(origin string, data []byte) []*unstructured.Unstructured {
	objects, err := Decode(data)
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("%s: %w", origin, err)
	}
	return objects
}

func (r *renderer) set(object *unstructured.Unstructured, value any, fields ...string) {
	if err := unstructured.SetNestedField(object.Object, value, fields...); err != nil && r.err == nil {
		r.err = fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
	}
}

func (r *renderer) setData(object *unstructured.Unstructured, data map[string][]byte) {
	for key, value := range data {
		r.set(object, base64.StdEncoding.EncodeToString(value), "data", key)
	}
}

func (r *renderer) setConfig(objects []*unstructured.Unstructured) {
	text, err := yaml.Marshal(r.Config)
	if err != nil && r.err == nil {
		r.err = err
	}
	r.set(find(objects, "ConfigMap", ConfigName), string(text), "data", ConfigKey)
}

// sidecarFlag makes Tekton start a Task's first step only when all containers of its pod
// run, for sidecars that a webhook injects. Without it a Task of two steps takes 0.6 s
// instead of 2.5 s, as measured with Tekton v1.15.1.
const sidecarFlag = "running-in-environment-with-injected-sidecars"

// tekton is Tekton Pipelines itself; empty if it is adopted.
func (r *renderer) tekton() []*unstructured.Unstructured {
	objects := r.decode("tekton manifest", r.TektonManifest)
	for _, object := range objects {
		if object.GetKind() == "Deployment" {
			limitTekton(r, object)
		}
		if object.GetKind() != "ConfigMap" {
			continue
		}
		switch object.GetName() {
		case "feature-flags":
			r.set(object, strconv.FormatBool(r.Config.Tekton.Sidecars), "data", sidecarFlag)
		case "resolvers-feature-flags":
			for _, resolver := range Resolvers() {
				on := resolver == ResolverCluster || slices.Contains(r.Config.Tekton.Resolvers, resolver)
				r.set(object, strconv.FormatBool(on), "data", "enable-"+string(resolver)+"-resolver")
			}
		case "cluster-resolver-config":
			if !slices.Contains(r.Config.Tekton.Resolvers, ResolverCluster) {
				r.set(object, SystemNamespace, "data", "allowed-namespaces")
			}
		}
	}
	return objects
}

// pipelines are the Tasks and the Pipelines. A build without tests has a Pipeline of its
// own: whenever Tekton looks at a run, the API server validates every Task that has not
// started, also those that the run skips. For a build without tests that was half of
// Tekton's requests.
func (r *renderer) pipelines() []*unstructured.Unstructured {
	objects := r.readAll("platform/tasks", "platform/pipelines")
	deployAs := r.deployAs(find(objects, "Task", DeployUserTask))
	objects = append(objects, r.testedBuild(find(objects, "Task", buildTaskName), find(objects, "Task", testTaskName)), deployAs)
	jobs := find(objects, "Task", DeployTaskName+JobsSuffix)
	for _, task := range []*unstructured.Unstructured{find(objects, "Task", DeployUserTask), deployAs} {
		ordered, err := withJobs(task, jobs)
		if err != nil {
			if r.err == nil {
				r.err = err
			}
			break
		}
		objects = append(objects, ordered)
	}
	for _, object := range objects {
		if object.GetKind() == "Task" {
			r.setScripts(object)
			setBuildLimits(r, object)
		}
	}
	return objects
}

// registry are the registry's objects with secrets and storage; an ephemeral one
// has no claim among them, and an external one only the credentials and the CA.
func (r *renderer) registry() []*unstructured.Unstructured {
	c, registry := r.Credentials, r.Config.Registry
	secrets := r.read("platform/registry-secrets.yaml")
	ca := find(secrets, "ConfigMap", CAName)
	r.set(ca, string(c.CACertificate), "data", CAKey)
	if registry.External {
		return append(r.pullSecret(SystemNamespace), ca)
	}
	r.setData(find(secrets, "Secret", CAName), map[string][]byte{
		"tls.crt": c.CACertificate, "tls.key": c.CAKey,
		BuildRootCertificateKey: c.BuildCACertificate, BuildRootKeyKey: c.BuildCAKey,
	})
	r.setData(find(secrets, "Secret", TLSName), map[string][]byte{
		"tls.crt": c.Front.Certificate, "tls.key": c.Front.Key,
		"client.crt": c.Client.Certificate, "client.key": c.Client.Key,
		BuildCAKey: c.BuildCACertificate,
	})
	r.setData(find(secrets, "Secret", StorageTLSName), map[string][]byte{"tls.crt": c.Storage.Certificate, "tls.key": c.Storage.Key})
	r.setData(find(secrets, "Secret", AuthName), map[string][]byte{
		AccountsKey: c.Accounts, BuildersKey: credentials.Issuers(c.Accounts), "http-secret": c.HTTPSecret,
	})

	front, storage := r.read("platform/registry.yaml"), r.read("platform/registry-storage.yaml")
	// Users are not among it: the front reads them again by itself.
	r.restartOn(find(front, "StatefulSet", RegistryName), find(front, "ConfigMap", RegistryName), c.Front.Certificate, c.Client.Certificate, c.CACertificate, c.BuildCACertificate)
	set, claim := find(storage, "StatefulSet", StorageName), find(storage, "PersistentVolumeClaim", StorageName)
	r.restartOn(set, find(storage, "ConfigMap", StorageName), c.Storage.Certificate, c.CACertificate)
	switch {
	case registry.Ephemeral:
		r.setEphemeral(set)
		storage = slices.DeleteFunc(storage, func(object *unstructured.Unstructured) bool { return object == claim })
	case registry.StorageClass != "":
		r.set(claim, registry.StorageClass, "spec", "storageClassName")
	}
	if !registry.Ephemeral && registry.StorageSize != "" {
		r.set(claim, registry.StorageSize, "spec", "resources", "requests", "storage")
	}
	return slices.Concat(secrets, storage, front, r.pullSecret(SystemNamespace))
}

// nodeAccess are the objects of the way in which nodes pull.
func (r *renderer) nodeAccess() []*unstructured.Unstructured {
	registry := r.Config.Registry
	var objects []*unstructured.Unstructured
	if r.Hosting {
		objects = r.read("platform/hosting.yaml")
		text, err := yaml.Marshal(hosting{FromContainerRuntime: registry.NodeHost, FromClusterNetwork: registry.Host, Help: hostingHelp})
		if err != nil && r.err == nil {
			r.err = err
		}
		r.set(find(objects, "ConfigMap", HostingName), string(text), "data", "localRegistryHosting.v1")
	}
	if r.Config.NodeAccess.Mode == NodeAccessNone {
		return objects
	}
	objects = append(objects, r.read("platform/node-access.yaml")...)
	set, config := find(objects, "DaemonSet", NodeAccessName), find(objects, "ConfigMap", NodeAccessName)
	if registry.External && len(r.Credentials.CACertificate) == 0 {
		r.set(config, "# The system's.\n", "data", "trust")
	}
	if registry.External {
		r.set(config, answers(registry), "data", "answers")
	}
	environment := map[string]string{"REGISTRY": "https://" + withPort(registry.Host)}
	switch r.Config.NodeAccess.Mode {
	case NodeAccessHostNetwork:
		r.set(set, true, "spec", "template", "spec", "hostNetwork")
		// The node's own name server does not know Services.
		r.set(set, "ClusterFirstWithHostNet", "spec", "template", "spec", "dnsPolicy")
		environment["LISTEN"] = NodeHost
		r.container(set, func(container map[string]any) {
			_, port, _ := net.SplitHostPort(NodeHost)
			number, err := strconv.ParseInt(port, 10, 64)
			if err != nil && r.err == nil {
				r.err = err
			}
			container["ports"] = []any{map[string]any{"name": "registry", "containerPort": number, "hostPort": number, "hostIP": "127.0.0.1"}}
			for _, probe := range []string{"startupProbe", "readinessProbe", "livenessProbe"} {
				fields, _ := container[probe].(map[string]any)
				get, _ := fields["httpGet"].(map[string]any)
				get["host"] = "127.0.0.1"
			}
		})
	case NodeAccessNodePort:
		objects = append(objects, r.read("platform/node-access-service.yaml")...)
		r.container(set, func(container map[string]any) {
			container["ports"] = []any{map[string]any{"name": "registry", "containerPort": int64(8080)}}
		})
	}
	r.container(set, func(container map[string]any) {
		for _, item := range container["env"].([]any) {
			variable, _ := item.(map[string]any)
			if value, ok := environment[variable["name"].(string)]; ok {
				variable["value"] = value
			}
		}
	})
	r.restartOn(set, config, r.Credentials.CACertificate)
	return objects
}

// container changes the one container of a workload.
func (r *renderer) container(workload *unstructured.Unstructured, change func(map[string]any)) {
	path := []string{"spec", "template", "spec", "containers"}
	containers, _, err := unstructured.NestedSlice(workload.Object, path...)
	if err != nil && r.err == nil {
		r.err = err
	}
	for _, item := range containers {
		if container, ok := item.(map[string]any); ok {
			change(container)
		}
	}
	r.set(workload, containers, path...)
}

// answers makes what an external registry sends clients to at its own address, for
// a token or a layer, come back here: the nodes need not trust its certificate.
// What is at another address they fetch there.
func answers(registry RegistryConfig) string {
	host := registry.Host
	if name, port, err := net.SplitHostPort(host); err == nil && port == "443" {
		host = name
	}
	own := regexp.QuoteMeta("https://" + host)
	if _, _, err := net.SplitHostPort(host); err != nil {
		own += "(:443)?"
	}
	return fmt.Sprintf("header_down WWW-Authenticate `realm=\"%[1]s/` `realm=\"http://%[2]s/`\nheader_down Location `^%[1]s/` `http://%[2]s/`\n", own, registry.NodeHost)
}

func withPort(host string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return net.JoinHostPort(host, "443")
}

// hosting is the data of the ConfigMap of KEP-1755, version 1.
type hosting struct {
	FromContainerRuntime string `json:"hostFromContainerRuntime,omitempty"`
	FromClusterNetwork   string `json:"hostFromClusterNetwork,omitempty"`
	Help                 string `json:"help,omitempty"`
}

const hostingHelp = "https://github.com/pyflow-dev/kubectl-pyflow/blob/main/docs/registry.md"

// restartOn makes the workload's pods new ones when the configuration or the
// certificates that they read once, at their start, are others.
func (r *renderer) restartOn(workload, config *unstructured.Unstructured, certificates ...[]byte) {
	data, _, err := unstructured.NestedStringMap(config.Object, "data")
	if err != nil && r.err == nil {
		r.err = err
	}
	sum := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(data)) {
		fmt.Fprintf(sum, "%s\x00%s\x00", key, data[key])
	}
	for _, certificate := range certificates {
		sum.Write(certificate)
	}
	r.set(workload, hex.EncodeToString(sum.Sum(nil)[:8]), "spec", "template", "metadata", "annotations", "pyflow.dev/config-hash")
}

// setEphemeral replaces the claim of the registry's data volume by an emptyDir.
func (r *renderer) setEphemeral(set *unstructured.Unstructured) {
	path := []string{"spec", "template", "spec", "volumes"}
	volumes, _, err := unstructured.NestedSlice(set.Object, path...)
	if err != nil && r.err == nil {
		r.err = err
	}
	for _, item := range volumes {
		if volume, _ := item.(map[string]any); volume["name"] == "data" {
			delete(volume, "persistentVolumeClaim")
			volume["emptyDir"] = map[string]any{"sizeLimit": r.Config.Registry.StorageSize}
		}
	}
	r.set(set, volumes, path...)
}

// setNamespace moves the parts of an app namespace there.
func (r *renderer) setNamespace(objects []*unstructured.Unstructured, namespace string) {
	for _, object := range objects {
		object.SetNamespace(namespace)
	}
	binding := find(objects, "RoleBinding", DeployRole)
	r.set(binding, []any{map[string]any{
		"kind": "ServiceAccount", "name": DeployServiceAccount, "namespace": namespace,
	}}, "subjects")
}

// pullSecret returns the Secret with a namespace's credentials for the registry.
func (r *renderer) pullSecret(namespace string) []*unstructured.Unstructured {
	user, ok := r.Credentials.Users[namespace]
	if !ok && r.err == nil {
		r.err = fmt.Errorf("namespace %s has no registry credentials", namespace)
	}
	config, err := DockerConfig(user, r.Config.Registry.Host, r.Config.Registry.NodeHost)
	if err != nil && r.err == nil {
		r.err = err
	}
	objects := r.read("namespace/registry.yaml")
	secret := find(objects, "Secret", RegistrySecret)
	secret.SetNamespace(namespace)
	data := map[string][]byte{dockerConfigKey: config, CAKey: r.Credentials.CACertificate}
	if builder, ok := r.Credentials.Builders[namespace]; ok {
		data[BuilderCertificateKey], data[BuilderKeyKey] = builder.Certificate, builder.Key
	}
	r.setData(secret, data)
	return objects
}

const dockerConfigKey = ".dockerconfigjson"

type dockerConfig struct {
	Auths map[string]dockerAuth `json:"auths"`
}

type dockerAuth struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Auth     string `json:"auth"`
}

// DockerConfig returns the config.json with user's credentials for hosts.
func DockerConfig(user credentials.User, hosts ...string) ([]byte, error) {
	config := dockerConfig{Auths: map[string]dockerAuth{}}
	for _, host := range hosts {
		config.Auths[host] = dockerAuth{
			Username: user.Name,
			Password: user.Password,
			Auth:     base64.StdEncoding.EncodeToString([]byte(user.Name + ":" + user.Password)),
		}
	}
	return json.Marshal(config)
}

// ParseDockerConfig returns the credentials for host in the data of a RegistrySecret, or
// of any Secret of type kubernetes.io/dockerconfigjson. No error repeats what the Secret
// contains.
func ParseDockerConfig(data map[string][]byte, host string) (credentials.User, error) {
	var config struct {
		Auths map[string]json.RawMessage `json:"auths"`
	}
	if err := json.Unmarshal(data[dockerConfigKey], &config); err != nil {
		return credentials.User{}, fmt.Errorf("its key %s is not a docker config", dockerConfigKey)
	}
	// Clients differ in what they take for the name of a registry.
	for _, key := range []string{host, "https://" + host, "https://" + host + "/", "https://" + host + "/v1/", "https://" + host + "/v2/"} {
		entry, ok := config.Auths[key]
		if !ok {
			continue
		}
		var auth authn.AuthConfig
		if err := json.Unmarshal(entry, &auth); err != nil {
			return credentials.User{}, fmt.Errorf("its credentials for %s cannot be read", host)
		}
		if auth.Username == "" || auth.Password == "" {
			return credentials.User{}, fmt.Errorf("its credentials for %s have no user and password", host)
		}
		return credentials.User{Name: auth.Username, Password: auth.Password}, nil
	}
	return credentials.User{}, fmt.Errorf("it has no credentials for %s, but for %q", host, slices.Sorted(maps.Keys(config.Auths)))
}

func find(objects []*unstructured.Unstructured, kind, name string) *unstructured.Unstructured {
	i := slices.IndexFunc(objects, func(object *unstructured.Unstructured) bool {
		return object.GetKind() == kind && object.GetName() == name
	})
	return objects[i]
}

// Parent returns the object that the inventory of everything hangs on.
func (p *Platform) Parent() *unstructured.Unstructured {
	return find(p.System, "ConfigMap", ConfigName)
}

// TektonVersion reads from Tekton's install manifest which version it brings,
// from where its own clients look for it. Something else than such a manifest is
// an error.
func TektonVersion(manifest []byte) (string, error) {
	objects, err := Decode(manifest)
	if err != nil {
		return "", fmt.Errorf("tekton manifest: %w", err)
	}
	for _, object := range objects {
		if object.GetKind() == "ConfigMap" && object.GetName() == "pipelines-info" {
			version, _, _ := unstructured.NestedString(object.Object, "data", "version")
			return version, nil
		}
	}
	return "", errors.New("tekton manifest: it has no configmap pipelines-info, so it is not one of Tekton Pipelines")
}

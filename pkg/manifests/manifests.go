// Package manifests renders what setup applies: embedded YAML in, objects out.
package manifests

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/credentials"
)

//go:embed platform/*.yaml namespace/*.yaml
var embedded embed.FS

//go:embed tekton
var tekton embed.FS

// ErrNoTekton says that the binary was compiled without Tekton's manifest.
var ErrNoTekton = errors.New("this binary carries no Tekton manifest")

// Tekton returns the embedded install manifest of Tekton Pipelines, YAML.
func Tekton() ([]byte, error) {
	manifest, err := tekton.ReadFile("tekton/release.yaml")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoTekton
	}
	return manifest, err
}

// Options are everything that rendering depends on.
type Options struct {
	// Config is rendered into the configuration, and decides on storage,
	// mirrors and namespaces.
	Config Config
	// Credentials are the registry's certificates and users; every namespace of
	// Config has to have one.
	Credentials credentials.Credentials
	// TektonManifest is Tekton's install manifest, YAML; empty when Tekton is
	// adopted.
	TektonManifest []byte
}

// Platform is all that setup applies, in the order in which it has to come.
type Platform struct {
	// System is pyflow-system itself with the configuration.
	System []*unstructured.Unstructured
	// Tekton is Tekton Pipelines; empty when it is adopted.
	Tekton []*unstructured.Unstructured
	// Registry is the private registry.
	Registry []*unstructured.Unstructured
	// NodeAccess lets nodes pull.
	NodeAccess []*unstructured.Unstructured
	// Pipeline is the Tasks and the Pipeline: it needs Tekton's webhook.
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
		System:     r.read("platform/namespace.yaml", "platform/config.yaml", "platform/roles.yaml"),
		Tekton:     r.decode("tekton manifest", options.TektonManifest),
		Registry:   r.read("platform/registry.yaml", "platform/registry-secrets.yaml"),
		NodeAccess: r.read("platform/node-access.yaml"),
		Pipeline:   r.read("platform/tasks.yaml"),
	}
	for _, namespace := range options.Config.Namespaces {
		objects := r.read("namespace/access.yaml", "namespace/registry.yaml")
		r.setNamespace(objects, namespace)
		platform.Namespaces = append(platform.Namespaces, objects...)
	}
	r.setConfig(platform.System)
	platform.Registry = r.setRegistry(platform.Registry)
	r.restartOn(find(platform.NodeAccess, "DaemonSet", NodeAccessName),
		find(platform.NodeAccess, "ConfigMap", NodeAccessName), options.Credentials.CACertificate)
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

// setRegistry puts secrets and storage into the registry's objects; an ephemeral
// registry has no claim among them.
func (r *renderer) setRegistry(objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	c, registry := r.Credentials, r.Config.Registry
	r.setData(find(objects, "Secret", CAName), map[string][]byte{"tls.crt": c.CACertificate, "tls.key": c.CAKey})
	r.setData(find(objects, "Secret", TLSName), map[string][]byte{"tls.crt": c.Certificate, "tls.key": c.Key})
	r.setData(find(objects, "Secret", AuthName), map[string][]byte{"htpasswd": c.Htpasswd, "http-secret": c.HTTPSecret})
	r.set(find(objects, "ConfigMap", CAName), string(c.CACertificate), "data", CAKey)

	deployment := find(objects, "Deployment", RegistryName)
	// Users are not among it: the registry reads them again by itself.
	r.restartOn(deployment, find(objects, "ConfigMap", RegistryName), c.Certificate)
	claim := find(objects, "PersistentVolumeClaim", RegistryName)
	if registry.Ephemeral {
		r.setEphemeral(deployment)
		return slices.DeleteFunc(objects, func(object *unstructured.Unstructured) bool { return object == claim })
	}
	if registry.StorageSize != "" {
		r.set(claim, registry.StorageSize, "spec", "resources", "requests", "storage")
	}
	if registry.StorageClass != "" {
		r.set(claim, registry.StorageClass, "spec", "storageClassName")
	}
	return objects
}

// restartOn makes the workload's pods new ones when the configuration or the
// certificate that they read once, at their start, is another.
func (r *renderer) restartOn(workload, config *unstructured.Unstructured, certificate []byte) {
	data, _, err := unstructured.NestedStringMap(config.Object, "data")
	if err != nil && r.err == nil {
		r.err = err
	}
	sum := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(data)) {
		fmt.Fprintf(sum, "%s\x00%s\x00", key, data[key])
	}
	sum.Write(certificate)
	r.set(workload, hex.EncodeToString(sum.Sum(nil)[:8]), "spec", "template", "metadata", "annotations", "pyflow.dev/config-hash")
}

// setEphemeral replaces the claim of the registry's data volume by an emptyDir.
func (r *renderer) setEphemeral(deployment *unstructured.Unstructured) {
	path := []string{"spec", "template", "spec", "volumes"}
	volumes, _, err := unstructured.NestedSlice(deployment.Object, path...)
	if err != nil && r.err == nil {
		r.err = err
	}
	for _, item := range volumes {
		if volume, _ := item.(map[string]any); volume["name"] == "data" {
			delete(volume, "persistentVolumeClaim")
			volume["emptyDir"] = map[string]any{}
		}
	}
	r.set(deployment, volumes, path...)
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

	user, ok := r.Credentials.Users[namespace]
	if !ok && r.err == nil {
		r.err = fmt.Errorf("namespace %s has no registry credentials", namespace)
	}
	config, err := DockerConfig(user, r.Config.Registry.Host, r.Config.Registry.NodeHost)
	if err != nil && r.err == nil {
		r.err = err
	}
	r.setData(find(objects, "Secret", RegistrySecret), map[string][]byte{
		dockerConfigKey: config,
		CAKey:           r.Credentials.CACertificate,
	})
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

// DockerConfig is the config.json with which user logs in to hosts.
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

// ParseDockerConfig returns the user that the data of a RegistrySecret logs in
// to host with.
func ParseDockerConfig(data map[string][]byte, host string) (credentials.User, error) {
	var config dockerConfig
	if err := json.Unmarshal(data[dockerConfigKey], &config); err != nil {
		return credentials.User{}, fmt.Errorf("secret %s: key %s is not a docker config", RegistrySecret, dockerConfigKey)
	}
	auth, ok := config.Auths[host]
	if !ok || auth.Username == "" || auth.Password == "" {
		return credentials.User{}, fmt.Errorf("secret %s: no login for %s", RegistrySecret, host)
	}
	return credentials.User{Name: auth.Username, Password: auth.Password}, nil
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

package release

import (
	"embed"
	"fmt"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// app is the kustomization of an app without one.
//
//go:embed app/*.yaml
var app embed.FS

// appDirectory returns that kustomization, filled in, in a file system of its own.
func appDirectory(options Options) (filesys.FileSystem, string, error) {
	deployment, service := &appsv1.Deployment{}, &corev1.Service{}
	objects := map[string]runtime.Object{"deployment.yaml": deployment, "service.yaml": service}
	for file, object := range objects {
		text, err := app.ReadFile("app/" + file)
		if err == nil {
			err = yaml.UnmarshalStrict(text, object)
		}
		if err != nil {
			return nil, "", fmt.Errorf("built-in manifests, %s: %w", file, err)
		}
	}
	fill(deployment, service, options)

	fs := filesys.MakeFsInMemory()
	for file, object := range objects {
		text, err := marshal(object)
		if err == nil {
			err = fs.WriteFile("/"+file, text)
		}
		if err != nil {
			return nil, "", fmt.Errorf("built-in manifests, %s: %w", file, err)
		}
	}
	kustomization, err := app.ReadFile("app/" + kustomizationFile)
	if err == nil {
		err = fs.WriteFile("/"+kustomizationFile, kustomization)
	}
	if err != nil {
		return nil, "", fmt.Errorf("built-in manifests, %s: %w", kustomizationFile, err)
	}
	return fs, "/", nil
}

// fill sets what depends on the app.
func fill(deployment *appsv1.Deployment, service *corev1.Service, options Options) {
	labels := map[string]string{manifests.LabelApp: options.App}
	port := options.Port
	if port == 0 {
		port = DefaultPort
	}
	replicas := options.Replicas

	service.Name, service.Spec.Selector = options.App, labels

	deployment.Name = options.App
	deployment.Spec.Replicas = &replicas
	deployment.Spec.Selector.MatchLabels = labels
	deployment.Spec.Template.Labels = labels
	for i := range deployment.Spec.Template.Spec.Containers {
		container := &deployment.Spec.Template.Spec.Containers[i]
		container.Image = options.App
		for i := range container.Ports {
			container.Ports[i].ContainerPort = port
		}
		for i := range container.Env {
			if container.Env[i].Name == "PORT" {
				container.Env[i].Value = strconv.Itoa(int(port))
			}
		}
	}
}

// marshal leaves out what the types write though nobody set it.
func marshal(object runtime.Object) ([]byte, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, err
	}
	delete(fields, "status")
	unstructured.RemoveNestedField(fields, "spec", "strategy")
	return yaml.Marshal(fields)
}

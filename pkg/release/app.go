package release

import (
	"embed"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

// defaults holds the kustomization for an app without one.
//
//go:embed defaults/*.yaml
var defaults embed.FS

const (
	serviceFile = "service.yaml"

	// nameLabel is a label of the app's pods that the pods of its runs do not have. Both carry
	// manifests.LabelApp, so a selector without nameLabel would select the pods of runs, too.
	nameLabel = "app.kubernetes.io/name"

	// portVariable is the variable from which the app reads its port.
	portVariable = "PORT"
)

// appDirectory returns that kustomization for an app, in a file system of its own.
func appDirectory(options Options) (filesys.FileSystem, string, error) {
	deployment, service := &appsv1.Deployment{}, &corev1.Service{}
	objects := map[string]runtime.Object{"deployment.yaml": deployment, serviceFile: service}
	for file, object := range objects {
		text, err := defaults.ReadFile("defaults/" + file)
		if err == nil {
			err = yaml.UnmarshalStrict(text, object)
		}
		if err != nil {
			return nil, "", fmt.Errorf("built-in manifests, %s: %w", file, err)
		}
	}
	if err := fill(deployment, service, options); err != nil {
		return nil, "", err
	}
	kustomization := &types.Kustomization{}
	text, err := defaults.ReadFile("defaults/" + KustomizationFile)
	if err == nil {
		err = yaml.UnmarshalStrict(text, kustomization)
	}
	if err != nil {
		return nil, "", fmt.Errorf("built-in manifests, %s: %w", KustomizationFile, err)
	}
	if options.Expose == app.ExposeNone {
		delete(objects, serviceFile)
		kustomization.Resources = slices.DeleteFunc(kustomization.Resources, func(file string) bool { return file == serviceFile })
	}

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
	if text, err = yaml.Marshal(kustomization); err == nil {
		err = fs.WriteFile("/"+KustomizationFile, text)
	}
	if err != nil {
		return nil, "", fmt.Errorf("built-in manifests, %s: %w", KustomizationFile, err)
	}
	return fs, "/", nil
}

// fill sets the fields that depend on the app.
func fill(deployment *appsv1.Deployment, service *corev1.Service, options Options) error {
	labels := map[string]string{manifests.LabelApp: options.App, nameLabel: options.App}
	port := options.Port
	if port == 0 {
		port = python.DefaultPort
	}
	replicas := options.Replicas

	service.Name, service.Spec.Selector = options.App, labels
	if options.Expose != "" {
		service.Spec.Type = corev1.ServiceType(options.Expose)
	}

	deployment.Name = options.App
	deployment.Spec.Replicas = &replicas
	deployment.Spec.Selector.MatchLabels = labels
	deployment.Spec.Template.Labels = labels
	setUser(deployment.Spec.Template.Spec.SecurityContext, options.User)
	if name := options.User.Name; name != "" {
		metav1.SetMetaDataAnnotation(&deployment.ObjectMeta, manifests.AnnotationUser, name)
	}
	for i := range deployment.Spec.Template.Spec.Containers {
		container := &deployment.Spec.Template.Spec.Containers[i]
		container.Image = options.App
		for i := range container.Ports {
			container.Ports[i].ContainerPort = port
		}
		for i := range container.Env {
			if container.Env[i].Name == portVariable {
				container.Env[i].Value = strconv.Itoa(int(port))
			}
		}
		if err := addEnv(container, options.Env); err != nil {
			return err
		}
		if err := addResources(container, options.Requests, options.Limits); err != nil {
			return err
		}
		setProbes(container, options.Probes)
	}
	return nil
}

// setUser sets who the pods run as. The run replaces the user if it is given by name.
func setUser(pod *corev1.PodSecurityContext, user app.User) {
	if user == (app.User{}) || user.Name != "" {
		user = app.DefaultUser()
	}
	pod.RunAsUser, pod.RunAsGroup = &user.ID, nil
	if user.Group >= 0 {
		pod.RunAsGroup = &user.Group
	}
}

// addEnv adds variables, sorted, to those of a container. A variable that the container has
// cannot get another value. No error repeats a value.
func addEnv(container *corev1.Container, env map[string]string) error {
	has := map[string]string{}
	for _, variable := range container.Env {
		has[variable.Name] = variable.Value
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		value, ok := has[name]
		switch {
		case ok && value == env[name]:
		case ok:
			return fmt.Errorf("the variable %s must be %s: set the port instead, which sets the variable", name, value)
		default:
			// The kubelet expands $(NAME) and $$, but the values are literal.
			container.Env = append(container.Env, corev1.EnvVar{Name: name, Value: strings.ReplaceAll(env[name], "$", "$$")})
		}
	}
	return nil
}

// addResources sets limits and replaces requests of a container. It lowers the other requests
// to their limits.
func addResources(container *corev1.Container, requests, limits corev1.ResourceList) error {
	if err := app.CheckResources(requests, limits); err != nil {
		return fmt.Errorf("resources: %w", err)
	}
	for name, request := range container.Resources.Requests {
		if limit, ok := limits[name]; ok && limit.Cmp(request) < 0 {
			container.Resources.Requests[name] = limit
		}
	}
	maps.Copy(container.Resources.Requests, requests)
	container.Resources.Limits = limits
	return nil
}

// setProbes configures the probes of a container, and removes those that are ProbeNone.
func setProbes(container *corev1.Container, probes app.Probes) {
	if probes.Startup == "" && strings.HasPrefix(string(probes.Liveness), "/") {
		probes.Startup = probes.Liveness
	}
	set := func(probe **corev1.Probe, how app.Probe) {
		switch how {
		case "", app.ProbeTCP:
		case app.ProbeNone:
			*probe = nil
		default:
			(*probe).ProbeHandler = corev1.ProbeHandler{
				HTTPGet: &corev1.HTTPGetAction{Path: string(how), Port: (*probe).TCPSocket.Port},
			}
		}
	}
	set(&container.StartupProbe, probes.Startup)
	set(&container.ReadinessProbe, probes.Readiness)
	set(&container.LivenessProbe, probes.Liveness)
}

// marshal leaves out empty fields that the types always write.
func marshal(object runtime.Object) ([]byte, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, err
	}
	delete(fields, "status")
	unstructured.RemoveNestedField(fields, "spec", "strategy")
	return yaml.Marshal(fields)
}

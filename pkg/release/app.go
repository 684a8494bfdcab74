package release

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

const (
	// nameLabel is a label of the app's pods that the pods of its runs do not have. Both carry
	// manifests.LabelApp, so a selector without nameLabel would select the pods of runs, too.
	nameLabel = "app.kubernetes.io/name"

	// portVariable is the variable from which the app reads its port.
	portVariable = "PORT"
)

// selector returns the labels of the pods that serve the app. They are those of its Service
// and of its Deployment, where they cannot change.
func selector(options *Options) map[string]string {
	return map[string]string{manifests.LabelApp: options.App, nameLabel: options.App}
}

// service returns the Service of an app; none for ExposeNone.
func service(options *Options) ([]object, error) {
	if options.Expose == app.ExposeNone {
		return nil, nil
	}
	service := &corev1.Service{}
	if err := template("service.yaml", service); err != nil {
		return nil, err
	}
	service.Name, service.Spec.Selector = options.App, selector(options)
	if options.Expose != "" {
		service.Spec.Type = corev1.ServiceType(options.Expose)
	}
	if url := routeURL(options.Route); url != "" {
		service.Annotations = map[string]string{manifests.AnnotationURL: url}
	}
	return []object{service}, nil
}

// web returns the Deployment of an app.
func web(options *Options) ([]object, error) {
	deployment := &appsv1.Deployment{}
	if err := template("deployment.yaml", deployment); err != nil {
		return nil, err
	}
	replicas := options.Replicas
	deployment.Name = options.App
	if deployment.Spec.Replicas = &replicas; options.Autoscale.Max > 0 {
		deployment.Spec.Replicas = nil
	}
	deployment.Spec.Selector.MatchLabels = selector(options)
	deployment.Spec.Template.Labels = selector(options)
	setUser(deployment.Spec.Template.Spec.SecurityContext, options.User)
	if name := options.User.Name; name != "" {
		metav1.SetMetaDataAnnotation(&deployment.ObjectMeta, manifests.AnnotationUser, name)
	}
	setWebProcess(deployment, options)
	return []object{deployment}, fill(&deployment.Spec.Template.Spec.Containers[0], options)
}

// setWebProcess sets what the options say of the web process. The name and the selector of its
// Deployment stay as they are without processes.
func setWebProcess(deployment *appsv1.Deployment, options *Options) {
	if len(options.Processes) == 0 {
		return
	}
	metav1.SetMetaDataLabel(&deployment.ObjectMeta, manifests.LabelProcess, app.WebProcess)
	deployment.Spec.Template.Labels[manifests.LabelProcess] = app.WebProcess
	for i := range options.Processes {
		if options.Processes[i].Kind() == app.Web {
			deployment.Spec.Template.Spec.Containers[0].Command = options.Processes[i].Command
		}
	}
}

// fill sets what the options say of the container of the app.
func fill(container *corev1.Container, options *Options) error {
	port := cmp.Or(options.Port, python.DefaultPort)
	container.Image = options.App
	container.Ports[0].ContainerPort = port
	for i := range container.Env {
		if container.Env[i].Name == portVariable {
			container.Env[i].Value = strconv.Itoa(int(port))
		}
	}
	if err := addEnv(container, options); err != nil {
		return err
	}
	if err := addResources(container, options.Requests, options.Limits); err != nil {
		return err
	}
	setProbes(container, options.Probes)
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
// cannot get another value. No error repeats a value. Of the sources of more variables the last
// ones are those of the verb env, which need not exist.
func addEnv(container *corev1.Container, options *Options) error {
	for _, from := range options.EnvFrom {
		container.EnvFrom = append(container.EnvFrom, from.EnvFromSource())
	}
	for _, kind := range []app.SourceKind{app.SourceConfigMap, app.SourceSecret} {
		from := app.EnvFrom{Source: app.Source{Kind: kind, Name: manifests.EnvName(options.App)}}.EnvFromSource()
		if from.SecretRef != nil {
			from.SecretRef.Optional = new(true)
		} else {
			from.ConfigMapRef.Optional = new(true)
		}
		container.EnvFrom = append(container.EnvFrom, from)
	}
	env := options.Env
	has := map[string]string{}
	for _, variable := range container.Env {
		has[variable.Name] = variable.Value
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		value, ok := has[name]
		switch {
		case ok && env[name] == app.Text(value):
		case ok:
			return fmt.Errorf("the variable %s must be %s: set the port instead, which sets the variable", name, value)
		default:
			container.Env = append(container.Env, env[name].EnvVar(name))
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

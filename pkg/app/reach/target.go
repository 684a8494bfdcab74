package reach

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
)

// Target is what a port-forward goes to: a port of the pods that labels select.
type Target struct {
	Namespace, App string
	// Selector selects the pods.
	Selector string
	// Port is the number or the name of the port in a pod.
	Port intstr.IntOrString
	// Scheme is http or https.
	Scheme string
}

// NoPortError reports an app without a port.
type NoPortError struct{ App string }

func (e *NoPortError) Error() string {
	return fmt.Sprintf("app %s has no Service with a port, and no container of it has one", e.App)
}

// FindTarget returns the target of an app: the port for the web of its Service, or without a
// Service the first port of a container of its workloads. Errors are a *NoPortError and an
// *access.MissingError.
func FindTarget(ctx context.Context, client kubernetes.Interface, of app.App) (Target, error) {
	target := Target{Namespace: of.Namespace, App: of.Name, Scheme: "http"}
	if !of.Part {
		services, err := client.CoreV1().Services(of.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labels.Set{manifests.LabelApp: of.Name}.String()})
		if err != nil {
			return target, app.Denied(err, access.Permission{Verb: "list", Resource: "services", Namespace: of.Namespace})
		}
		for _, service := range services.Items {
			if port, ok := status.WebPort(service); ok && len(service.Spec.Selector) > 0 {
				return target.of(service, port), nil
			}
		}
	}
	for _, w := range of.Workloads {
		for _, container := range w.Template.Spec.Containers {
			for _, port := range container.Ports {
				if port.Protocol == "" || port.Protocol == corev1.ProtocolTCP {
					target.Selector, target.Port = metav1.FormatLabelSelector(w.Selector), intstr.FromInt32(port.ContainerPort)
					return target, nil
				}
			}
		}
	}
	return target, &NoPortError{App: of.Name}
}

func (t Target) of(service corev1.Service, port corev1.ServicePort) Target {
	t.Selector, t.Port = labels.Set(service.Spec.Selector).String(), port.TargetPort
	if t.Port.IntValue() == 0 && t.Port.StrVal == "" {
		t.Port = intstr.FromInt32(port.Port)
	}
	if port.Name == "https" || port.Port == 443 {
		t.Scheme = "https"
	}
	return t
}

// number returns the port's number in a pod; 0 if the pod has no port of that name.
func (t Target) number(pod *corev1.Pod) int {
	if t.Port.Type == intstr.Int {
		return t.Port.IntValue()
	}
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			if port.Name == t.Port.StrVal {
				return int(port.ContainerPort)
			}
		}
	}
	return 0
}

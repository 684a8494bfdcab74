package platform

import (
	"errors"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

func deployment(namespace, component, version string, managed bool) *appsv1.Deployment {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{
		Name: component, Namespace: namespace,
		Labels: map[string]string{
			"app.kubernetes.io/part-of":   "tekton-pipelines",
			"app.kubernetes.io/component": component,
			"app.kubernetes.io/version":   version,
		},
	}}
	if managed {
		d.Labels[manifests.LabelManagedBy] = manifests.FieldManager
	}
	return d
}

func resolverFlags(namespace, enabled string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "resolvers-feature-flags", Namespace: namespace},
		Data:       map[string]string{"enable-cluster-resolver": enabled},
	}
}

func TestCheckTekton(t *testing.T) {
	const embedded = "v1.15.1"
	for name, test := range map[string]struct {
		objects []runtime.Object
		refused bool
	}{
		"none": {nil, false},
		"adoptable, in the operator's namespace": {[]runtime.Object{
			deployment("openshift-pipelines", "controller", "v1.3.0", false),
			deployment("openshift-pipelines", "resolvers", "v1.3.0", false),
		}, false},
		"adoptable, newer than ours": {[]runtime.Object{
			deployment("tekton-pipelines", "controller", "v1.99.0", false),
			deployment("tekton-pipelines-resolvers", "resolvers", "v1.99.0", false),
			resolverFlags("tekton-pipelines-resolvers", "true"),
		}, false},
		"too old": {[]runtime.Object{
			deployment("tekton-pipelines", "controller", "v0.44.0", false),
			deployment("tekton-pipelines-resolvers", "resolvers", "v0.44.0", false),
		}, true},
		"unknown version": {[]runtime.Object{
			deployment("tekton-pipelines", "controller", "devel", false),
			deployment("tekton-pipelines-resolvers", "resolvers", "devel", false),
		}, true},
		"without resolvers": {[]runtime.Object{
			deployment("tekton-pipelines", "controller", "v1.15.1", false),
		}, true},
		"cluster resolver off": {[]runtime.Object{
			deployment("tekton-pipelines", "controller", "v1.15.1", false),
			deployment("tekton-pipelines-resolvers", "resolvers", "v1.15.1", false),
			resolverFlags("tekton-pipelines-resolvers", "false"),
		}, true},
		"ours, older": {[]runtime.Object{
			deployment("tekton-pipelines", "controller", "v1.0.0", true),
		}, false},
		"ours, newer": {[]runtime.Object{
			deployment("tekton-pipelines", "controller", "v1.16.0", true),
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := FindTekton(t.Context(), fake.NewClientset(test.objects...))
			if err != nil {
				t.Fatal(err)
			}
			err = CheckTekton(found, embedded)
			var incompatible *IncompatibleTektonError
			if refused := errors.As(err, &incompatible); refused != test.refused {
				t.Errorf("found %+v: error %v, want refused %v", found, err, test.refused)
			}
		})
	}
}

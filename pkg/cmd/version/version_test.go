package version

import (
	"errors"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	fakediscovery "k8s.io/client-go/discovery/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

func cluster(objects ...runtime.Object) *fake.Clientset {
	client := fake.NewClientset(objects...)
	client.Discovery().(*fakediscovery.FakeDiscovery).FakedServerVersion = &apiversion.Info{GitVersion: "v1.36.3"}
	return client
}

func TestRun(t *testing.T) {
	config := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: manifests.ConfigName, Namespace: manifests.SystemNamespace},
		Data:       map[string]string{manifests.ConfigKey: "version: v0.1.0\n"},
	}
	tekton := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{
		Name: "tekton-pipelines-controller", Namespace: "tekton-pipelines",
		Labels: map[string]string{"app.kubernetes.io/part-of": "tekton-pipelines", "app.kubernetes.io/component": "controller", "app.kubernetes.io/version": "v1.15.1"},
	}}
	forbidden := cluster(config, tekton)
	for _, resource := range []string{"configmaps", "deployments"} {
		forbidden.PrependReactor("*", resource, func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(schema.GroupResource{}, "", errors.New("no"))
		})
	}
	for name, test := range map[string]struct {
		client *fake.Clientset
		want   string
	}{
		"set up":     {cluster(config, tekton), "Client: devel\nPlatform: v0.1.0\nTekton: v1.15.1\nKubernetes: v1.36.3\n"},
		"not set up": {cluster(), "Client: devel\nKubernetes: v1.36.3\n"},
		"forbidden":  {forbidden, "Client: devel\nKubernetes: v1.36.3\n"},
	} {
		streams, _, out, _ := genericiooptions.NewTestIOStreams()
		o := &Options{Streams: streams, Client: test.client, Print: printLines}
		if err := o.Run(t.Context()); err != nil || out.String() != test.want {
			t.Errorf("%s: got %q (%v), want %q", name, out, err, test.want)
		}
	}
}

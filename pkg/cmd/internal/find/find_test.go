package find

import (
	"errors"
	"testing"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonfake "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/fake"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubefake "k8s.io/client-go/kubernetes/fake"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// TestRun checks the reasons why there is no run, in a cluster with the namespaces demo
// and empty, which are set up, fresh, which is not, and old, which has a run from before.
func TestRun(t *testing.T) {
	config := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: manifests.ConfigName, Namespace: manifests.SystemNamespace},
		Data:       map[string]string{manifests.ConfigKey: "namespaces: [demo, empty]"},
	}
	cluster := kubefake.NewClientset(config)
	for _, name := range []string{"demo", "empty", "fresh", "old"} {
		if err := cluster.Tracker().Add(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			t.Fatal(err)
		}
	}
	run := func(namespace, name string) *tektonv1.PipelineRun {
		return &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{manifests.LabelApp: "web"}}}
	}
	clients := pipelinerun.Clients{Tekton: tektonfake.NewSimpleClientset(run("demo", "web-1"), run("old", "web-0")), Kube: cluster}
	for _, test := range []struct{ namespace, name, want string }{
		{"demo", "web", ""},
		{"demo", "shop", `there is no run and no app "shop" in namespace demo`},
		{"empty", "", "there are no runs in namespace empty"},
		{"fresh", "", "pyflow is not set up in namespace fresh"},
		{"old", "", ""},
		{"old", "shop", `there is no run and no app "shop" in namespace old`},
		{"typo", "web", `namespace "typo" does not exist`},
	} {
		found, err := Run(t.Context(), clients, test.namespace, test.name)
		if got := message(err); got != test.want || (err == nil) != (found != nil) {
			t.Errorf("%s in %s: got %v, %q, want %q", test.name, test.namespace, found, got, test.want)
		}
	}
	clients.Kube = kubefake.NewClientset()
	if _, err := Run(t.Context(), clients, "empty", ""); message(err) != "pyflow is not set up on this cluster" {
		t.Errorf("a cluster without setup: %v", err)
	}
	other := errors.New("the server is gone")
	if err := Why(t.Context(), clients.Kube, "empty", other); !errors.Is(err, other) {
		t.Errorf("another error: %v", err)
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

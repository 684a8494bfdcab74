package scale_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/app/scale"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/workload"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

func deployment(name string) *appsv1.Deployment {
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "demo"}}
}

func of(t *testing.T, objects ...runtime.Object) []workload.Workload {
	t.Helper()
	var workloads []workload.Workload
	for _, object := range objects {
		w, err := workload.Of(object)
		if err != nil {
			t.Fatal(err)
		}
		workloads = append(workloads, w)
	}
	return workloads
}

func TestCheck(t *testing.T) {
	scaler := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Name: "busy", Namespace: "demo"}}
	scaler.Spec.ScaleTargetRef = autoscalingv2.CrossVersionObjectReference{Kind: "Deployment", Name: "web"}
	scaler.Spec.MinReplicas, scaler.Spec.MaxReplicas = new(int32(2)), 9
	for name, test := range map[string]struct {
		workloads []workload.Workload
		want      string
	}{
		"autoscaled":     {of(t, deployment("worker"), deployment("web")), "HorizontalPodAutoscaler busy sets the replicas of deployment/web: from 2 to 9"},
		"not autoscaled": {of(t, deployment("worker")), ""},
		"on each node":   {of(t, &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "agent"}}), "daemonset/agent runs one pod on each node: it has no number of replicas"},
	} {
		err := scale.Check(t.Context(), fake.NewClientset(scaler), "demo", test.workloads)
		if (err == nil) != (test.want == "") || err != nil && err.Error() != test.want {
			t.Errorf("%s: got %v", name, err)
		}
		var autoscaled *scale.AutoscaledError
		if errors.As(err, &autoscaled) && !strings.Contains(autoscaled.Advice()[0], "edit hpa busy") {
			t.Errorf("%s: got advice %q", name, autoscaled.Advice())
		}
	}
}

// TestChanges wants each change as the API server gets it, and the permission that the user
// lacks.
func TestChanges(t *testing.T) {
	client := fake.NewClientset(deployment("web"), &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "db", Namespace: "demo"}})
	var patches []string
	denied := ""
	client.PrependReactor("patch", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
		patch := action.(clienttesting.PatchActionImpl)
		if patch.Name == denied {
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "deployments"}, "web", errors.New("no"))
		}
		patches = append(patches, patch.GetResource().Resource+"/"+patch.GetSubresource()+" "+patch.Name+" "+string(patch.Patch))
		return true, deployment("web"), nil
	})
	client.PrependReactor("patch", "statefulsets", func(action clienttesting.Action) (bool, runtime.Object, error) {
		patch := action.(clienttesting.PatchActionImpl)
		patches = append(patches, patch.GetResource().Resource+"/"+patch.GetSubresource()+" "+patch.Name+" "+string(patch.Patch))
		return true, &appsv1.StatefulSet{}, nil
	})
	workloads := of(t, deployment("web"), &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "db"}})
	if err := scale.Scale(t.Context(), client, "demo", workloads, 5); err != nil {
		t.Fatal(err)
	}
	if err := scale.Restart(t.Context(), client, "demo", workloads[:1], time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`deployments/scale web {"spec":{"replicas":5}}`, `statefulsets/scale db {"spec":{"replicas":5}}`,
		`deployments/ web {"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"2026-03-01T12:00:00.000000005Z"}}}}}`,
	}
	if strings.Join(patches, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(patches, "\n"))
	}
	denied = "web"
	err := scale.Scale(t.Context(), client, "demo", workloads, 5)
	if missing := (*access.MissingError)(nil); !errors.As(err, &missing) || missing.Error() != "missing permissions: patch deployments.apps/scale in namespace demo" {
		t.Errorf("without the permission: %v", err)
	}
}

func TestServing(t *testing.T) {
	process := func(name, process string) *appsv1.Deployment {
		d := deployment(name)
		d.Labels = map[string]string{manifests.LabelProcess: process}
		return d
	}
	names := func(workloads []workload.Workload) string {
		var all []string
		for _, w := range scale.Serving(workloads) {
			all = append(all, w.Meta.Name)
		}
		return strings.Join(all, " ")
	}
	for name, test := range map[string]struct {
		workloads []workload.Workload
		want      string
	}{
		"processes":    {of(t, process("shop", "web"), process("shop-worker", "worker")), "shop"},
		"no processes": {of(t, deployment("web"), deployment("worker")), "web worker"},
		"workers only": {of(t, process("a", "a"), process("b", "b")), "a b"},
	} {
		if got := names(test.workloads); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

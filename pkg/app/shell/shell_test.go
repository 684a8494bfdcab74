package shell

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

func testPod(name string, ready corev1.ConditionStatus) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "demo", Labels: map[string]string{"run": "shop"}},
		Spec:       corev1.PodSpec{SecurityContext: &corev1.PodSecurityContext{RunAsUser: new(int64(1001))}, Containers: []corev1.Container{{Name: "app"}}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}},
	}
}

func TestFind(t *testing.T) {
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "demo", Labels: map[string]string{manifests.LabelApp: "shop"}}}
	deployment.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"run": "shop"}}
	deployment.Spec.Template.Spec.Containers = []corev1.Container{{Name: "proxy"}, {Name: "app", Image: "127.0.0.1:5180/demo/shop@sha256:1"}}
	find := func(pods ...runtime.Object) (Container, error) {
		client := fake.NewClientset(append(pods, deployment)...)
		shop, err := app.Find(t.Context(), client, "demo", "shop")
		if err != nil {
			t.Fatal(err)
		}
		return Find(t.Context(), client, shop, "demo/shop")
	}
	if got, err := find(testPod("shop-a", corev1.ConditionFalse), testPod("shop-b", corev1.ConditionTrue)); err != nil || got != (Container{"demo", "shop-b", "app"}) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := find(testPod("shop-a", corev1.ConditionFalse)); err == nil || err.Error() != "no pod of app shop is ready" {
		t.Errorf("without a ready pod: %v", err)
	}
}

func TestDebug(t *testing.T) {
	client := fake.NewClientset(testPod("shop-a", corev1.ConditionTrue))
	added := corev1.EphemeralContainer{}
	client.PrependReactor("patch", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
		_, object, err := clienttesting.ObjectReaction(client.Tracker())(action)
		if err != nil {
			return true, nil, err
		}
		pod := object.(*corev1.Pod)
		added = pod.Spec.EphemeralContainers[0]
		pod.Status.EphemeralContainerStatuses = []corev1.ContainerStatus{{Name: added.Name, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
		return true, pod, client.Tracker().Update(corev1.SchemeGroupVersion.WithResource("pods"), pod, "demo")
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	got, err := Debug(ctx, client, Container{"demo", "shop-a", "app"}, "tools:1")
	if err != nil || got.Name != added.Name || !strings.HasPrefix(got.Name, "debug-") || added.TargetContainerName != "app" || added.Image != "tools:1" {
		t.Fatalf("got %+v, %v: %+v", got, err, added)
	}
	security := added.SecurityContext
	if *security.RunAsUser != 1001 || !*security.RunAsNonRoot || *security.AllowPrivilegeEscalation || security.Capabilities.Drop[0] != "ALL" {
		t.Errorf("it is not restricted: %+v", security)
	}
	client.PrependReactor("patch", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New("no"))
	})
	if _, err := Debug(ctx, client, Container{"demo", "shop-a", "app"}, "tools:1"); err == nil || err.Error() != "missing permissions: patch pods/ephemeralcontainers in namespace demo" {
		t.Errorf("without the permission: %v", err)
	}
}

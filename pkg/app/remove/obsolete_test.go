package remove

import (
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

func TestDeleteObsolete(t *testing.T) {
	const earlier, live, later = "2026-03-01T12:00:00Z shop-6", "2026-03-01T13:00:00Z shop-7", "2026-03-01T14:00:00Z shop-8"
	about := func(name, app, sequence string, generated bool) metav1.ObjectMeta {
		meta := metav1.ObjectMeta{
			Name: name, Namespace: "team-a", Annotations: map[string]string{manifests.AnnotationSequence: sequence},
			Labels: map[string]string{manifests.LabelApp: app, manifests.LabelManagedBy: manifests.FieldManager},
		}
		if generated {
			meta.Labels[manifests.LabelGenerated] = "true"
		}
		return meta
	}
	deployment, cron := metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}, metav1.TypeMeta{APIVersion: "batch/v1", Kind: "CronJob"}
	objects := []runtime.Object{
		&appsv1.Deployment{TypeMeta: deployment, ObjectMeta: about("shop", "shop", live, true)},
		&appsv1.Deployment{TypeMeta: deployment, ObjectMeta: about("shop-worker", "shop", earlier, true)},
		&appsv1.Deployment{TypeMeta: deployment, ObjectMeta: about("shop-later", "shop", later, true)},
		&appsv1.Deployment{TypeMeta: deployment, ObjectMeta: about("lakes-worker", "lakes", earlier, true)},
		&appsv1.Deployment{TypeMeta: deployment, ObjectMeta: about("redis", "shop", earlier, false)},
		&batchv1.CronJob{TypeMeta: cron, ObjectMeta: about("shop-nightly", "shop", earlier, true)},
		&batchv1.Job{TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"}, ObjectMeta: about("shop-release", "shop", earlier, true)},
		&corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: about("shop-env", "shop", earlier, true)},
	}
	lists := map[schema.GroupVersionResource]string{{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"}: "HTTPRouteList"}
	client := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(scheme.Scheme, lists, objects...)
	got, err := DeleteObsolete(t.Context(), &kube.Clients{Dynamic: client, Namespace: "team-a"}, "shop", live)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"cronjobs.batch/shop-nightly", "deployments.apps/shop-worker"}; !slices.Equal(got.Deleted, want) {
		t.Errorf("deleted are %q, want %q", got.Deleted, want)
	}
	if want := []string{"deployments.apps/redis"}; !slices.Equal(got.Left, want) {
		t.Errorf("left are %q, want %q", got.Left, want)
	}
	left, err := client.Resource(schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}).Namespace("team-a").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(left.Items) != 4 {
		t.Errorf("%d Deployments are left, %v", len(left.Items), err)
	}
}

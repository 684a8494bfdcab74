package app_test

import (
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
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

func meta(name, of string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: "demo", Labels: map[string]string{manifests.LabelApp: of}}
}

func running(image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "proxy", Image: "docker.io/library/caddy"}, {Name: "app", Image: image}}}}
}

// cluster runs shop, with a web and a worker that have its image and a database, and blog.
func cluster() *fake.Clientset {
	foreign := meta("other", "")
	foreign.Labels = nil
	mail := meta("shop-mail", "shop")
	mail.Labels[manifests.LabelProcess] = "mail"
	return fake.NewClientset(
		&appsv1.Deployment{ObjectMeta: mail, Spec: appsv1.DeploymentSpec{Template: running("127.0.0.1:5180/demo/shop@sha256:1")}},
		&appsv1.Deployment{ObjectMeta: meta("web", "shop"), Spec: appsv1.DeploymentSpec{Template: running("127.0.0.1:5180/demo/shop@sha256:1")}},
		&appsv1.Deployment{ObjectMeta: meta("worker", "shop"), Spec: appsv1.DeploymentSpec{Template: running("127.0.0.1:5180/demo/shop@sha256:1")}},
		&appsv1.StatefulSet{ObjectMeta: meta("db", "shop"), Spec: appsv1.StatefulSetSpec{Template: running("postgres")}},
		&appsv1.Deployment{ObjectMeta: meta("blog", "blog")},
		&appsv1.Deployment{ObjectMeta: foreign},
	)
}

func workloads(a app.App) string {
	var all []string
	for _, w := range a.Workloads {
		all = append(all, w.Kind+"/"+w.Meta.Name)
	}
	return strings.Join(all, " ")
}

func TestFind(t *testing.T) {
	for argument, test := range map[string]struct{ workloads, err string }{
		"shop":           {"Deployment/shop-mail Deployment/web Deployment/worker StatefulSet/db", ""},
		"shop/db":        {"StatefulSet/db", ""},
		"shop/mail":      {"Deployment/shop-mail", ""},
		"shop/shop-mail": {"Deployment/shop-mail", ""},
		"shop/cache":     {"", `app shop has no workload "cache": it has mail, web, worker, db`},
		"":               {"", "namespace demo runs 2 apps: name one of blog, shop"},
		"typo":           {"", `no app "typo" runs in namespace demo`},
		"no label!":      {"", `no app "no label!" runs in namespace demo`},
	} {
		t.Run(argument, func(t *testing.T) {
			got, err := app.Find(t.Context(), cluster(), "demo", argument)
			if workloads(got) != test.workloads || (err == nil) != (test.err == "") || err != nil && err.Error() != test.err {
				t.Errorf("got %q, %v", workloads(got), err)
			}
		})
	}
	_, err := app.Find(t.Context(), cluster(), "demo", "typo")
	if missing := (*app.NotFoundError)(nil); !errors.As(err, &missing) || !strings.Contains(missing.Advice()[0], "blog, shop") {
		t.Errorf("the apps that exist are not named: %v", err)
	}
	if one, err := app.Find(t.Context(), fake.NewClientset(&appsv1.Deployment{ObjectMeta: meta("blog", "blog")}), "demo", ""); err != nil || one.Name != "blog" {
		t.Errorf("the only app: %v, %v", one.Name, err)
	}
	if _, err := app.Find(t.Context(), fake.NewClientset(), "demo", ""); err == nil || err.Error() != "no app runs in namespace demo" {
		t.Errorf("an empty namespace: %v", err)
	}
}

func TestFindDenied(t *testing.T) {
	client := cluster()
	client.PrependReactor("list", "deployments", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "deployments"}, "", errors.New("no"))
	})
	_, err := app.Find(t.Context(), client, "demo", "shop")
	if missing := (*access.MissingError)(nil); !errors.As(err, &missing) || missing.Error() != "missing permissions: list deployments.apps in namespace demo" {
		t.Errorf("got %v", err)
	}
}

func TestBuiltWorkloads(t *testing.T) {
	shop, err := app.Find(t.Context(), cluster(), "demo", "shop")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"demo/shop":  "Deployment/shop-mail Deployment/web Deployment/worker",
		"demo/shopp": "Deployment/shop-mail Deployment/web Deployment/worker StatefulSet/db", // an image of another registry
	} {
		if got := workloads(app.App{Workloads: shop.BuiltWorkloads(path)}); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
	if container, ok := app.Built(shop.Workloads[0], "demo/shop"); !ok || container.Name != "app" {
		t.Errorf("got container %q", container.Name)
	}
}

// TestPods wants the ready pods first, the newest first among them, and none that goes.
func TestPods(t *testing.T) {
	at := metav1.Now()
	pod := func(name string, age time.Duration, ready corev1.ConditionStatus, deleted *metav1.Time) *corev1.Pod {
		m := meta(name, "shop")
		m.CreationTimestamp, m.DeletionTimestamp = metav1.NewTime(at.Add(-age)), deleted
		if deleted != nil {
			m.Finalizers = []string{"test"}
		}
		return &corev1.Pod{ObjectMeta: m, Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}}}
	}
	client := fake.NewClientset(
		pod("shop-new", time.Second, corev1.ConditionFalse, nil), pod("shop-old", time.Hour, corev1.ConditionTrue, nil),
		pod("shop-young", time.Minute, corev1.ConditionTrue, nil), pod("shop-gone", 0, corev1.ConditionTrue, &at),
	)
	pods, err := app.PodsOf(t.Context(), client, "demo", map[string]string{manifests.LabelApp: "shop"})
	var got []string
	for _, pod := range pods {
		got = append(got, app.Short(pod.Name))
	}
	if strings.Join(got, " ") != "young old new" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

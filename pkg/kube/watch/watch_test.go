package watch_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/watch"
)

// start watches the pods of a fake cluster until stop is called.
func start(t *testing.T, client *fake.Clientset, failed func(error)) (n *watch.Signal, pods cache.SharedIndexInformer, stop func()) {
	t.Helper()
	n = watch.New()
	pods = coreinformers.NewPodInformer(client, "hiking", 0, nil)
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	n.Watch(ctx, &group, pods, failed)
	// Informers look every 100 ms whether their first list is there.
	time.Sleep(time.Second)
	synctest.Wait()
	return n, pods, func() {
		cancel()
		group.Wait()
	}
}

func none(t *testing.T) func(error) {
	t.Helper()
	return func(err error) { t.Errorf("the watch failed: %v", err) }
}

func wakes(t *testing.T, n *watch.Signal, act func()) {
	t.Helper()
	changed := n.Changed()
	act()
	synctest.Wait()
	select {
	case <-changed:
	default:
		t.Error("no reader was woken")
	}
}

func TestEveryChangeWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		n, pods, stop := start(t, client, none(t))
		defer stop()
		resource := corev1.SchemeGroupVersion.WithResource("pods")
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "hiking", Name: "app", ResourceVersion: "1"}}
		wakes(t, n, func() { _ = client.Tracker().Create(resource, pod, "hiking") })
		if got := watch.Get[corev1.Pod](pods, "hiking/app"); got == nil || len(watch.List[corev1.Pod](pods)) != 1 {
			t.Errorf("the pod is %v among %v", got, watch.List[corev1.Pod](pods))
		}
		wakes(t, n, func() {
			running := pod.DeepCopy()
			running.Status.Phase = corev1.PodRunning
			_ = client.Tracker().Update(resource, running, "hiking")
		})
		if got := watch.Get[corev1.Pod](pods, "hiking/app"); got == nil || got.Status.Phase != corev1.PodRunning {
			t.Errorf("the pod is %v", got)
		}
		wakes(t, n, func() { _ = client.Tracker().Delete(resource, "hiking", "app") })
		if got := watch.Get[corev1.Pod](pods, "hiking/app"); got != nil {
			t.Errorf("the pod is still there: %v", got)
		}
	})
}

// A reader that waits for the first list also learns that it is empty.
func TestEmptyListWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := watch.New()
		changed := n.Changed()
		pods := coreinformers.NewPodInformer(fake.NewClientset(), "hiking", 0, nil)
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		n.Watch(ctx, &group, pods, none(t))
		<-changed
		if !pods.HasSynced() {
			t.Error("woken before the list was there")
		}
		cancel()
		group.Wait()
	})
}

func TestFailures(t *testing.T) {
	for name, test := range map[string]struct {
		err      error
		reported bool
	}{
		"refused": {apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New("forbidden")), true},
		"down":    {errors.New("connection refused"), true},
		"expired": {apierrors.NewResourceExpired("too old"), false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := fake.NewClientset()
				client.PrependReactor("list", "pods", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, test.err })
				var failure error
				n := watch.New()
				n, _, stop := start(t, client, func(err error) { n.Update(func() { failure = err }) })
				defer stop()
				n.Read(func() {
					if (failure != nil) != test.reported {
						t.Errorf("failure %v, want one: %t", failure, test.reported)
					}
				})
			})
		})
	}
}

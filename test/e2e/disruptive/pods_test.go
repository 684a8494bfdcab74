//go:build e2e

package disruptive

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubectl/pkg/util/podutils"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/registrytest"
)

// TestRegistryMoves deletes the registry's pods while a node pulls, and then the
// node-access pods. Nothing of the app is disturbed.
func TestRegistryMoves(t *testing.T) {
	ns := theApp(t)
	image := ns.image
	apps := ns.RunningPods(t, ns.Name, pods)
	system := ns.Kube.CoreV1().Pods(manifests.SystemNamespace)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var answered, failed atomic.Int64
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		for ctx.Err() == nil {
			if _, err := env.Get(context.WithoutCancel(ctx), ns.url); err != nil {
				failed.Add(1)
				t.Logf("GET %s: %v", ns.url, err)
			}
			answered.Add(1)
		}
	}()

	for _, pod := range []string{manifests.StorageName + "-0", manifests.RegistryPod} {
		env.Check(t, system.Delete(t.Context(), pod, metav1.DeleteOptions{}))
	}
	ns.Pulls(t, image)
	// What was pushed before is complete.
	registrytest.OpenReader(t, ns.Cluster).Whole(t, ns.Name+"/"+ns.name, ns.digest)
	ns.PlatformHealthy(t)

	doors := metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=" + manifests.NodeAccessName}
	before, err := system.List(t.Context(), doors)
	env.Check(t, err)
	env.Check(t, system.DeleteCollection(t.Context(), metav1.DeleteOptions{}, doors))
	env.Eventually(t, "wait for the node-access pods to be replaced", func(ctx context.Context) error {
		for _, pod := range before.Items {
			if _, err := system.Get(ctx, pod.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				return errors.Join(errors.New("pod "+pod.Name+" is still there"), err)
			}
		}
		return nil
	})
	ns.PlatformHealthy(t)
	ns.Pulls(t, image)
	stop()
	<-asked
	t.Logf("the app was asked %d times meanwhile, and did not answer %d times", answered.Load(), failed.Load())
	if failed.Load() > 0 || answered.Load() == 0 {
		t.Errorf("the app did not answer %d of %d requests", failed.Load(), answered.Load())
	}
	samePods(t, "app", apps, ns.RunningPods(t, ns.Name, pods))
}

// TestLostPods deletes a pod of every part of the platform and of Tekton.
func TestLostPods(t *testing.T) {
	ns := theApp(t)
	// Pods by UID, to what has to replace them.
	lost := map[types.UID]types.UID{}
	for namespace, selector := range map[string]string{
		manifests.SystemNamespace: "app.kubernetes.io/part-of=pyflow",
		metav1.NamespaceAll:       "app.kubernetes.io/part-of=tekton-pipelines",
	} {
		pods, err := ns.Kube.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: selector})
		env.Check(t, err)
		seen := map[string]bool{}
		for _, pod := range pods.Items {
			part := pod.Namespace + "/" + pod.Labels["app.kubernetes.io/name"] + "/" + pod.Labels["app.kubernetes.io/component"]
			if pod.DeletionTimestamp != nil || seen[part] {
				continue
			}
			seen[part] = true
			env.Check(t, ns.Kube.CoreV1().Pods(pod.Namespace).Delete(t.Context(), pod.Name, metav1.DeleteOptions{}))
			lost[pod.UID] = metav1.GetControllerOf(&pod).UID
		}
	}
	if len(lost) < 6 {
		t.Fatalf("only %d pods were found of registry, node access and Tekton's four", len(lost))
	}
	env.Eventually(t, "wait for the pods to be replaced", func(ctx context.Context) error {
		pods, err := ns.Kube.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		ready := map[types.UID]bool{}
		for _, pod := range pods.Items {
			if owner := metav1.GetControllerOf(&pod); owner != nil && pod.DeletionTimestamp == nil && podutils.IsPodReady(&pod) {
				ready[owner.UID] = true
			}
		}
		for _, owner := range lost {
			if !ready[owner] {
				return fmt.Errorf("nothing replaces the pod of %s", owner)
			}
		}
		return nil
	})
	ns.PlatformHealthy(t)
	// Builds work again.
	_, url := ns.Build(t, env.Page(t, "afterwards", "built by new pods", "")).Released(t)
	env.Serves(t, url, "built by new pods")
	ns.serves(t)
}

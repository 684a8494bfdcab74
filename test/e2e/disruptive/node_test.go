//go:build e2e

package disruptive

import (
	"context"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// TestWaitingForNode deploys an app to a node that does not answer.
func TestWaitingForNode(t *testing.T) {
	ns := env.Namespace(t)
	lostNode(t, ns, "e2e-lost")
	dir := env.StuckApp(t, "stuck-node", "containers: [{name: app, image: stuck-node}]\nnodeSelector: {kubernetes.io/hostname: e2e-lost}\n")
	r := ns.Build(t, dir, "--manifests", filepath.Join(dir, "k8s"), "--wait-timeout", env.WaitTimeout)
	r.Hints(t, "not ready", "Unschedulable", "node e2e-lost has the taint node.kubernetes.io/")
}

// lostNode adds a node whose kubelet never reports, until the test ends.
func lostNode(t *testing.T, ns *env.NS, name string) {
	t.Helper()
	nodes := ns.Kube.CoreV1().Nodes()
	_, err := nodes.Create(t.Context(), &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{corev1.LabelHostname: name, corev1.LabelOSStable: "linux"},
		},
		// Without the condition the node counts as ready until its silence is noticed.
		Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{
			Type: corev1.NodeReady, Status: corev1.ConditionFalse, Reason: "KubeletNotReady", LastHeartbeatTime: metav1.Now(),
		}}},
	}, metav1.CreateOptions{})
	env.Check(t, err)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		err := nodes.Delete(ctx, name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			t.Errorf("delete node %s: %v", name, err)
		}
		// The node-access pod of a node that is gone was never scheduled: nothing else
		// deletes it.
		err = ns.Kube.CoreV1().Pods(manifests.SystemNamespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{FieldSelector: "spec.nodeName="})
		if err != nil {
			t.Errorf("delete the pods of node %s: %v", name, err)
		}
	})
}

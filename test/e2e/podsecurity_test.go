//go:build e2e

package e2e

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// TestPodSecurity prepares namespaces with and without a Pod Security level, and with a pod that
// violates the one that setup sets.
func TestPodSecurity(t *testing.T) {
	kept := env.KeptNamespace(t)
	forgotten(t, kept)
	name := kept.EmptyNamespace(t)
	namespaces, pods := kept.Kube.CoreV1().Namespaces(), kept.Kube.CoreV1().Pods(name)
	level := func() string {
		t.Helper()
		namespace, err := namespaces.Get(t.Context(), name, metav1.GetOptions{})
		env.Check(t, err)
		return namespace.Labels[platform.EnforceLabel]
	}
	setup := func(args ...string) env.Result {
		t.Helper()
		return kept.Cluster.Pyflow(t, append([]string{"setup", "-n", name}, args...)...)
	}
	root := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "root"},
		Spec: corev1.PodSpec{
			NodeSelector: map[string]string{"example.com/none": "x"},
			Containers:   []corev1.Container{{Name: "root", Image: env.SmallBase, SecurityContext: &corev1.SecurityContext{Privileged: new(true)}}},
			Volumes:      []corev1.Volume{{Name: "disk", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}},
		},
	}
	_, err := pods.Create(t.Context(), root.DeepCopy(), metav1.CreateOptions{})
	env.Check(t, err)
	setup().Hints(t, "--pod-security=keep", "pods of namespace "+name, "root: hostPath volumes, privileged")
	if _, err := kept.Kube.CoreV1().Secrets(name).Get(t.Context(), manifests.RegistrySecret, metav1.GetOptions{}); !apierrors.IsNotFound(err) || level() != "" {
		t.Errorf("setup has changed the namespace: level %q, credentials %v", level(), err)
	}

	setup("--pod-security=keep").Succeeded(t)
	setup().Succeeded(t)
	if level() != "" {
		t.Errorf("setup sets the level %q that it should leave alone", level())
	}
	status := kept.Cluster.Pyflow(t, "status", "-n", name)
	if !strings.Contains(status.Stdout, "enforces no Pod Security Standard") {
		t.Errorf("status should warn\n%s", status)
	}
	env.Check(t, pods.Delete(t.Context(), "root", metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}))
	setup("--pod-security=baseline").Succeeded(t).Says(t, "baseline enforced in namespaces", name)
	_, err = pods.Create(t.Context(), root.DeepCopy(), metav1.CreateOptions{})
	refused(t, "a privileged pod", "PodSecurity", err)
	if status := kept.Cluster.Pyflow(t, "status", "-n", name); strings.Contains(status.Stdout, "Pod Security") {
		t.Errorf("status should not warn\n%s", status)
	}

	// What teardown does takes back what setup set, and no more.
	env.Check(t, platform.ReleasePodSecurity(t.Context(), kept.Kube, name))
	if level() != "" {
		t.Errorf("the level %q is left", level())
	}
	_, err = namespaces.Patch(t.Context(), name, types.MergePatchType, []byte(`{"metadata":{"labels":{"`+platform.EnforceLabel+`":"privileged"}}}`), metav1.PatchOptions{})
	env.Check(t, err)
	setup().Succeeded(t)
	env.Check(t, platform.ReleasePodSecurity(t.Context(), kept.Kube, name))
	if level() != "privileged" {
		t.Errorf("the level of others is %q now", level())
	}
}

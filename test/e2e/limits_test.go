//go:build e2e

package e2e

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// TestBuildLimits starts processes without end in a RUN, and fills memory in a namespace whose
// LimitRange gives builds less than setup does. Both end with the run.
func TestBuildLimits(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	// A bomb that Kubernetes did not stop would stop by itself: the machine is not its own.
	bomb := "FROM " + env.SmallBase + "\nRUN i=0; while [ $i -lt 6000 ]; do sleep 300 & i=$((i+1)); done; echo sur\"\"vived; sleep 200\n"
	r := ns.Build(t, env.Project(t, "bomb", map[string]string{"Dockerfile": bomb}), "--no-deploy", "--memory", "400Mi")
	r.Failed(t, "Dockerfile:2: RUN i=0", "memory", "hint: ", "--memory")
	if strings.Contains(r.Stderr, "survived") {
		t.Errorf("6000 processes fit into 400Mi\n%s", r)
	}
	limits := func(run string) (limits, requests corev1.ResourceList) {
		t.Helper()
		pod, err := ns.Kube.CoreV1().Pods(ns.Name).Get(t.Context(), run+"-build-pod", metav1.GetOptions{})
		env.Check(t, err)
		for _, volume := range pod.Spec.Volumes {
			own := !strings.HasPrefix(volume.Name, "tekton-internal-") && volume.EmptyDir != nil && volume.EmptyDir.Medium == ""
			if own && volume.EmptyDir.SizeLimit == nil {
				t.Errorf("volume %s of run %s has no size", volume.Name, run)
			}
		}
		for _, container := range pod.Spec.Containers {
			if container.Resources.Limits.Memory().IsZero() {
				t.Errorf("container %s of run %s has no limit of memory", container.Name, run)
			}
			if container.Name == "step-build" {
				limits, requests = container.Resources.Limits, container.Resources.Requests
			}
		}
		return limits, requests
	}

	greedy := env.Project(t, "greedy", map[string]string{"Dockerfile": "FROM " + env.SmallBase + "\nRUN head -c 3000m /dev/zero | tail > /dev/null && echo sur\"\"vived\n"})
	_, err := ns.Kube.CoreV1().LimitRanges(ns.Name).Create(t.Context(), &corev1.LimitRange{
		ObjectMeta: metav1.ObjectMeta{Name: "small"},
		Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
			Type: corev1.LimitTypeContainer, Max: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("600Mi")},
		}}},
	}, metav1.CreateOptions{})
	env.Check(t, err)
	r = ns.Build(t, greedy, "--no-deploy").Failed(t, "Dockerfile:2: RUN head", "memory", "hint: ", "--memory")
	if strings.Contains(r.Stderr, "survived") {
		t.Errorf("3000m fit into 600Mi\n%s", r)
	}
	if got, _ := limits("greedy-1"); got.Memory().String() != "600Mi" || got.StorageEphemeral().String() != manifests.DefaultBuildStorage {
		t.Errorf("the LimitRange gives the build %v", got)
	}
	env.Check(t, ns.Kube.CoreV1().LimitRanges(ns.Name).Delete(t.Context(), "small", metav1.DeleteOptions{}))

	ns.Build(t, env.Project(t, "modest", map[string]string{"Dockerfile": "FROM " + env.SmallBase + "\nRUN true\n"}), "--no-deploy").Succeeded(t)
	got, requests := limits("modest-1")
	if got.Memory().String() != manifests.DefaultBuildMemory || got.StorageEphemeral().String() != manifests.DefaultBuildStorage {
		t.Errorf("a build has the limits %v", got)
	}
	if requests.Memory().Cmp(resource.MustParse("1Gi")) > 0 || requests.StorageEphemeral().Cmp(resource.MustParse("1Gi")) > 0 {
		t.Errorf("a build requests %v", requests)
	}
}

package userns_test

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/userns"
)

func node(name string, change ...func(*corev1.Node)) corev1.Node {
	n := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	n.Status.NodeInfo = corev1.NodeSystemInfo{OperatingSystem: "linux", ContainerRuntimeVersion: "containerd://2.1.4"}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	able := &corev1.NodeRuntimeHandlerFeatures{UserNamespaces: new(true)}
	n.Status.RuntimeHandlers = []corev1.NodeRuntimeHandler{{Name: "", Features: able}, {Name: "runc", Features: able}}
	for _, do := range change {
		do(&n)
	}
	return n
}

func TestLacking(t *testing.T) {
	old := func(n *corev1.Node) {
		n.Status.RuntimeHandlers, n.Status.NodeInfo.ContainerRuntimeVersion = nil, "containerd://1.6.20"
	}
	off := func(n *corev1.Node) {
		n.Status.RuntimeHandlers[0].Features = &corev1.NodeRuntimeHandlerFeatures{UserNamespaces: new(false)}
	}
	windows := func(n *corev1.Node) { n.Status.NodeInfo.OperatingSystem = "windows" }
	down := func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionUnknown }
	for name, test := range map[string]struct {
		nodes []corev1.Node
		want  string
	}{
		"all":             {[]corev1.Node{node("a"), node("b")}, ""},
		"an old one":      {[]corev1.Node{node("a"), node("b", old)}, "on node b (containerd://1.6.20)"},
		"another handler": {[]corev1.Node{node("a", off)}, "on node a"},
		"Windows":         {[]corev1.Node{node("a"), node("w", old, windows)}, ""},
		"down":            {[]corev1.Node{node("a"), node("d", old, down)}, ""},
	} {
		if got := userns.Lacking(test.nodes); (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// TestProbe plays the kubelet: pods get the phase that their node is in the table with.
func TestProbe(t *testing.T) {
	failed := corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: []corev1.ContainerStatus{{
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "StartError", Message: "failed to set MOUNT_ATTR_IDMAP"}},
	}}}
	succeeded, pending := corev1.PodStatus{Phase: corev1.PodSucceeded}, corev1.PodStatus{Phase: corev1.PodPending}
	for name, test := range map[string]struct {
		nodes map[string]corev1.PodStatus
		want  string
	}{
		"all run":     {map[string]corev1.PodStatus{"a": succeeded, "b": succeeded}, ""},
		"one fails":   {map[string]corev1.PodStatus{"a": succeeded, "b": failed}, "failed on node b: StartError failed to set MOUNT_ATTR_IDMAP"},
		"one is slow": {map[string]corev1.PodStatus{"a": succeeded, "b": pending}, "did not start on node b within"},
	} {
		t.Run(name, func(t *testing.T) {
			client := fake.NewClientset()
			client.PrependReactor("create", "pods", func(action ktesting.Action) (bool, runtime.Object, error) {
				pod, _ := action.(ktesting.CreateAction).GetObject().(*corev1.Pod)
				if pod.Spec.HostUsers == nil || *pod.Spec.HostUsers || len(pod.Spec.Volumes) == 0 {
					t.Errorf("the pod proves nothing: %+v", pod.Spec)
				}
				pod.Status = test.nodes[pod.Spec.NodeName]
				return false, nil, nil
			})
			options := userns.Options{Namespace: "pyflow-system", Image: "shell", Command: []string{"/bin/true"}, Timeout: 2 * time.Second}
			for name := range test.nodes {
				options.Nodes = append(options.Nodes, name)
			}
			got, err := userns.Probe(t.Context(), client, options)
			if err != nil || (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
				t.Errorf("got %q, %v", got, err)
			}
			actions := client.Actions()
			if last := actions[len(actions)-1]; last.GetVerb() != "delete-collection" {
				t.Errorf("the pods are left: the last request is %s", last.GetVerb())
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := userns.Probe(ctx, fake.NewClientset(), userns.Options{Nodes: []string{"a"}, Timeout: time.Second}); err == nil {
		t.Error("a canceled probe has a result")
	}
}

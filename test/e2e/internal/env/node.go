//go:build e2e

package env

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// Machine is the cluster from below: the program of hack/cluster and the files of
// its nodes.
type Machine struct {
	tool string
	// Files is the directory of the first node, and above those of the others.
	Files string
}

// IsMachine reports whether the cluster is that of hack/cluster.
func IsMachine() bool { return os.Getenv("PYFLOW_CLUSTER_TOOL") != "" }

// Machine returns the machine of hack/cluster, and skips the test on any other
// cluster.
func (c *Cluster) Machine(t *testing.T) *Machine {
	t.Helper()
	if !IsMachine() {
		t.Skip("only nodes of hack/cluster can be changed: PYFLOW_CLUSTER_TOOL is not set")
	}
	m := &Machine{tool: os.Getenv("PYFLOW_CLUSTER_TOOL")}
	m.Files = filepath.Dir(strings.TrimSpace(m.Run(t, "kubeconfig").Succeeded(t).Stdout))
	return m
}

// Run calls the program as a developer does, with the whole environment and beside
// its sources: it may have to build what is missing.
func (m *Machine) Run(t *testing.T, args ...string) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), CommandLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, m.tool, args...)
	cmd.Dir = Root("hack", "cluster")
	return Finish(t, cmd, cmd.Run)
}

// NodeAddress returns the internal address of the first node.
func (c *Cluster) NodeAddress(t *testing.T) string {
	t.Helper()
	nodes, err := c.Kube.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	Check(t, err)
	for _, address := range nodes.Items[0].Status.Addresses {
		if address.Type == corev1.NodeInternalIP {
			return address.Address
		}
	}
	t.Fatalf("node %s has no internal address", nodes.Items[0].Name)
	return ""
}

// AddressForPods returns the address under which nodes and pods reach this machine.
func (c *Cluster) AddressForPods(t *testing.T) string {
	t.Helper()
	// Nothing is sent: it asks for the route.
	route, err := net.Dial("udp", net.JoinHostPort(c.NodeAddress(t), "9"))
	Check(t, err)
	defer route.Close()
	return route.LocalAddr().(*net.UDPAddr).IP.String()
}

// Pulls proves that a node pulls an image from the registry, whatever it has of it.
func (n *NS) Pulls(t *testing.T, image string) {
	t.Helper()
	n.RunPod(t, corev1.PodSpec{Containers: []corev1.Container{{
		Name: "app", Image: image, ImagePullPolicy: corev1.PullAlways, Command: []string{"true"},
	}}})
}

// PullsOn proves that a node pulls an image that it does not have.
func (n *NS) PullsOn(t *testing.T, node, image string) {
	t.Helper()
	pod, _ := n.RunPod(t, corev1.PodSpec{
		NodeSelector: map[string]string{corev1.LabelHostname: node},
		Containers: []corev1.Container{{
			Name: "app", Image: image, ImagePullPolicy: corev1.PullIfNotPresent, Command: []string{"true"},
		}},
	})
	Eventually(t, "wait for the event of the pull", func(ctx context.Context) error {
		pulled, err := n.PulledFor(ctx, pod)
		if err == nil && !pulled[image] {
			err = fmt.Errorf("node %s had image %s already", node, image)
		}
		return err
	})
}

// RunPod runs a pod with the namespace's registry credentials to its end, deletes
// it, and returns it with the log of its first container.
func (n *NS) RunPod(t *testing.T, spec corev1.PodSpec) (*corev1.Pod, string) {
	t.Helper()
	spec.RestartPolicy = corev1.RestartPolicyNever
	spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: manifests.RegistrySecret}}
	pods := n.Kube.CoreV1().Pods(n.Name)
	pod, err := pods.Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "once-"}, Spec: spec}, metav1.CreateOptions{})
	Check(t, err)
	Eventually(t, "wait for a pod of "+spec.Containers[0].Image, func(ctx context.Context) error {
		current, err := pods.Get(ctx, pod.Name, metav1.GetOptions{})
		if err == nil && current.Status.Phase != corev1.PodSucceeded {
			err = fmt.Errorf("pod %s is %s: %+v", pod.Name, current.Status.Phase, current.Status.ContainerStatuses)
		}
		return err
	})
	log, err := pods.GetLogs(pod.Name, &corev1.PodLogOptions{}).DoRaw(t.Context())
	Check(t, err)
	// It would count as a user of the image.
	Check(t, pods.Delete(t.Context(), pod.Name, *metav1.NewDeleteOptions(0)))
	return pod, string(log)
}

// PulledFor returns the images that a node pulled for a pod.
func (c *Cluster) PulledFor(ctx context.Context, pod *corev1.Pod) (map[string]bool, error) {
	events, err := c.Kube.CoreV1().Events(pod.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("involvedObject.uid", string(pod.UID)).String(),
	})
	if err != nil {
		return nil, err
	}
	pulled := map[string]bool{}
	for _, event := range events.Items {
		if rest, ok := strings.CutPrefix(event.Message, `Successfully pulled image "`); ok {
			image, _, _ := strings.Cut(rest, `"`)
			pulled[image] = true
		}
	}
	return pulled, nil
}

// RunningPods returns the running pods that a selector matches: UID to restarts.
func (c *Cluster) RunningPods(t *testing.T, namespace, selector string) map[string]int32 {
	t.Helper()
	list, err := c.Kube.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: selector})
	Check(t, err)
	pods := map[string]int32{}
	for _, pod := range list.Items {
		if pod.DeletionTimestamp == nil && pod.Status.Phase == corev1.PodRunning {
			for _, status := range pod.Status.ContainerStatuses {
				pods[string(pod.UID)] += status.RestartCount
			}
		}
	}
	if len(pods) == 0 {
		t.Fatalf("no pod runs in namespace %s with %s", namespace, selector)
	}
	return pods
}

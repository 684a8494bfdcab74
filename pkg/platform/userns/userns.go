// Package userns finds out whether the nodes can run pods in user namespaces: with
// hostUsers: false, where root in the pod is no user of the node.
package userns

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

const (
	probeName = "user-namespace-probe"
	nameLabel = "app.kubernetes.io/name"
	pause     = 500 * time.Millisecond
	maxNamed  = 3
	cleanup   = 10 * time.Second
)

// Lacking returns in one phrase why nodes cannot run pods in user namespaces, by what their
// kubelets report of their container runtimes; empty if all of them may be able to. Windows nodes
// and those that are not ready do not count.
func Lacking(nodes []corev1.Node) string {
	var lacking []string
	for i := range nodes {
		node := &nodes[i]
		if !Counts(node) {
			continue
		}
		able := slices.ContainsFunc(node.Status.RuntimeHandlers, func(handler corev1.NodeRuntimeHandler) bool {
			return handler.Name == "" && handler.Features != nil && handler.Features.UserNamespaces != nil && *handler.Features.UserNamespaces
		})
		if !able {
			lacking = append(lacking, fmt.Sprintf("%s (%s)", node.Name, node.Status.NodeInfo.ContainerRuntimeVersion))
		}
	}
	if len(lacking) == 0 {
		return ""
	}
	return "the container runtime has no user namespaces on node " + display.JoinMax(lacking, maxNamed)
}

// Counts reports whether a node is ready and no Windows node.
func Counts(node *corev1.Node) bool {
	return node.Status.NodeInfo.OperatingSystem != "windows" && slices.ContainsFunc(node.Status.Conditions, func(condition corev1.NodeCondition) bool {
		return condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue
	})
}

// Options are what Probe starts.
type Options struct {
	// Namespace is where the pods run.
	Namespace string
	// Image has the program that Command names, which ends with 0.
	Image   string
	Command []string
	// Nodes are names of nodes.
	Nodes []string
	// Timeout bounds the wait for all of them.
	Timeout time.Duration
}

// Probe runs a pod in a user namespace on each node, with the kinds of volumes that builds mount. It
// returns in one phrase why one of them did not run; empty if all did. Its pods are deleted when
// it returns. It returns an error if it cannot create or read pods, or if ctx ends.
func Probe(ctx context.Context, client kubernetes.Interface, options Options) (lacking string, err error) {
	pods := client.CoreV1().Pods(options.Namespace)
	selector := metav1.ListOptions{LabelSelector: labels.SelectorFromSet(labels.Set{nameLabel: probeName}).String()}
	remove := func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
		defer cancel()
		return pods.DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}, selector)
	}
	if err := remove(); err != nil {
		return "", fmt.Errorf("delete the pods of an earlier probe: %w", err)
	}
	// The next probe deletes what stays.
	defer func() { _ = remove() }()
	for i, node := range options.Nodes {
		_, err := pods.Create(ctx, pod(fmt.Sprintf("%s-%d", probeName, i), node, options), metav1.CreateOptions{})
		if apierrors.IsForbidden(err) || apierrors.IsInvalid(err) {
			return err.Error(), nil
		}
		if err != nil {
			return "", fmt.Errorf("start a pod in a user namespace: %w", err)
		}
	}
	err = wait.PollUntilContextTimeout(ctx, pause, options.Timeout, true, func(ctx context.Context) (bool, error) {
		list, err := pods.List(ctx, selector)
		if err != nil {
			return false, err
		}
		var done bool
		done, lacking = judge(list.Items, len(options.Nodes))
		return done, nil
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		return fmt.Sprintf("%s within %s", lacking, options.Timeout), nil
	}
	return lacking, err
}

// judge reports whether it is known if all pods can run, and why one does not, or not yet.
func judge(pods []corev1.Pod, wanted int) (done bool, lacking string) {
	succeeded := 0
	for i := range pods {
		switch pod := &pods[i]; pod.Status.Phase {
		case corev1.PodSucceeded:
			succeeded++
		case corev1.PodFailed:
			return true, fmt.Sprintf("a pod in a user namespace failed on node %s: %s", pod.Spec.NodeName, reason(pod))
		default:
			lacking = "a pod in a user namespace did not start on node " + pod.Spec.NodeName
		}
	}
	if succeeded == wanted {
		return true, ""
	}
	return false, lacking
}

// reason returns why a pod failed.
func reason(pod *corev1.Pod) string {
	for _, status := range pod.Status.ContainerStatuses {
		if ended := status.State.Terminated; ended != nil {
			return display.OneLine(ended.Reason + " " + ended.Message)
		}
	}
	return display.OneLine(pod.Status.Reason + " " + pod.Status.Message)
}

// pod returns a pod on a node, which conforms to the restricted Pod Security Standard.
func pod(name, node string, options Options) *corev1.Pod {
	volume := func(name string, source corev1.VolumeSource) corev1.Volume {
		return corev1.Volume{Name: name, VolumeSource: source}
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: options.Namespace,
			Labels: map[string]string{nameLabel: probeName, "app.kubernetes.io/part-of": "pyflow", manifests.LabelManagedBy: manifests.FieldManager},
		},
		Spec: corev1.PodSpec{
			HostUsers:                     new(false),
			NodeName:                      node,
			Tolerations:                   []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			RestartPolicy:                 corev1.RestartPolicyNever,
			ActiveDeadlineSeconds:         new(int64((options.Timeout + time.Minute).Seconds())),
			TerminationGracePeriodSeconds: new(int64(1)),
			AutomountServiceAccountToken:  new(false),
			EnableServiceLinks:            new(false),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: new(true), RunAsUser: new(int64(65532)), RunAsGroup: new(int64(65532)),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name: "probe", Image: options.Image, Command: options.Command,
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true),
					Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
				VolumeMounts: []corev1.VolumeMount{{Name: "disk", MountPath: "/probe/disk"}, {Name: "memory", MountPath: "/probe/memory"}, {Name: "labels", MountPath: "/probe/labels"}},
			}},
			Volumes: []corev1.Volume{
				volume("disk", corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}),
				volume("memory", corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}}),
				volume("labels", corev1.VolumeSource{DownwardAPI: &corev1.DownwardAPIVolumeSource{Items: []corev1.DownwardAPIVolumeFile{{
					Path: "labels", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels"},
				}}}}),
			},
		},
	}
}

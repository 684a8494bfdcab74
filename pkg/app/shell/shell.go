// Package shell runs commands in a pod of an app: in the container of the app, or where that has
// no shell in a debug container beside it.
package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/client-go/util/exec"
	"k8s.io/streaming/pkg/httpstream"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/watch"
)

const (
	// debugTimeout is how long a debug container may take to start, looked at every
	// debugInterval.
	debugTimeout  = time.Minute
	debugInterval = 500 * time.Millisecond
	// debugUser is who runs a debug container if the pod does not say who runs it.
	debugUser = 65532
	// debugLife ends a debug container, which cannot be deleted from its pod.
	debugLife = "trap exit TERM; sleep 3600 & wait"
)

// Container is a container of a pod.
type Container struct{ Namespace, Pod, Name string }

// Streams are the streams of a command. With a terminal there is no ErrOut.
type Streams struct {
	In          io.Reader
	Out, ErrOut io.Writer
	TTY         bool
	Sizes       remotecommand.TerminalSizeQueue
}

// ExitError reports that a command ended with an exit code other than 0.
type ExitError struct{ Code int }

func (e *ExitError) Error() string { return fmt.Sprintf("the command ended with exit code %d", e.Code) }

// NotReadyError reports an app without a pod that is ready.
type NotReadyError struct{ App string }

func (e *NotReadyError) Error() string { return "no pod of app " + e.App + " is ready" }

// Advice says where the reason is.
func (e *NotReadyError) Advice() []string {
	return []string{"see why: kubectl pyflow status " + e.App}
}

// Find returns the container of the app in a ready pod. path is the repository of its image, as
// app.Built takes it.
func Find(ctx context.Context, client kubernetes.Interface, of app.App, path string) (Container, error) {
	workloads := of.Workloads
	if !of.Part {
		workloads = of.BuiltWorkloads(path)
	}
	for _, w := range workloads {
		pods, err := app.Pods(ctx, client, w)
		if err != nil {
			return Container{}, err
		}
		if len(pods) == 0 || !app.Ready(&pods[0]) || len(w.Template.Spec.Containers) == 0 {
			continue
		}
		container, ok := app.Built(w, path)
		if !ok {
			container = w.Template.Spec.Containers[0]
		}
		return Container{of.Namespace, pods[0].Name, container.Name}, nil
	}
	return Container{}, &NotReadyError{App: of.Name}
}

// Exec runs a command in a container until it ends. It returns an *ExitError for an exit code
// other than 0, and an *access.MissingError to a user who may not exec.
func Exec(ctx context.Context, config *rest.Config, client kubernetes.Interface, in Container, command []string, streams Streams) error {
	target := client.CoreV1().RESTClient().Post().Resource("pods").Namespace(in.Namespace).Name(in.Pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{
			Container: in.Name, Command: command, TTY: streams.TTY,
			Stdin: streams.In != nil, Stdout: true, Stderr: !streams.TTY,
		}, scheme.ParameterCodec).URL()
	overWebSocket, err := remotecommand.NewWebSocketExecutor(config, "GET", target.String())
	if err != nil {
		return fmt.Errorf("exec in pod %s: %w", in.Pod, err)
	}
	overSPDY, err := remotecommand.NewSPDYExecutor(config, "POST", target)
	if err != nil {
		return fmt.Errorf("exec in pod %s: %w", in.Pod, err)
	}
	executor, err := remotecommand.NewFallbackExecutor(overWebSocket, overSPDY, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
	if err != nil {
		return fmt.Errorf("exec in pod %s: %w", in.Pod, err)
	}
	options := remotecommand.StreamOptions{Stdin: streams.In, Stdout: streams.Out, Stderr: streams.ErrOut, Tty: streams.TTY, TerminalSizeQueue: streams.Sizes}
	if streams.TTY {
		options.Stderr = nil
	}
	err = executor.StreamWithContext(ctx, options)
	var coded utilexec.CodeExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &coded):
		return &ExitError{Code: coded.ExitStatus()}
	case apierrors.IsForbidden(err) || strings.Contains(err.Error(), "is forbidden"):
		return &access.MissingError{Missing: []access.Permission{{Verb: "create", Resource: "pods", Subresource: "exec", Namespace: in.Namespace}}}
	}
	return fmt.Errorf("exec in pod %s: %w", in.Pod, err)
}

// HasShell reports whether a container has sh.
func HasShell(ctx context.Context, config *rest.Config, client kubernetes.Interface, in Container) (bool, error) {
	err := Exec(ctx, config, client, in, []string{"sh", "-c", "exit 0"}, Streams{Out: io.Discard, ErrOut: io.Discard})
	if missing := (*access.MissingError)(nil); err == nil || errors.As(err, &missing) || ctx.Err() != nil {
		return err == nil, err
	}
	return false, nil // the runtime does not find it, in words of its own
}

// Debug adds a container with an image to the pod, which sees the processes of a container, and
// waits until it runs. It satisfies the Pod Security Standard restricted, and runs as the user
// of that container where the pod says who that is. It ends after an hour, or with the pod.
func Debug(ctx context.Context, client kubernetes.Interface, beside Container, image string) (Container, error) {
	pods := client.CoreV1().Pods(beside.Namespace)
	pod, err := pods.Get(ctx, beside.Pod, metav1.GetOptions{})
	if err != nil {
		return Container{}, app.Denied(err, access.Permission{Verb: "get", Resource: "pods", Namespace: beside.Namespace})
	}
	added := Container{beside.Namespace, beside.Pod, "debug-" + rand.String(5)}
	change := pod.DeepCopy()
	change.Spec.EphemeralContainers = append(change.Spec.EphemeralContainers, debugContainer(pod, beside.Name, added.Name, image))
	patch, err := patchOf(pod, change)
	if err != nil {
		return Container{}, err
	}
	if _, err := pods.Patch(ctx, pod.Name, patchType, patch, metav1.PatchOptions{}, "ephemeralcontainers"); err != nil {
		return Container{}, app.Denied(err, access.Permission{Verb: "patch", Resource: "pods", Subresource: "ephemeralcontainers", Namespace: beside.Namespace})
	}
	waiting, cancel := context.WithTimeout(ctx, debugTimeout)
	defer cancel()
	reason := "it has not started"
	for {
		pod, err := pods.Get(ctx, beside.Pod, metav1.GetOptions{})
		if err != nil {
			return Container{}, fmt.Errorf("get pod %s: %w", beside.Pod, err)
		}
		for _, status := range pod.Status.EphemeralContainerStatuses {
			switch state := status.State; {
			case status.Name != added.Name:
			case state.Running != nil:
				return added, nil
			case state.Terminated != nil:
				return Container{}, fmt.Errorf("debug container %s of pod %s has ended: %s %s", added.Name, pod.Name, state.Terminated.Reason, state.Terminated.Message)
			case state.Waiting != nil && state.Waiting.Reason != "":
				reason = state.Waiting.Reason + " " + state.Waiting.Message
			}
		}
		if !watch.WaitFor(waiting, nil, debugInterval) {
			if ctx.Err() != nil {
				return Container{}, context.Cause(ctx)
			}
			return Container{}, fmt.Errorf("debug container %s of pod %s with image %s does not run: %s; choose an image that the cluster can pull with --image", added.Name, pod.Name, image, strings.TrimSpace(reason))
		}
	}
}

// debugContainer returns the container to add.
func debugContainer(pod *corev1.Pod, beside, name, image string) corev1.EphemeralContainer {
	user := int64(debugUser)
	if pod.Spec.SecurityContext != nil && pod.Spec.SecurityContext.RunAsUser != nil {
		user = *pod.Spec.SecurityContext.RunAsUser
	}
	for _, container := range pod.Spec.Containers {
		if container.Name == beside && container.SecurityContext != nil && container.SecurityContext.RunAsUser != nil {
			user = *container.SecurityContext.RunAsUser
		}
	}
	return corev1.EphemeralContainer{
		TargetContainerName: beside,
		EphemeralContainerCommon: corev1.EphemeralContainerCommon{
			Name: name, Image: image, Command: []string{"sh", "-c", debugLife},
			Env: []corev1.EnvVar{{Name: "HOME", Value: "/tmp"}},
			SecurityContext: &corev1.SecurityContext{
				RunAsUser: &user, RunAsNonRoot: new(user != 0), AllowPrivilegeEscalation: new(false),
				Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
		},
	}
}

package status

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/workload"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/rollout"
)

const testNamespace = "demo"

var appLabels = map[string]string{"app": "web"}

func webMeta() metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: "web", Namespace: testNamespace, UID: "web", Generation: 2,
		Annotations: map[string]string{"deployment.kubernetes.io/revision": "2"},
	}
}

func webTemplate() corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "registry.example/demo/web:1"}}}}
}

// webDeployment has two replicas of which updated belong to the newest revision, and are ready.
func webDeployment(updated int32, change func(*appsv1.Deployment)) *appsv1.Deployment {
	d := &appsv1.Deployment{
		ObjectMeta: webMeta(),
		Spec:       appsv1.DeploymentSpec{Replicas: new(int32(2)), Selector: &metav1.LabelSelector{MatchLabels: appLabels}, Template: webTemplate()},
		Status: appsv1.DeploymentStatus{
			ObservedGeneration: 2, Replicas: 2, ReadyReplicas: 2, AvailableReplicas: 2, UpdatedReplicas: updated,
		},
	}
	if change != nil {
		change(d)
	}
	return d
}

func webStatefulSet(change func(*appsv1.StatefulSet)) *appsv1.StatefulSet {
	s := &appsv1.StatefulSet{
		ObjectMeta: webMeta(),
		Spec:       appsv1.StatefulSetSpec{Replicas: new(int32(2)), Selector: &metav1.LabelSelector{MatchLabels: appLabels}, Template: webTemplate()},
		Status:     appsv1.StatefulSetStatus{ObservedGeneration: 2, Replicas: 2, ReadyReplicas: 2, UpdateRevision: "new", CurrentRevision: "old"},
	}
	change(s)
	return s
}

func webReplicaSet(revision string) *appsv1.ReplicaSet {
	return &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{
		Name: "web-" + revision, Namespace: testNamespace, UID: "set", Labels: appLabels,
		Annotations:     map[string]string{"deployment.kubernetes.io/revision": revision},
		OwnerReferences: []metav1.OwnerReference{{UID: "web", Controller: new(true)}},
	}}
}

func webPod(status corev1.ContainerStatus) *corev1.Pod {
	status.Name = "web"
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "web-1", Namespace: testNamespace, UID: "pod", Labels: appLabels,
			OwnerReferences: []metav1.OwnerReference{{UID: "set", Controller: new(true)}},
		},
		Spec:   webTemplate().Spec,
		Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{status}},
	}
}

func waiting(reason, message string) corev1.ContainerStatus {
	return corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
}

func crashing(code int32, reason string) corev1.ContainerStatus {
	status := waiting("CrashLoopBackOff", "back-off 20s restarting failed container=web pod=web-1_demo(f00)")
	status.RestartCount = 2
	status.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason}
	return status
}

func oneReady(d *appsv1.Deployment) { d.Status.ReadyReplicas, d.Status.AvailableReplicas = 1, 1 }

const (
	// pullError is what containerd reports when a registry has no such image.
	pullError = `Back-off pulling image "registry.example/demo/web:1": ErrImagePull: rpc error: code = NotFound desc = failed to pull and unpack image "registry.example/demo/web:1": failed to resolve reference "registry.example/demo/web:1": registry.example/demo/web:1: not found`
	forbidden = `failed to pull and unpack image "registry.example/demo/web:1": failed to resolve reference "registry.example/demo/web:1": unexpected status from HEAD request to https://registry.example/v2/demo/web/manifests/1: 403 Forbidden`
	traceback = "Traceback (most recent call last):\n  File \"/app/main.py\", line 3, in <module>\n    import flask\nModuleNotFoundError: No module named 'flask'\n"
	tooLarge  = `pods "web-1" is forbidden: exceeded quota: small, requested: limits.memory=8Gi, used: limits.memory=0, limited: limits.memory=4Gi`
)

// verdictCase is one state of the cluster, and the verdict of a build and of status on it.
type verdictCase struct {
	objects func(now time.Time) []runtime.Object
	log     string
	// message is what status prints; empty for a workload that is healthy and complete.
	message string
	healthy bool
	// done reports that the build ends with success, reason the reason of its failure. A build
	// with neither waits.
	done           bool
	reason, remedy string
}

func verdictCases() map[string]verdictCase {
	always := func(objects ...runtime.Object) func(time.Time) []runtime.Object {
		return func(time.Time) []runtime.Object { return objects }
	}
	set := webReplicaSet("2")
	onePod := func(status corev1.ContainerStatus) func(time.Time) []runtime.Object {
		return always(webDeployment(1, oneReady), set, webPod(status))
	}
	unschedulable := webPod(corev1.ContainerStatus{})
	unschedulable.Status = corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/1 nodes are available: 1 Insufficient memory. preemption: no victims",
	}}}
	refused := webReplicaSet("2")
	refused.Status.Conditions = []appsv1.ReplicaSetCondition{{Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue, Message: tooLarge}}
	return map[string]verdictCase{
		"healthy": {objects: always(webDeployment(2, nil)), healthy: true, done: true},
		"scaled to zero": {objects: always(webDeployment(0, func(d *appsv1.Deployment) {
			*d.Spec.Replicas, d.Status = 0, appsv1.DeploymentStatus{ObservedGeneration: 2}
		})), healthy: true, done: true},
		"rolling": {objects: always(webDeployment(1, nil), set), healthy: true, message: "rolling out: 1 of 2 new replicas created"},
		"surge": {
			objects: always(webDeployment(2, func(d *appsv1.Deployment) { d.Status.Replicas = 3 }), set), healthy: true, message: "rolling out: 1 old replicas are ending",
		},
		"not observed": {
			objects: always(webDeployment(2, func(d *appsv1.Deployment) { d.Status.ObservedGeneration = 1 }), set), healthy: true, message: "rolling out: waiting for the new spec to be observed",
		},
		"OnDelete StatefulSet": {
			objects: always(webStatefulSet(func(s *appsv1.StatefulSet) { s.Spec.UpdateStrategy.Type = appsv1.OnDeleteStatefulSetStrategyType })),
			healthy: true, done: true,
		},
		"partitioned StatefulSet": {
			objects: always(webStatefulSet(func(s *appsv1.StatefulSet) {
				s.Status.UpdatedReplicas = 1
				s.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{Partition: new(int32(1))}
			})),
			healthy: true, done: true,
		},
		"rolling StatefulSet": {
			objects: always(webStatefulSet(func(s *appsv1.StatefulSet) { s.Status.UpdatedReplicas = 1 })), healthy: true, message: "rolling out: 1 of 2 new replicas created",
		},
		"minReadySeconds": {
			objects: always(webDeployment(2, func(d *appsv1.Deployment) { d.Spec.MinReadySeconds, d.Status.AvailableReplicas = 30, 1 }), set),
			healthy: true, message: "rolling out: 1 of 2 new replicas available",
		},
		"minReadySeconds of a StatefulSet": {
			objects: always(webStatefulSet(func(s *appsv1.StatefulSet) {
				s.Spec.MinReadySeconds, s.Status.AvailableReplicas, s.Status.UpdatedReplicas = 30, 1, 2
			})),
			healthy: true, message: "rolling out: 1 of 2 replicas available",
		},
		"paused Deployment": {
			objects: always(webDeployment(0, func(d *appsv1.Deployment) { d.Spec.Paused = true }), set),
			message: "Paused: the rollout is paused", reason: "Paused", remedy: "resume it: kubectl --namespace demo rollout resume deployment web",
		},
		"progress deadline": {
			objects: always(webDeployment(1, func(d *appsv1.Deployment) {
				d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded"}}
			}), set),
			message: "ProgressDeadlineExceeded: progress deadline exceeded with 1 of 2 new replicas available", reason: "ProgressDeadlineExceeded",
		},
		"OOMKilled": {
			objects: onePod(crashing(137, "OOMKilled")),
			message: "pod web-1, container web: CrashLoopBackOff: exited with code 137 (OOMKilled), restarted twice",
			reason:  "CrashLoopBackOff", remedy: "raise resources.limits.memory",
		},
		"image not found": {
			objects: onePod(waiting("ImagePullBackOff", pullError)),
			message: "pod web-1, container web: ImagePullBackOff: registry.example/demo/web:1: not found", reason: "ImagePullBackOff", remedy: "correct its name and tag",
		},
		"image pull forbidden": {
			objects: onePod(waiting("ErrImagePull", forbidden)),
			message: "pod web-1, container web: ErrImagePull: image registry.example/demo/web:1: 403 Forbidden", reason: "ErrImagePull", remedy: "imagePullSecrets",
		},
		"crash with a traceback": {
			objects: onePod(crashing(1, "Error")), log: traceback,
			message: "pod web-1, container web: CrashLoopBackOff: exited with code 1, restarted twice: ModuleNotFoundError: No module named 'flask' (/app/main.py:3)",
			reason:  "CrashLoopBackOff", remedy: "the image has no module flask",
		},
		"readiness probe": {
			objects: func(now time.Time) []runtime.Object {
				pod := webPod(corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(now.Add(-time.Minute))}}})
				event := &corev1.Event{
					ObjectMeta: metav1.ObjectMeta{Name: "event", Namespace: testNamespace}, InvolvedObject: corev1.ObjectReference{UID: "pod"},
					Type: corev1.EventTypeWarning, Reason: "Unhealthy", Message: "Readiness probe failed: HTTP probe failed with statuscode: 503", LastTimestamp: metav1.NewTime(now),
				}
				return []runtime.Object{webDeployment(2, oneReady), set, pod, event}
			},
			message: "1 of 2 ready; pod web-1, container web: Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 503",
			reason:  "Unhealthy", remedy: "make the program answer its readinessProbe",
		},
		"unschedulable": {
			objects: always(webDeployment(1, oneReady), set, unschedulable),
			message: "pod web-1: Unschedulable: 0/1 nodes are available: 1 Insufficient memory", reason: "Unschedulable", remedy: "lower resources.requests.memory",
		},
		"quota exceeded": {
			objects: always(webDeployment(0, oneReady), refused),
			message: "FailedCreate: exceeded quota: small, requested: limits.memory=8Gi, used: limits.memory=0, limited: limits.memory=4Gi",
			reason:  "FailedCreate", remedy: "lower resources.limits.memory",
		},
	}
}

// A build and status give the same verdict on the same objects.
func TestVerdict(t *testing.T) {
	for name, test := range verdictCases() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				now := time.Now()
				client := fake.NewClientset(test.objects(now)...)
				client.PrependReactor("get", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
					return action.GetSubresource() == "log", &runtime.Unknown{Raw: []byte(test.log)}, nil
				})
				w := webWorkload(t, client)
				c := &collector{Clients: Clients{Kube: client}, Options: Options{Now: now}}
				got, err := c.judge(t.Context(), w)
				if err != nil || got.message != test.message || got.healthy != test.healthy {
					t.Errorf("status: healthy %t, %q, %v, want %t, %q", got.healthy, got.message, err, test.healthy, test.message)
				}
				if got.problem.Reason != test.reason || !strings.Contains(got.problem.Remedy, test.remedy) {
					t.Errorf("status: %s, remedy %q, want %s, %q", got.problem.Reason, got.problem.Remedy, test.reason, test.remedy)
				}
				failure, last, err := build(t, client, w.Kind)
				switch {
				case test.done && err != nil, !test.done && err == nil:
					t.Errorf("build: %v, want done: %t", err, test.done)
				case test.reason == "" && failure != nil:
					t.Errorf("build: %v, want no failure", failure)
				case test.reason == "" && !test.done && got.message != "rolling out: "+last:
					t.Errorf("build: %q, status: %q", last, got.message)
				case test.reason != "" && (failure == nil || failure.Reason != got.problem.Reason || failure.Advice != got.problem.Remedy):
					t.Errorf("build: %+v, status: %+v", failure, got.problem)
				}
			})
		})
	}
}

func webWorkload(t *testing.T, client *fake.Clientset) workload.Workload {
	t.Helper()
	for _, kind := range workload.Kinds() {
		if w, err := workload.Get(t.Context(), client, kind, testNamespace, "web"); err == nil {
			return w
		}
	}
	t.Fatal("no workload")
	return workload.Workload{}
}

// build watches the rollout as a build does, for as long as the problems of the table may
// last. It returns the failure, if there is one, and the last message.
func build(t *testing.T, client *fake.Clientset, kind string) (failure *rollout.Failure, last string, err error) {
	t.Helper()
	stalled := errors.New("no progress")
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Hour, stalled)
	defer cancel()
	err = rollout.Watch(ctx, client, testNamespace, []release.Workload{{Kind: kind, Name: "web"}}, "", func(update rollout.Update) {
		last = update.State.Message
	}, rollout.WaitTimeout(150*time.Second))
	if errors.As(err, &failure) && failure.Reason == "Stalled" {
		failure = nil // the objects of the table do not change
	}
	return failure, last, err
}

// If the newest revision explains nothing, the other pods do.
func TestOtherPods(t *testing.T) {
	old := func(name string, age int, status corev1.ContainerStatus) *corev1.Pod {
		pod := webPod(status)
		pod.Name, pod.UID, pod.OwnerReferences = name, "", nil
		pod.CreationTimestamp = metav1.NewTime(testNow.Add(-time.Duration(age) * time.Hour))
		return pod
	}
	changed := func(pod *corev1.Pod, change func(*corev1.Pod)) *corev1.Pod {
		change(pod)
		return pod
	}
	unready := corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
	exited := corev1.ContainerStatus{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 3, Reason: "Error", Message: "no database\nat all"}}}
	for name, test := range map[string]struct {
		pods []runtime.Object
		want string
	}{
		"none":        {nil, "1 of 2 ready"},
		"starting":    {[]runtime.Object{old("web-0", 0, waiting("ContainerCreating", ""))}, "1 of 2 ready"},
		"not ready":   {[]runtime.Object{old("web-0", 0, unready)}, "1 of 2 ready; pod web-0, container web: NotReady: the container runs and is not ready"},
		"the newest":  {[]runtime.Object{old("web-0", 2, unready), old("web-1", 1, unready)}, "1 of 2 ready; pod web-1, container web: NotReady: the container runs and is not ready"},
		"the worst":   {[]runtime.Object{old("web-0", 0, unready), old("web-1", 9, crashing(3, "Error"))}, "pod web-1, container web: CrashLoopBackOff: exited with code 3, restarted twice"},
		"exited":      {[]runtime.Object{old("web-0", 0, exited)}, "1 of 2 ready; pod web-0, container web: Error: exited with code 3: no database at all"},
		"no message":  {[]runtime.Object{old("web-0", 0, waiting("CreateContainerError", ""))}, "pod web-0, container web: CreateContainerError: image registry.example/demo/web:1"},
		"being ended": {[]runtime.Object{changed(old("web-0", 0, crashing(1, "Error")), func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: testNow}; p.Finalizers = []string{"x"} })}, "1 of 2 ready"},
		"completed":   {[]runtime.Object{changed(old("web-0", 0, exited), func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded })}, "1 of 2 ready"},
		"evicted": {
			[]runtime.Object{changed(old("web-0", 0, corev1.ContainerStatus{}), func(p *corev1.Pod) {
				p.Status = corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "The node was low on resource: memory."}
			})},
			"1 of 2 ready; pod web-0: Evicted: The node was low on resource: memory.",
		},
		"long": {[]runtime.Object{old("web-0", 0, waiting("CreateContainerError", strings.Repeat("x", 300)))}, "pod web-0, container web: CreateContainerError: " + strings.Repeat("x", maxMessage-len("pod web-0, container web: CreateContainerError: ")-1) + "…"},
	} {
		t.Run(name, func(t *testing.T) {
			client := fake.NewClientset(append(test.pods, webDeployment(2, oneReady))...)
			client.PrependReactor("get", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
				return action.GetSubresource() == "log", nil, fmt.Errorf("no log")
			})
			c := &collector{Clients: Clients{Kube: client}, Options: Options{Now: testNow}}
			got, err := c.judge(t.Context(), webWorkload(t, client))
			if err != nil || got.healthy || got.message != test.want {
				t.Errorf("healthy %t, %q, %v, want %q", got.healthy, got.message, err, test.want)
			}
		})
	}
}

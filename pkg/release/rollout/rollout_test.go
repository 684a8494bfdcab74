package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/rollout"
)

const (
	namespace = "hiking"
	oldImage  = "127.0.0.1:5180/hiking/mountains@sha256:old"
	newImage  = "127.0.0.1:5180/hiking/mountains@sha256:new"
)

var (
	selector  = map[string]string{"pyflow.dev/app": "mountains"}
	mountains = release.Workload{Kind: "Deployment", Name: "mountains", Built: true}
)

// watched is a Watch at work in a synctest bubble.
type watched struct {
	t       *testing.T
	client  *fake.Clientset
	cancel  context.CancelFunc
	updates []string
	advice  string // of the last update
	err     error
	done    bool
}

func watch(t *testing.T, client *fake.Clientset, workloads ...release.Workload) *watched {
	t.Helper()
	return watchFor(t, 0, client, workloads...)
}

// watchFor is watch with a WaitTimeout.
func watchFor(t *testing.T, timeout time.Duration, client *fake.Clientset, workloads ...release.Workload) *watched {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &watched{t: t, client: client, cancel: cancel}
	go func() {
		w.err = rollout.Watch(ctx, client, namespace, workloads, newImage, func(u rollout.Update) {
			w.updates = append(w.updates, strings.Trim(u.Workload.Name+": "+u.State.Message+"; "+u.Trouble, "; "))
			w.advice = u.Advice
		}, rollout.WaitTimeout(timeout))
		w.done = true
	}()
	synctest.Wait()
	return w
}

// expectFailure waits, and requires that the watch ends with a Failure.
func (w *watched) expectFailure(after time.Duration) *rollout.Failure {
	w.t.Helper()
	synctest.Wait()
	if after > time.Second {
		time.Sleep(after - time.Second)
		synctest.Wait()
		if w.done {
			w.t.Fatalf("ended before %v: %v", after, w.err)
		}
	}
	time.Sleep(2 * time.Second)
	synctest.Wait()
	var failure *rollout.Failure
	if !w.done || !errors.As(w.err, &failure) {
		w.cancel()
		w.t.Fatalf("done %t with %v after %v, want a Failure", w.done, w.err, after)
	}
	return failure
}

func deployment(generation, observed int64, image string, updated, available int32) *appsv1.Deployment {
	replicas := int32(2)
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: "mountains", UID: "deployment", Generation: generation,
			Annotations: map[string]string{"deployment.kubernetes.io/revision": fmt.Sprint(observed)},
		},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: selector},
			Template: template(image),
		},
		Status: appsv1.DeploymentStatus{ObservedGeneration: observed, Replicas: 2, ReadyReplicas: 2, UpdatedReplicas: updated, AvailableReplicas: available},
	}
}

func template(image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: image}}}}
}

// replicaSet is the one of a revision; its UID is "rs<revision>".
func replicaSet(revision int) *appsv1.ReplicaSet {
	return &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: fmt.Sprint("mountains-", revision), UID: types.UID(fmt.Sprint("rs", revision)), Labels: selector,
		Annotations:     map[string]string{"deployment.kubernetes.io/revision": fmt.Sprint(revision)},
		OwnerReferences: owner("deployment"),
	}}
}

func owner(uid types.UID) []metav1.OwnerReference {
	controller := true
	return []metav1.OwnerReference{{UID: uid, Controller: &controller}}
}

func pod(name string, owned types.UID, status corev1.ContainerStatus) *corev1.Pod {
	status.Name = "app"
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(name), Labels: selector, OwnerReferences: owner(owned)},
		Status:     corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{status}},
	}
}

func waiting(reason, message string) corev1.ContainerStatus {
	return corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
}

func crashing(last corev1.ContainerStateTerminated, restarts int32) corev1.ContainerStatus {
	status := waiting("CrashLoopBackOff", "back-off 10s restarting failed container")
	status.LastTerminationState.Terminated = &last
	status.RestartCount = restarts
	return status
}

func running(ready bool) corev1.ContainerStatus {
	return corev1.ContainerStatus{Ready: ready, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
}

func (w *watched) put(object runtime.Object) {
	w.t.Helper()
	resources := map[string]string{"Deployment": "deployments", "ReplicaSet": "replicasets", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets", "Pod": "pods"}
	kind := strings.TrimPrefix(strings.TrimPrefix(fmt.Sprintf("%T", object), "*v1."), "*")
	version := appsv1.SchemeGroupVersion
	if kind == "Pod" {
		version = corev1.SchemeGroupVersion
	}
	resource := version.WithResource(resources[kind])
	err := w.client.Tracker().Update(resource, object, namespace)
	if apierrors.IsNotFound(err) {
		err = w.client.Tracker().Create(resource, object, namespace)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

// A state that the controller has not seen does not count.
func TestRollout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, fake.NewClientset(deployment(2, 1, newImage, 2, 2)), mountains)
		w.put(deployment(2, 2, newImage, 1, 1))
		w.put(deployment(2, 2, newImage, 2, 1))
		if w.done {
			t.Fatalf("done at %q", w.updates)
		}
		w.put(deployment(2, 2, newImage, 2, 2))
		if !w.done || w.err != nil {
			t.Errorf("done %t, %v, want done", w.done, w.err)
		}
		want := []string{
			"mountains: waiting for the new spec to be observed",
			"mountains: 1 of 2 new replicas created",
			"mountains: 1 of 2 new replicas available",
			"mountains: 2 of 2 replicas ready",
		}
		if !slices.Equal(w.updates, want) {
			t.Errorf("updates %q, want %q", w.updates, want)
		}
		w.cancel()
	})
}

// A watch whose first list is from before the release does not count.
func TestWatchThatLags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset(deployment(2, 2, newImage, 1, 1))
		client.PrependReactor("list", "deployments", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, &appsv1.DeploymentList{Items: []appsv1.Deployment{*deployment(1, 1, oldImage, 2, 2)}}, nil
		})
		w := watch(t, client, mountains)
		if w.done {
			t.Fatalf("done with %v at %q", w.err, w.updates)
		}
		w.put(deployment(2, 2, newImage, 2, 2))
		if !w.done || w.err != nil {
			t.Errorf("done %t, %v, want done", w.done, w.err)
		}
		w.cancel()
	})
}

func TestSuperseded(t *testing.T) {
	for name, before := range map[string]*appsv1.Deployment{
		"before the watch": deployment(3, 3, oldImage, 2, 2),
		"in progress":      deployment(2, 2, newImage, 1, 1),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := watch(t, fake.NewClientset(before), mountains)
				w.put(deployment(3, 3, oldImage, 2, 2))
				var failure *rollout.Failure
				if !w.done || !errors.As(w.err, &failure) || failure.Reason != "Superseded" {
					t.Errorf("done %t, %v, want that it was superseded", w.done, w.err)
				}
				w.cancel()
			})
		})
	}
}

func TestWorkloadThatWasNotBuilt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, fake.NewClientset(deployment(1, 1, "redis:7", 2, 2)), release.Workload{Kind: "Deployment", Name: "mountains"})
		if !w.done || w.err != nil {
			t.Errorf("done %t, %v: a workload with another image is done when it is rolled out", w.done, w.err)
		}
		w.cancel()
	})
}

func TestNothingToWatch(t *testing.T) {
	if err := rollout.Watch(t.Context(), fake.NewClientset(), namespace, nil, newImage, nil); err != nil {
		t.Error(err)
	}
}

func TestWorkloadThatIsMissing(t *testing.T) {
	err := rollout.Watch(t.Context(), fake.NewClientset(), namespace, []release.Workload{mountains}, newImage, nil)
	if !apierrors.IsNotFound(err) || !strings.Contains(err.Error(), "deployment mountains") {
		t.Errorf("error %v, want not found with the name", err)
	}
	err = rollout.Watch(t.Context(), fake.NewClientset(), namespace, []release.Workload{{Kind: "CronJob", Name: "c"}}, newImage, nil)
	if err == nil {
		t.Error("a CronJob has no rollout: want an error")
	}
}

func TestFailures(t *testing.T) {
	for name, test := range map[string]struct {
		status  corev1.ContainerStatus
		after   time.Duration
		message string
		log     bool
	}{
		"crash": {
			crashing(corev1.ContainerStateTerminated{ExitCode: 3, Reason: "Error", Message: "bad config\n"}, 2), 0,
			"deployment mountains: pod new: container app: CrashLoopBackOff: exited with code 3: bad config, restarted twice", true,
		},
		"out of memory": {
			crashing(corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}, 1), 0,
			"deployment mountains: pod new: container app: CrashLoopBackOff: exited with code 137 (OOMKilled), restarted once", true,
		},
		"image name": {
			waiting("InvalidImageName", "words"), 0,
			"deployment mountains: pod new: container app: InvalidImageName: words", false,
		},
		"config": {
			waiting("CreateContainerConfigError", `secret "db" not found`), 10 * time.Second,
			`deployment mountains: pod new: container app: CreateContainerConfigError: secret "db" not found`, false,
		},
		"pull": {
			waiting("ImagePullBackOff", "words"), 30 * time.Second,
			"deployment mountains: pod new: container app: ImagePullBackOff: words", false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := fake.NewClientset(deployment(2, 2, newImage, 1, 1), replicaSet(2))
				var asked *corev1.PodLogOptions
				client.PrependReactor("get", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
					if action.GetSubresource() != "log" {
						return false, nil, nil
					}
					asked = action.(clienttesting.GenericActionImpl).Value.(*corev1.PodLogOptions)
					return true, &runtime.Unknown{Raw: []byte(strings.Repeat("line\n", 30) + "the end\n")}, nil
				})
				w := watch(t, client, mountains)
				w.put(pod("new", "rs2", test.status))
				failure := w.expectFailure(test.after)
				if failure.Error() != test.message {
					t.Errorf("failure %q, want %q", failure, test.message)
				}
				if test.log != (asked != nil) {
					t.Fatalf("log asked for: %+v, want %t", asked, test.log)
				}
				if !test.log {
					return
				}
				if !asked.Previous || asked.Container != "app" || *asked.TailLines != 20 {
					t.Errorf("log options %+v, want the previous instance's last 20 lines", asked)
				}
				if len(failure.Log) != 20 || failure.Log[19] != "the end" {
					t.Errorf("log of %d lines %q, want the last 20", len(failure.Log), failure.Log)
				}
			})
		})
	}
}

// The second failed pull is enough, however soon it comes.
func TestSecondFailedPull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, fake.NewClientset(deployment(2, 2, newImage, 1, 1), replicaSet(2)), mountains)
		w.put(pod("new", "rs2", waiting("ErrImagePull", "not found")))
		w.put(pod("new", "rs2", waiting("ImagePullBackOff", "Back-off")))
		if w.done {
			t.Fatalf("ended after the first pull: %v", w.err)
		}
		if last := w.updates[len(w.updates)-1]; !strings.Contains(last, "pod new, container app: ImagePullBackOff: Back-off") {
			t.Errorf("update %q, want the trouble", last)
		}
		w.put(pod("new", "rs2", waiting("ErrImagePull", "not found again")))
		if failure := w.expectFailure(0); failure.Message != "not found again" {
			t.Errorf("failure %v", failure)
		}
	})
}

// A pull that succeeds at last is no failure.
func TestFirstFailedPullPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, fake.NewClientset(deployment(2, 2, newImage, 1, 1), replicaSet(2)), mountains)
		w.put(pod("new", "rs2", waiting("ErrImagePull", "timeout")))
		time.Sleep(20 * time.Second)
		w.put(pod("new", "rs2", running(true)))
		time.Sleep(time.Minute)
		synctest.Wait()
		if w.done {
			t.Fatalf("ended: %v", w.err)
		}
		w.put(deployment(2, 2, newImage, 2, 2))
		if !w.done || w.err != nil {
			t.Errorf("done %t, %v", w.done, w.err)
		}
	})
}

// Pods of the previous revision may crash for the very reason that this release fixes, even
// with the same image.
func TestOldPodsAreIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset(
			deployment(2, 2, newImage, 1, 1), replicaSet(1), replicaSet(2),
			pod("old", "rs1", crashing(corev1.ContainerStateTerminated{ExitCode: 1}, 9)),
		)
		w := watch(t, client, mountains)
		time.Sleep(time.Minute)
		synctest.Wait()
		if w.done {
			t.Fatalf("ended: %v", w.err)
		}
		// Before the controller has seen the new spec, no pod is a new one.
		w.put(deployment(3, 2, newImage, 1, 1))
		w.put(pod("new", "rs2", crashing(corev1.ContainerStateTerminated{ExitCode: 1}, 9)))
		if w.done {
			t.Fatalf("ended: %v", w.err)
		}
		w.cancel()
	})
}

func TestUnschedulable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, fake.NewClientset(deployment(2, 2, newImage, 1, 1), replicaSet(2)), mountains)
		p := pod("new", "rs2", corev1.ContainerStatus{})
		p.Status.ContainerStatuses = nil
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/1 nodes"}}
		w.put(p)
		failure := w.expectFailure(2 * time.Minute)
		if failure.Pod != "new" || failure.Reason != "Unschedulable" || failure.Message != "0/1 nodes" || failure.Container != "" {
			t.Errorf("failure %+v", failure)
		}
	})
}

func TestPodsThatCannotBeCreated(t *testing.T) {
	t.Run("deployment", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := watch(t, fake.NewClientset(deployment(2, 2, newImage, 0, 0)), mountains)
			set := replicaSet(2)
			set.Status.Conditions = []appsv1.ReplicaSetCondition{{Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: "words"}}
			w.put(set)
			if failure := w.expectFailure(15 * time.Second); failure.Error() != "deployment mountains: FailedCreate: words" {
				t.Errorf("failure %v", failure)
			}
		})
	})
	// Other controllers only create Events.
	t.Run("statefulset", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			event := &corev1.Event{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "e"}, Type: "Warning", Reason: "FailedCreate", Message: "violates PodSecurity",
				InvolvedObject: corev1.ObjectReference{UID: "set"}, LastTimestamp: metav1.Now(),
			}
			w := watch(t, fake.NewClientset(statefulSet(2, 0, 0), event), release.Workload{Kind: "StatefulSet", Name: "mountains", Built: true})
			if failure := w.expectFailure(3 * time.Second); failure.Error() != "statefulset mountains: FailedCreate: violates PodSecurity" {
				t.Errorf("failure %v", failure)
			}
		})
	})
	t.Run("passed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			event := &corev1.Event{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "e"}, Type: "Warning", Reason: "FailedCreate",
				InvolvedObject: corev1.ObjectReference{UID: "set"}, LastTimestamp: metav1.Now(),
			}
			first := pod("mountains-0", "set", running(true))
			first.Labels = map[string]string{"pyflow.dev/app": "mountains", "controller-revision-hash": "rev2"}
			first.CreationTimestamp = metav1.Time{Time: time.Now().Add(time.Second)}
			w := watch(t, fake.NewClientset(statefulSet(2, 1, 1), event, first), release.Workload{Kind: "StatefulSet", Name: "mountains", Built: true})
			time.Sleep(time.Minute)
			synctest.Wait()
			if w.done {
				t.Errorf("ended: %v", w.err)
			}
			w.cancel()
		})
	})
}

func statefulSet(observed int64, updated, ready int32) *appsv1.StatefulSet {
	replicas := int32(2)
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "mountains", UID: "set", Generation: 2},
		Spec:       appsv1.StatefulSetSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: selector}, Template: template(newImage)},
		Status:     appsv1.StatefulSetStatus{ObservedGeneration: observed, UpdatedReplicas: updated, ReadyReplicas: ready, UpdateRevision: "rev2"},
	}
}

func TestStatefulSetPods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, fake.NewClientset(statefulSet(2, 1, 1)), release.Workload{Kind: "StatefulSet", Name: "mountains", Built: true})
		p := pod("mountains-1", "set", crashing(corev1.ContainerStateTerminated{ExitCode: 1}, 1))
		p.Labels = map[string]string{"pyflow.dev/app": "mountains", "controller-revision-hash": "rev1"}
		w.put(p)
		if w.done {
			t.Fatalf("ended by a pod of the revision before: %v", w.err)
		}
		p = p.DeepCopy()
		p.Labels["controller-revision-hash"] = "rev2"
		w.put(p)
		if failure := w.expectFailure(0); failure.Pod != "mountains-1" || !slices.Equal(failure.Log, []string{"fake logs"}) {
			t.Errorf("failure %+v", failure)
		}
	})
}

func TestDaemonSetPods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := &appsv1.DaemonSet{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "mountains", UID: "set", Generation: 3, Annotations: map[string]string{appsv1.DeprecatedTemplateGeneration: "2"}},
			Spec:       appsv1.DaemonSetSpec{Selector: &metav1.LabelSelector{MatchLabels: selector}, Template: template(newImage)},
			Status:     appsv1.DaemonSetStatus{ObservedGeneration: 3, DesiredNumberScheduled: 1},
		}
		w := watch(t, fake.NewClientset(set), release.Workload{Kind: "DaemonSet", Name: "mountains", Built: true})
		p := pod("a", "set", crashing(corev1.ContainerStateTerminated{ExitCode: 1}, 1))
		p.Labels = map[string]string{"pyflow.dev/app": "mountains", "pod-template-generation": "1"}
		w.put(p)
		if w.done {
			t.Fatalf("ended by a pod of the generation before: %v", w.err)
		}
		p = p.DeepCopy()
		p.Labels["pod-template-generation"] = "2"
		w.put(p)
		if failure := w.expectFailure(0); failure.Pod != "a" {
			t.Errorf("failure %+v", failure)
		}
	})
}

// The deadline's failure names the pod that is not ready, why, and its log.
func TestProgressDeadline(t *testing.T) {
	exceeded := deployment(2, 2, newImage, 2, 1)
	exceeded.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded"}}
	t.Run("probe", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := watch(t, fake.NewClientset(deployment(2, 2, newImage, 2, 1), replicaSet(2), pod("good", "rs2", running(true))), mountains)
			w.put(pod("new", "rs2", running(false)))
			time.Sleep(5 * time.Second)
			event := &corev1.Event{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "e"}, Type: "Warning", Reason: "Unhealthy", Message: "Readiness probe failed: 503",
				InvolvedObject: corev1.ObjectReference{UID: "new"}, LastTimestamp: metav1.Now(),
			}
			if err := w.client.Tracker().Add(event); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if last := w.updates[len(w.updates)-1]; !strings.HasSuffix(last, "pod new, container app: Unhealthy: Readiness probe failed: 503") {
				t.Errorf("update %q, want the probe's answer", last)
			}
			w.put(exceeded)
			failure := w.expectFailure(0)
			if failure.Pod != "new" || failure.Container != "app" || failure.Reason != "Unhealthy" || !slices.Equal(failure.Log, []string{"fake logs"}) {
				t.Errorf("failure %+v", failure)
			}
		})
	})
	t.Run("nothing known", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := watch(t, fake.NewClientset(deployment(2, 2, newImage, 2, 1)), mountains)
			w.put(exceeded)
			if failure := w.expectFailure(0); failure.Reason != "ProgressDeadlineExceeded" || failure.Pod != "" {
				t.Errorf("failure %+v", failure)
			}
		})
	})
}

func TestPausedAndDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, fake.NewClientset(deployment(2, 2, newImage, 1, 1)), mountains)
		paused := deployment(2, 2, newImage, 1, 1)
		paused.Spec.Paused = true
		w.put(paused)
		if failure := w.expectFailure(0); failure.Reason != "Paused" {
			t.Errorf("failure %+v", failure)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, fake.NewClientset(deployment(2, 2, newImage, 1, 1)), mountains)
		if err := w.client.Tracker().Delete(appsv1.SchemeGroupVersion.WithResource("deployments"), namespace, "mountains"); err != nil {
			t.Fatal(err)
		}
		if failure := w.expectFailure(0); failure.Reason != "Deleted" {
			t.Errorf("failure %+v", failure)
		}
	})
}

func TestCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, fake.NewClientset(deployment(2, 2, newImage, 1, 1)), mountains)
		w.cancel()
		synctest.Wait()
		if !w.done || !errors.Is(w.err, context.Canceled) || !strings.Contains(w.err.Error(), "1 of 2 new replicas created") {
			t.Errorf("done %t with %v, want canceled with the state", w.done, w.err)
		}
	})
}

// The first failure ends the watch of the others.
func TestSeveralWorkloads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset(deployment(2, 2, newImage, 1, 1), statefulSet(2, 1, 1))
		w := watch(t, client, mountains, release.Workload{Kind: "StatefulSet", Name: "mountains", Built: true})
		w.put(statefulSet(2, 2, 2))
		if w.done {
			t.Fatalf("ended with one of two: %v", w.err)
		}
		w.put(replicaSet(2))
		w.put(pod("new", "rs2", waiting("InvalidImageName", "words")))
		if failure := w.expectFailure(0); failure.Workload != mountains {
			t.Errorf("failure %+v", failure)
		}
	})
}

func TestWatchThatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset(deployment(2, 2, newImage, 1, 1))
		client.PrependReactor("list", "deployments", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Group: "apps", Resource: "deployments"}, "", errors.New("forbidden"))
		})
		w := watch(t, client, mountains)
		if !w.done || !apierrors.IsForbidden(w.err) {
			t.Errorf("done %t with %v, want the refusal", w.done, w.err)
		}
		w.cancel()
	})
}

package status

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

func waiting(reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

func podWith(name string, age time.Duration, statuses ...corev1.ContainerStatus) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(testNow.Add(-age))},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: statuses},
	}
}

func TestTrouble(t *testing.T) {
	crashing := corev1.ContainerStatus{
		Name:                 "web",
		State:                waiting("CrashLoopBackOff", "back-off 20s restarting failed container=web pod=web-1_demo(f00)"),
		LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}},
	}
	starting := corev1.ContainerStatus{Name: "web", State: waiting("ContainerCreating", "")}
	unready := corev1.ContainerStatus{Name: "web", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
	unschedulable := podWith("web-2", 0)
	unschedulable.Status.Conditions = []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/1 nodes are available:\n 1 Insufficient memory.",
	}}
	leaving := podWith("web-3", 0, crashing)
	leaving.DeletionTimestamp = &metav1.Time{Time: testNow}
	initFails := podWith("web-4", 0)
	initFails.Status.InitContainerStatuses = []corev1.ContainerStatus{{
		Name: "migrate", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 3, Reason: "Error", Message: "no database\nat all"}},
	}}
	evicted := podWith("web-5", 0)
	evicted.Status = corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "The node was low on resource: memory."}
	done := podWith("web-6", 0, corev1.ContainerStatus{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1}}})
	done.Status.Phase = corev1.PodSucceeded

	for name, test := range map[string]struct {
		pods []corev1.Pod
		want string
		hard bool
	}{
		"none":            {nil, "", false},
		"starting":        {[]corev1.Pod{podWith("web-1", 0, starting)}, "", false},
		"not ready yet":   {[]corev1.Pod{podWith("web-1", 0, unready)}, "pod web-1: container web runs but is not ready", false},
		"crash loop":      {[]corev1.Pod{podWith("web-1", 0, crashing)}, "pod web-1: container web: CrashLoopBackOff: exit code 137 (OOMKilled)", true},
		"image":           {[]corev1.Pod{podWith("web-1", 0, corev1.ContainerStatus{Name: "web", State: waiting("ErrImagePull", "not found:\n  x")})}, "pod web-1: container web: ErrImagePull: not found: x", true},
		"no message":      {[]corev1.Pod{podWith("web-1", 0, corev1.ContainerStatus{Name: "web", State: waiting("CreateContainerError", "")})}, "pod web-1: container web: CreateContainerError", true},
		"init container":  {[]corev1.Pod{initFails}, "pod web-4: container migrate: exit code 3: no database at all", true},
		"unschedulable":   {[]corev1.Pod{unschedulable}, "pod web-2: Unschedulable: 0/1 nodes are available: 1 Insufficient memory.", true},
		"evicted":         {[]corev1.Pod{evicted}, "pod web-5: Evicted: The node was low on resource: memory.", false},
		"leaving":         {[]corev1.Pod{leaving}, "", false},
		"completed":       {[]corev1.Pod{done}, "", false},
		"the worst first": {[]corev1.Pod{podWith("web-0", 0, unready), unschedulable, podWith("web-1", time.Hour, crashing)}, "pod web-1: container web: CrashLoopBackOff: exit code 137 (OOMKilled)", true},
		"then the newest": {[]corev1.Pod{podWith("web-0", time.Hour, unready), podWith("web-1", time.Minute, unready)}, "pod web-1: container web runs but is not ready", false},
	} {
		t.Run(name, func(t *testing.T) {
			got, hard := trouble(test.pods)
			if got != test.want || hard != test.hard {
				t.Errorf("got %q, hard %t; want %q, hard %t", got, hard, test.want, test.hard)
			}
		})
	}
}

func TestDeploymentHealth(t *testing.T) {
	three := int32(3)
	crash := []corev1.Pod{podWith("web-1", 0, corev1.ContainerStatus{Name: "web", State: waiting("ImagePullBackOff", "")})}
	condition := func(kind appsv1.DeploymentConditionType, status corev1.ConditionStatus, reason, message string) appsv1.DeploymentCondition {
		return appsv1.DeploymentCondition{Type: kind, Status: status, Reason: reason, Message: message}
	}
	for name, test := range map[string]struct {
		status   appsv1.DeploymentStatus
		replicas *int32
		pods     []corev1.Pod
		settled  bool
		healthy  bool
		ready    int32
		message  string
	}{
		"up":                {appsv1.DeploymentStatus{Replicas: 3, ReadyReplicas: 3, UpdatedReplicas: 3, ObservedGeneration: 2}, &three, nil, true, true, 3, ""},
		"scaled to zero":    {appsv1.DeploymentStatus{ObservedGeneration: 2}, new(int32), nil, true, true, 0, ""},
		"default is one":    {appsv1.DeploymentStatus{ObservedGeneration: 2}, nil, nil, false, false, 0, "0 of 1 ready"},
		"not observed":      {appsv1.DeploymentStatus{Replicas: 3, ReadyReplicas: 3, UpdatedReplicas: 3, ObservedGeneration: 1}, &three, nil, false, true, 3, "rolling out: 3 of 3 updated"},
		"rolling out":       {appsv1.DeploymentStatus{Replicas: 6, ReadyReplicas: 4, UpdatedReplicas: 3, ObservedGeneration: 2}, &three, nil, false, true, 3, "rolling out: 3 of 3 updated"},
		"one is missing":    {appsv1.DeploymentStatus{Replicas: 3, ReadyReplicas: 2, UpdatedReplicas: 3, ObservedGeneration: 2}, &three, nil, false, false, 2, "2 of 3 ready"},
		"new ones fail":     {appsv1.DeploymentStatus{Replicas: 4, ReadyReplicas: 3, UpdatedReplicas: 1, ObservedGeneration: 2}, &three, crash, false, false, 3, "pod web-1: container web: ImagePullBackOff"},
		"too slow":          {appsv1.DeploymentStatus{Replicas: 4, ReadyReplicas: 3, UpdatedReplicas: 1, ObservedGeneration: 2, Conditions: []appsv1.DeploymentCondition{condition("Progressing", "False", "ProgressDeadlineExceeded", "timed out")}}, &three, nil, false, false, 3, "ProgressDeadlineExceeded: timed out"},
		"quota beats it":    {appsv1.DeploymentStatus{ObservedGeneration: 2, Conditions: []appsv1.DeploymentCondition{condition("ReplicaFailure", "True", "FailedCreate", "exceeded quota"), condition("Progressing", "False", "ProgressDeadlineExceeded", "timed out")}}, &three, nil, false, false, 0, "FailedCreate: exceeded quota"},
		"slow and unready":  {appsv1.DeploymentStatus{Replicas: 3, ReadyReplicas: 2, UpdatedReplicas: 3, ObservedGeneration: 2}, &three, []corev1.Pod{podWith("web-1", 0, corev1.ContainerStatus{Name: "web", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}})}, false, false, 2, "2 of 3 ready; pod web-1: container web runs but is not ready"},
		"progressing is ok": {appsv1.DeploymentStatus{Replicas: 3, ReadyReplicas: 3, UpdatedReplicas: 3, ObservedGeneration: 2, Conditions: []appsv1.DeploymentCondition{condition("Progressing", "True", "NewReplicaSetAvailable", "done")}}, &three, nil, true, true, 3, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := deployment(&appsv1.Deployment{
				ObjectMeta: metav1.ObjectMeta{Generation: 2},
				Spec:       appsv1.DeploymentSpec{Replicas: test.replicas},
				Status:     test.status,
			})
			healthy, message := w.health(test.pods)
			if w.settled != test.settled || healthy != test.healthy || message != test.message || w.ready != test.ready {
				t.Errorf("got settled %t, healthy %t, ready %d, %q", w.settled, healthy, w.ready, message)
			}
		})
	}
}

func TestOtherWorkloads(t *testing.T) {
	two := int32(2)
	set := statefulSet(&appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Generation: 2},
		Spec:       appsv1.StatefulSetSpec{Replicas: &two},
		Status:     appsv1.StatefulSetStatus{ObservedGeneration: 2, ReadyReplicas: 2, UpdatedReplicas: 1, CurrentRevision: "a", UpdateRevision: "b"},
	})
	if healthy, message := set.health(nil); set.settled || !healthy || message != "rolling out: 1 of 2 updated" {
		t.Errorf("statefulset in the middle of a rollout: %+v %t %q", set, healthy, message)
	}
	daemons := daemonSet(&appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Generation: 2},
		Status:     appsv1.DaemonSetStatus{ObservedGeneration: 2, DesiredNumberScheduled: 3, NumberReady: 2, UpdatedNumberScheduled: 3},
	})
	if healthy, message := daemons.health(nil); daemons.settled || healthy || message != "2 of 3 ready" {
		t.Errorf("daemonset with a pod missing: %+v %t %q", daemons, healthy, message)
	}
}

func TestImage(t *testing.T) {
	const digest = "@sha256:0000000000000000000000000000000000000000000000000000000000000001"
	w := workload{pod: corev1.PodSpec{Containers: []corev1.Container{
		{Image: "docker.io/library/redis:8"},
		{Image: "127.0.0.1:5180/demo/web-extra" + digest},
		{Image: "127.0.0.1:5180/demo/web" + digest},
	}}}
	if got := w.image("demo/web"); got != "127.0.0.1:5180/demo/web"+digest {
		t.Errorf("got %q", got)
	}
	if got := w.image("demo/other"); got != "" {
		t.Errorf("another app's image is not this one's: %q", got)
	}
}

func TestChanged(t *testing.T) {
	entry := func(manager, subresource string, hours int) metav1.ManagedFieldsEntry {
		at := metav1.NewTime(testNow.Add(time.Duration(hours) * time.Hour))
		return metav1.ManagedFieldsEntry{Manager: manager, Operation: metav1.ManagedFieldsOperationApply, Subresource: subresource, Time: &at}
	}
	w := workload{meta: metav1.ObjectMeta{
		CreationTimestamp: metav1.NewTime(testNow),
		ManagedFields: []metav1.ManagedFieldsEntry{
			entry("someone", "", 3), entry(manifests.FieldManager, "status", 2), entry(manifests.FieldManager, "", 1),
		},
	}}
	if got := w.changed(); !got.Equal(&metav1.Time{Time: testNow.Add(time.Hour)}) {
		t.Errorf("got %s", got)
	}
	w.meta.ManagedFields = nil
	if got := w.changed(); !got.Equal(&metav1.Time{Time: testNow}) {
		t.Errorf("without managed fields: %s", got)
	}
}

func TestTag(t *testing.T) {
	for image, want := range map[string]string{
		"docker.io/library/registry:3":    "3",
		"mirror:5000/registry":            "",
		"mirror:5000/registry:3.1":        "3.1",
		"mirror/registry:3@sha256:00":     "3",
		"mirror:5000/registry@sha256:abc": "sha256:abc",
	} {
		if got := tag(image); got != want {
			t.Errorf("%s: got %q, want %q", image, got, want)
		}
	}
}

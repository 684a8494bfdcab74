package workload_test

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/workload"
)

func TestDeploymentStatus(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*appsv1.Deployment)
		want   workload.State
	}{
		"ready": {nil, workload.State{Ready: 3, Desired: 3, Updated: 3, Done: true, Message: "3 of 3 replicas ready"}},
		"not observed": {
			func(d *appsv1.Deployment) { d.Generation = 5 },
			workload.State{Ready: 3, Desired: 3, Updated: 3, Message: "waiting for the new spec to be observed"},
		},
		"not all updated": {
			func(d *appsv1.Deployment) { d.Status.UpdatedReplicas = 1 },
			workload.State{Ready: 3, Desired: 3, Updated: 1, Message: "1 of 3 new replicas created"},
		},
		"old ones left": {
			func(d *appsv1.Deployment) { d.Status.Replicas = 4 },
			workload.State{Ready: 3, Desired: 3, Updated: 3, Message: "1 old replicas are ending"},
		},
		"not available": {
			func(d *appsv1.Deployment) { d.Status.AvailableReplicas, d.Status.ReadyReplicas = 2, 2 },
			workload.State{Ready: 2, Desired: 3, Updated: 3, Message: "2 of 3 new replicas available"},
		},
		"deadline": {
			func(d *appsv1.Deployment) {
				d.Status.AvailableReplicas = 1
				d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Reason: "ProgressDeadlineExceeded"}}
			},
			workload.State{Ready: 3, Desired: 3, Updated: 3, Failed: true, Reason: workload.DeadlineExceeded, Message: "progress deadline exceeded with 1 of 3 new replicas available"},
		},
		"deadline of the spec before": {
			func(d *appsv1.Deployment) {
				d.Generation = 5
				d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Reason: "ProgressDeadlineExceeded"}}
			},
			workload.State{Ready: 3, Desired: 3, Updated: 3, Message: "waiting for the new spec to be observed"},
		},
		"paused": {
			func(d *appsv1.Deployment) { d.Spec.Paused, d.Status.UpdatedReplicas = true, 0 },
			workload.State{Ready: 3, Desired: 3, Failed: true, Reason: workload.Paused, Message: "the rollout is paused"},
		},
		"paused with old replicas": {
			func(d *appsv1.Deployment) { d.Spec.Paused, d.Status.Replicas = true, 4 },
			workload.State{Ready: 3, Desired: 3, Updated: 3, Failed: true, Reason: workload.Paused, Message: "the rollout is paused"},
		},
		"paused after the rollout": {
			func(d *appsv1.Deployment) { d.Spec.Paused = true },
			workload.State{Ready: 3, Desired: 3, Updated: 3, Done: true, Message: "3 of 3 replicas ready"},
		},
		"none wanted": {
			func(d *appsv1.Deployment) {
				*d.Spec.Replicas, d.Status = 0, appsv1.DeploymentStatus{ObservedGeneration: 4}
			},
			workload.State{Done: true, Message: "0 of 0 replicas ready"},
		},
		"default of one": {
			func(d *appsv1.Deployment) {
				d.Spec.Replicas, d.Status = nil, appsv1.DeploymentStatus{ObservedGeneration: 4}
			},
			workload.State{Desired: 1, Message: "0 of 1 new replicas created"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			replicas := int32(3)
			d := &appsv1.Deployment{
				Spec:   appsv1.DeploymentSpec{Replicas: &replicas},
				Status: appsv1.DeploymentStatus{ObservedGeneration: 4, Replicas: 3, ReadyReplicas: 3, UpdatedReplicas: 3, AvailableReplicas: 3},
			}
			d.Generation = 4
			if test.change != nil {
				test.change(d)
			}
			if got, err := workload.Status(d); err != nil || got != test.want {
				t.Errorf("Status() = %+v, %v, want %+v", got, err, test.want)
			}
		})
	}
}

func TestStatefulSetStatus(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*appsv1.StatefulSet)
		want   workload.State
	}{
		"ready":        {nil, workload.State{Ready: 3, Desired: 3, Updated: 3, Done: true, Message: "3 of 3 replicas ready"}},
		"not observed": {func(s *appsv1.StatefulSet) { s.Generation = 5 }, workload.State{Ready: 3, Desired: 3, Updated: 3, Message: "waiting for the new spec to be observed"}},
		"never observed": {
			func(s *appsv1.StatefulSet) { s.Generation, s.Status.ObservedGeneration = 0, 0 },
			workload.State{Ready: 3, Desired: 3, Updated: 3, Message: "waiting for the new spec to be observed"},
		},
		"not all updated": {func(s *appsv1.StatefulSet) { s.Status.UpdatedReplicas = 1 }, workload.State{Ready: 3, Desired: 3, Updated: 1, Message: "1 of 3 new replicas created"}},
		"not ready":       {func(s *appsv1.StatefulSet) { s.Status.ReadyReplicas = 1 }, workload.State{Ready: 1, Desired: 3, Updated: 3, Message: "1 of 3 replicas ready"}},
		"partition": {
			func(s *appsv1.StatefulSet) {
				partition := int32(2)
				s.Status.UpdatedReplicas = 1
				s.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{Partition: &partition}
			},
			workload.State{Ready: 3, Desired: 3, Updated: 1, Done: true, Message: "3 of 3 replicas ready"},
		},
		"not available": {
			func(s *appsv1.StatefulSet) { s.Spec.MinReadySeconds, s.Status.AvailableReplicas = 10, 1 },
			workload.State{Ready: 3, Desired: 3, Updated: 3, Message: "1 of 3 replicas available"},
		},
		"on delete": {
			func(s *appsv1.StatefulSet) {
				s.Status.UpdatedReplicas = 0
				s.Spec.UpdateStrategy.Type = appsv1.OnDeleteStatefulSetStrategyType
			},
			workload.State{Ready: 3, Desired: 3, Done: true, Message: "Kubernetes replaces a pod when it is deleted (OnDelete)"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			replicas := int32(3)
			s := &appsv1.StatefulSet{
				Spec:   appsv1.StatefulSetSpec{Replicas: &replicas, UpdateStrategy: appsv1.StatefulSetUpdateStrategy{Type: appsv1.RollingUpdateStatefulSetStrategyType}},
				Status: appsv1.StatefulSetStatus{ObservedGeneration: 4, Replicas: 3, ReadyReplicas: 3, UpdatedReplicas: 3},
			}
			s.Generation = 4
			if test.change != nil {
				test.change(s)
			}
			if got, err := workload.Status(s); err != nil || got != test.want {
				t.Errorf("Status() = %+v, %v, want %+v", got, err, test.want)
			}
		})
	}
}

func TestDaemonSetStatus(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*appsv1.DaemonSet)
		want   workload.State
	}{
		"ready":           {nil, workload.State{Ready: 3, Desired: 3, Updated: 3, Done: true, Message: "3 of 3 replicas ready"}},
		"not observed":    {func(s *appsv1.DaemonSet) { s.Generation = 5 }, workload.State{Ready: 3, Desired: 3, Updated: 3, Message: "waiting for the new spec to be observed"}},
		"not all updated": {func(s *appsv1.DaemonSet) { s.Status.UpdatedNumberScheduled = 1 }, workload.State{Ready: 3, Desired: 3, Updated: 1, Message: "1 of 3 new pods created"}},
		"not available":   {func(s *appsv1.DaemonSet) { s.Status.NumberAvailable = 2 }, workload.State{Ready: 3, Desired: 3, Updated: 3, Message: "2 of 3 new pods available"}},
		"on delete": {
			func(s *appsv1.DaemonSet) {
				s.Status.UpdatedNumberScheduled = 0
				s.Spec.UpdateStrategy.Type = appsv1.OnDeleteDaemonSetStrategyType
			},
			workload.State{Ready: 3, Desired: 3, Done: true, Message: "Kubernetes replaces a pod when it is deleted (OnDelete)"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &appsv1.DaemonSet{Status: appsv1.DaemonSetStatus{ObservedGeneration: 4, DesiredNumberScheduled: 3, NumberReady: 3, UpdatedNumberScheduled: 3, NumberAvailable: 3}}
			s.Generation = 4
			if test.change != nil {
				test.change(s)
			}
			if got, err := workload.Status(s); err != nil || got != test.want {
				t.Errorf("Status() = %+v, %v, want %+v", got, err, test.want)
			}
		})
	}
}

func TestOtherKinds(t *testing.T) {
	set := &appsv1.DaemonSet{
		TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: workload.DaemonSet}, ObjectMeta: metav1.ObjectMeta{Name: "agent"},
		Status: appsv1.DaemonSetStatus{DesiredNumberScheduled: 1},
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(set)
	if err != nil {
		t.Fatal(err)
	}
	w, err := workload.Of(&unstructured.Unstructured{Object: content})
	if err != nil || w.Kind != workload.DaemonSet || w.Meta.Name != "agent" || w.State.Desired != 1 {
		t.Errorf("an unstructured DaemonSet is read as %+v, %v", w, err)
	}
	content["kind"] = "ReplicaSet"
	for _, object := range []runtime.Object{&corev1.Pod{}, &unstructured.Unstructured{Object: content}} {
		if state, err := workload.Status(object); err == nil {
			t.Errorf("%T: got %+v, want an error", object, state)
		}
	}
}

func TestNewest(t *testing.T) {
	controlled := func(name string, uid types.UID, labels map[string]string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: labels, OwnerReferences: []metav1.OwnerReference{{UID: uid, Controller: new(true)}},
		}}
	}
	revision := func(n string) map[string]string { return map[string]string{"deployment.kubernetes.io/revision": n} }
	replicaSet := func(uid types.UID, n string) *appsv1.ReplicaSet {
		set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{UID: uid, Annotations: revision(n), OwnerReferences: []metav1.OwnerReference{{UID: "d", Controller: new(true)}}}}
		set.Status.Conditions = []appsv1.ReplicaSetCondition{{Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue, Message: "refused " + n}}
		return set
	}
	sets := []*appsv1.ReplicaSet{replicaSet("r1", "1"), replicaSet("r2", "2")}
	deleted := controlled("deleted", "r2", nil)
	deleted.DeletionTimestamp = &metav1.Time{}
	hash := func(revision string) map[string]string {
		return map[string]string{"controller-revision-hash": revision}
	}
	generation := func(n string) map[string]string { return map[string]string{"pod-template-generation": n} }
	meta := metav1.ObjectMeta{UID: "d", Generation: 2, Annotations: revision("2")}
	for name, test := range map[string]struct {
		object  runtime.Object
		sets    []*appsv1.ReplicaSet
		pods    []*corev1.Pod
		want    string
		refused string
	}{
		"deployment":      {&appsv1.Deployment{ObjectMeta: meta, Status: appsv1.DeploymentStatus{ObservedGeneration: 2}}, sets, []*corev1.Pod{controlled("old", "r1", nil), controlled("new", "r2", nil), deleted}, "new", "refused 2"},
		"not observed":    {&appsv1.Deployment{ObjectMeta: meta, Status: appsv1.DeploymentStatus{ObservedGeneration: 1}}, sets, []*corev1.Pod{controlled("new", "r2", nil)}, "", ""},
		"no ReplicaSets":  {&appsv1.Deployment{ObjectMeta: meta, Status: appsv1.DeploymentStatus{ObservedGeneration: 2, Conditions: []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: "refused"}}}}, nil, []*corev1.Pod{controlled("new", "r2", nil)}, "", "refused"},
		"statefulset":     {&appsv1.StatefulSet{ObjectMeta: meta, Status: appsv1.StatefulSetStatus{ObservedGeneration: 2, UpdateRevision: "b"}}, nil, []*corev1.Pod{controlled("old", "d", hash("a")), controlled("new", "d", hash("b")), controlled("other", "x", hash("b"))}, "new", ""},
		"daemonset":       {&appsv1.DaemonSet{ObjectMeta: meta, Status: appsv1.DaemonSetStatus{ObservedGeneration: 2}}, nil, []*corev1.Pod{controlled("old", "d", generation("1")), controlled("new", "d", generation("2"))}, "new", ""},
		"nothing created": {&appsv1.StatefulSet{ObjectMeta: meta}, nil, nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := workload.Of(test.object)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, pod := range w.Newest(test.pods, test.sets) {
				got = append(got, pod.Name)
			}
			if strings.Join(got, " ") != test.want || w.Refused(test.sets) != test.refused {
				t.Errorf("newest %q, refused %q, want %q, %q", got, w.Refused(test.sets), test.want, test.refused)
			}
		})
	}
}

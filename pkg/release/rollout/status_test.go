package rollout_test

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/rollout"
)

func TestStatus(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*appsv1.Deployment)
		want   rollout.State
	}{
		"ready": {nil, rollout.State{Ready: 3, Desired: 3, Updated: 3, Done: true, Message: "3 of 3 replicas ready"}},
		"not observed": {
			func(d *appsv1.Deployment) { d.Generation = 5 },
			rollout.State{Ready: 3, Desired: 3, Updated: 3, Message: "waiting for the new spec to be observed"},
		},
		"not all updated": {
			func(d *appsv1.Deployment) { d.Status.UpdatedReplicas = 1 },
			rollout.State{Ready: 3, Desired: 3, Updated: 1, Message: "1 of 3 new replicas created"},
		},
		"old ones left": {
			func(d *appsv1.Deployment) { d.Status.Replicas = 4 },
			rollout.State{Ready: 3, Desired: 3, Updated: 3, Message: "1 old replicas are ending"},
		},
		"not available": {
			func(d *appsv1.Deployment) { d.Status.AvailableReplicas, d.Status.ReadyReplicas = 2, 2 },
			rollout.State{Ready: 2, Desired: 3, Updated: 3, Message: "2 of 3 new replicas available"},
		},
		"deadline": {
			func(d *appsv1.Deployment) {
				d.Status.AvailableReplicas = 1
				d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Reason: "ProgressDeadlineExceeded"}}
			},
			rollout.State{Ready: 3, Desired: 3, Updated: 3, Failed: true, Message: "progress deadline exceeded with 1 of 3 new replicas available"},
		},
		"deadline of the spec before": {
			func(d *appsv1.Deployment) {
				d.Generation = 5
				d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Reason: "ProgressDeadlineExceeded"}}
			},
			rollout.State{Ready: 3, Desired: 3, Updated: 3, Message: "waiting for the new spec to be observed"},
		},
		"paused": {
			func(d *appsv1.Deployment) { d.Spec.Paused = true },
			rollout.State{Ready: 3, Desired: 3, Updated: 3, Failed: true, Message: "the rollout is paused"},
		},
		"none wanted": {
			func(d *appsv1.Deployment) {
				*d.Spec.Replicas, d.Status = 0, appsv1.DeploymentStatus{ObservedGeneration: 4}
			},
			rollout.State{Done: true, Message: "0 of 0 replicas ready"},
		},
		"default of one": {
			func(d *appsv1.Deployment) {
				d.Spec.Replicas, d.Status = nil, appsv1.DeploymentStatus{ObservedGeneration: 4}
			},
			rollout.State{Desired: 1, Message: "0 of 1 new replicas created"},
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
			if got := rollout.Status(d); got != test.want {
				t.Errorf("Status() = %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestStatefulSetStatus(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*appsv1.StatefulSet)
		want   rollout.State
	}{
		"ready":        {nil, rollout.State{Ready: 3, Desired: 3, Updated: 3, Done: true, Message: "3 of 3 replicas ready"}},
		"not observed": {func(s *appsv1.StatefulSet) { s.Generation = 5 }, rollout.State{Ready: 3, Desired: 3, Updated: 3, Message: "waiting for the new spec to be observed"}},
		"never observed": {
			func(s *appsv1.StatefulSet) { s.Generation, s.Status.ObservedGeneration = 0, 0 },
			rollout.State{Ready: 3, Desired: 3, Updated: 3, Message: "waiting for the new spec to be observed"},
		},
		"not all updated": {func(s *appsv1.StatefulSet) { s.Status.UpdatedReplicas = 1 }, rollout.State{Ready: 3, Desired: 3, Updated: 1, Message: "1 of 3 new replicas created"}},
		"not ready":       {func(s *appsv1.StatefulSet) { s.Status.ReadyReplicas = 1 }, rollout.State{Ready: 1, Desired: 3, Updated: 3, Message: "1 of 3 replicas ready"}},
		"partition": {
			func(s *appsv1.StatefulSet) {
				partition := int32(2)
				s.Status.UpdatedReplicas = 1
				s.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{Partition: &partition}
			},
			rollout.State{Ready: 3, Desired: 3, Updated: 1, Done: true, Message: "3 of 3 replicas ready"},
		},
		"on delete": {
			func(s *appsv1.StatefulSet) {
				s.Status.UpdatedReplicas = 0
				s.Spec.UpdateStrategy.Type = appsv1.OnDeleteStatefulSetStrategyType
			},
			rollout.State{Ready: 3, Desired: 3, Done: true, Message: "new pods come when old ones are deleted (OnDelete)"},
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
			if got := rollout.StatefulSetStatus(s); got != test.want {
				t.Errorf("StatefulSetStatus() = %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestDaemonSetStatus(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*appsv1.DaemonSet)
		want   rollout.State
	}{
		"ready":           {nil, rollout.State{Ready: 3, Desired: 3, Updated: 3, Done: true, Message: "3 of 3 replicas ready"}},
		"not observed":    {func(s *appsv1.DaemonSet) { s.Generation = 5 }, rollout.State{Ready: 3, Desired: 3, Updated: 3, Message: "waiting for the new spec to be observed"}},
		"not all updated": {func(s *appsv1.DaemonSet) { s.Status.UpdatedNumberScheduled = 1 }, rollout.State{Ready: 3, Desired: 3, Updated: 1, Message: "1 of 3 new pods created"}},
		"not available":   {func(s *appsv1.DaemonSet) { s.Status.NumberAvailable = 2 }, rollout.State{Ready: 3, Desired: 3, Updated: 3, Message: "2 of 3 new pods available"}},
		"on delete": {
			func(s *appsv1.DaemonSet) {
				s.Status.UpdatedNumberScheduled = 0
				s.Spec.UpdateStrategy.Type = appsv1.OnDeleteDaemonSetStrategyType
			},
			rollout.State{Ready: 3, Desired: 3, Done: true, Message: "new pods come when old ones are deleted (OnDelete)"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &appsv1.DaemonSet{Status: appsv1.DaemonSetStatus{ObservedGeneration: 4, DesiredNumberScheduled: 3, NumberReady: 3, UpdatedNumberScheduled: 3, NumberAvailable: 3}}
			s.Generation = 4
			if test.change != nil {
				test.change(s)
			}
			if got := rollout.DaemonSetStatus(s); got != test.want {
				t.Errorf("DaemonSetStatus() = %+v, want %+v", got, test.want)
			}
		})
	}
}

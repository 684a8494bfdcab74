package workload

import (
	"fmt"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Reasons of a State that is Failed.
const (
	// DeadlineExceeded is the reason of a Deployment that made no progress for
	// progressDeadlineSeconds. Kubernetes uses the same word in its conditions.
	DeadlineExceeded = "ProgressDeadlineExceeded"
	// Paused is the reason of a Deployment whose rollout is paused.
	Paused = "Paused"
)

const (
	revisionAnnotation   = "deployment.kubernetes.io/revision"
	generationAnnotation = appsv1.DeprecatedTemplateGeneration
	generationLabel      = "pod-template-generation"
)

// State is the progress of a rollout.
type State struct {
	// Desired is the number of replicas in the spec; of a DaemonSet, the number of nodes that
	// should run a pod.
	Desired int32
	// Ready counts the ready replicas of all revisions, Updated the replicas of the newest
	// revision, ready or not.
	Ready, Updated int32
	// Done reports that the rollout is complete: all replicas that the update strategy
	// replaces are of the newest revision, and available.
	Done bool
	// Failed reports that the controller does not continue, for the Reason.
	Failed bool
	Reason string
	// Message describes the state in a few words.
	Message string
}

func ofDeployment(deployment *appsv1.Deployment) Workload {
	w := Workload{
		Kind: Deployment, Meta: deployment.ObjectMeta, Selector: deployment.Spec.Selector,
		Template: deployment.Spec.Template, State: deploymentState(deployment),
	}
	observed := deployment.Generation <= deployment.Status.ObservedGeneration
	w.newest = func(pod *corev1.Pod, sets []*appsv1.ReplicaSet) bool {
		set := newestSet(deployment, sets)
		return observed && set != nil && metav1.IsControlledBy(pod, set)
	}
	w.refused = func(sets []*appsv1.ReplicaSet) string {
		switch set := newestSet(deployment, sets); {
		case !observed:
			return ""
		case set != nil:
			return refusedSet(set)
		}
		condition := deploymentCondition(deployment, appsv1.DeploymentReplicaFailure)
		if condition == nil || condition.Status != corev1.ConditionTrue {
			return ""
		}
		return condition.Message
	}
	return w
}

// refusedSet returns the reason why pods of a ReplicaSet cannot be created.
func refusedSet(set *appsv1.ReplicaSet) string {
	for _, condition := range set.Status.Conditions {
		if condition.Type == appsv1.ReplicaSetReplicaFailure && condition.Status == corev1.ConditionTrue {
			return condition.Message
		}
	}
	return ""
}

// newestSet returns the ReplicaSet of the newest revision, or nil.
func newestSet(deployment *appsv1.Deployment, sets []*appsv1.ReplicaSet) *appsv1.ReplicaSet {
	for _, set := range sets {
		if metav1.IsControlledBy(set, deployment) && set.Annotations[revisionAnnotation] == deployment.Annotations[revisionAnnotation] {
			return set
		}
	}
	return nil
}

func deploymentCondition(deployment *appsv1.Deployment, kind appsv1.DeploymentConditionType) *appsv1.DeploymentCondition {
	for i := range deployment.Status.Conditions {
		if deployment.Status.Conditions[i].Type == kind {
			return &deployment.Status.Conditions[i]
		}
	}
	return nil
}

func deploymentState(deployment *appsv1.Deployment) State {
	status := deployment.Status
	state := State{Ready: status.ReadyReplicas, Desired: replicas(deployment.Spec.Replicas), Updated: status.UpdatedReplicas}
	if deployment.Generation > status.ObservedGeneration {
		return state.unobserved()
	}
	if progressing := deploymentCondition(deployment, appsv1.DeploymentProgressing); progressing != nil && progressing.Reason == DeadlineExceeded {
		available := min(status.AvailableReplicas, status.UpdatedReplicas)
		return state.failed(DeadlineExceeded, fmt.Sprintf("progress deadline exceeded with %d of %d new replicas available", available, state.Desired))
	}
	switch {
	case deployment.Spec.Paused && (status.UpdatedReplicas < state.Desired || status.Replicas > status.UpdatedReplicas):
		return state.failed(Paused, "the rollout is paused")
	case status.UpdatedReplicas < state.Desired:
		return state.progressing("%d of %d new replicas created", status.UpdatedReplicas, state.Desired)
	case status.Replicas > status.UpdatedReplicas:
		return state.progressing("%d old replicas are ending", status.Replicas-status.UpdatedReplicas)
	case status.AvailableReplicas < status.UpdatedReplicas:
		return state.progressing("%d of %d new replicas available", status.AvailableReplicas, status.UpdatedReplicas)
	}
	return state.done()
}

func ofStatefulSet(set *appsv1.StatefulSet) Workload {
	return Workload{
		Kind: StatefulSet, Meta: set.ObjectMeta, Selector: set.Spec.Selector, Template: set.Spec.Template, State: statefulSetState(set),
		newest: func(pod *corev1.Pod, _ []*appsv1.ReplicaSet) bool {
			return set.Generation <= set.Status.ObservedGeneration && metav1.IsControlledBy(pod, set) &&
				pod.Labels[appsv1.ControllerRevisionHashLabelKey] == set.Status.UpdateRevision
		},
	}
}

// statefulSetState returns the state of a StatefulSet. With a partition, only the replicas
// above it are updated. With the OnDelete strategy the rollout is complete as soon as the
// spec is observed, because Kubernetes replaces a pod only when a user deletes it.
func statefulSetState(set *appsv1.StatefulSet) State {
	status := set.Status
	state := State{Ready: status.ReadyReplicas, Desired: replicas(set.Spec.Replicas), Updated: status.UpdatedReplicas}
	if status.ObservedGeneration == 0 || set.Generation > status.ObservedGeneration {
		return state.unobserved()
	}
	if set.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType {
		return state.onDelete()
	}
	wanted := state.Desired
	if rolling := set.Spec.UpdateStrategy.RollingUpdate; rolling != nil && rolling.Partition != nil {
		wanted -= *rolling.Partition
	}
	switch {
	case status.UpdatedReplicas < wanted:
		return state.progressing("%d of %d new replicas created", status.UpdatedReplicas, wanted)
	case status.ReadyReplicas < state.Desired:
		return state.progressing("%d of %d replicas ready", status.ReadyReplicas, state.Desired)
	case set.Spec.MinReadySeconds > 0 && status.AvailableReplicas < state.Desired:
		return state.progressing("%d of %d replicas available", status.AvailableReplicas, state.Desired)
	}
	return state.done()
}

func ofDaemonSet(set *appsv1.DaemonSet) Workload {
	generation, ok := set.Annotations[generationAnnotation]
	if !ok {
		generation = strconv.FormatInt(set.Generation, 10)
	}
	return Workload{
		Kind: DaemonSet, Meta: set.ObjectMeta, Selector: set.Spec.Selector, Template: set.Spec.Template, State: daemonSetState(set),
		newest: func(pod *corev1.Pod, _ []*appsv1.ReplicaSet) bool {
			return metav1.IsControlledBy(pod, set) && pod.Labels[generationLabel] == generation
		},
	}
}

func daemonSetState(set *appsv1.DaemonSet) State {
	status := set.Status
	state := State{Ready: status.NumberReady, Desired: status.DesiredNumberScheduled, Updated: status.UpdatedNumberScheduled}
	switch {
	case set.Generation > status.ObservedGeneration:
		return state.unobserved()
	case set.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType:
		return state.onDelete()
	case status.UpdatedNumberScheduled < status.DesiredNumberScheduled:
		return state.progressing("%d of %d new pods created", status.UpdatedNumberScheduled, status.DesiredNumberScheduled)
	case status.NumberAvailable < status.DesiredNumberScheduled:
		return state.progressing("%d of %d new pods available", status.NumberAvailable, status.DesiredNumberScheduled)
	}
	return state.done()
}

func (s State) progressing(format string, counts ...any) State {
	s.Message = fmt.Sprintf(format, counts...)
	return s
}

func (s State) failed(reason, message string) State {
	s.Failed, s.Reason, s.Message = true, reason, message
	return s
}

func (s State) unobserved() State {
	s.Message = "waiting for the new spec to be observed"
	return s
}

func (s State) onDelete() State {
	s.Done = true
	s.Message = "Kubernetes replaces a pod when it is deleted (OnDelete)"
	return s
}

func (s State) done() State {
	s.Done = true
	s.Message = fmt.Sprintf("%d of %d replicas ready", s.Ready, s.Desired)
	return s
}

func replicas(n *int32) int32 {
	if n == nil {
		return 1 // the default of the API
	}
	return *n
}

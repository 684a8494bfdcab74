// Package rollout watches workloads until every replica of a release is ready, or
// says why that will not happen.
package rollout

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// deadlineExceeded is the reason of a Deployment's condition Progressing, and of
// the Failure that follows from it.
const deadlineExceeded = "ProgressDeadlineExceeded"

// stoodStill is the reason of a Failure of a workload that did not go on, and
// nothing says why.
const stoodStill = "StoodStill"

// pausedMessage is the Message of a Deployment that is paused.
const pausedMessage = "the rollout is paused"

// State is how far a rollout has come.
type State struct {
	// Ready counts ready replicas of any revision, Updated those of the newest,
	// ready or not.
	Ready, Desired, Updated int32
	// Done says that every replica is of the newest revision, and available.
	Done bool
	// Failed says that the controller has given up; waiting does not help.
	Failed bool
	// Message is the state in words.
	Message string
}

// Status reads the state of a Deployment's rollout by the rules of kubectl
// rollout status (k8s.io/kubectl/pkg/polymorphichelpers). It is pure. A spec that
// the controller has not seen yet is not done, whatever its status says.
func Status(deployment *appsv1.Deployment) State {
	status := deployment.Status
	state := State{Ready: status.ReadyReplicas, Desired: replicas(deployment.Spec.Replicas), Updated: status.UpdatedReplicas}
	if deployment.Generation > status.ObservedGeneration {
		return state.unobserved()
	}
	for _, condition := range status.Conditions {
		if condition.Type == appsv1.DeploymentProgressing && condition.Reason == deadlineExceeded {
			state.Failed = true
			state.Message = fmt.Sprintf("progress deadline exceeded with %d of %d new replicas available", min(status.AvailableReplicas, status.UpdatedReplicas), state.Desired)
			return state
		}
	}
	switch {
	case deployment.Spec.Paused:
		state.Failed = true
		state.Message = pausedMessage
	case status.UpdatedReplicas < state.Desired:
		state.Message = fmt.Sprintf("%d of %d new replicas created", status.UpdatedReplicas, state.Desired)
	case status.Replicas > status.UpdatedReplicas:
		state.Message = fmt.Sprintf("%d old replicas are ending", status.Replicas-status.UpdatedReplicas)
	case status.AvailableReplicas < status.UpdatedReplicas:
		state.Message = fmt.Sprintf("%d of %d new replicas available", status.AvailableReplicas, status.UpdatedReplicas)
	default:
		return state.done()
	}
	return state
}

// StatefulSetStatus is Status for a StatefulSet. One that is updated by deleting
// its pods (OnDelete) is done as soon as it is observed, as with kubectl.
func StatefulSetStatus(set *appsv1.StatefulSet) State {
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
		state.Message = fmt.Sprintf("%d of %d new replicas created", status.UpdatedReplicas, wanted)
	case status.ReadyReplicas < state.Desired:
		state.Message = fmt.Sprintf("%d of %d replicas ready", status.ReadyReplicas, state.Desired)
	default:
		return state.done()
	}
	return state
}

// DaemonSetStatus is Status for a DaemonSet; Desired is the number of nodes that
// it wants a pod on.
func DaemonSetStatus(set *appsv1.DaemonSet) State {
	status := set.Status
	state := State{Ready: status.NumberReady, Desired: status.DesiredNumberScheduled, Updated: status.UpdatedNumberScheduled}
	if set.Generation > status.ObservedGeneration {
		return state.unobserved()
	}
	if set.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType {
		return state.onDelete()
	}
	switch {
	case status.UpdatedNumberScheduled < status.DesiredNumberScheduled:
		state.Message = fmt.Sprintf("%d of %d new pods created", status.UpdatedNumberScheduled, status.DesiredNumberScheduled)
	case status.NumberAvailable < status.DesiredNumberScheduled:
		state.Message = fmt.Sprintf("%d of %d new pods available", status.NumberAvailable, status.DesiredNumberScheduled)
	default:
		return state.done()
	}
	return state
}

func (s State) unobserved() State {
	s.Message = "waiting for the new spec to be observed"
	return s
}

func (s State) onDelete() State {
	s.Done = true
	s.Message = "new pods come when old ones are deleted (OnDelete)"
	return s
}

func (s State) done() State {
	s.Done = true
	s.Message = fmt.Sprintf("%d of %d replicas ready", s.Ready, s.Desired)
	return s
}

func replicas(n *int32) int32 {
	if n == nil {
		return 1 // the API's default
	}
	return *n
}

func runs(template corev1.PodTemplateSpec, image string) bool {
	for _, container := range template.Spec.InitContainers {
		if container.Image == image {
			return true
		}
	}
	for _, container := range template.Spec.Containers {
		if container.Image == image {
			return true
		}
	}
	return false
}

package follow

import (
	"context"
	"fmt"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	"knative.dev/pkg/apis"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/diagnose"
)

// eventEnded is the reason of the Event that a run or a task has failed, in
// EventReasonFailed of Tekton's pkg/reconciler/events.
const eventEnded = "Failed"

// wait tells what a task waits for, the run itself if task is empty, unless it was
// the last told. Without a reason nothing is in the way; it is told all the same
// once that has taken too long.
func (f *follower) wait(ctx context.Context, task string, found diagnose.Problem) error {
	now := time.Now()
	if found.Reason != "" {
		found = found.ForBuild()
	}
	delay := Event{Kind: Waiting, Task: task, Reason: found.Reason, Text: inContainer(found), Advice: found.Remedy}
	if found.Reason != "" {
		f.blocked = &found
		delay.Hopeless, _ = f.tolerance.Exceeded(found, now)
	}
	if waited := now.Sub(f.idle); f.waitTimeout > 0 && waited >= f.waitTimeout && !f.past {
		if delay.Reason == "" {
			delay.Reason, delay.Text = "NotStarted", "nothing is known to be in the way"
		}
		if !delay.Hopeless {
			delay.Hopeless = true
			delay.Text += fmt.Sprintf("; it has waited for %s", f.waitTimeout)
		}
	}
	if delay.Reason == "" || delay == f.waiting {
		return nil
	}
	f.waiting = delay
	return f.emit(ctx, delay)
}

// untilLook is how long to wait for a change before what has not changed since began
// is looked at again.
func (f *follower) untilLook(began time.Time) time.Duration {
	limit := diagnose.AskEvery
	if left := slow - time.Since(began); left > 0 {
		limit = min(limit, left)
	}
	if left := f.waitTimeout - time.Since(f.idle); left > 0 {
		limit = min(limit, left)
	}
	return limit
}

func inContainer(found diagnose.Problem) string {
	if found.Container == "" {
		return found.Message
	}
	return "container " + found.Container + ": " + found.Message
}

// runTrouble is why a run without any task at work takes its time. It has none
// while all is in its normal course, which a slow one no longer is.
func (f *follower) runTrouble(ctx context.Context, isSlow bool) diagnose.Problem {
	// What went wrong before the last step ended did not keep it from that.
	if event, at := f.explainer.Owner(ctx, f.run.UID, time.Now()); event.Reason != eventEnded && (at.After(f.idle) || (isSlow && !at.IsZero())) {
		return event
	}
	if !isSlow {
		return diagnose.Problem{}
	}
	condition := f.run.Status.GetCondition(apis.ConditionSucceeded)
	if condition == nil || condition.Reason == "" {
		return diagnose.New(diagnose.Problem{
			Namespace: f.namespace, Reason: "NotStarted",
			Message: "Tekton has not taken up the run: its controller may be down or busy",
		})
	}
	return diagnose.New(diagnose.Problem{Namespace: f.namespace, Reason: condition.Reason, Message: condition.Message})
}

// taskTrouble is why a task has no pod.
func (f *follower) taskTrouble(ctx context.Context, taskRun *tektonv1.TaskRun, isSlow bool) diagnose.Problem {
	condition := taskRun.Status.GetCondition(apis.ConditionSucceeded)
	found, _ := diagnose.OfCondition(f.namespace, condition)
	switch {
	case found.Reason == "ExceededResourceQuota", found.Reason == "ExceededNodeResources":
		return found
	case condition != nil && !condition.IsUnknown():
		return diagnose.Problem{} // its end, or its beginning
	}
	// Tekton tells of a task's end before its status does, which knows the reason.
	if event, at := f.explainer.Owner(ctx, taskRun.UID, time.Now()); !at.IsZero() && event.Reason != eventEnded {
		return event
	}
	if isSlow {
		return found
	}
	return diagnose.Problem{}
}

// podTrouble is why a pod's next step does not start.
func (f *follower) podTrouble(ctx context.Context, pod *corev1.Pod) diagnose.Problem {
	if found := f.explainer.Pod(ctx, pod, time.Now()); len(found) > 0 {
		return found[0]
	}
	return diagnose.Problem{}
}

// stepTrouble is why a step failed, if something else than its program is to blame.
func (f *follower) stepTrouble(state stepState) (text, advice string) {
	found := diagnose.New(diagnose.Problem{Namespace: f.namespace, Reason: state.reason, Build: true})
	switch {
	case f.blocked != nil: // since the step began
		found = *f.blocked
	case f.refused != nil && found.Remedy == "":
		found = *f.refused
	}
	return found.Message, found.Remedy
}

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

// eventEnded is the reason of the Event for a run or a task that has failed,
// EventReasonFailed in Tekton's pkg/reconciler/events.
const eventEnded = "Failed"

// delays judges why a run makes no progress.
type delays struct {
	namespace   string
	waitTimeout time.Duration
	explainer   *diagnose.Explainer
	tolerance   *diagnose.Tolerance
	// idle is since when no step runs.
	idle time.Time
	// last is the Waiting that was emitted last.
	last Event
	// blocked is what the current task waited for last, or what deleted its pod.
	blocked *diagnose.Problem
	// refused is what the API server refused the current step.
	refused *diagnose.Problem
}

func newDelays(clients Clients, namespace string) *delays {
	return &delays{
		namespace: namespace,
		idle:      time.Now(),
		explainer: diagnose.NewExplainer(clients.Kube, namespace, diagnose.AskEvery),
		tolerance: diagnose.NewTolerance(),
	}
}

// assess returns the Waiting to emit for a problem of a task, or of the run if task is
// empty. ok is false if there is nothing new: no reason to wait, or the last one again.
// Waiting without a known reason counts once waitTimeout has passed, if bounded.
func (d *delays) assess(task string, found diagnose.Problem, bounded bool) (delay Event, ok bool) {
	now := time.Now()
	if found.Reason != "" {
		found = found.ForBuild()
	}
	delay = Event{Kind: Waiting, Task: task, Reason: found.Reason, Text: inContainer(found), Advice: found.Remedy}
	if found.Reason != "" {
		d.blocked = &found
		delay.Hopeless, _ = d.tolerance.Exceeded(found, now)
	}
	if waited := now.Sub(d.idle); d.waitTimeout > 0 && waited >= d.waitTimeout && bounded {
		if delay.Reason == "" {
			delay.Reason, delay.Text = "NotStarted", "nothing is known to be in the way"
		}
		if !delay.Hopeless {
			delay.Hopeless = true
			delay.Text += fmt.Sprintf("; it has waited for %s", d.waitTimeout)
		}
	}
	if delay.Reason == "" || delay == d.last {
		return Event{}, false
	}
	d.last = delay
	return delay, true
}

// untilLook returns how long to wait for a change before looking again at something that
// has not changed since began.
func (d *delays) untilLook(began time.Time) time.Duration {
	limit := diagnose.AskEvery
	if left := slow - time.Since(began); left > 0 {
		limit = min(limit, left)
	}
	if left := d.waitTimeout - time.Since(d.idle); left > 0 {
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

// ofRun returns why a run without a running task takes its time. There is no problem while
// everything takes its normal course, unless the run is slow.
func (d *delays) ofRun(ctx context.Context, run *tektonv1.PipelineRun, isSlow bool) diagnose.Problem {
	// A problem from before the end of the last step did not prevent that end.
	if event, at := d.explainer.Owner(ctx, run.UID, time.Now()); event.Reason != eventEnded && (at.After(d.idle) || (isSlow && !at.IsZero())) {
		return event
	}
	if !isSlow {
		return diagnose.Problem{}
	}
	condition := run.Status.GetCondition(apis.ConditionSucceeded)
	if condition == nil || condition.Reason == "" {
		return diagnose.New(diagnose.Problem{
			Namespace: d.namespace, Reason: "NotStarted",
			Message: "Tekton has not taken up the run: its controller may be down or busy",
		})
	}
	return diagnose.New(diagnose.Problem{Namespace: d.namespace, Reason: condition.Reason, Message: condition.Message})
}

// ofTask returns why a task has no pod.
func (d *delays) ofTask(ctx context.Context, taskRun *tektonv1.TaskRun, isSlow bool) diagnose.Problem {
	condition := taskRun.Status.GetCondition(apis.ConditionSucceeded)
	found, _ := diagnose.OfCondition(d.namespace, condition)
	switch {
	case found.Reason == "ExceededResourceQuota", found.Reason == "ExceededNodeResources":
		return found
	case condition != nil && !condition.IsUnknown():
		return diagnose.Problem{} // it has ended
	}
	// Tekton emits the Event for the end of a task before it sets the status, which has
	// the reason.
	if event, at := d.explainer.Owner(ctx, taskRun.UID, time.Now()); !at.IsZero() && event.Reason != eventEnded {
		return event
	}
	if isSlow {
		return found
	}
	return diagnose.Problem{}
}

// ofPod returns why the next step of a pod does not start.
func (d *delays) ofPod(ctx context.Context, pod *corev1.Pod) diagnose.Problem {
	if found := d.explainer.Pod(ctx, pod, time.Now()); len(found) > 0 {
		return found[0]
	}
	return diagnose.Problem{}
}

// ofStep returns why a step failed if the cause is not its program.
func (d *delays) ofStep(state stepState) (text, advice string) {
	found := diagnose.New(diagnose.Problem{Namespace: d.namespace, Reason: state.reason, Build: true})
	switch {
	case d.blocked != nil: // since the step started
		found = *d.blocked
	case d.refused != nil && found.Remedy == "":
		found = *d.refused
	}
	return found.Message, found.Remedy
}

package diagnose

import (
	"bufio"
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/workload"
)

// Stalled is the reason of a rollout that makes no progress while no other problem is known.
const Stalled = "Stalled"

const (
	// logLines is the number of lines that are read of the log of a failed container,
	// logBytes the limit of their size.
	logLines = 20
	logBytes = 64 << 10
)

// Workload returns the problems that keep the newest revision of a workload from becoming
// ready: those of its pods, and those of creating pods. pods are the pods of that revision,
// sets the ReplicaSets in the namespace (see workload.Workload.Refused).
func (e *Explainer) Workload(ctx context.Context, w workload.Workload, pods []*corev1.Pod, sets []*appsv1.ReplicaSet, now time.Time) []Problem {
	var found []Problem
	for _, pod := range pods {
		if pod.Status.Phase != corev1.PodSucceeded {
			found = append(found, e.Pod(ctx, pod, now)...)
		}
	}
	if refused := w.Refused(sets); refused != "" {
		return append(found, Refused(w.Meta.Namespace, refused))
	}
	if int(w.State.Desired) <= len(pods) {
		return found
	}
	event, at := e.Owner(ctx, w.Meta.UID, now)
	// A pod that was created later shows that the problem has passed.
	later := slices.ContainsFunc(pods, func(pod *corev1.Pod) bool { return pod.CreationTimestamp.After(at) })
	if !at.IsZero() && !later {
		found = append(found, event)
	}
	return found
}

// Worst returns the problem of a workload that counts, or the zero value if there is none.
// That is the problem with the shortest limit, unless the controller has given up for a
// reason that no pod explains. problems are the result of Explainer.Workload, pods the pods of
// the newest revision. Worst is pure.
func Worst(w workload.Workload, pods []*corev1.Pod, problems []Problem) Problem {
	var worst Problem
	for _, p := range problems {
		if worst.Reason == "" || p.limit < worst.limit {
			worst = p
		}
	}
	switch {
	case worst.Terminal, !w.State.Failed:
		return worst
	case w.State.Reason == workload.Paused:
		p := Problem{Namespace: w.Meta.Namespace, Reason: workload.Paused, Message: w.State.Message, Terminal: true, limit: 0}
		p.Remedy = "resume it: " + p.kubectl("rollout resume "+strings.ToLower(w.Kind)+" "+w.Meta.Name)
		return p
	case worst.Reason != "":
		return worst
	}
	return WithoutProgress(w, pods, w.State.Reason, w.State.Message)
}

// WithoutProgress returns the problem of a workload that makes no progress, with the place
// and the remedy of the first of its pods that is not ready.
func WithoutProgress(w workload.Workload, pods []*corev1.Pod, reason, message string) Problem {
	for _, pod := range pods {
		if p, ok := NotReady(pod); ok {
			p.Reason, p.Message, p.Terminal = reason, message, true
			return p
		}
	}
	return Problem{Namespace: w.Meta.Namespace, Reason: reason, Message: message, Terminal: true}
}

// Crash reads the end of the log of the container of p, oldest line first. It returns p with
// the cause and the remedy that the log tells of, and the log. Both are as they were if there
// is no log, or the user may not read it.
func (e *Explainer) Crash(ctx context.Context, p Problem) (Problem, []string) {
	if !p.Logs || p.Pod == "" {
		return p, nil
	}
	log := e.tail(ctx, p)
	cause, remedy := ParseCrash(log, p.user())
	if cause != "" {
		p.Message += ": " + cause
		p.Remedy = cmp.Or(remedy, p.Remedy)
	}
	return p, log
}

// tail reads the log of the instance that failed, or of the current one if that has none.
func (e *Explainer) tail(ctx context.Context, p Problem) []string {
	for _, previous := range slices.Compact([]bool{p.Previous, false}) {
		lines, limit := int64(logLines), int64(logBytes)
		body, err := e.client.CoreV1().Pods(e.namespace).GetLogs(p.Pod, &corev1.PodLogOptions{
			Container: p.Container, Previous: previous, TailLines: &lines, LimitBytes: &limit,
		}).Stream(ctx)
		if err != nil {
			continue
		}
		var log []string
		scanner := bufio.NewScanner(body)
		scanner.Buffer(nil, logBytes+1) // the longest possible line
		for scanner.Scan() {
			log = append(log, strings.TrimRight(scanner.Text(), "\r"))
		}
		_ = body.Close()
		if len(log) > 0 {
			return log[max(0, len(log)-logLines):]
		}
	}
	return nil
}

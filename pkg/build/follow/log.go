package follow

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/diagnose"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/podlog"
)

// uid returns the UID of a pod as it is now; empty if there is none.
func (f *follower) uid(t target) types.UID {
	if pod, _, _ := f.watches.pod(t.pod); pod != nil {
		return pod.UID
	}
	return ""
}

// log tells the log of a container that has started, to its very end.
func (f *follower) log(ctx context.Context, t target, container string) error {
	step := strings.TrimPrefix(container, stepPrefix)
	warn := func(text string) error {
		return f.emit(ctx, Event{Kind: Warning, Task: t.task, Step: step, Text: text})
	}
	first := f.uid(t)
	err := podlog.NewReader(f.clients.Logs, f.namespace, t.pod, container, 0).Read(ctx, podlog.Instance{
		Exited:  func() bool { return f.exited(t, container) },
		Changed: f.watches.changed,
		Line: func(l podlog.Line) error {
			if now := f.uid(t); first == "" {
				first = now
			} else if now != "" && now != first {
				first = now
				restarted := Event{Kind: StepRestarted, Task: t.task, Step: step, Time: l.Time, Text: fmt.Sprintf("pod %s was deleted; step %s starts again in a new one", t.pod, step)}
				if err := f.emit(ctx, restarted); err != nil {
					return err
				}
			}
			if found, ok := diagnose.InText(f.namespace, l.Text); ok {
				f.delays.refused = &found
			}
			return f.emit(ctx, Event{Kind: Log, Task: t.task, Step: step, Time: l.Time, Text: l.Text})
		},
		Failing: func(err error) error { return warn(fmt.Sprintf("the log is interrupted, trying again: %v", err)) },
	})
	switch {
	case errors.Is(err, podlog.ErrGone):
		return warn(fmt.Sprintf("the pod %s is gone, and what is left of its log with it", t.pod))
	case apierrors.IsForbidden(err):
		return warn(fmt.Sprintf("the log cannot be read: %v", err))
	case errors.As(err, new(*podlog.InterruptedError)):
		return warn(err.Error())
	}
	return err
}

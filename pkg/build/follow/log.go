package follow

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/diagnose"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/podlog"
)

// log tells the log of a container that has started, to its very end.
func (f *follower) log(ctx context.Context, t target, container string) error {
	step := strings.TrimPrefix(container, stepPrefix)
	warn := func(text string) error {
		return f.emit(ctx, Event{Kind: Warning, Task: t.task, Step: step, Text: text})
	}
	err := podlog.NewReader(f.clients.Logs, f.namespace, t.pod, container, 0).Read(ctx, podlog.Instance{
		Exited:  func() bool { return f.exited(t, container) },
		Changed: f.watches.changed,
		Line: func(l podlog.Line) error {
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

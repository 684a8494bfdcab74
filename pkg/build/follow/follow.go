// Package follow turns one PipelineRun into one channel of typed events.
package follow

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/diagnose"
)

// Kind says what an Event tells, and with that which of its fields are set.
type Kind string

const (
	// TaskStarted says that a task of the pipeline has begun. Task.
	TaskStarted Kind = "TaskStarted"
	// StepStarted says that it is a step's turn. Task, Step.
	StepStarted Kind = "StepStarted"
	// Log is a line that a step wrote. Task, Step, Text (without its line break).
	Log Kind = "Log"
	// StepEnded says that a step's process has ended, and that all of its log was
	// told. Task, Step, ExitCode, Reason; Text and Advice if something else than the
	// step's program is to blame. Steps that were skipped are not told.
	StepEnded Kind = "StepEnded"
	// TaskEnded says that a task has ended. Task, Succeeded, Reason, Text (why),
	// Advice.
	TaskEnded Kind = "TaskEnded"
	// Waiting is why nothing goes on. Task (empty for the run itself), Reason,
	// Text, Advice, Hopeless. It is told once, and again whenever it changes.
	Waiting Kind = "Waiting"
	// Warning is about something that can not be told, usually a log; the run
	// itself is not concerned. Task, Step, Text.
	Warning Kind = "Warning"
	// RunEnded is the last event. Run is the last object watched; Err says why
	// following ended before the run did, and is nil when the run has ended. Advice.
	RunEnded Kind = "RunEnded"
)

// Event is one thing that happened in a run.
type Event struct {
	// Time is the cluster's: to the nanosecond for log lines, to the second for
	// what starts and ends. What the cluster has no time for has the local one.
	Time time.Time
	Kind Kind
	// Task is the name of the task in the pipeline, Step of the step in the task.
	Task, Step string
	// Text is a line of log or a message for people, without a trailing newline.
	Text string
	// Reason is one word of Kubernetes' or Tekton's: Completed, Error, OOMKilled,
	// Unschedulable, TaskRunTimeout.
	Reason string
	// Advice is what to do about it, in one line; empty when nothing went wrong or
	// nothing is known to help.
	Advice string
	// Hopeless says that waiting longer can not help. The run goes on for all
	// that: to cancel it is the caller's affair.
	Hopeless bool
	// ExitCode is the step's; -1 when nothing is left that knows it.
	ExitCode int32
	// Succeeded says that the task ended well.
	Succeeded bool
	// Run is the run, with RunEnded only; to be read, not changed.
	Run *tektonv1.PipelineRun
	// Err is why following ended early, with RunEnded only; pipelinerun.ErrDeleted for a
	// run that was deleted before its end.
	Err error
}

// LogSource opens the log of one container of a pod, as the API's pods/log does.
type LogSource interface {
	Open(ctx context.Context, namespace, pod string, options *corev1.PodLogOptions) (io.ReadCloser, error)
}

// Clients are the API clients that Run needs.
type Clients struct {
	Tekton versioned.Interface
	Kube   kubernetes.Interface
	// Logs is where logs come from; nil is Kube.
	Logs LogSource
}

// Option is a choice of the caller of Run.
type Option func(*follower)

// WaitTimeout is how long a run may wait without a step at work. After that its
// Waiting is Hopeless, whatever it waits for, and says how long that was; so is one
// with the Reason NotStarted when nothing is known to be in the way. The time begins
// anew with every task, and with the end of every step. Without it, or with 0, only
// what is not known to pass is hopeless.
func WaitTimeout(timeout time.Duration) Option {
	return func(f *follower) { f.waitTimeout = timeout }
}

// Run follows a run from its beginning, whether it is still to start, at work or
// long done. The channel is closed after RunEnded, or without it once ctx has
// ended; the caller has to read until then. It returns an error, and no channel,
// when there is no such run or it can not be read.
//
// Tasks are told one after the other, in the order in which they were created,
// steps in theirs. A log is told from its first line to its last, each line once
// and whole (up to 4 MiB), also when its connection breaks; nothing is kept that
// has been told, so memory does not depend on the length of logs. Connections
// that break are made anew until ctx ends: a deadline is the caller's affair.
func Run(ctx context.Context, clients Clients, namespace, name string, options ...Option) (<-chan Event, error) {
	run, err := clients.Tekton.TektonV1().PipelineRuns(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("get pipelinerun %s: %w", name, err)
	}
	watches := newWatches(clients, run)
	f := newFollower(clients, run, watches)
	for _, option := range options {
		option(f)
	}
	go func() {
		defer close(f.out)
		watching, stop := context.WithCancel(ctx)
		var group sync.WaitGroup
		defer group.Wait()
		defer stop()
		watches.start(watching, &group)
		f.toEnd(ctx)
	}()
	return f.out, nil
}

// Past tells what has happened of a run up to now, in the events and the order of
// Run: of a run at work the logs as far as they are written, a Waiting for what
// stands still, and no end of what has none. RunEnded comes last in any case, with
// the run as it is and a nil Err, so its conditions say whether it is over. The
// channel, and the errors, are as with Run.
func Past(ctx context.Context, clients Clients, namespace, name string) (<-chan Event, error) {
	snapshot, err := newSnapshot(ctx, clients, namespace, name)
	if err != nil {
		return nil, err
	}
	f := newFollower(clients, snapshot.pipelineRun, snapshot)
	f.past = true
	f.explainer = diagnose.NewExplainer(clients.Kube, namespace, 0)
	go func() {
		defer close(f.out)
		f.toEnd(ctx)
	}()
	return f.out, nil
}

type podLogs struct{ client kubernetes.Interface }

func (l podLogs) Open(ctx context.Context, namespace, pod string, options *corev1.PodLogOptions) (io.ReadCloser, error) {
	return l.client.CoreV1().Pods(namespace).GetLogs(pod, options).Stream(ctx)
}

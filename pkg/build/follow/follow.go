// Package follow turns one PipelineRun into one channel of typed events.
package follow

import (
	"context"
	"fmt"
	"sync"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/diagnose"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/podlog"
)

// Kind is the kind of an Event; it determines which fields are set.
type Kind string

const (
	// TaskStarted reports that a task of the pipeline has started. Task.
	TaskStarted Kind = "TaskStarted"
	// StepStarted reports that a step has started. Task, Step.
	StepStarted Kind = "StepStarted"
	// Log is a line of the log of a step. Task, Step, Text (without its line break).
	Log Kind = "Log"
	// StepEnded reports that the process of a step has ended, after all of its log.
	// Task, Step, ExitCode, Reason; Text and Advice if the cause is not the program of
	// the step. A skipped step has no events.
	StepEnded Kind = "StepEnded"
	// TaskEnded reports that a task has ended. Task, Succeeded, Reason, Text (why),
	// Advice.
	TaskEnded Kind = "TaskEnded"
	// Waiting is the reason why the run makes no progress. Task (empty for the run
	// itself), Reason, Text, Advice, Hopeless. It is emitted once per change.
	Waiting Kind = "Waiting"
	// Warning is about something that cannot be read, usually a log. It does not
	// concern the run. Task, Step, Text.
	Warning Kind = "Warning"
	// StepRestarted reports that the pod of a step was deleted, and that the step starts again
	// in a new one, with a new log. Task, Step, Text.
	StepRestarted Kind = "StepRestarted"
	// RunEnded is the last event. Run is the last object seen; Err is why following
	// ended before the run did, nil if the run has ended. Advice.
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
	// Hopeless reports that waiting longer cannot help. The run continues: to cancel
	// it is the decision of the caller.
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

// Clients are the API clients that Run needs.
type Clients struct {
	Tekton versioned.Interface
	Kube   kubernetes.Interface
	// Logs is where logs come from; nil is Kube.
	Logs podlog.Source
}

// Option is a choice of the caller of Run.
type Option func(*follower)

// PodDeleted is the Reason of a step that ended because its pod was deleted.
const PodDeleted = "PodDeleted"

// WaitTimeout is how long a run may wait without a step at work. After that its
// Waiting is Hopeless, whatever it waits for, and says how long that was; so is one
// with the Reason NotStarted when nothing is known to be in the way. The time begins
// again with every task, and with the end of every step. Without it, or with 0, only
// what is not known to pass is hopeless.
func WaitTimeout(timeout time.Duration) Option {
	return func(f *follower) { f.delays.waitTimeout = timeout }
}

// Run follows a run from its beginning, whether it is still to start, at work or
// long done. The channel is closed after RunEnded, or without it once ctx has
// ended; the caller has to read until then. It returns an error, and no channel,
// if the run does not exist or cannot be read.
//
// The events of tasks come one task after the other, in the order of their creation, and
// those of steps in the order of the steps. A log comes from its first line to its last,
// each line once and whole (up to 4 MiB), also if a connection breaks. Memory does not
// depend on the length of logs. Run replaces broken connections until ctx ends: the caller
// sets a deadline.
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

// Past emits what has happened in a run up to now, in the events and the order of
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
	f.delays.explainer = diagnose.NewExplainer(clients.Kube, namespace, 0)
	go func() {
		defer close(f.out)
		f.toEnd(ctx)
	}()
	return f.out, nil
}

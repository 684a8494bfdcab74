// Package follow turns one PipelineRun into one channel of typed events.
package follow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
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
	// told. Task, Step, ExitCode, Reason. Steps that were skipped are not told.
	StepEnded Kind = "StepEnded"
	// TaskEnded says that a task has ended. Task, Succeeded, Reason, Text (why).
	TaskEnded Kind = "TaskEnded"
	// Waiting is why nothing goes on. Task (empty for the run itself), Reason,
	// Text. It is told once, and again whenever it changes.
	Waiting Kind = "Waiting"
	// Warning is about something that can not be told, usually a log; the run
	// itself is not concerned. Task, Step, Text.
	Warning Kind = "Warning"
	// RunEnded is the last event. Run is the last object watched; Err says why
	// following ended before the run did, and is nil when the run has ended.
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
	// ExitCode is the step's; -1 when nothing is left that knows it.
	ExitCode int32
	// Succeeded says that the task ended well.
	Succeeded bool
	// Run is the run, with RunEnded only; to be read, not changed.
	Run *tektonv1.PipelineRun
	// Err is why following ended early, with RunEnded only.
	Err error
}

// ErrDeleted says that the run was deleted before it ended.
var ErrDeleted = errors.New("the run was deleted")

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
func Run(ctx context.Context, clients Clients, namespace, name string) (<-chan Event, error) {
	run, err := clients.Tekton.TektonV1().PipelineRuns(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("get pipelinerun %s: %w", name, err)
	}
	if clients.Logs == nil {
		clients.Logs = podLogs{clients.Kube}
	}
	f := &follower{
		clients:   clients,
		namespace: namespace,
		out:       make(chan Event),
		run:       run,
		told:      map[string]bool{},
	}
	f.watches = newWatches(clients, run)
	go func() {
		defer close(f.out)
		watching, stop := context.WithCancel(ctx)
		var group sync.WaitGroup
		defer group.Wait()
		defer stop()
		f.watches.start(watching, &group)
		err := f.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		end := Event{Kind: RunEnded, Time: time.Now(), Run: f.run, Err: err}
		if completed := f.run.Status.CompletionTime; err == nil && completed != nil {
			end.Time = completed.Time
		}
		_ = f.emit(ctx, end)
	}()
	return f.out, nil
}

type podLogs struct{ client kubernetes.Interface }

func (l podLogs) Open(ctx context.Context, namespace, pod string, options *corev1.PodLogOptions) (io.ReadCloser, error) {
	return l.client.CoreV1().Pods(namespace).GetLogs(pod, options).Stream(ctx)
}

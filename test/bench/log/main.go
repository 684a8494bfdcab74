// Command log is the measured part of bench for long logs: it follows a run that
// has ended with the plugin's own package, and writes the lines of its one step
// as build does.
//
// Usage: log LINES   (prints the seconds it took, as JSON)
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonfake "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/fake"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"knative.dev/pkg/apis"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/follow"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
)

// memoryLimit is the plugin's own, of cmd/kubectl-pyflow.
const memoryLimit = 36 << 20

func main() {
	debug.SetMemoryLimit(memoryLimit)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "log:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: log LINES")
	}
	lines, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	tekton, pod := finished()
	start := time.Now()
	events, err := follow.Run(ctx, follow.Clients{Tekton: tekton, Kube: fake.NewClientset(pod), Logs: generator(lines)}, "bench", "run")
	if err != nil {
		return err
	}
	steps, reported := display.NewSteps(io.Discard), 0
	for event := range events {
		if event.Kind == follow.Log {
			reported++
			steps.Log(event.Step, event.Text)
		}
	}
	if reported != lines {
		return fmt.Errorf("%d of %d lines were reported", reported, lines)
	}
	return json.NewEncoder(out).Encode(map[string]float64{"follow": time.Since(start).Seconds()})
}

// finished is a cluster with a run of one task with one step, which has ended.
func finished() (*tektonfake.Clientset, *corev1.Pod) {
	at := metav1.Now()
	ended := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{StartedAt: at, FinishedAt: at, Reason: "Completed"}}
	succeeded := apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionTrue, Reason: "Succeeded"}

	run := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: "bench", Name: "run", UID: "run"}}
	run.Status.SetCondition(&succeeded)
	run.Status.CompletionTime = &at
	run.Status.ChildReferences = []tektonv1.ChildStatusReference{{Name: "run-build", PipelineTaskName: "build"}}

	task := &tektonv1.TaskRun{ObjectMeta: metav1.ObjectMeta{
		Namespace: "bench", Name: "run-build",
		Labels:          map[string]string{"tekton.dev/pipelineRun": "run", "tekton.dev/pipelineTask": "build"},
		OwnerReferences: []metav1.OwnerReference{{Kind: "PipelineRun", Name: "run", UID: "run"}},
	}}
	task.Status.SetCondition(&succeeded)
	task.Status.PodName, task.Status.StartTime, task.Status.CompletionTime = "pod", &at, &at
	task.Status.Steps = []tektonv1.StepState{{Name: "build", Container: "step-build", ContainerState: ended}}

	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "bench", Name: "pod", Labels: map[string]string{"tekton.dev/pipelineRun": "run"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "step-build"}}},
		Status: corev1.PodStatus{
			Phase:             corev1.PodSucceeded,
			ContainerStatuses: []corev1.ContainerStatus{{Name: "step-build", State: ended}},
		},
	}
	return tektonfake.NewSimpleClientset(run, task), pod
}

// generator is a log of so many lines, made while it is read.
type generator int

// Open writes the lines as the API server does with timestamps.
func (g generator) Open(context.Context, string, string, *corev1.PodLogOptions) (io.ReadCloser, error) {
	reader, writer := io.Pipe()
	go func() {
		buffered := bufio.NewWriter(writer)
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		var err error
		for i := 0; i < int(g) && err == nil; i++ {
			at = at.Add(time.Microsecond)
			_, err = fmt.Fprintf(buffered, "%s line %d of a build that has very much to say about what it does\n", at.Format(time.RFC3339Nano), i)
		}
		writer.CloseWithError(errors.Join(err, buffered.Flush()))
	}()
	return reader, nil
}

package applog

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/podlog"
)

// buffered is how many lines of a container are read ahead.
const buffered = 256

// Read reads what containers have written so far, in the order of their time, until emit returns
// an error. With previous it reads the instances before the last restart of each container, and
// leaves out containers that did not restart. It reads every line once, also if a connection
// breaks. It returns the error of emit, and an *access.MissingError to a user who may not read
// logs.
func Read(ctx context.Context, logs podlog.Source, replicas []Replica, options Options, previous bool, emit func(Line) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var group sync.WaitGroup
	defer group.Wait()
	defer stop(nil)
	var streams []chan Line
	for _, replica := range replicas {
		for _, container := range containers(replica.Pod, previous) {
			lines := make(chan Line, buffered)
			streams = append(streams, lines)
			source := sourceOf(replica, container, severalWorkloads(replicas))
			group.Go(func() {
				defer close(lines)
				if err := readOne(ctx, logs, replica.Pod, container, source, options, previous, lines); err != nil {
					stop(err)
				}
			})
		}
	}
	err := merge(streams, emit)
	if err == nil {
		err = context.Cause(ctx)
	}
	return err
}

// containers returns the containers of a pod that have a log: those that have started, or with
// previous those that have restarted.
func containers(pod *corev1.Pod, previous bool) []string {
	var names []string
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if status.ContainerID != "" && (!previous || status.RestartCount > 0) {
			names = append(names, status.Name)
		}
	}
	return names
}

func severalWorkloads(replicas []Replica) bool {
	return slices.ContainsFunc(replicas, func(r Replica) bool { return r.Workload != replicas[0].Workload })
}

// readOne sends the lines of one container.
func readOne(ctx context.Context, logs podlog.Source, pod *corev1.Pod, container, source string, options Options, previous bool, lines chan<- Line) error {
	never := make(chan struct{})
	last := time.Time{}
	if options.Tail == 0 {
		return nil
	}
	err := options.reader(logs, pod.Namespace, pod.Name, container).Read(ctx, podlog.Instance{
		Exited:    func() bool { return true }, // what it writes from now on is not read
		Restarted: func() bool { return previous },
		Changed:   func() <-chan struct{} { return never },
		Line: func(l podlog.Line) error {
			if options.before(l) {
				return nil
			}
			if l.Time.Before(last) {
				l.Time = last // a container's lines keep their order
			}
			last = l.Time
			select {
			case lines <- Line{Source: source, Time: l.Time, Text: options.cut(l.Text)}:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	})
	var interrupted *podlog.InterruptedError
	switch {
	case err == nil, ctx.Err() != nil, errors.Is(err, podlog.ErrGone):
		return nil //nolint:nilerr // the caller has ended, or the log has
	case apierrors.IsForbidden(err):
		return refused(err, access.Permission{Verb: "get", Resource: "pods", Subresource: "log", Namespace: pod.Namespace})
	case !errors.As(err, &interrupted):
		return err
	}
	select {
	case lines <- Line{Source: source, Time: last, Text: interrupted.Error(), Note: true}:
	case <-ctx.Done():
	}
	return nil
}

// merge emits the lines of streams in the order of their time, until all are closed.
func merge(streams []chan Line, emit func(Line) error) error {
	heads := make([]*Line, len(streams))
	next := func(i int) {
		heads[i] = nil
		if line, ok := <-streams[i]; ok {
			heads[i] = &line
		}
	}
	for i := range streams {
		next(i)
	}
	for {
		first := -1
		for i, head := range heads {
			if head != nil && (first < 0 || head.Time.Before(heads[first].Time)) {
				first = i
			}
		}
		if first < 0 {
			return nil
		}
		if err := emit(*heads[first]); err != nil {
			return err
		}
		next(first)
	}
}

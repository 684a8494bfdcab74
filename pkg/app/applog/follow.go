// Package applog reads the log of an app: the logs of the containers of all of its replicas, in
// the order of their time.
package applog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/podlog"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/watch"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/workload"
)

const (
	// gather is how long lines of different replicas are collected before they are put in the
	// order of their time, and gatherPast how long those that are written already are.
	gather     = 150 * time.Millisecond
	gatherPast = time.Second
	// retryFailed is when a workload that cannot be read is read again, and retryDenied when
	// one is that the user may not read.
	retryFailed = 5 * time.Second
	retryDenied = time.Minute
	// maxGathered bounds the bytes of lines that are collected.
	maxGathered = 4 << 20
)

// Line is a line of the log of an app.
type Line struct {
	// Source is what the log calls the container: the end of the pod's name, with its workload
	// if the app has several, and the container if the pod has several.
	Source string
	// Time is when it was written.
	Time time.Time
	// Text is as it was written: not safe to print.
	Text string
	// Note reports that the line is about the container, which did not write it.
	Note bool
}

// Options say what of the logs is read.
type Options struct {
	// Tail is how many of the last lines of a container that runs already are read; negative
	// is all. Those of a container that starts later are read from the first one on.
	Tail int64
	// Since leaves out the lines before it; zero is none.
	Since time.Time
	// MaxLine is how many bytes of a line are read; zero is all.
	MaxLine int
	// MaxReplicas is how many replicas are read at once, each with connections of its own.
	MaxReplicas int
	// Pod is the only one to read; empty is all.
	Pod string
}

// Replica is a pod of an app.
type Replica struct {
	// Workload is the name of the workload that it belongs to.
	Workload string
	// Pod is to be read, not changed.
	Pod *corev1.Pod
}

// Replicas are the pods of an app.
type Replicas struct {
	// Pods are sorted: the newest first.
	Pods []Replica
	// Ready is false until they have been read once.
	Ready bool
	// Unread is how many of those to read are left out of the log, because there are too many.
	Unread int
	// Err is why they cannot be read, LogErr why their logs cannot.
	Err, LogErr error
}

// Follower follows the pods of one app, and their logs.
type Follower struct {
	client    kubernetes.Interface
	logs      podlog.Source
	namespace string
	options   Options
	emit      func([]Line)

	// signal guards replicas, and pods guards current, which are the same pods by their UID.
	signal   *watch.Signal
	replicas Replicas
	pods     *watch.Signal
	current  map[types.UID]*corev1.Pod
	// objects signals the changes of informers. Only Follow uses them, names and known.
	objects   *watch.Signal
	informers []cache.SharedIndexInformer
	names     []string
	known     map[string]bool

	lines chan Line
	group sync.WaitGroup
}

// NewFollower returns a follower of an app in a namespace. It passes lines to emit, from one
// goroutine: in the order of their time, as far as they come close to each other.
func NewFollower(client kubernetes.Interface, logs podlog.Source, namespace string, options Options, emit func([]Line)) *Follower {
	return &Follower{
		client: client, logs: logs, namespace: namespace, options: options, emit: emit,
		signal: watch.New(), pods: watch.New(), objects: watch.New(), known: map[string]bool{}, lines: make(chan Line),
	}
}

// Changed returns a channel that is closed when Replicas returns something else, or after lines
// were emitted.
func (f *Follower) Changed() <-chan struct{} { return f.signal.Changed() }

// Replicas returns the pods as they are now.
func (f *Follower) Replicas() (replicas Replicas) {
	f.signal.Read(func() { replicas = f.replicas })
	return replicas
}

// Follow follows the pods of the workloads that an app has, which workloads returns as
// <resource>.<group>/<name>, until ctx ends. A workload that the app gets later is followed
// as well.
func (f *Follower) Follow(ctx context.Context, workloads func() (names []string, changed <-chan struct{})) {
	f.group.Go(func() { f.collect(ctx) })
	readers := map[readerKey]bool{}
	first := true
	for ctx.Err() == nil {
		objects := f.objects.Changed()
		names, changed := workloads()
		retry := f.watch(ctx, names)
		replicas := f.list()
		f.pods.Update(func() {
			f.current = map[types.UID]*corev1.Pod{}
			for _, replica := range replicas.Pods {
				f.current[replica.Pod.UID] = replica.Pod
			}
		})
		if replicas.Ready {
			replicas.Unread = f.start(ctx, replicas.Pods, readers, first)
			first = false
		}
		f.signal.Update(func() {
			replicas.LogErr = f.replicas.LogErr
			if !replicas.Ready {
				replicas.Err = f.replicas.Err
			}
			f.replicas = replicas
		})
		select {
		case <-ctx.Done():
		case <-objects:
		case <-changed:
		case <-retry:
		}
	}
	f.group.Wait()
}

// watch watches the pods of workloads that are not watched yet. It returns a channel that
// says when to call it again; nil if it need not be.
func (f *Follower) watch(ctx context.Context, names []string) (retry <-chan time.Time) {
	for _, name := range names {
		resource, short, _ := strings.Cut(name, "/")
		kind := kindOf(resource)
		if f.known[name] || kind == "" {
			continue
		}
		found, err := workload.Get(ctx, f.client, kind, f.namespace, short)
		if apierrors.IsNotFound(err) {
			continue // the app loses it as well
		}
		if err != nil {
			f.signal.Update(func() { f.replicas.Err = err })
			if apierrors.IsForbidden(err) {
				retry = time.After(retryDenied)
			} else {
				retry = time.After(retryFailed)
			}
			continue
		}
		f.known[name] = true
		selector := metav1.FormatLabelSelector(found.Selector)
		informer := coreinformers.NewFilteredPodInformer(f.client, f.namespace, 0, nil, func(options *metav1.ListOptions) {
			options.LabelSelector = selector
		})
		_ = informer.SetTransform(trimPod)
		f.informers, f.names = append(f.informers, informer), append(f.names, short)
		f.objects.Watch(ctx, &f.group, informer, func(err error) {
			err = refused(err, access.Permission{Verb: "list", Resource: "pods", Namespace: f.namespace})
			f.signal.Update(func() { f.replicas.Err = err })
		})
	}
	return retry
}

// refused returns an error of the API server as one that names the permission, if that is
// what the user lacks.
func refused(err error, permission access.Permission) error {
	if apierrors.IsForbidden(err) {
		return &access.MissingError{Missing: []access.Permission{permission}}
	}
	return err
}

// kindOf returns the kind of a resource as a status.App names it: deployment.apps. It is
// empty for what is no workload.
func kindOf(resource string) string {
	name, _, _ := strings.Cut(resource, ".")
	for _, kind := range workload.Kinds() {
		if strings.EqualFold(kind, name) {
			return kind
		}
	}
	return ""
}

// trimPod removes who manages which field, which is the larger part of a pod.
func trimPod(object any) (any, error) {
	if pod, ok := object.(*corev1.Pod); ok {
		pod.ManagedFields = nil
	}
	return object, nil
}

// list returns the pods of the informers.
func (f *Follower) list() Replicas {
	replicas := Replicas{Ready: len(f.informers) > 0}
	seen := map[types.UID]bool{}
	for i, informer := range f.informers {
		replicas.Ready = replicas.Ready && informer.HasSynced()
		for _, pod := range watch.List[corev1.Pod](informer) {
			if !seen[pod.UID] {
				seen[pod.UID] = true
				replicas.Pods = append(replicas.Pods, Replica{Workload: f.names[i], Pod: pod})
			}
		}
	}
	slices.SortFunc(replicas.Pods, func(a, b Replica) int {
		return cmp.Or(b.Pod.CreationTimestamp.Compare(a.Pod.CreationTimestamp.Time), strings.Compare(a.Pod.Name, b.Pod.Name))
	})
	return replicas
}

// readerKey is a container of a pod.
type readerKey struct {
	pod       types.UID
	container string
}

// start starts to read the logs of pods that are not read yet, and returns how many pods
// are left out. readers are those that it has started; past is true for pods that run
// already when the log starts.
func (f *Follower) start(ctx context.Context, pods []Replica, readers map[readerKey]bool, past bool) (unread int) {
	alive := map[types.UID]bool{}
	for _, replica := range pods {
		alive[replica.Pod.UID] = true
	}
	read := map[types.UID]bool{}
	for key := range readers {
		if !alive[key.pod] {
			delete(readers, key) // its goroutine ends by itself
			continue
		}
		read[key.pod] = true
	}
	for _, replica := range pods {
		if f.options.Pod != "" && replica.Pod.Name != f.options.Pod {
			continue
		}
		if !read[replica.Pod.UID] && len(read) >= f.options.MaxReplicas {
			unread++
			continue
		}
		read[replica.Pod.UID] = true
		spec := &replica.Pod.Spec
		for _, container := range slices.Concat(spec.InitContainers, spec.Containers) {
			key := readerKey{replica.Pod.UID, container.Name}
			if readers[key] {
				continue
			}
			readers[key] = true
			source := sourceOf(replica, container.Name, len(f.informers) > 1)
			reader := podlog.NewReader(f.logs, f.namespace, replica.Pod.Name, container.Name, 0)
			if past {
				reader = f.options.reader(f.logs, f.namespace, replica.Pod.Name, container.Name)
			}
			f.group.Go(func() { f.read(ctx, replica.Pod, container.Name, source, reader) })
		}
	}
	return unread
}

// sourceOf returns what a log calls a container of a replica: the end of the pod's name, with
// its workload if the app has several, and the container if the pod has several.
func sourceOf(replica Replica, container string, several bool) string {
	source := replica.Pod.Name[strings.LastIndex(replica.Pod.Name, "-")+1:]
	if several {
		source = replica.Workload + "-" + source
	}
	if len(replica.Pod.Spec.InitContainers)+len(replica.Pod.Spec.Containers) > 1 {
		source += "/" + container
	}
	return source
}

// container returns the status of a container of a pod; gone if the pod is deleted.
func (f *Follower) container(pod *corev1.Pod, name string) (found corev1.ContainerStatus, gone bool) {
	var now *corev1.Pod
	f.pods.Read(func() { now = f.current[pod.UID] })
	if now == nil {
		return found, true
	}
	for _, status := range slices.Concat(now.Status.InitContainerStatuses, now.Status.ContainerStatuses) {
		if status.Name == name {
			found = status
		}
	}
	return found, false
}

// read reads the log of a container, over its restarts, until its pod is gone.
func (f *Follower) read(ctx context.Context, pod *corev1.Pod, container, source string, reader *podlog.Reader) {
	last := time.Time{}
	line := func(at time.Time, text string, note bool) error {
		if at.Before(last) {
			at = last // a container's lines keep their order
		}
		last = at
		select {
		case f.lines <- Line{Source: source, Time: at, Text: f.options.cut(text), Note: note}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for id := ""; ctx.Err() == nil; {
		changed := f.pods.Changed()
		status, gone := f.container(pod, container)
		if gone {
			return
		}
		if status.ContainerID == "" || status.ContainerID == id {
			watch.Wait(ctx, changed)
			continue
		}
		if id != "" {
			_ = line(last, restarted(status), true)
		}
		id = status.ContainerID
		err := reader.Read(ctx, podlog.Instance{
			Exited: func() bool {
				status, gone := f.container(pod, container)
				return gone || status.ContainerID != id || status.State.Running == nil
			},
			Restarted: func() bool {
				status, gone := f.container(pod, container)
				return !gone && status.ContainerID != id
			},
			Changed: f.pods.Changed,
			Line: func(l podlog.Line) error {
				if f.options.before(l) {
					return nil
				}
				return line(l.Time, l.Text, false)
			},
		})
		switch {
		case err == nil || ctx.Err() != nil || errors.Is(err, podlog.ErrGone):
		case apierrors.IsForbidden(err):
			err = refused(err, access.Permission{Verb: "get", Resource: "pods", Subresource: "log", Namespace: f.namespace})
			f.signal.Update(func() { f.replicas.LogErr = err })
			return
		default:
			_ = line(last, err.Error(), true)
		}
	}
}

// restarted says how the instance before this one ended.
func restarted(status corev1.ContainerStatus) string {
	before := status.LastTerminationState.Terminated
	if before == nil {
		return "The container has started again"
	}
	return fmt.Sprintf("The container has started again: it ended with exit code %d (%s)", before.ExitCode, before.Reason)
}

// reader returns the reader of a container that runs already.
func (o Options) reader(logs podlog.Source, namespace, pod, container string) *podlog.Reader {
	reader := podlog.NewReader(logs, namespace, pod, container, o.Tail)
	since := o.Since
	if o.Tail == 0 && since.IsZero() {
		since = time.Now()
	}
	if !since.IsZero() {
		reader.Since(since)
	}
	return reader
}

// before reports whether a line is older than what is read: the API server takes whole seconds.
func (o Options) before(line podlog.Line) bool {
	return !line.Time.IsZero() && line.Time.Before(o.Since)
}

// cut shortens a line that is too long.
func (o Options) cut(text string) string {
	if o.MaxLine == 0 || len(text) <= o.MaxLine {
		return text
	}
	return fmt.Sprintf("%s… (%d bytes more)", strings.ToValidUTF8(text[:o.MaxLine], ""), len(text)-o.MaxLine)
}

// collect emits lines, in the order of their time as far as they come close to
// each other.
func (f *Follower) collect(ctx context.Context) {
	var lines []Line
	var due <-chan time.Time
	bytes, period := 0, gatherPast
	for {
		select {
		case <-ctx.Done():
			return
		case line := <-f.lines:
			lines = append(lines, line)
			bytes += len(line.Text)
			if due == nil {
				due = time.After(period)
			}
			if bytes < maxGathered {
				continue
			}
		case <-due:
		}
		slices.SortStableFunc(lines, func(a, b Line) int { return a.Time.Compare(b.Time) })
		f.emit(lines)
		f.signal.Update(nil)
		lines, bytes, due, period = nil, 0, nil, gather
	}
}

package live

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
	// pastLines is how many of the last lines of a container that runs already are shown.
	// Those of a container that starts later are shown from the first one on.
	pastLines = 1000
	// maxReplicas is how many replicas are read at once: each keeps a connection open.
	maxReplicas = 20
	// maxLineBytes is how much of a line is shown.
	maxLineBytes = 16 << 10
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
	// Unread is how many of them are left out of the log, because there are too many.
	Unread int
	// Err is why they cannot be read, LogErr why their logs cannot.
	Err, LogErr error
}

// AppFollower follows the pods of one app, and their logs.
type AppFollower struct {
	// ID tells one following of an app from the next. Numbers of lines are those of one ID.
	ID string

	client    kubernetes.Interface
	logs      podlog.Source
	namespace string

	// signal guards replicas, and pods guards current, which are the same pods by their UID.
	signal   *watch.Signal
	replicas Replicas
	pods     *watch.Signal
	current  map[types.UID]*corev1.Pod
	// objects signals the changes of informers. Only follow uses them, names and known.
	objects   *watch.Signal
	informers []cache.SharedIndexInformer
	names     []string
	known     map[string]bool

	log   Log
	lines chan stamped
	group sync.WaitGroup
}

func newAppFollower(id string, client kubernetes.Interface, logs podlog.Source, namespace string) *AppFollower {
	return &AppFollower{
		ID: id, client: client, logs: logs, namespace: namespace,
		signal: watch.New(), pods: watch.New(), objects: watch.New(), known: map[string]bool{}, lines: make(chan stamped),
	}
}

// Changed returns a channel that is closed when Replicas or Log have more.
func (f *AppFollower) Changed() <-chan struct{} { return f.signal.Changed() }

// Log is the log of all replicas, in the order of its lines' time. The source of a line is
// the end of the pod's name.
func (f *AppFollower) Log() *Log { return &f.log }

// Replicas returns the pods as they are now.
func (f *AppFollower) Replicas() (replicas Replicas) {
	f.signal.Read(func() { replicas = f.replicas })
	return replicas
}

// follow follows the pods of the workloads that an app has, which workloads returns as
// <resource>.<group>/<name>, until ctx ends. A workload that the app gets later is followed
// as well.
func (f *AppFollower) follow(ctx context.Context, workloads func() (names []string, changed <-chan struct{})) {
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
func (f *AppFollower) watch(ctx context.Context, names []string) (retry <-chan time.Time) {
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
func (f *AppFollower) list() Replicas {
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
func (f *AppFollower) start(ctx context.Context, pods []Replica, readers map[readerKey]bool, past bool) (unread int) {
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
		if !read[replica.Pod.UID] && len(read) >= maxReplicas {
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
			tail := int64(0)
			if past {
				tail = pastLines
			}
			f.group.Go(func() { f.read(ctx, replica.Pod, container.Name, source, tail) })
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
func (f *AppFollower) container(pod *corev1.Pod, name string) (found corev1.ContainerStatus, gone bool) {
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
func (f *AppFollower) read(ctx context.Context, pod *corev1.Pod, container, source string, tail int64) {
	reader := podlog.NewReader(f.logs, f.namespace, pod.Name, container, tail)
	last := time.Time{}
	line := func(at time.Time, text string, kind Kind) error {
		if at.Before(last) {
			at = last // a container's lines keep their order
		}
		last = at
		select {
		case f.lines <- stamped{at, Line{Source: source, Text: cut(text), Kind: kind}}:
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
			_ = line(last, restarted(status), Sum)
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
			Line:    func(l podlog.Line) error { return line(l.Time, l.Text, Plain) },
		})
		switch {
		case err == nil || ctx.Err() != nil || errors.Is(err, podlog.ErrGone):
		case apierrors.IsForbidden(err):
			err = refused(err, access.Permission{Verb: "get", Resource: "pods", Subresource: "log", Namespace: f.namespace})
			f.signal.Update(func() { f.replicas.LogErr = err })
			return
		default:
			_ = line(last, err.Error(), Sum)
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

// cut shortens a line that is too long for a page.
func cut(text string) string {
	if len(text) <= maxLineBytes {
		return text
	}
	return fmt.Sprintf("%s… (%d bytes more)", strings.ToValidUTF8(text[:maxLineBytes], ""), len(text)-maxLineBytes)
}

// stamped is a line with its time; zero if it has none.
type stamped struct {
	at   time.Time
	line Line
}

// collect appends lines to the log, in the order of their time as far as they come close to
// each other.
func (f *AppFollower) collect(ctx context.Context) {
	var lines []stamped
	var due <-chan time.Time
	bytes, period := 0, gatherPast
	for {
		select {
		case <-ctx.Done():
			return
		case line := <-f.lines:
			lines = append(lines, line)
			bytes += len(line.line.Text)
			if due == nil {
				due = time.After(period)
			}
			if bytes < maxGathered {
				continue
			}
		case <-due:
		}
		slices.SortStableFunc(lines, func(a, b stamped) int { return a.at.Compare(b.at) })
		for _, line := range lines {
			f.log.Append(line.line)
		}
		f.signal.Update(nil)
		lines, bytes, due, period = nil, 0, nil, gather
	}
}

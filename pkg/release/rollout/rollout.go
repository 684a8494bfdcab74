// Package rollout watches workloads until every replica of a release is ready, or reports why
// that will not happen.
package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/diagnose"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/workload"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
)

// slow is the time after which a watch looks at the workload again although nothing changed.
const slow = 10 * time.Second

// Reasons of a Failure that are not those of Kubernetes or of a problem.
const (
	// Superseded means that another release replaced the image that the watch waits for.
	Superseded = "Superseded"
	// Deleted means that the workload was deleted during its rollout.
	Deleted = "Deleted"
)

// Update is a change of one workload.
type Update struct {
	Workload release.Workload
	State    workload.State
	// Trouble is the problem that keeps a pod from becoming ready, if there is one: pod,
	// container, reason and message in one line.
	Trouble string
	// Advice is the remedy, in one line; empty if none is known.
	Advice string
}

// Failure is the reason why a rollout fails.
type Failure struct {
	Workload release.Workload
	// Pod and Container are empty if the problem is not that of a pod.
	Pod, Container string
	// Reason is the word of Kubernetes: CrashLoopBackOff, ProgressDeadlineExceeded.
	Reason string
	// Message describes the problem.
	Message string
	// Advice is the remedy, in one line; empty if none is known.
	Advice string
	// Log is the end of the log of the container, at most 20 lines, oldest first: the log of
	// the instance that failed, if the container was restarted.
	Log []string
}

// Error returns the workload, the place, the reason and the message.
func (f *Failure) Error() string {
	place := name(f.Workload)
	if f.Pod != "" {
		place += ": pod " + f.Pod
	}
	if f.Container != "" {
		place += ": container " + f.Container
	}
	return fmt.Sprintf("%s: %s: %s", place, f.Reason, f.Message)
}

// Option is an option of Watch.
type Option func(*watcher)

// WaitTimeout limits the time without progress: neither the state of a workload nor that of
// its new pods changes. After that time Watch fails with the worst problem, or the reason
// diagnose.Stalled. Without a timeout, or with 0, only a terminal problem ends the watch.
func WaitTimeout(timeout time.Duration) Option {
	return func(w *watcher) { w.waitTimeout = timeout }
}

// Watch waits until every workload has rolled out, after a release that set image in the pod
// templates of the workloads that are Built. It reports every change of a workload to
// updates, which may be nil, from one goroutine at a time.
//
// It returns a *Failure as soon as waiting cannot help: a new pod crashes repeatedly, cannot
// pull its image, misses a Secret, or cannot be scheduled or created for longer than its
// problem may last (diagnose.Tolerance), the Deployment exceeds its progress deadline, or
// another release replaces the image. It ignores pods of older revisions. Otherwise it waits
// until ctx ends, and returns that error with the last state: the deadline is up to the
// caller.
func Watch(ctx context.Context, client kubernetes.Interface, namespace string, workloads []release.Workload, image string, updates func(Update), options ...Option) error {
	watching, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var group sync.WaitGroup
	var mu sync.Mutex
	report := func(update Update) {
		mu.Lock()
		defer mu.Unlock()
		if updates != nil {
			updates(update)
		}
	}
	errs := make([]error, len(workloads))
	for i, watched := range workloads {
		w := &watcher{
			client: client, namespace: namespace, workload: watched, image: image, report: report,
			tolerance: diagnose.NewTolerance(), explainer: diagnose.NewExplainer(client, namespace, diagnose.AskEvery),
		}
		for _, option := range options {
			option(w)
		}
		group.Go(func() {
			if err := w.watch(watching); err != nil {
				errs[i] = err
				stop(err)
			}
		})
	}
	group.Wait()
	if cause := context.Cause(watching); cause != nil && ctx.Err() == nil {
		return cause // the first error, which stopped the other watches
	}
	return errors.Join(errs...)
}

// watcher watches one workload.
type watcher struct {
	client    kubernetes.Interface
	namespace string
	workload  release.Workload
	image     string
	report    func(Update)

	tolerance *diagnose.Tolerance
	explainer *diagnose.Explainer
	last      Update // the last one reported

	waitTimeout time.Duration
	progress    string    // what progressOf returned
	moved       time.Time // when that last changed
}

func (w *watcher) watch(ctx context.Context) error {
	now, err := w.get(ctx)
	if err != nil {
		return fmt.Errorf("get %s: %w", name(w.workload), err)
	}
	selector, err := metav1.LabelSelectorAsSelector(now.Selector)
	if err != nil {
		return fmt.Errorf("selector of %s: %w", name(w.workload), err)
	}
	// All goroutines end before watch returns.
	var group sync.WaitGroup
	defer group.Wait()
	watching, stop := context.WithCancel(ctx)
	defer stop()
	watches := newWatches(w.client, w.workload, w.namespace, selector)
	watches.start(watching, &group)
	for {
		changed := watches.signal.Changed()
		if err := watches.denied(); err != nil {
			return fmt.Errorf("watch %s: %w", name(w.workload), err)
		}
		if now, err = w.refresh(ctx, watches, now); err != nil {
			return err
		}
		again, done, err := w.look(ctx, now, watches)
		if done || err != nil {
			return err
		}
		timer := time.NewTimer(again)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%s: %s: %w", name(w.workload), w.last.State.Message, ctx.Err())
		}
		timer.Stop()
	}
}

// get reads the workload from the API server, without a cache.
func (w *watcher) get(ctx context.Context) (workload.Workload, error) {
	return workload.Get(ctx, w.client, w.workload.Kind, w.namespace, w.workload.Name)
}

// refresh returns the newest state that the watch has, or known if it has none yet.
func (w *watcher) refresh(ctx context.Context, watches *watches, known workload.Workload) (workload.Workload, error) {
	object, missing := watches.object()
	if object != nil && object.Meta.UID == known.Meta.UID {
		return *object, nil
	}
	if object == nil && !missing {
		return known, nil
	}
	// The workload was deleted, or the first list came from a cache that lags behind.
	now, err := w.get(ctx)
	if apierrors.IsNotFound(err) || (err == nil && now.Meta.UID != known.Meta.UID) {
		return workload.Workload{}, &Failure{Workload: w.workload, Reason: Deleted, Message: "it was deleted during the rollout"}
	}
	if err != nil {
		return known, nil //nolint:nilerr // the watch continues, and looks again
	}
	return now, nil
}

// look reports what changed and decides whether the watch ends. again is the time until the
// next look if nothing changes.
func (w *watcher) look(ctx context.Context, now workload.Workload, watches *watches) (again time.Duration, done bool, err error) {
	if w.workload.Built && !now.Runs(w.image) {
		// A watch may lag behind the release, the API server does not.
		read, err := w.get(ctx)
		if err != nil {
			return slow, false, nil //nolint:nilerr // the watch continues, and looks again
		}
		if !read.Runs(w.image) {
			return 0, false, &Failure{Workload: w.workload, Reason: Superseded, Message: "another release replaced the image during the rollout"}
		}
		now = read
	}
	if now.State.Done {
		w.say(now.State, diagnose.Problem{})
		return 0, true, nil
	}
	sets := watches.sets()
	return w.judge(ctx, now, now.Newest(watches.allPods(), sets), sets)
}

// judge reports the worst problem of a workload that is not done. It returns a Failure if
// that problem, or the time without progress, ends the watch.
func (w *watcher) judge(ctx context.Context, now workload.Workload, pods []*corev1.Pod, sets []*appsv1.ReplicaSet) (again time.Duration, done bool, err error) {
	at := time.Now()
	if progress := progressOf(now.State, pods); progress != w.progress || w.moved.IsZero() {
		w.progress, w.moved = progress, at
	}
	problems := w.explainer.Workload(ctx, now, pods, sets, at)
	exceeded, next := w.exceeded(problems, at)
	if exceeded != nil {
		w.say(now.State, *exceeded)
		return 0, false, w.fail(ctx, *exceeded)
	}
	worst := diagnose.Worst(now, pods, problems)
	if now.State.Failed {
		return 0, false, w.fail(ctx, worst)
	}
	w.say(now.State, worst)
	if w.waitTimeout > 0 {
		limit := w.moved.Add(w.waitTimeout)
		if !at.Before(limit) {
			return 0, false, w.fail(ctx, w.stalled(now, pods, worst))
		}
		next = earlier(next, limit)
	}
	return max(next.Sub(at), time.Millisecond), false, nil
}

// exceeded returns the first problem that waiting cannot help, or nil; next is the time of
// the next look.
func (w *watcher) exceeded(problems []diagnose.Problem, at time.Time) (exceeded *diagnose.Problem, next time.Time) {
	next = at.Add(diagnose.AskEvery)
	for i, problem := range problems {
		now, again := w.tolerance.Exceeded(problem, at)
		if now {
			return &problems[i], at
		}
		if !again.IsZero() {
			next = earlier(next, again)
		}
	}
	return nil, next
}

// stalled returns the problem of a workload without progress for too long.
func (w *watcher) stalled(now workload.Workload, pods []*corev1.Pod, worst diagnose.Problem) diagnose.Problem {
	if worst.Reason == "" {
		worst = diagnose.WithoutProgress(now, pods, diagnose.Stalled, now.State.Message)
	}
	worst.Message += fmt.Sprintf("; it has waited for %s", w.waitTimeout)
	return worst
}

// progressOf returns a text that changes when the rollout makes progress. It does not contain
// the problems of pods, which come and go.
func progressOf(state workload.State, pods []*corev1.Pod) string {
	var steps []string
	for _, pod := range pods {
		step := fmt.Sprint(pod.Name, " ", pod.Spec.NodeName)
		for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
			step += fmt.Sprint(" ", status.Ready, status.State.Running != nil)
		}
		steps = append(steps, step)
	}
	slices.Sort(steps)
	return fmt.Sprint(state, steps)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// say reports an update that differs from the last one.
func (w *watcher) say(state workload.State, worst diagnose.Problem) {
	update := Update{Workload: w.workload, State: state}
	if worst.Reason != "" {
		update.Trouble, update.Advice = worst.String(), worst.Remedy
	}
	if update != w.last {
		w.last = update
		w.report(update)
	}
}

// fail returns the Failure of a problem, with the log of its container.
func (w *watcher) fail(ctx context.Context, problem diagnose.Problem) *Failure {
	problem, log := w.explainer.Crash(ctx, problem)
	return &Failure{
		Workload: w.workload, Pod: problem.Pod, Container: problem.Container,
		Reason: problem.Reason, Message: problem.Message, Advice: problem.Remedy, Log: log,
	}
}

func name(watched release.Workload) string {
	return strings.ToLower(watched.Kind) + " " + watched.Name
}

package rollout

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/diagnose"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
)

const (
	// logLines is how much of a failing container's log is told.
	logLines = 20
	// logBytes bounds the memory for that.
	logBytes = 64 << 10
	// slow is how long a look at the workload lasts when nothing changes.
	slow = 10 * time.Second

	revisionAnnotation   = "deployment.kubernetes.io/revision"
	generationAnnotation = appsv1.DeprecatedTemplateGeneration
	generationLabel      = "pod-template-generation"
)

// Update is news of one workload.
type Update struct {
	Workload release.Workload
	State    State
	// Trouble is what keeps a pod from becoming ready, if anything is known: pod,
	// container, reason and message in one line.
	Trouble string
	// Advice is what to do about it, in one line; empty when nothing is known.
	Advice string
}

// Superseded is the reason of a Failure when another delivery has put another image
// in place of the one that is waited for.
const Superseded = "Superseded"

// Failure says why a rollout does not come up.
type Failure struct {
	Workload release.Workload
	// Pod and Container are empty when it did not come that far.
	Pod, Container string
	// Reason is Kubernetes' word: CrashLoopBackOff, ProgressDeadlineExceeded.
	Reason string
	// Message is for people.
	Message string
	// Advice is what to do, in one line; empty when nothing is known to help.
	Advice string
	// Log is the end of the container's log, at most 20 lines, oldest first: that
	// of the instance that failed, if it was restarted.
	Log []string
}

// Error names workload, place, reason and message, not the log.
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

// Option is a choice of the caller of Watch.
type Option func(*watcher)

// WaitTimeout is how long a workload may stand still: neither its state nor that of
// its new pods changes. After that Watch fails with the worst trouble there is, or
// the reason StoodStill. Without it, or with 0, only what is not known to pass ends
// the watch.
func WaitTimeout(timeout time.Duration) Option {
	return func(w *watcher) { w.waitTimeout = timeout }
}

// Watch waits until every workload has rolled out, after a delivery that put image
// into the pod templates of those that are Built. It tells every change of a
// workload's state through updates, from one goroutine at a time; updates may be nil.
//
// It returns a *Failure as soon as waiting can not help: a new pod crashes again
// and again, can not pull its image, lacks a Secret, is unschedulable or can not be
// created for longer than that may pass (trouble.Patience), the Deployment's
// progress deadline is exceeded, or another delivery puts another image in place of
// this one. Pods of older revisions are not looked at. Otherwise it waits until ctx
// ends, and returns that with the state that was reached: a deadline is the
// caller's affair.
func Watch(ctx context.Context, client kubernetes.Interface, namespace string, workloads []release.Workload, image string, updates func(Update), options ...Option) error {
	watching, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var group sync.WaitGroup
	var mu sync.Mutex
	tell := func(update Update) {
		mu.Lock()
		defer mu.Unlock()
		if updates != nil {
			updates(update)
		}
	}
	errs := make([]error, len(workloads))
	for i, workload := range workloads {
		w := &watcher{client: client, namespace: namespace, workload: workload, image: image, tell: tell, history: diagnose.NewHistory(), inquiry: diagnose.NewInquiry(client, namespace, diagnose.AskEvery)}
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
		return cause // the first of them: the others were stopped for it
	}
	return errors.Join(errs...)
}

// watcher watches one workload.
type watcher struct {
	client    kubernetes.Interface
	namespace string
	workload  release.Workload
	image     string
	tell      func(Update)

	history *diagnose.History
	inquiry *diagnose.Inquiry
	told    Update

	waitTimeout time.Duration
	progress    string // what there was of it at moved
	moved       time.Time
}

// current is a workload of any kind at one moment.
type current struct {
	meta     metav1.ObjectMeta
	selector *metav1.LabelSelector
	template corev1.PodTemplateSpec
	state    State
	// updated says whether a pod is of the newest revision.
	updated func(*corev1.Pod) bool
	// refused is why pods of it can not be created.
	refused string
}

func (w *watcher) watch(ctx context.Context) error {
	object, err := w.get(ctx)
	if err != nil {
		return fmt.Errorf("get %s: %w", name(w.workload), err)
	}
	selector, err := metav1.LabelSelectorAsSelector(object.selector)
	if err != nil {
		return fmt.Errorf("selector of %s: %w", name(w.workload), err)
	}
	// Everything that was started ends before watch does.
	var group sync.WaitGroup
	defer group.Wait()
	watching, stop := context.WithCancel(ctx)
	defer stop()
	watches := newWatches(w.client, w.workload, w.namespace, fields.OneTermEqualSelector("metadata.name", w.workload.Name), selector)
	watches.start(watching, &group)

	for {
		changed := watches.news.Changed()
		if err := watches.denied(); err != nil {
			return fmt.Errorf("watch %s: %w", name(w.workload), err)
		}
		if object, err = w.refresh(ctx, watches, object); err != nil {
			return err
		}
		again, done, err := w.look(ctx, object, watches.ownPods(object))
		if done || err != nil {
			return err
		}
		timer := time.NewTimer(again)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%s: %s: %w", name(w.workload), w.told.State.Message, ctx.Err())
		}
		timer.Stop()
	}
}

// get reads the workload past every cache.
func (w *watcher) get(ctx context.Context) (current, error) {
	apps, options := w.client.AppsV1(), metav1.GetOptions{}
	switch w.workload.Kind {
	case "Deployment":
		deployment, err := apps.Deployments(w.namespace).Get(ctx, w.workload.Name, options)
		return fromDeployment(deployment, nil), err
	case "StatefulSet":
		set, err := apps.StatefulSets(w.namespace).Get(ctx, w.workload.Name, options)
		return fromStatefulSet(set), err
	case "DaemonSet":
		set, err := apps.DaemonSets(w.namespace).Get(ctx, w.workload.Name, options)
		return fromDaemonSet(set), err
	}
	return current{}, fmt.Errorf("kind %s has no rollout", w.workload.Kind)
}

// refresh returns the newest state, or what was known when there is none yet.
func (w *watcher) refresh(ctx context.Context, watches *watches, known current) (current, error) {
	object, missing := watches.object()
	if object != nil && object.meta.UID == known.meta.UID {
		return *object, nil
	}
	if object == nil && !missing {
		return known, nil
	}
	// Deleted, or a first list that came from a cache that lags behind.
	now, err := w.get(ctx)
	if apierrors.IsNotFound(err) || (err == nil && now.meta.UID != known.meta.UID) {
		return current{}, &Failure{Workload: w.workload, Reason: "Deleted", Message: "it was deleted while it was rolled out"}
	}
	if err != nil {
		return known, nil //nolint:nilerr // the watch goes on, and with it the next look
	}
	return now, nil
}

// look tells what is new and judges it; again is when to look even if nothing
// changes.
func (w *watcher) look(ctx context.Context, object current, pods []*corev1.Pod) (again time.Duration, done bool, err error) {
	if w.workload.Built && !runs(object.template, w.image) {
		// A watch may lag behind the delivery, the server itself does not.
		now, err := w.get(ctx)
		if err != nil {
			return slow, false, nil //nolint:nilerr // the watch goes on, and with it the next look
		}
		if !runs(now.template, w.image) {
			return 0, false, &Failure{Workload: w.workload, Reason: Superseded, Message: "another delivery replaced the image while it was rolled out"}
		}
		object = now
	}
	state := object.state
	if state.Done {
		w.say(state, nil)
		return 0, true, nil
	}

	now := time.Now()
	if progress := progressOf(state, pods); progress != w.progress || w.moved.IsZero() {
		w.progress, w.moved = progress, now
	}
	next := now.Add(diagnose.AskEvery)
	worst, fatal := w.judge(ctx, now, &next, object, pods)
	w.say(state, worst)
	switch {
	case fatal:
		return 0, false, w.fail(ctx, *worst)
	case state.Failed && object.state.Message == pausedMessage:
		return 0, false, &Failure{Workload: w.workload, Reason: "Paused", Message: state.Message, Advice: "resume it: kubectl --namespace " + w.namespace + " rollout resume " + name(w.workload)}
	case state.Failed && worst != nil:
		return 0, false, w.fail(ctx, *worst)
	case state.Failed:
		return 0, false, w.failUnready(ctx, pods, deadlineExceeded, state.Message)
	}
	if w.waitTimeout > 0 {
		limit := w.moved.Add(w.waitTimeout)
		switch {
		case now.Before(limit):
			next = earlier(next, limit)
		case worst != nil:
			worst.Message += fmt.Sprintf("; it has waited for %s", w.waitTimeout)
			return 0, false, w.fail(ctx, *worst)
		default:
			return 0, false, w.failUnready(ctx, pods, stoodStill, fmt.Sprintf("%s; it has waited for %s", state.Message, w.waitTimeout))
		}
	}
	return max(next.Sub(now), time.Millisecond), false, nil
}

// failUnready is a failure that says nothing of pods, with the first that is not
// ready and its log.
func (w *watcher) failUnready(ctx context.Context, pods []*corev1.Pod, reason, message string) *Failure {
	for _, pod := range pods {
		if t, ok := diagnose.Unready(pod); ok {
			advice := diagnose.Advice(t)
			t.Reason, t.Message = reason, message
			failure := w.fail(ctx, t)
			failure.Advice = advice
			return failure
		}
	}
	return &Failure{Workload: w.workload, Reason: reason, Message: message}
}

// progressOf is what changes when a rollout goes on. What troubles a pod comes and
// goes, and is no progress.
func progressOf(state State, pods []*corev1.Pod) string {
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

// judge finds the worst trouble of the new pods, or with making them, and whether it
// is hopeless; next is when to look again at the latest.
func (w *watcher) judge(ctx context.Context, now time.Time, next *time.Time, object current, pods []*corev1.Pod) (worst *diagnose.Trouble, fatal bool) {
	var found []diagnose.Trouble
	for _, pod := range pods {
		found = append(found, w.inquiry.Pod(ctx, pod, now)...)
	}
	switch {
	case object.refused != "":
		found = append(found, diagnose.Refused(w.namespace, object.refused))
	case int(object.state.Desired) > len(pods):
		event, at := w.inquiry.Owner(ctx, object.meta.UID, now)
		// A pod that was made since shows that it passed.
		if !at.IsZero() && !slices.ContainsFunc(pods, func(pod *corev1.Pod) bool { return pod.CreationTimestamp.After(at) }) {
			found = append(found, event)
		}
	}
	for i, t := range found {
		hopeless, again := w.history.Judge(t, now)
		if hopeless {
			return &found[i], true
		}
		if !again.IsZero() {
			*next = earlier(*next, again)
		}
		if worst == nil || diagnose.Patience(t) < diagnose.Patience(*worst) {
			worst = &found[i]
		}
	}
	return worst, false
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// say tells an update that differs from the last one.
func (w *watcher) say(state State, worst *diagnose.Trouble) {
	update := Update{Workload: w.workload, State: state}
	if worst != nil {
		update.Trouble, update.Advice = worst.String(), diagnose.Advice(*worst)
	}
	if update != w.told {
		w.told = update
		w.tell(update)
	}
}

func (w *watcher) fail(ctx context.Context, t diagnose.Trouble) *Failure {
	failure := &Failure{Workload: w.workload, Pod: t.Pod, Container: t.Container, Reason: t.Reason, Message: t.Message, Advice: diagnose.Advice(t)}
	if t.Logs && t.Pod != "" {
		failure.Log = w.tail(ctx, t)
		if said, advice := diagnose.LastWords(failure.Log); said != "" {
			failure.Message += ": " + said
			failure.Advice = cmp.Or(advice, failure.Advice)
		}
	}
	return failure
}

// tail reads the end of a container's log; without one there is none to show.
func (w *watcher) tail(ctx context.Context, t diagnose.Trouble) []string {
	for _, previous := range slices.Compact([]bool{t.Previous, false}) {
		lines, limit := int64(logLines), int64(logBytes)
		body, err := w.client.CoreV1().Pods(w.namespace).GetLogs(t.Pod, &corev1.PodLogOptions{
			Container: t.Container, Previous: previous, TailLines: &lines, LimitBytes: &limit,
		}).Stream(ctx)
		if err != nil {
			continue
		}
		var log []string
		scanner := bufio.NewScanner(body)
		scanner.Buffer(nil, logBytes+1) // nothing longer comes
		for scanner.Scan() {
			log = append(log, strings.TrimRight(scanner.Text(), "\r"))
		}
		_ = body.Close()
		if len(log) > 0 {
			return log[max(0, len(log)-logLines):]
		}
	}
	return nil
}

func fromDeployment(deployment *appsv1.Deployment, replicaSets []*appsv1.ReplicaSet) current {
	if deployment == nil {
		return current{}
	}
	c := current{meta: deployment.ObjectMeta, selector: deployment.Spec.Selector, template: deployment.Spec.Template, state: Status(deployment)}
	c.updated = func(*corev1.Pod) bool { return false }
	if deployment.Generation > deployment.Status.ObservedGeneration {
		return c // no ReplicaSet is the new one yet
	}
	for _, set := range replicaSets {
		if !metav1.IsControlledBy(set, deployment) || set.Annotations[revisionAnnotation] != deployment.Annotations[revisionAnnotation] {
			continue
		}
		c.updated = func(pod *corev1.Pod) bool { return metav1.IsControlledBy(pod, set) }
		for _, condition := range set.Status.Conditions {
			if condition.Type == appsv1.ReplicaSetReplicaFailure && condition.Status == corev1.ConditionTrue {
				c.refused = condition.Message
			}
		}
	}
	return c
}

func fromStatefulSet(set *appsv1.StatefulSet) current {
	if set == nil {
		return current{}
	}
	return current{
		meta: set.ObjectMeta, selector: set.Spec.Selector, template: set.Spec.Template, state: StatefulSetStatus(set),
		updated: func(pod *corev1.Pod) bool {
			return set.Generation <= set.Status.ObservedGeneration && metav1.IsControlledBy(pod, set) &&
				pod.Labels[appsv1.ControllerRevisionHashLabelKey] == set.Status.UpdateRevision
		},
	}
}

func fromDaemonSet(set *appsv1.DaemonSet) current {
	if set == nil {
		return current{}
	}
	generation, ok := set.Annotations[generationAnnotation]
	if !ok {
		generation = strconv.FormatInt(set.Generation, 10)
	}
	return current{
		meta: set.ObjectMeta, selector: set.Spec.Selector, template: set.Spec.Template, state: DaemonSetStatus(set),
		updated: func(pod *corev1.Pod) bool {
			return metav1.IsControlledBy(pod, set) && pod.Labels[generationLabel] == generation
		},
	}
}

func name(workload release.Workload) string {
	return strings.ToLower(workload.Kind) + " " + workload.Name
}

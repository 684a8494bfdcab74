package rollout

import (
	"bufio"
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
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubectl/pkg/util/podutils"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
)

const (
	// logLines is how much of a failing container's log is told.
	logLines = 20
	// logBytes bounds the memory for that.
	logBytes = 64 << 10
	// slow is how long a rollout may stand still before the cluster's Events are
	// asked for a reason.
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
}

// Failure says why a rollout does not come up.
type Failure struct {
	Workload release.Workload
	// Pod and Container are empty when it did not come that far.
	Pod, Container string
	// Reason is Kubernetes' word: CrashLoopBackOff, ProgressDeadlineExceeded.
	Reason string
	// Message is for people.
	Message string
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

// Watch waits until every workload has rolled out, after a delivery that put image
// into the pod templates of those that are Built. It tells every change of a workload's state through updates, from one
// goroutine at a time; updates may be nil.
//
// It returns a *Failure as soon as waiting can not help: a new pod crashes again
// and again, can not pull its image (the second time, or for 30 s), lacks a
// Secret or ConfigMap, is unschedulable for 2 minutes, can not be created (quota,
// PodSecurity), the Deployment's progress deadline is exceeded, or another delivery
// puts another image in place of this one. Pods of older
// revisions are not looked at. Otherwise it waits until ctx ends, and returns
// that with the state that was reached: a deadline is the caller's affair.
func Watch(ctx context.Context, client kubernetes.Interface, namespace string, workloads []release.Workload, image string, updates func(Update)) error {
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
		w := &watcher{client: client, namespace: namespace, workload: workload, image: image, tell: tell, history: newHistory()}
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

	history *history
	told    Update
	event   trouble // the last one that Events told of
	asked   time.Time
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
	news := newNews(w.client, w.workload, w.namespace, fields.OneTermEqualSelector("metadata.name", w.workload.Name), selector)
	news.start(watching, &group)

	for {
		changed := news.changed()
		if err := news.denied(); err != nil {
			return fmt.Errorf("watch %s: %w", name(w.workload), err)
		}
		if object, err = w.refresh(ctx, news, object); err != nil {
			return err
		}
		again, done, err := w.look(ctx, object, news.ownPods(object))
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
func (w *watcher) refresh(ctx context.Context, news *news, known current) (current, error) {
	object, missing := news.object()
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
			return 0, false, &Failure{Workload: w.workload, Reason: "Superseded", Message: "another delivery replaced the image while it was rolled out"}
		}
		object = now
	}
	state := object.state
	if state.Done {
		w.say(state, nil)
		return 0, true, nil
	}

	now := time.Now()
	next := now.Add(slow)
	worst, fatal := w.judge(now, &next, object, pods)
	if worst == nil {
		worst = w.ask(ctx, now, object, pods)
		if worst != nil && worst.reason == "FailedCreate" {
			hopeless, at := w.history.judge(*worst, now)
			fatal = hopeless
			if at.Before(next) {
				next = at
			}
		}
	}
	w.say(state, worst)
	switch {
	case fatal:
		return 0, false, w.fail(ctx, *worst, worst.reason)
	case state.Failed && object.state.Message == pausedMessage:
		return 0, false, &Failure{Workload: w.workload, Reason: "Paused", Message: state.Message}
	case state.Failed && worst != nil:
		return 0, false, w.fail(ctx, *worst, worst.reason)
	case state.Failed:
		for _, pod := range pods {
			if t, ok := unready(pod); ok {
				t.message = state.Message
				return 0, false, w.fail(ctx, t, deadlineExceeded)
			}
		}
		return 0, false, &Failure{Workload: w.workload, Reason: deadlineExceeded, Message: state.Message}
	}
	return max(next.Sub(now), time.Millisecond), false, nil
}

// judge finds the worst trouble among the new pods, and whether it is hopeless.
func (w *watcher) judge(now time.Time, next *time.Time, object current, pods []*corev1.Pod) (worst *trouble, fatal bool) {
	var found []trouble
	for _, pod := range pods {
		found = append(found, troubles(pod)...)
	}
	if object.refused != "" {
		found = append(found, trouble{reason: "FailedCreate", message: object.refused})
	}
	for i, t := range found {
		hopeless, again := w.history.judge(t, now)
		if hopeless {
			return &found[i], true
		}
		if !again.IsZero() && again.Before(*next) {
			*next = again
		}
		if worst == nil || patience(t.reason) < patience(worst.reason) {
			worst = &found[i]
		}
	}
	return worst, false
}

// ask asks the cluster's Events what keeps a new pod from becoming ready, or a
// controller from making one; they alone tell of probes, volumes and networks.
func (w *watcher) ask(ctx context.Context, now time.Time, object current, pods []*corev1.Pod) *trouble {
	if w.asked.IsZero() {
		w.asked = now // not before it is slow
		return nil
	}
	if now.Sub(w.asked) < slow {
		if w.event.reason == "" {
			return nil
		}
		event := w.event
		return &event
	}
	w.asked, w.event = now, trouble{}
	owners := map[types.UID]string{}
	if int(object.state.Desired) > len(pods) {
		owners[object.meta.UID] = ""
	}
	for _, pod := range pods {
		if !podutils.IsPodReady(pod) {
			owners[pod.UID] = pod.Name
		}
	}
	var latest time.Time
	for uid, pod := range owners {
		selector := fields.OneTermEqualSelector("involvedObject.uid", string(uid)).String()
		events, err := w.client.CoreV1().Events(w.namespace).List(ctx, metav1.ListOptions{FieldSelector: selector})
		if err != nil {
			return nil // nothing to explain with, and no reason to fail
		}
		for _, event := range events.Items {
			at := event.LastTimestamp.Time
			if at.IsZero() {
				at = event.EventTime.Time
			}
			stale := at.Before(latest) || now.Sub(at) > time.Minute
			if event.InvolvedObject.UID != uid || event.Type != corev1.EventTypeWarning || stale {
				continue
			}
			// A pod that was made since shows that it passed.
			if pod == "" && slices.ContainsFunc(pods, func(p *corev1.Pod) bool { return p.CreationTimestamp.After(at) }) {
				continue
			}
			latest = at
			w.event = trouble{pod: pod, reason: event.Reason, message: strings.TrimSpace(event.Message), logs: event.Reason == "Unhealthy"}
		}
	}
	if w.event.reason == "" {
		return nil
	}
	if w.event.logs {
		for _, pod := range pods {
			if t, ok := unready(pod); ok && pod.Name == w.event.pod {
				w.event.container = t.container
			}
		}
	}
	event := w.event
	return &event
}

// say tells an update that differs from the last one.
func (w *watcher) say(state State, worst *trouble) {
	update := Update{Workload: w.workload, State: state}
	if worst != nil {
		update.Trouble = worst.message
		if worst.pod != "" {
			update.Trouble = worst.String()
		}
	}
	if update != w.told {
		w.told = update
		w.tell(update)
	}
}

func (w *watcher) fail(ctx context.Context, t trouble, reason string) *Failure {
	failure := &Failure{Workload: w.workload, Pod: t.pod, Container: t.container, Reason: reason, Message: t.message}
	if t.logs && t.pod != "" {
		failure.Log = w.tail(ctx, t)
	}
	return failure
}

// tail reads the end of a container's log; without one there is none to show.
func (w *watcher) tail(ctx context.Context, t trouble) []string {
	for _, previous := range slices.Compact([]bool{t.previous, false}) {
		lines, limit := int64(logLines), int64(logBytes)
		body, err := w.client.CoreV1().Pods(w.namespace).GetLogs(t.pod, &corev1.PodLogOptions{
			Container: t.container, Previous: previous, TailLines: &lines, LimitBytes: &limit,
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

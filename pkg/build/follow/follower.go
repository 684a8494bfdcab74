package follow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tektoncd/pipeline/pkg/apis/pipeline"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/diagnose"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/podlog"
)

const (
	// slow is how long something may take before its delay needs a reason.
	slow = 10 * time.Second
	// settle is how long objects of a run that has ended may lag behind it.
	settle = 10 * time.Second
	// lag is how long a TaskRun may lag behind its pod.
	lag = 3 * time.Second

	stepPrefix = "step-"
	// exitUnknown is the exit code of a step that nothing is left of.
	exitUnknown = -1

	terminationSkipped   = "Skipped"
	terminationContinued = "Continued"
	// stepError is the kubelet's reason for any exit code but 0.
	stepError = "Error"
)

// follower emits the events of one run. All its methods run in one goroutine.
type follower struct {
	clients   Clients
	namespace string
	watches   state
	// past waits for nothing, as the state does not change.
	past bool
	out  chan Event

	run *tektonv1.PipelineRun
	// seen are the names of the TaskRuns whose events were emitted.
	seen map[string]bool

	delays *delays
	// deleted are the names of the pods whose deletion was seen.
	deleted map[string]bool
	lost    string
	noPods  bool
}

// state is what is known of a run, its TaskRuns and their pods.
type state interface {
	// changed is closed at the next change. Ask for it before looking at the rest.
	changed() <-chan struct{}
	// run returns the run as it is now; deleted reports that it no longer exists.
	run() (run *tektonv1.PipelineRun, deleted bool)
	// listed reports whether all TaskRuns of the beginning are known.
	listed() bool
	// ownTaskRuns returns the TaskRuns of the run, in no order.
	ownTaskRuns() []*tektonv1.TaskRun
	// taskRun returns a TaskRun as it is now, or nil.
	taskRun(name string) *tektonv1.TaskRun
	// pod returns a pod as it is now. When there is none, gone says that there was
	// one, and unknown that pods cannot be read.
	pod(name string) (pod *corev1.Pod, gone, unknown bool)
	// trouble returns what is in the way of knowing: denied is final, noPods and
	// lost are not.
	trouble() (denied, noPods, lost error)
}

// errPresent reports that the events have caught up with the state.
var errPresent = errors.New("nothing more has happened yet")

func newFollower(clients Clients, run *tektonv1.PipelineRun, state state) *follower {
	if clients.Logs == nil {
		clients.Logs = podlog.From(clients.Kube)
	}
	return &follower{
		clients:   clients,
		namespace: run.Namespace,
		watches:   state,
		out:       make(chan Event),
		run:       run,
		seen:      map[string]bool{},
		deleted:   map[string]bool{},
		delays:    newDelays(clients, run.Namespace),
	}
}

// toEnd emits all events, RunEnded last, unless ctx ends.
func (f *follower) toEnd(ctx context.Context) {
	err := f.follow(ctx)
	if ctx.Err() != nil {
		return
	}
	end := Event{Kind: RunEnded, Time: time.Now(), Run: f.run, Err: err}
	if completed := f.run.Status.CompletionTime; err == nil && completed != nil {
		end.Time = completed.Time
	}
	if found, ok := diagnose.OfCondition(f.namespace, f.run.Status.GetCondition(apis.ConditionSucceeded)); ok {
		end.Advice = found.Remedy
	}
	_ = f.emit(ctx, end)
}

func (f *follower) emit(ctx context.Context, event Event) error {
	if event.Time.IsZero() {
		event.Time = time.Now()
	}
	select {
	case f.out <- event:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pause waits for a change of what is watched, at most d. It fails with errPresent
// where there is no waiting.
func (f *follower) pause(ctx context.Context, changed <-chan struct{}, d time.Duration) error {
	if f.past {
		return errPresent
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// wait emits what a task waits for, or the run if task is empty, unless that was emitted
// last.
func (f *follower) wait(ctx context.Context, task string, found diagnose.Problem) error {
	delay, ok := f.delays.assess(task, found, !f.past)
	if !ok {
		return nil
	}
	return f.emit(ctx, delay)
}

// check reports problems with watching, and fails if watching is impossible.
func (f *follower) check(ctx context.Context) error {
	denied, noPods, lost := f.watches.trouble()
	if denied != nil {
		return fmt.Errorf("watch run: %w", denied)
	}
	if noPods != nil && !f.noPods {
		f.noPods = true
		if err := f.emit(ctx, Event{Kind: Warning, Text: fmt.Sprintf("pods cannot be watched, so reasons for delays stay unknown: %v", noPods)}); err != nil {
			return err
		}
	}
	if lost != nil && lost.Error() != f.lost {
		f.lost = lost.Error()
		return f.emit(ctx, Event{Kind: Waiting, Reason: "Disconnected", Text: f.lost})
	}
	return nil
}

// refresh takes over the newest state of the run, and of watching it. Every wait
// asks for it between changed and pause, so that it sleeps through no news.
func (f *follower) refresh(ctx context.Context) error {
	if err := f.check(ctx); err != nil {
		return err
	}
	run, missing := f.watches.run()
	if run != nil {
		f.run = run
	}
	if !missing || f.run.IsDone() {
		return nil
	}
	// A first list may come from a cache that does not know a new run yet.
	run, err := f.clients.Tekton.TektonV1().PipelineRuns(f.namespace).Get(ctx, f.run.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || (err == nil && run.UID != f.run.UID) {
		return pipelinerun.ErrDeleted
	}
	if err == nil {
		f.run = run
	}
	return nil
}

// follow emits the events of the tasks until the run has ended.
func (f *follower) follow(ctx context.Context) error {
	began := time.Now()
	var ended time.Time
	for {
		changed := f.watches.changed()
		if err := f.refresh(ctx); err != nil {
			return err
		}
		listed := f.watches.listed() // before looking at the list
		if name := f.nextTask(); name != "" {
			f.seen[name] = true
			// A running task does not hold back the next one.
			if err := f.task(ctx, name); err != nil && !errors.Is(err, errPresent) {
				return err
			}
			began = time.Now()
			f.delays.blocked = nil
			continue
		}
		if f.run.IsDone() && listed {
			if ended.IsZero() {
				ended = time.Now()
			}
			if time.Since(ended) >= settle || !f.tasksMissing(ctx) {
				return nil
			}
		} else if !f.run.IsDone() {
			if err := f.wait(ctx, "", f.delays.ofRun(ctx, f.run, time.Since(began) >= slow)); err != nil {
				return err
			}
		}
		if err := f.pause(ctx, changed, f.delays.untilLook(began)); errors.Is(err, errPresent) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// nextTask returns the oldest TaskRun without events yet. TaskRuns of the same
// second come in the pipeline's order.
func (f *follower) nextTask() string {
	position := map[string]int{}
	if spec := f.run.Status.PipelineSpec; spec != nil {
		for i, task := range slices.Concat(spec.Tasks, spec.Finally) {
			position[task.Name] = i
		}
	}
	candidates := slices.DeleteFunc(f.watches.ownTaskRuns(), func(taskRun *tektonv1.TaskRun) bool { return f.seen[taskRun.Name] })
	if len(candidates) == 0 {
		return ""
	}
	return slices.MinFunc(candidates, func(a, b *tektonv1.TaskRun) int {
		return cmp.Or(
			a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
			cmp.Compare(position[taskName(a)], position[taskName(b)]),
			strings.Compare(a.Name, b.Name),
		)
	}).Name
}

// tasksMissing reports whether the run has a TaskRun that exists and was not seen.
func (f *follower) tasksMissing(ctx context.Context) bool {
	for _, child := range f.run.Status.ChildReferences {
		if child.Kind != "TaskRun" || f.seen[child.Name] {
			continue
		}
		_, err := f.clients.Tekton.TektonV1().TaskRuns(f.namespace).Get(ctx, child.Name, metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			return true
		}
	}
	return false
}

// task emits the events of one TaskRun from its start to its end.
func (f *follower) task(ctx context.Context, name string) error {
	taskRun := f.watches.taskRun(name)
	if taskRun == nil {
		return nil
	}
	task := taskName(taskRun)
	start := Event{Kind: TaskStarted, Task: task, Time: taskRun.CreationTimestamp.Time}
	if started := taskRun.Status.StartTime; started != nil {
		start.Time = started.Time
	}
	if err := f.emit(ctx, start); err != nil {
		return err
	}
	pod, began := "", time.Now()
	f.delays.idle, f.delays.blocked = began, nil
	for {
		changed := f.watches.changed()
		now := f.watches.taskRun(name)
		if now == nil {
			if err := f.refresh(ctx); err != nil {
				return err
			}
			return f.emit(ctx, Event{Kind: TaskEnded, Task: task, Reason: "Deleted", Text: "the TaskRun was deleted"})
		}
		taskRun = now
		// A retry of the task has a new pod.
		if next := taskRun.Status.PodName; next != "" && next != pod {
			pod = next
			if err := f.pod(ctx, task, name, pod); err != nil {
				return err
			}
			began = time.Now()
			continue
		}
		if taskRun.IsDone() {
			return f.emit(ctx, f.taskEnd(task, taskRun))
		}
		if err := f.refresh(ctx); err != nil {
			return err
		}
		if taskRun.Status.PodName == "" {
			if err := f.wait(ctx, task, f.delays.ofTask(ctx, taskRun, time.Since(began) >= slow)); err != nil {
				return err
			}
		}
		if f.run.IsDone() && time.Since(began) >= settle {
			return f.emit(ctx, f.taskEnd(task, taskRun))
		}
		if err := f.pause(ctx, changed, f.delays.untilLook(began)); err != nil {
			return err
		}
	}
}

// taskEnd is the end of a task: what Tekton says of it, or what it waited for when
// Tekton says less.
func (f *follower) taskEnd(task string, taskRun *tektonv1.TaskRun) Event {
	end := Event{Kind: TaskEnded, Task: task}
	if completed := taskRun.Status.CompletionTime; completed != nil {
		end.Time = completed.Time
	}
	condition := taskRun.Status.GetCondition(apis.ConditionSucceeded)
	if condition == nil {
		return end
	}
	end.Succeeded = condition.IsTrue()
	end.Reason, end.Text = condition.Reason, condition.Message
	found, failed := diagnose.OfCondition(f.namespace, condition)
	if !failed {
		return end
	}
	end.Text, end.Advice = inContainer(found), found.Remedy
	if f.delays.blocked != nil && !strings.Contains(end.Text, f.delays.blocked.Message) {
		end.Text += ": " + f.delays.blocked.Reason + ": " + inContainer(*f.delays.blocked)
		end.Advice = cmp.Or(f.delays.blocked.Remedy, end.Advice)
	}
	return end
}

// pod emits the events of the steps of one pod, in order.
func (f *follower) pod(ctx context.Context, task, taskRun, pod string) error {
	target := target{task: task, taskRun: taskRun, pod: pod}
	turn := time.Time{}
	for i := 0; ; i++ {
		container, state, err := f.turn(ctx, target, i)
		if err != nil || container == "" {
			return err
		}
		if state.skipped {
			continue
		}
		step := strings.TrimPrefix(container, stepPrefix)
		// Containers start together and their entrypoint holds each back until
		// the one before has ended: a step's turn is the later of the two.
		if state.startedAt.After(turn) {
			turn = state.startedAt
		}
		f.delays.blocked, f.delays.refused = nil, nil
		if err := f.emit(ctx, Event{Kind: StepStarted, Task: task, Step: step, Time: turn}); err != nil {
			return err
		}
		if err := f.log(ctx, target, container); err != nil {
			return err
		}
		state, err = f.end(ctx, target, container)
		if err != nil {
			return err
		}
		end := Event{Kind: StepEnded, Task: task, Step: step, Time: state.endedAt, ExitCode: state.exitCode, Reason: state.reason}
		if state.exitCode != 0 {
			end.Text, end.Advice = f.delays.ofStep(state)
		}
		if err := f.emit(ctx, end); err != nil {
			return err
		}
		f.delays.idle = time.Now()
		turn = state.endedAt
		if state.exitCode != 0 && state.reason != terminationContinued {
			// The rest is skipped, though its containers still run for a moment.
			return nil
		}
	}
}

// target is one pod of a TaskRun.
type target struct{ task, taskRun, pod string }

// view is a target's state at one moment. Its parts are nil when they are gone,
// or not here yet.
type view struct {
	taskRun    *tektonv1.TaskRun
	pod        *corev1.Pod
	podGone    bool
	podUnknown bool
}

func (f *follower) look(t target) view {
	v := view{taskRun: f.watches.taskRun(t.taskRun)}
	v.pod, v.podGone, v.podUnknown = f.watches.pod(t.pod)
	if v.pod != nil {
		f.deleted[t.pod] = v.pod.DeletionTimestamp != nil
		if ended, ok := diagnose.Ended(v.pod); ok {
			ended = ended.ForBuild()
			f.delays.blocked = &ended // the pod may be gone before it is needed
		}
	}
	return v
}

// over reports whether the pod will not change any more.
func (v view) over() bool {
	return v.taskRun == nil || v.taskRun.IsDone()
}

// containers lists the step containers in order, as far as they are known.
func (v view) containers() []string {
	var names []string
	if v.pod != nil {
		for _, container := range v.pod.Spec.Containers {
			if strings.HasPrefix(container.Name, stepPrefix) {
				names = append(names, container.Name)
			}
		}
		return names
	}
	if v.taskRun != nil && (v.podGone || v.podUnknown || v.over()) {
		for _, step := range v.taskRun.Status.Steps {
			names = append(names, step.Container)
		}
	}
	return names
}

// stepState is what the TaskRun and the pod say of one step.
type stepState struct {
	// started: the container runs, or did.
	started, skipped bool
	// ended: Tekton has the step's end. exited: the container's process has one,
	// which comes first.
	ended, exited      bool
	exitCode           int32
	reason             string
	startedAt, endedAt time.Time
}

func (v view) step(container string) stepState {
	state := stepState{exitCode: exitUnknown}
	if v.pod != nil {
		for _, status := range v.pod.Status.ContainerStatuses {
			if status.Name != container {
				continue
			}
			if running := status.State.Running; running != nil {
				state.started, state.startedAt = true, running.StartedAt.Time
			}
			if terminated := status.State.Terminated; terminated != nil {
				state.started, state.exited = true, true
				state.take(terminated)
			}
		}
	}
	if v.taskRun != nil {
		for _, step := range v.taskRun.Status.Steps {
			if step.Container == container {
				state.record(step)
			}
		}
	}
	// What ended the whole pod says more than how its containers ended.
	if v.pod != nil && v.pod.Status.Reason != "" && state.exited && state.exitCode != 0 {
		state.reason = v.pod.Status.Reason
	}
	return state
}

// record takes over what Tekton says of the step.
func (s *stepState) record(step tektonv1.StepState) {
	if running := step.Running; running != nil && !s.started {
		s.started, s.startedAt = true, running.StartedAt.Time
	}
	terminated := step.Terminated
	if terminated == nil {
		return
	}
	s.started, s.exited, s.ended = true, true, true
	s.take(terminated)
	if step.TerminationReason != "" && step.TerminationReason != "Completed" {
		s.reason = step.TerminationReason
	}
	// OOMKilled says more than Tekton's Error.
	if terminated.Reason == "OOMKilled" {
		s.reason = terminated.Reason
	}
	s.skipped = step.TerminationReason == terminationSkipped
}

func (s *stepState) take(terminated *corev1.ContainerStateTerminated) {
	s.exitCode, s.reason = terminated.ExitCode, terminated.Reason
	s.startedAt, s.endedAt = terminated.StartedAt.Time, terminated.FinishedAt.Time
}

// turn waits until the i-th step of the pod has started. An empty container says
// that there is no such step, or that it will never start.
func (f *follower) turn(ctx context.Context, t target, i int) (string, stepState, error) {
	began := time.Now()
	for {
		changed := f.watches.changed()
		now := f.look(t)
		containers := now.containers()
		if i < len(containers) {
			if state := now.step(containers[i]); state.started {
				return containers[i], state, nil
			}
		} else if len(containers) > 0 {
			return "", stepState{}, nil
		}
		if now.over() && (now.pod != nil || now.podGone || now.podUnknown || time.Since(began) >= lag) {
			return "", stepState{}, nil
		}
		if err := f.refresh(ctx); err != nil {
			return "", stepState{}, err
		}
		if f.run.IsDone() && time.Since(began) >= settle {
			return "", stepState{}, nil
		}
		if now.pod != nil {
			if err := f.wait(ctx, t.task, f.delays.ofPod(ctx, now.pod)); err != nil {
				return "", stepState{}, err
			}
		}
		limit := f.delays.untilLook(began)
		if now.over() {
			limit = lag
		}
		if err := f.pause(ctx, changed, limit); err != nil {
			return "", stepState{}, err
		}
	}
}

// exited reports whether a step's container will write nothing more.
func (f *follower) exited(t target, container string) bool {
	now := f.look(t)
	return f.past || now.over() || now.podGone || now.step(container).exited
}

// end waits until Tekton has recorded a step's end.
func (f *follower) end(ctx context.Context, t target, container string) (stepState, error) {
	began := time.Now()
	for {
		changed := f.watches.changed()
		now := f.look(t)
		state := now.step(container)
		if state.ended || now.over() || (state.exited && (f.past || time.Since(began) >= lag)) {
			if !state.exited && now.taskRun != nil {
				// Its pod went away under it: the task says why.
				end := f.taskEnd(t.task, now.taskRun)
				state.reason, state.endedAt = end.Reason, end.Time
			}
			if f.deleted[t.pod] && state.exitCode != 0 && state.reason == stepError {
				state.reason = PodDeleted
			}
			return state, nil
		}
		if err := f.refresh(ctx); err != nil {
			return state, err
		}
		if f.run.IsDone() && time.Since(began) >= settle {
			return state, nil
		}
		if err := f.pause(ctx, changed, lag); err != nil {
			return state, err
		}
	}
}

func taskName(taskRun *tektonv1.TaskRun) string {
	if name := taskRun.Labels[pipeline.PipelineTaskLabelKey]; name != "" {
		return name
	}
	return taskRun.Name
}

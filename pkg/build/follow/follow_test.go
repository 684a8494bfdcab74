package follow_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonfake "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/fake"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"knative.dev/pkg/apis"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/follow"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
)

const namespace = "hiking"

// cluster is a fake one with the run "run"; its methods play Tekton and the
// kubelet. It lives in a synctest bubble: nothing is slept for.
type cluster struct {
	t      *testing.T
	tekton *tektonfake.Clientset
	kube   *fake.Clientset
	logs   *logs
	cancel context.CancelFunc

	mu     sync.Mutex
	events []follow.Event
	closed bool
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{
		t:      t,
		tekton: tektonfake.NewSimpleClientset(),
		kube:   fake.NewClientset(),
		logs:   &logs{containers: map[string][]*stream{}},
	}
	c.create(&tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "run", UID: "run-uid", ResourceVersion: "1"}})
	return c
}

func (c *cluster) create(object runtime.Object) {
	c.t.Helper()
	var err error
	if _, isPod := object.(*corev1.Pod); isPod {
		err = c.kube.Tracker().Add(object)
	} else {
		err = c.tekton.Tracker().Add(object)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// follow starts to follow the run and collects events until the channel closes.
func (c *cluster) follow() {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	c.cancel = cancel
	events, err := follow.Run(ctx, follow.Clients{Tekton: c.tekton, Kube: c.kube, Logs: c.logs}, namespace, "run")
	if err != nil {
		c.t.Fatal(err)
	}
	go func() {
		for event := range events {
			c.mu.Lock()
			c.events = append(c.events, event)
			c.mu.Unlock()
		}
		c.mu.Lock()
		c.closed = true
		c.mu.Unlock()
	}()
	// Informers look every 100 ms whether their first list is there.
	time.Sleep(time.Second)
	synctest.Wait()
}

// lines renders the events so far in one line each, log lines by their text.
func (c *cluster) lines() []string {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	var lines []string
	for _, e := range c.events {
		place := strings.Trim(e.Task+"/"+e.Step, "/")
		switch e.Kind {
		case follow.TaskStarted, follow.StepStarted:
			lines = append(lines, fmt.Sprintf("%s %s", e.Kind, place))
		case follow.StepEnded:
			lines = append(lines, fmt.Sprintf("%s %s %d %s", e.Kind, place, e.ExitCode, e.Reason))
		case follow.TaskEnded:
			lines = append(lines, fmt.Sprintf("%s %s %t %s", e.Kind, place, e.Succeeded, e.Reason))
		case follow.RunEnded:
			condition := e.Run.Status.GetCondition(apis.ConditionSucceeded)
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %v", e.Kind, condition.GetReason(), e.Err)))
		case follow.Log:
			lines = append(lines, e.Text)
		default:
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s", e.Kind, place, e.Reason)))
		}
	}
	return lines
}

func (c *cluster) expect(want ...string) {
	c.t.Helper()
	if got := c.lines(); !slices.Equal(got, want) {
		c.t.Errorf("lines:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func (c *cluster) expectClosed() {
	c.t.Helper()
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.t.Error("the channel is still open")
	}
}

func (c *cluster) run(change func(*tektonv1.PipelineRun)) {
	c.t.Helper()
	update(c.t, c.tekton.Tracker(), tektonv1.SchemeGroupVersion.WithResource("pipelineruns"), "run", change)
}

func (c *cluster) taskRun(task string, change func(*tektonv1.TaskRun)) {
	c.t.Helper()
	update(c.t, c.tekton.Tracker(), tektonv1.SchemeGroupVersion.WithResource("taskruns"), "run-"+task, change)
}

func (c *cluster) pod(task string, change func(*corev1.Pod)) {
	c.t.Helper()
	update(c.t, c.kube.Tracker(), corev1.SchemeGroupVersion.WithResource("pods"), "run-"+task+"-pod", change)
}

func update[T any, P interface {
	*T
	runtime.Object
	DeepCopy() *T
}](t *testing.T, tracker clienttesting.ObjectTracker, resource schema.GroupVersionResource, name string, change func(*T)) {
	t.Helper()
	object, err := tracker.Get(resource, namespace, name)
	if err != nil {
		t.Fatal(err)
	}
	copied := object.(P).DeepCopy()
	change(copied)
	if err := tracker.Update(resource, P(copied), namespace); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

func (c *cluster) addTaskRun(task string, created time.Time) {
	c.t.Helper()
	c.create(&tektonv1.TaskRun{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: "run-" + task, UID: "uid",
		CreationTimestamp: metav1.Time{Time: created},
		Labels:            map[string]string{"tekton.dev/pipelineRun": "run", "tekton.dev/pipelineTask": task},
		OwnerReferences:   []metav1.OwnerReference{{Kind: "PipelineRun", Name: "run", UID: "run-uid"}},
	}})
	synctest.Wait()
}

func (c *cluster) addPod(task string, steps ...string) {
	c.t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: "run-" + task + "-pod", UID: "pod-uid",
		Labels: map[string]string{"tekton.dev/pipelineRun": "run"},
	}}
	for _, step := range steps {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "step-" + step})
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
			Name:  "step-" + step,
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"}},
		})
	}
	pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "sidecar-proxy"})
	c.create(pod)
	c.taskRun(task, func(taskRun *tektonv1.TaskRun) { taskRun.Status.PodName = pod.Name })
}

// startPod starts all containers at once, as the kubelet does.
func (c *cluster) startPod(task string) {
	c.t.Helper()
	c.pod(task, func(pod *corev1.Pod) {
		for i := range pod.Status.ContainerStatuses {
			pod.Status.ContainerStatuses[i].State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}}
		}
	})
}

// exit ends a step's process: the kubelet's view only.
func (c *cluster) exit(task, step string, code int32, reason string) {
	c.t.Helper()
	c.pod(task, func(pod *corev1.Pod) {
		for i := range pod.Status.ContainerStatuses {
			if pod.Status.ContainerStatuses[i].Name == "step-"+step {
				pod.Status.ContainerStatuses[i].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, FinishedAt: metav1.Now()}}
			}
		}
	})
}

// record is Tekton taking note of a step's end.
func (c *cluster) record(task, step string, code int32, reason, termination string) {
	c.t.Helper()
	c.taskRun(task, func(taskRun *tektonv1.TaskRun) {
		taskRun.Status.Steps = append(taskRun.Status.Steps, tektonv1.StepState{
			Name: step, Container: "step-" + step, TerminationReason: termination,
			ContainerState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, FinishedAt: metav1.Now()}},
		})
	})
}

func (c *cluster) endTask(task string, status corev1.ConditionStatus, reason, message string) {
	c.t.Helper()
	c.taskRun(task, func(taskRun *tektonv1.TaskRun) {
		taskRun.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: status, Reason: reason, Message: message})
	})
}

func (c *cluster) endRun(status corev1.ConditionStatus, reason string) {
	c.t.Helper()
	c.run(func(run *tektonv1.PipelineRun) {
		run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: status, Reason: reason})
	})
}

// logs is a podlog.Source that is played by the test: each Open takes the next
// stream of its container.
type logs struct {
	mu         sync.Mutex
	containers map[string][]*stream
	opened     []string // container, follow, since
}

type stream struct {
	err    error // of Open
	reader *io.PipeReader
	writer *io.PipeWriter
}

// next prepares one more stream.
func (l *logs) next(container string) *stream {
	reader, writer := io.Pipe()
	s := &stream{reader: reader, writer: writer}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.containers[container] = append(l.containers[container], s)
	return s
}

func (l *logs) fail(container string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.containers[container] = append(l.containers[container], &stream{err: err})
}

// whole prepares the two streams of an uneventful log: one that is followed, and
// the one that is read again after the exit.
func (l *logs) whole(text string) func(container string) *stream {
	return func(container string) *stream {
		first, second := l.next(container), l.next(container)
		go second.end(text)
		return first
	}
}

func (s *stream) write(text string) {
	_, _ = io.WriteString(s.writer, text)
	synctest.Wait()
}

// end writes the rest and ends the stream as a server does at the log's end.
func (s *stream) end(text string) {
	_, _ = io.WriteString(s.writer, text)
	_ = s.writer.Close()
}

func (s *stream) breakOff() { _ = s.writer.CloseWithError(errors.New("connection reset by peer")) }

func (l *logs) Open(_ context.Context, _, _ string, options *corev1.PodLogOptions) (io.ReadCloser, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	since := "start"
	if options.SinceTime != nil {
		since = options.SinceTime.UTC().Format(time.RFC3339Nano)
	}
	l.opened = append(l.opened, fmt.Sprintf("%s follow=%t since=%s", options.Container, options.Follow, since))
	streams := l.containers[options.Container]
	if len(streams) == 0 {
		return io.NopCloser(strings.NewReader("")), nil
	}
	l.containers[options.Container] = streams[1:]
	if streams[0].err != nil {
		return nil, streams[0].err
	}
	return streams[0].reader, nil
}

// at is a log line as the kubelet sends it, n milliseconds after midnight.
func at(milliseconds int, text string) string {
	day := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	return day.Add(time.Duration(milliseconds)*time.Millisecond).Format("2006-01-02T15:04:05.000000000Z") + " " + text + "\n"
}

func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		fetch := c.logs.whole(at(1, "fetched"))("step-fetch")
		build := c.logs.whole(at(2, "built"))("step-build")
		apply := c.logs.whole(at(3, "applied"))("step-apply")

		c.follow()
		c.addTaskRun("build", time.Now())
		c.addPod("build", "fetch", "build")
		c.expect("TaskStarted build")

		// All containers run; only the first step has its turn.
		c.startPod("build")
		fetch.write(at(1, "fetched"))
		c.expect("TaskStarted build", "StepStarted build/fetch", "fetched")
		go fetch.end("")
		c.exit("build", "fetch", 0, "Completed")
		c.record("build", "fetch", 0, "Completed", "Completed")
		go build.end(at(2, "built"))
		c.exit("build", "build", 0, "Completed")
		c.record("build", "build", 0, "Completed", "Completed")
		c.endTask("build", corev1.ConditionTrue, "Succeeded", "")

		c.addTaskRun("deploy", time.Now())
		c.addPod("deploy", "apply")
		c.startPod("deploy")
		go apply.end(at(3, "applied"))
		c.exit("deploy", "apply", 0, "Completed")
		c.record("deploy", "apply", 0, "Completed", "Completed")
		c.endTask("deploy", corev1.ConditionTrue, "Succeeded", "")
		c.endRun(corev1.ConditionTrue, "Succeeded")

		c.expect(
			"TaskStarted build",
			"StepStarted build/fetch", "fetched", "StepEnded build/fetch 0 Completed",
			"StepStarted build/build", "built", "StepEnded build/build 0 Completed",
			"TaskEnded build true Succeeded",
			"TaskStarted deploy",
			"StepStarted deploy/apply", "applied", "StepEnded deploy/apply 0 Completed",
			"TaskEnded deploy true Succeeded",
			"RunEnded Succeeded <nil>",
		)
		c.expectClosed()
	})
}

// What a step wrote last arrives after its end was seen, and after Tekton called
// task and run done.
func TestTailIsDrainedBeforeStepEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		followed, again := c.logs.next("step-build"), c.logs.next("step-build")
		c.follow()
		c.addTaskRun("build", time.Now())
		c.addPod("build", "build")
		c.startPod("build")
		c.exit("build", "build", 1, "Error")
		c.record("build", "build", 1, "Error", "Error")
		c.endTask("build", corev1.ConditionFalse, "Failed", "step build failed")
		c.endRun(corev1.ConditionFalse, "Failed")
		c.expect("TaskStarted build", "StepStarted build/build")

		followed.write(at(1, "late"))
		go followed.end("") // and it was not all
		go again.end(at(1, "late") + at(2, "later") + "2026-05-01T00:00:03Z no line break")
		c.expect(
			"TaskStarted build", "StepStarted build/build",
			"late", "later", "no line break",
			"StepEnded build/build 1 Error", "TaskEnded build false Failed", "RunEnded Failed <nil>",
		)
		want := []string{"step-build follow=true since=start", "step-build follow=false since=2026-05-01T00:00:00Z"}
		if !slices.Equal(c.logs.opened, want) {
			t.Errorf("opened %q, want %q", c.logs.opened, want)
		}
	})
}

// A dead connection does not keep the follower from the end of the log.
func TestSilentConnectionIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		followed, again := c.logs.next("step-build"), c.logs.next("step-build")
		c.follow()
		c.addTaskRun("build", time.Now())
		c.addPod("build", "build")
		c.startPod("build")
		followed.write(at(1, "one"))
		c.exit("build", "build", 0, "Completed")
		go again.end(at(1, "one") + at(2, "two"))
		c.record("build", "build", 0, "Completed", "Completed")
		c.expect("TaskStarted build", "StepStarted build/build", "one")
		time.Sleep(10 * time.Second)
		c.expect("TaskStarted build", "StepStarted build/build", "one", "two", "StepEnded build/build 0 Completed")
		c.cancel()
	})
}

func TestDroppedStreamResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		first, second, third := c.logs.next("step-build"), c.logs.next("step-build"), c.logs.next("step-build")
		c.logs.fail("step-build", errors.New("connection refused"))
		fourth := c.logs.next("step-build")
		c.follow()
		c.addTaskRun("build", time.Now())
		c.addPod("build", "build")
		c.startPod("build")

		// Lines of one text and one time are lines of their own; standard error
		// is stamped a little out of order.
		head := at(999, "a") + at(1200, "b") + at(1200, "b") + at(1100, "c")
		first.write(head + "2026-05-01T00:00:01.3Z cut off in the mid")
		first.breakOff()
		time.Sleep(time.Second)

		// From the whole second on, so that three of the lines come again; the
		// fourth is new, though it looks like one of them.
		again := at(1200, "b") + at(1200, "b") + at(1100, "c") + at(1200, "b")
		second.write(again + at(1300, "cut off in the middle") + at(1400, "b"))
		second.breakOff()
		time.Sleep(time.Second)

		// A stream that ends while the container runs is no end either.
		third.write(again + at(1300, "cut off in the middle") + at(1400, "b") + at(2500, "d"))
		go third.end("")
		time.Sleep(2 * time.Second)
		fourth.write(at(2500, "d") + at(2600, "e"))
		go fourth.end("")
		c.exit("build", "build", 0, "Completed")
		c.record("build", "build", 0, "Completed", "Completed")
		time.Sleep(10 * time.Second)

		c.expect(
			"TaskStarted build", "StepStarted build/build",
			"a", "b", "b", "c", "b", "cut off in the middle", "b", "d", "e",
			"StepEnded build/build 0 Completed",
		)
		for i, since := range []string{"start", "2026-05-01T00:00:01Z", "2026-05-01T00:00:01Z", "2026-05-01T00:00:02Z"} {
			if want := "step-build follow=true since=" + since; c.logs.opened[i] != want {
				t.Errorf("stream %d opened as %q, want %q", i, c.logs.opened[i], want)
			}
		}
		c.cancel()
	})
}

func TestLogThatCanNotBeRead(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want []string
	}{
		"forbidden": {
			apierrors.NewForbidden(schema.GroupResource{Resource: "pods/log"}, "p", errors.New("no")),
			[]string{"Warning build/build"},
		},
		"gone with its pod": {
			apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, "p"),
			[]string{"Warning build/build"},
		},
		"always broken": {
			errors.New("connection refused"),
			[]string{"Warning build/build", "Warning build/build"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t)
				for range 10 {
					c.logs.fail("step-build", test.err)
				}
				c.addTaskRun("build", time.Now())
				c.addPod("build", "build")
				c.startPod("build")
				c.exit("build", "build", 0, "Completed")
				c.record("build", "build", 0, "Completed", "Completed")
				c.endTask("build", corev1.ConditionTrue, "Succeeded", "")
				c.endRun(corev1.ConditionTrue, "Succeeded")
				c.follow()
				time.Sleep(time.Minute)
				c.expect(slices.Concat(
					[]string{"TaskStarted build", "StepStarted build/build"}, test.want,
					[]string{"StepEnded build/build 0 Completed", "TaskEnded build true Succeeded", "RunEnded Succeeded <nil>"},
				)...)
				c.expectClosed()
			})
		})
	}
}

func TestLongLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		long, tooLong := strings.Repeat("x", 1<<20), strings.Repeat("y", 5<<20)
		s := c.logs.next("step-build")
		c.follow()
		c.addTaskRun("build", time.Now())
		c.addPod("build", "build")
		c.startPod("build")
		s.write(at(1, long) + at(2, tooLong) + at(3, "short"))
		lines := c.lines()
		if len(lines) != 5 {
			t.Fatalf("%d events, want 5", len(lines))
		}
		if lines[2] != long {
			t.Errorf("a line of 1 MiB came as %d bytes", len(lines[2]))
		}
		if len(lines[3]) > 4<<20+100 || !strings.HasSuffix(lines[3], "bytes more)") {
			t.Errorf("a line of 5 MiB came as %d bytes, ending %q", len(lines[3]), lines[3][len(lines[3])-30:])
		}
		if lines[4] != "short" {
			t.Errorf("after it came %q", lines[4])
		}
		c.cancel()
		c.expectClosed()
	})
}

// The steps after a failed one are skipped: their containers run for a moment
// more, and Tekton records exit code 1 for them.
func TestFailedStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.follow()
		c.addTaskRun("build", time.Now())
		c.addPod("build", "fetch", "build")
		c.startPod("build")
		c.exit("build", "fetch", 137, "OOMKilled")
		c.record("build", "fetch", 137, "OOMKilled", "Error")
		c.exit("build", "build", 1, "Error")
		c.record("build", "build", 1, "Error", "Skipped")
		c.endTask("build", corev1.ConditionFalse, "StepOOM", "out of memory")
		c.endRun(corev1.ConditionFalse, "Failed")
		c.expect(
			"TaskStarted build", "StepStarted build/fetch", "StepEnded build/fetch 137 OOMKilled",
			"TaskEnded build false StepOOM", "RunEnded Failed <nil>",
		)
	})
}

func TestContinuedAndSkippedSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.addTaskRun("build", time.Now())
		c.addPod("build", "lint", "sign", "build")
		c.startPod("build")
		for _, step := range []string{"lint", "sign", "build"} {
			c.exit("build", step, 0, "Completed")
		}
		c.record("build", "lint", 2, "Completed", "Continued")
		c.record("build", "sign", 0, "Completed", "Skipped")
		c.record("build", "build", 0, "Completed", "Completed")
		c.follow()
		c.expect(
			"TaskStarted build",
			"StepStarted build/lint", "StepEnded build/lint 2 Continued",
			"StepStarted build/build", "StepEnded build/build 0 Completed",
		)
		c.cancel()
	})
}

// A run that ended long ago is reported in the pipeline's order, without its pods.
func TestRunThatIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.logs.fail("step-build", apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, "p"))
		c.run(func(run *tektonv1.PipelineRun) {
			run.Status.PipelineSpec = &tektonv1.PipelineSpec{Tasks: []tektonv1.PipelineTask{{Name: "build"}, {Name: "adeploy"}}}
			run.Status.ChildReferences = []tektonv1.ChildStatusReference{
				{TypeMeta: runtime.TypeMeta{Kind: "TaskRun"}, Name: "run-build"},
				{TypeMeta: runtime.TypeMeta{Kind: "TaskRun"}, Name: "run-pruned"},
			}
		})
		created := time.Now()
		for _, task := range []string{"adeploy", "build"} {
			c.addTaskRun(task, created)
			c.taskRun(task, func(taskRun *tektonv1.TaskRun) { taskRun.Status.PodName = "run-" + task + "-pod" })
			c.record(task, task, 0, "Completed", "Completed")
			c.endTask(task, corev1.ConditionTrue, "Succeeded", "")
		}
		c.endRun(corev1.ConditionTrue, "Succeeded")
		c.follow()
		c.expect(
			"TaskStarted build", "StepStarted build/build", "Warning build/build", "StepEnded build/build 0 Completed", "TaskEnded build true Succeeded",
			"TaskStarted adeploy", "StepStarted adeploy/adeploy", "StepEnded adeploy/adeploy 0 Completed", "TaskEnded adeploy true Succeeded",
			"RunEnded Succeeded <nil>",
		)
		c.expectClosed()
	})
}

// The run's end can be seen before that of its TaskRun, or before the TaskRun.
func TestRunEndsBeforeItsTasksAreSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.follow()
		c.addTaskRun("build", time.Now())
		c.addPod("build", "build")
		c.startPod("build")
		c.endRun(corev1.ConditionFalse, "Failed")
		c.exit("build", "build", 3, "Error")
		c.record("build", "build", 3, "Error", "Error")
		time.Sleep(time.Second)
		c.endTask("build", corev1.ConditionFalse, "Failed", "")
		c.expect(
			"TaskStarted build", "StepStarted build/build", "StepEnded build/build 3 Error",
			"TaskEnded build false Failed", "RunEnded Failed <nil>",
		)
	})
}

// When Tekton cancels a run it deletes the pod under the step.
func TestCanceledRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		s := c.logs.next("step-build")
		c.logs.fail("step-build", apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, "p"))
		c.follow()
		c.addTaskRun("build", time.Now())
		c.addPod("build", "build", "push")
		c.startPod("build")
		s.write(at(1, "half"))
		if err := c.kube.Tracker().Delete(corev1.SchemeGroupVersion.WithResource("pods"), namespace, "run-build-pod"); err != nil {
			t.Fatal(err)
		}
		go s.end("2026-05-01T00:00:01Z and a piece")
		c.endTask("build", corev1.ConditionFalse, "TaskRunCancelled", "")
		c.endRun(corev1.ConditionFalse, "Cancelled")
		time.Sleep(time.Second)
		c.expect(
			"TaskStarted build", "StepStarted build/build", "half", "and a piece", "Warning build/build",
			"StepEnded build/build -1 TaskRunCancelled", "TaskEnded build false TaskRunCancelled", "RunEnded Cancelled <nil>",
		)
	})
}

func TestRunDeletedWhileWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.follow()
		c.addTaskRun("build", time.Now())
		if err := c.tekton.Tracker().Delete(tektonv1.SchemeGroupVersion.WithResource("pipelineruns"), namespace, "run"); err != nil {
			t.Fatal(err)
		}
		c.expect("TaskStarted build", "RunEnded  "+pipelinerun.ErrDeleted.Error())
		c.expectClosed()
	})
}

func TestCanceledContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		s := c.logs.next("step-build")
		c.follow()
		c.addTaskRun("build", time.Now())
		c.addPod("build", "build")
		c.startPod("build")
		s.write(at(1, "working"))
		c.cancel()
		c.expect("TaskStarted build", "StepStarted build/build", "working")
		c.expectClosed()
		// The bubble's end proves that no goroutine is left.
	})
}

func TestNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.addTaskRun("build", time.Now())
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := follow.Run(ctx, follow.Clients{Tekton: c.tekton, Kube: c.kube}, namespace, "run"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		cancel()
	})
}

func TestNoSuchRun(t *testing.T) {
	events, err := follow.Run(t.Context(), follow.Clients{Tekton: tektonfake.NewSimpleClientset(), Kube: fake.NewClientset()}, namespace, "run")
	if events != nil || !apierrors.IsNotFound(err) {
		t.Errorf("Run() = %v, %v, want not found", events, err)
	}
}

// A watch that the server no longer has the past of is listed again, and what
// happened in between is not lost.
func TestExpiredWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		expiring := watch.NewFake()
		watches := 0
		c.tekton.PrependWatchReactor("pipelineruns", func(clienttesting.Action) (bool, watch.Interface, error) {
			watches++
			return watches == 1, expiring, nil
		})
		c.follow()
		// Only the first watcher, which does not hear of it, is there.
		c.endRun(corev1.ConditionTrue, "Succeeded")
		c.expect()
		expiring.Error(&apierrors.NewResourceExpired("too old resource version").ErrStatus)
		time.Sleep(time.Minute)
		c.expect("RunEnded Succeeded <nil>")
		c.expectClosed()
	})
}

func TestWatchesThatAreRefused(t *testing.T) {
	forbidden := func(resource string) error {
		return apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "", errors.New("no right"))
	}
	t.Run("taskruns", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t)
			c.tekton.PrependReactor("list", "taskruns", func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, forbidden("taskruns")
			})
			c.follow()
			c.expectClosed()
			c.mu.Lock()
			defer c.mu.Unlock()
			if len(c.events) != 1 || c.events[0].Kind != follow.RunEnded || !apierrors.IsForbidden(c.events[0].Err) {
				t.Errorf("events %+v, want RunEnded with the refusal", c.events)
			}
		})
	})
	t.Run("pods", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t)
			c.kube.PrependReactor("list", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, forbidden("pods")
			})
			s := c.logs.whole(at(1, "hello"))("step-build")
			c.follow()
			c.addTaskRun("build", time.Now())
			c.taskRun("build", func(taskRun *tektonv1.TaskRun) {
				taskRun.Status.PodName = "run-build-pod"
				taskRun.Status.Steps = []tektonv1.StepState{{Name: "build", Container: "step-build", ContainerState: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
			})
			s.write(at(1, "hello"))
			c.taskRun("build", func(taskRun *tektonv1.TaskRun) {
				taskRun.Status.Steps[0].ContainerState = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed"}}
			})
			go s.end("")
			c.endTask("build", corev1.ConditionTrue, "Succeeded", "")
			c.endRun(corev1.ConditionTrue, "Succeeded")
			c.expect("Warning", "TaskStarted build", "StepStarted build/build", "hello",
				"StepEnded build/build 0 Completed", "TaskEnded build true Succeeded", "RunEnded Succeeded <nil>")
		})
	})
}

func TestWaiting(t *testing.T) {
	podWaiting := func(reason string) func(*cluster) {
		return func(c *cluster) {
			c.addPod("build", "build")
			c.pod("build", func(pod *corev1.Pod) {
				pod.Status.ContainerStatuses[0].State.Waiting = &corev1.ContainerStateWaiting{Reason: reason, Message: "words"}
			})
		}
	}
	ongoing := func(reason string) func(*cluster) {
		return func(c *cluster) { c.endTask("build", corev1.ConditionUnknown, reason, "words") }
	}
	for name, test := range map[string]struct {
		play   func(*cluster)
		atOnce string
		later  string
	}{
		"image":          {podWaiting("ImagePullBackOff"), "ImagePullBackOff container step-build: words", "=; hopeless: ImagePullBackOff"},
		"config":         {podWaiting("CreateContainerConfigError"), "CreateContainerConfigError container step-build: words", "=; hopeless: CreateContainerConfigError"},
		"creating":       {podWaiting("ContainerCreating"), "", ""},
		"quota":          {ongoing("ExceededResourceQuota"), "ExceededResourceQuota words", "="},
		"resolving slow": {ongoing("ResolvingTaskRef"), "", "ResolvingTaskRef words"},
		"unschedulable": {func(c *cluster) {
			c.addPod("build", "build")
			c.pod("build", func(pod *corev1.Pod) {
				pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "words"}}
				pod.Status.ContainerStatuses = nil
			})
		}, "Unschedulable words", "="},
		"init container": {func(c *cluster) {
			c.addPod("build", "build")
			c.pod("build", func(pod *corev1.Pod) {
				pod.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "prepare", Image: "busybox", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull"}}}}
			})
		}, "ErrImagePull container prepare: image busybox", "=; hopeless: ErrImagePull"},
		"volume": {func(c *cluster) {
			c.addPod("build", "build")
			for i, event := range []corev1.Event{
				{Type: "Warning", Reason: "FailedMount", Message: "old"},
				{Type: "Warning", Reason: "FailedMount", Message: "words"},
				{Type: "Normal", Reason: "Scheduled", Message: "fine"},
			} {
				event.ObjectMeta = metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprint("event", i)}
				event.InvolvedObject.UID = "pod-uid"
				event.LastTimestamp = metav1.Time{Time: time.Now().Add(time.Duration(i) * time.Second)}
				if err := c.kube.Tracker().Add(&event); err != nil {
					c.t.Fatal(err)
				}
			}
		}, "", "FailedMount words"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t)
				c.follow()
				c.addTaskRun("build", time.Now())
				test.play(c)
				waits := func() string {
					synctest.Wait()
					c.mu.Lock()
					defer c.mu.Unlock()
					var waits []string
					for _, e := range c.events {
						if e.Kind == follow.Waiting {
							wait := e.Reason + " " + e.Text
							if e.Hopeless {
								wait = "hopeless: " + e.Reason
							}
							waits = append(waits, wait)
						}
					}
					return strings.Join(waits, "; ")
				}
				if got := waits(); got != test.atOnce {
					t.Errorf("at once: %q, want %q", got, test.atOnce)
				}
				want := strings.Replace(test.later, "=", test.atOnce, 1)
				time.Sleep(35 * time.Second)
				if got := waits(); got != want {
					t.Errorf("after 35 s: %q, want %q, once", got, want)
				}
				c.cancel()
			})
		})
	}
}

// A pod that is refused (PodSecurity, an admission webhook) ends the task, and
// its condition says why.
func TestPodNeverCreated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.follow()
		c.addTaskRun("build", time.Now())
		c.endTask("build", corev1.ConditionFalse, "PodAdmissionFailed", "violates PodSecurity")
		c.endRun(corev1.ConditionFalse, "Failed")
		c.expect("TaskStarted build", "TaskEnded build false PodAdmissionFailed", "RunEnded Failed <nil>")
		c.mu.Lock()
		defer c.mu.Unlock()
		if text := c.events[1].Text; text != "violates PodSecurity" {
			t.Errorf("text %q, want the condition's", text)
		}
	})
}

func TestNobodyTakesTheRunUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.follow()
		c.expect()
		time.Sleep(11 * time.Second)
		c.expect("Waiting  NotStarted")
		c.run(func(run *tektonv1.PipelineRun) {
			run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionUnknown, Reason: "ResolvingPipelineRef"})
		})
		c.expect("Waiting  NotStarted", "Waiting  ResolvingPipelineRef")
		c.cancel()
	})
}

func TestTaskRetriedInANewPod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.follow()
		c.addTaskRun("build", time.Now())
		c.addPod("build", "build")
		c.startPod("build")
		c.exit("build", "build", 1, "Error")
		c.record("build", "build", 1, "Error", "Error")
		c.create(&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "second", Labels: map[string]string{"tekton.dev/pipelineRun": "run"}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "step-build"}}},
		})
		c.taskRun("build", func(taskRun *tektonv1.TaskRun) {
			taskRun.Status.PodName, taskRun.Status.Steps = "second", nil
		})
		c.record("build", "build", 0, "Completed", "Completed")
		c.endTask("build", corev1.ConditionTrue, "Succeeded", "")
		c.endRun(corev1.ConditionTrue, "Succeeded")
		c.expect(
			"TaskStarted build", "StepStarted build/build", "StepEnded build/build 1 Error",
			"StepStarted build/build", "StepEnded build/build 0 Completed",
			"TaskEnded build true Succeeded", "RunEnded Succeeded <nil>",
		)
	})
}

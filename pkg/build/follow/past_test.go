package follow_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/follow"
)

func taskRunPod(name string) func(*tektonv1.TaskRun) {
	return func(taskRun *tektonv1.TaskRun) { taskRun.Status.PodName = name }
}

// past collects what has happened up to now; no time passes for it.
func (c *cluster) past() {
	c.t.Helper()
	start := time.Now()
	events, err := follow.Past(c.t.Context(), follow.Clients{Tekton: c.tekton, Kube: c.kube, Logs: c.logs}, namespace, "run")
	if err != nil {
		c.t.Fatal(err)
	}
	for event := range events {
		c.events = append(c.events, event)
	}
	if waited := time.Since(start); waited != 0 {
		c.t.Errorf("it waited %s", waited)
	}
}

func TestPast(t *testing.T) {
	endStep := func(c *cluster, task, step string, code int32, reason string) {
		c.exit(task, step, code, reason)
		c.record(task, step, code, reason, reason)
	}
	for name, test := range map[string]struct {
		play func(c *cluster)
		want []string
	}{
		"not started": {func(*cluster) {}, []string{"RunEnded  <nil>"}},
		"over": {
			func(c *cluster) {
				c.addTaskRun("build", time.Now())
				c.addPod("build", "fetch", "build")
				go c.logs.next("step-fetch").end(at(1, "fetched"))
				go c.logs.next("step-build").end(at(2, "one") + at(3, "two"))
				endStep(c, "build", "fetch", 0, "Completed")
				endStep(c, "build", "build", 3, "Error")
				c.endTask("build", corev1.ConditionFalse, "Failed", "")
				c.endRun(corev1.ConditionFalse, "Failed")
			},
			[]string{
				"TaskStarted build",
				"StepStarted build/fetch", "fetched", "StepEnded build/fetch 0 Completed",
				"StepStarted build/build", "one", "two", "StepEnded build/build 3 Error",
				"TaskEnded build false Failed", "RunEnded Failed <nil>",
			},
		},
		"at work": {
			func(c *cluster) {
				c.addTaskRun("build", time.Now())
				c.addPod("build", "fetch", "build", "push")
				c.startPod("build")
				endStep(c, "build", "fetch", 0, "Completed")
				go c.logs.next("step-build").end(at(2, "one") + "2026-05-01T00:00:00.003Z half a li")
			},
			[]string{
				"TaskStarted build", "StepStarted build/fetch", "StepEnded build/fetch 0 Completed",
				"StepStarted build/build", "one", "half a li", "RunEnded  <nil>",
			},
		},
		"tasks side by side": {
			func(c *cluster) {
				for i, task := range []string{"lint", "build"} {
					c.addTaskRun(task, time.Now().Add(time.Duration(i)*time.Second))
					c.addPod(task, task)
					c.startPod(task)
				}
				endStep(c, "build", "build", 0, "Completed")
				c.endTask("build", corev1.ConditionTrue, "Succeeded", "")
			},
			[]string{
				"TaskStarted lint", "StepStarted lint/lint",
				"TaskStarted build", "StepStarted build/build", "StepEnded build/build 0 Completed", "TaskEnded build true Succeeded",
				"RunEnded  <nil>",
			},
		},
		"exit not recorded yet": {
			func(c *cluster) {
				c.addTaskRun("build", time.Now())
				c.addPod("build", "build")
				c.exit("build", "build", 1, "OOMKilled")
			},
			[]string{"TaskStarted build", "StepStarted build/build", "StepEnded build/build 1 OOMKilled", "RunEnded  <nil>"},
		},
		"standing still": {
			func(c *cluster) {
				c.addTaskRun("build", time.Now())
				c.addPod("build", "build")
				c.pod("build", func(pod *corev1.Pod) {
					pod.Status.ContainerStatuses[0].State.Waiting = &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "words"}
				})
			},
			[]string{"TaskStarted build", "Waiting build ImagePullBackOff", "RunEnded  <nil>"},
		},
		"pods are gone": {
			func(c *cluster) {
				c.addTaskRun("build", time.Now())
				c.taskRun("build", taskRunPod("run-build-pod"))
				c.logs.fail("step-build", apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, "run-build-pod"))
				c.record("build", "build", 0, "Completed", "Completed")
				c.endTask("build", corev1.ConditionTrue, "Succeeded", "")
				c.endRun(corev1.ConditionTrue, "Succeeded")
			},
			[]string{
				"TaskStarted build", "StepStarted build/build", "Warning build/build", "StepEnded build/build 0 Completed",
				"TaskEnded build true Succeeded", "RunEnded Succeeded <nil>",
			},
		},
		"pods may not be read": {
			func(c *cluster) {
				c.kube.PrependReactor("list", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
					return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New("no right"))
				})
				c.addTaskRun("build", time.Now())
				c.taskRun("build", taskRunPod("run-build-pod"))
				c.record("build", "build", 0, "Completed", "Completed")
				c.endTask("build", corev1.ConditionTrue, "Succeeded", "")
				c.endRun(corev1.ConditionTrue, "Succeeded")
			},
			[]string{
				"Warning", "TaskStarted build", "StepStarted build/build", "StepEnded build/build 0 Completed",
				"TaskEnded build true Succeeded", "RunEnded Succeeded <nil>",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t)
				test.play(c)
				c.past()
				c.expect(test.want...)
			})
		})
	}
}

func TestPastOfNoRun(t *testing.T) {
	c := newCluster(t)
	_, err := follow.Past(t.Context(), follow.Clients{Tekton: c.tekton, Kube: c.kube, Logs: c.logs}, namespace, "other")
	if !apierrors.IsNotFound(err) {
		t.Errorf("error %v, want that there is none", err)
	}
}

// Nothing is left of a caller that goes.
func TestPastThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.addTaskRun("build", time.Now())
		c.addPod("build", "build")
		c.startPod("build")
		if _, err := follow.Past(t.Context(), follow.Clients{Tekton: c.tekton, Kube: c.kube, Logs: c.logs}, namespace, "run"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
	}) // which fails when a goroutine is still there
}

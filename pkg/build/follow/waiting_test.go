package follow_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/follow"
)

// followFor is follow with a WaitTimeout.
func (c *cluster) followFor(timeout time.Duration) {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	c.cancel = cancel
	events, err := follow.Run(ctx, follow.Clients{Tekton: c.tekton, Kube: c.kube, Logs: c.logs}, namespace, "run", follow.WaitTimeout(timeout))
	if err != nil {
		c.t.Fatal(err)
	}
	go func() {
		for event := range events {
			c.mu.Lock()
			c.events = append(c.events, event)
			c.mu.Unlock()
		}
	}()
	time.Sleep(time.Second)
	synctest.Wait()
}

// last is the newest event of a kind.
func (c *cluster) last(kind follow.Kind) follow.Event {
	c.t.Helper()
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, event := range slices.Backward(c.events) {
		if event.Kind == kind {
			return event
		}
	}
	c.t.Fatalf("no %s among %+v", kind, c.events)
	return follow.Event{}
}

func (c *cluster) warn(of types.UID, reason, message string) {
	c.t.Helper()
	err := c.kube.Tracker().Add(&corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: strings.ToLower(reason)},
		Type:       corev1.EventTypeWarning, Reason: reason, Message: message,
		InvolvedObject: corev1.ObjectReference{UID: of}, LastTimestamp: metav1.Now(),
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) unschedulable(message string) {
	c.t.Helper()
	c.addPod("build", "build")
	c.pod("build", func(pod *corev1.Pod) {
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: message}}
		pod.Status.ContainerStatuses = nil
	})
}

// A Waiting says what to do, and when waiting cannot help any more.
func TestAdvice(t *testing.T) {
	for name, test := range map[string]struct {
		play     func(*cluster)
		after    time.Duration // of the first Waiting
		reason   string
		advice   string
		hopeless time.Duration // -1 is never
	}{
		"unschedulable": {
			func(c *cluster) { c.unschedulable("0/1 nodes are available: 1 Insufficient memory.") },
			0, "Unschedulable", "lower --memory", 2 * time.Minute,
		},
		"missing Secret, by Event": {
			func(c *cluster) {
				c.addPod("build", "build")
				c.warn("pod-uid", "FailedMount", `MountVolume.SetUp failed for volume "env" : secret "pyflow-build" not found`)
			},
			3 * time.Second, "FailedMount", "setup --namespace hiking", 13 * time.Second,
		},
		"image name": {
			func(c *cluster) {
				c.addPod("build", "build")
				c.pod("build", func(pod *corev1.Pod) {
					pod.Status.ContainerStatuses[0].State.Waiting = &corev1.ContainerStateWaiting{Reason: "InvalidImageName", Message: "words"}
				})
			},
			0, "InvalidImageName", "correct the name of the image", 0,
		},
		"quota": {
			func(c *cluster) {
				c.endTask("build", corev1.ConditionUnknown, "ExceededResourceQuota", `TaskRun Pod exceeded available resources: pods "run-build-pod" is forbidden: exceeded quota: few, requested: pods=1, used: pods=4, limited: pods=4`)
			},
			0, "ExceededResourceQuota", "used up ResourceQuota few", -1,
		},
		"quota that is too small": {
			func(c *cluster) {
				c.endTask("build", corev1.ConditionUnknown, "ExceededResourceQuota", `pods "run-build-pod" is forbidden: exceeded quota: few, requested: limits.memory=8Gi, used: limits.memory=0, limited: limits.memory=4Gi`)
			},
			0, "ExceededResourceQuota", "lower --memory", 0,
		},
		"TaskRun that Tekton cannot continue": {
			func(c *cluster) {
				c.warn("uid", "InternalError", `failed calling webhook "v.example.com": service "v" not found`)
			},
			3 * time.Second, "InternalError", "webhook v.example.com does not answer", 63 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t)
				c.follow()
				c.addTaskRun("build", time.Now())
				test.play(c)
				expect := func(hopeless bool) {
					t.Helper()
					got := c.last(follow.Waiting)
					if got.Reason != test.reason || got.Task != "build" || !strings.Contains(got.Advice, test.advice) || got.Hopeless != hopeless {
						t.Errorf("waiting %+v, want %s with %q, hopeless: %t", got, test.reason, test.advice, hopeless)
					}
				}
				if test.after > 0 {
					time.Sleep(test.after - time.Millisecond)
					c.expect("TaskStarted build")
					time.Sleep(time.Millisecond)
				}
				expect(test.hopeless == 0)
				if test.hopeless > 0 {
					time.Sleep(test.hopeless - test.after - time.Second)
					expect(false)
					time.Sleep(4 * time.Second) // until it is looked at again
				} else {
					time.Sleep(time.Hour)
				}
				expect(test.hopeless >= 0)
				c.cancel()
			})
		})
	}
}

// An Event is no reason to wait when it tells of the end, for which the status has a
// better one.
func TestTheEndIsNoWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.follow()
		c.addTaskRun("build", time.Now())
		c.warn("uid", "Failed", `violates PodSecurity "restricted:latest"`)
		time.Sleep(6 * time.Second)
		c.expect("TaskStarted build")
		c.cancel()
	})
}

func TestWaitTimeout(t *testing.T) {
	t.Run("of what may pass", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t)
			c.followFor(20 * time.Second)
			c.addTaskRun("build", time.Now())
			c.unschedulable("0/1 nodes are available: 1 Insufficient memory.")
			time.Sleep(20*time.Second - time.Millisecond)
			if got := c.last(follow.Waiting); got.Hopeless {
				t.Errorf("too early: %+v", got)
			}
			time.Sleep(time.Millisecond)
			got := c.last(follow.Waiting)
			if !got.Hopeless || !strings.HasSuffix(got.Text, "; it has waited for 20s") || got.Advice == "" {
				t.Errorf("waiting %+v, want that it has waited for 20s", got)
			}
			c.cancel()
		})
	})
	t.Run("of nothing known", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t)
			c.followFor(20 * time.Second)
			c.addTaskRun("build", time.Now())
			c.addPod("build", "build")
			time.Sleep(20*time.Second - time.Millisecond)
			c.expect("TaskStarted build")
			time.Sleep(time.Millisecond)
			if got := c.last(follow.Waiting); !got.Hopeless || got.Reason != "NotStarted" || !strings.Contains(got.Text, "waited for 20s") {
				t.Errorf("waiting %+v, want that it has waited for 20s", got)
			}
			c.cancel()
		})
	})
	t.Run("of a run that Tekton does not take up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t)
			c.followFor(20 * time.Second)
			time.Sleep(19*time.Second - time.Millisecond) // follow took a second
			if got := c.last(follow.Waiting); got.Hopeless || got.Advice == "" {
				t.Errorf("too early, or without advice: %+v", got)
			}
			time.Sleep(time.Millisecond)
			if got := c.last(follow.Waiting); !got.Hopeless || got.Task != "" {
				t.Errorf("waiting %+v, want that it is hopeless", got)
			}
			c.cancel()
		})
	})
	t.Run("not of a step at work", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t)
			c.followFor(20 * time.Second)
			c.addTaskRun("build", time.Now())
			c.addPod("build", "build", "push")
			s := c.logs.next("step-build")
			time.Sleep(15 * time.Second)
			c.startPod("build")
			time.Sleep(time.Hour)
			go s.end("")
			c.exit("build", "build", 0, "Completed")
			c.record("build", "build", 0, "Completed", "Completed")
			time.Sleep(time.Hour)
			c.expect("TaskStarted build", "StepStarted build/build", "StepEnded build/build 0 Completed", "StepStarted build/push")
			c.cancel()
		})
	})
}

// A task that ended because its pod did not come up says what that was.
func TestEndOfATaskThatDidNotStart(t *testing.T) {
	for name, test := range map[string]struct {
		play            func(*cluster)
		reason, message string
		text, advice    string
	}{
		"account": {
			nil, "PodCreationFailed",
			`failed to create task run pod "run-build": pods "run-build-pod" is forbidden: error looking up service account hiking/pyflow-build: serviceaccount "pyflow-build" not found. Maybe missing or invalid Task hiking/pyflow-build`,
			`error looking up service account hiking/pyflow-build: serviceaccount "pyflow-build" not found`, "setup --namespace hiking",
		},
		"pod security": {
			nil, "PodAdmissionFailed", `pods "run-build-pod" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true`,
			`violates PodSecurity "restricted:latest": runAsNonRoot != true`, "enforce=baseline",
		},
		"image": {
			nil, "TaskRunImagePullFailed", `the step "build" in TaskRun "run-build" failed to pull the image "". The pod errored with the message: "Back-off pulling image "kaniko:1": ErrImagePull: kaniko:1: not found."`,
			"container build: kaniko:1: not found", "no such image",
		},
		"config, of which Tekton says nothing": {
			func(c *cluster) {
				c.addPod("build", "build")
				c.pod("build", func(pod *corev1.Pod) {
					pod.Status.ContainerStatuses[0].State.Waiting = &corev1.ContainerStateWaiting{Reason: "CreateContainerConfigError", Message: `secret "tokens" not found`}
				})
			},
			"CreateContainerConfigError", "Failed to create pod due to config error",
			`Failed to create pod due to config error: CreateContainerConfigError: container step-build: secret "tokens" not found`, "correct --build-secret",
		},
		"time": {
			func(c *cluster) { c.unschedulable("0/1 nodes are available: 1 Insufficient cpu.") },
			"TaskRunTimeout", `TaskRun "run-build" failed to finish within "1h0m0s"`,
			`TaskRun "run-build" failed to finish within "1h0m0s": Unschedulable: 0/1 nodes are available: 1 Insufficient cpu`, "lower --cpu",
		},
		"canceled": {
			func(c *cluster) { c.unschedulable("0/1 nodes are available: 1 Insufficient cpu.") },
			"TaskRunCancelled", "canceled", "canceled", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t)
				c.follow()
				c.addTaskRun("build", time.Now())
				if test.play != nil {
					test.play(c)
				}
				c.endTask("build", corev1.ConditionFalse, test.reason, test.message)
				c.endRun(corev1.ConditionFalse, "Failed")
				got := c.last(follow.TaskEnded)
				if got.Reason != test.reason || got.Text != test.text || !strings.Contains(got.Advice, test.advice) || (got.Advice == "") != (test.advice == "") {
					t.Errorf("ended %+v, want %q with %q", got, test.text, test.advice)
				}
			})
		})
	}
}

func TestRunThatCanNotBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.follow()
		c.endRun(corev1.ConditionFalse, "CouldntGetPipeline")
		if got := c.last(follow.RunEnded); !strings.Contains(got.Advice, "kubectl pyflow setup") {
			t.Errorf("ended %+v, want advice", got)
		}
	})
}

func TestFailingSteps(t *testing.T) {
	for name, test := range map[string]struct {
		log                  string
		podReason, message   string
		code                 int32
		reason, want, advice string
	}{
		"own fault":     {"", "", "", 1, "Error", "Error", ""},
		"out of memory": {"", "", "", 137, "OOMKilled", "OOMKilled", "--memory"},
		"out of disk":   {"", "Evicted", "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ", 137, "Error", "Evicted", "--storage"},
		"refused":       {`Error from server (InternalError): error when creating "a.yaml": Internal error occurred: failed calling webhook "v.example.com": failed to call webhook`, "", "", 1, "Error", "Error", "webhook v.example.com does not answer"},
		"refused, and well finally": {
			`Error from server (InternalError): Internal error occurred: failed calling webhook "v.example.com": failed to call webhook`, "", "", 0, "Completed", "Completed", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t)
				s := c.logs.whole(at(1, test.log))("step-build")
				c.follow()
				c.addTaskRun("build", time.Now())
				c.addPod("build", "build")
				c.startPod("build")
				go s.end(at(1, test.log))
				c.pod("build", func(pod *corev1.Pod) { pod.Status.Reason, pod.Status.Message = test.podReason, test.message })
				c.exit("build", "build", test.code, test.reason)
				c.record("build", "build", test.code, test.reason, "")
				got := c.last(follow.StepEnded)
				if got.Reason != test.want || !strings.Contains(got.Advice, test.advice) || (got.Advice == "") != (test.advice == "") {
					t.Errorf("ended %+v, want %s with %q", got, test.want, test.advice)
				}
				c.cancel()
			})
		})
	}
}

// Who asks for what has happened so far wants to know why nothing does.
func TestPastAsksForEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.addTaskRun("build", time.Now())
		c.addPod("build", "build")
		c.warn("pod-uid", "FailedMount", `secret "pyflow-build" not found`)
		c.past()
		c.expect("TaskStarted build", "Waiting build FailedMount", "RunEnded  <nil>")
	})
}

// What Tekton stumbled over before a step ended is not why the next one waits.
func TestOldEventsOfTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.follow()
		c.run(func(run *tektonv1.PipelineRun) { run.Status.StartTime = &metav1.Time{Time: time.Now()} })
		c.warn("run-uid", "InternalError", "the object has been modified")
		c.addTaskRun("build", time.Now())
		c.addPod("build", "build")
		c.startPod("build")
		time.Sleep(5 * time.Second)
		c.exit("build", "build", 0, "Completed")
		c.record("build", "build", 0, "Completed", "Completed")
		c.endTask("build", corev1.ConditionTrue, "Succeeded", "")
		time.Sleep(5 * time.Second)
		c.expect("TaskStarted build", "StepStarted build/build", "StepEnded build/build 0 Completed", "TaskEnded build true Succeeded")
		c.cancel()
	})
}

// Who lost a node reads of that, and not only that the pod is gone.
func TestLostNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		s := c.logs.next("step-build")
		c.logs.fail("step-build", apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, "p"))
		c.follow()
		c.addTaskRun("build", time.Now())
		c.addPod("build", "build")
		c.startPod("build")
		c.pod("build", func(pod *corev1.Pod) {
			pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "DeletionByTaintManager", Message: "Taint manager: deleting due to NoExecute taint"}}
		})
		if err := c.kube.Tracker().Delete(corev1.SchemeGroupVersion.WithResource("pods"), namespace, "run-build-pod"); err != nil {
			t.Fatal(err)
		}
		go s.end("")
		c.endTask("build", corev1.ConditionFalse, "Failed", "pod was deleted")
		c.endRun(corev1.ConditionFalse, "Failed")
		time.Sleep(time.Second)
		for _, kind := range []follow.Kind{follow.StepEnded, follow.TaskEnded} {
			if got := c.last(kind); !strings.Contains(got.Text, "Taint manager") || !strings.Contains(got.Advice, "kubectl get nodes") {
				t.Errorf("ended %+v, want that the node is lost", got)
			}
		}
	})
}

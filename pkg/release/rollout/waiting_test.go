package rollout_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
)

func (w *watched) warn(of types.UID, reason, message string) {
	w.t.Helper()
	err := w.client.Tracker().Add(&corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: strings.ToLower(reason)},
		Type:       corev1.EventTypeWarning, Reason: reason, Message: message,
		InvolvedObject: corev1.ObjectReference{UID: of}, LastTimestamp: metav1.Now(),
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *watched) refuse(message string) {
	w.t.Helper()
	set := replicaSet(2)
	set.Status.Conditions = []appsv1.ReplicaSetCondition{{Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: message}}
	w.put(set)
}

// Each problem ends the watch after its own limit, with a remedy.
func TestAdvice(t *testing.T) {
	for name, test := range map[string]struct {
		play            func(*watched)
		after           time.Duration
		message, advice string
	}{
		"pod security": {
			func(w *watched) {
				w.refuse(`pods "mountains-x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true`)
			},
			0, `deployment mountains: FailedCreate: violates PodSecurity "restricted:latest": runAsNonRoot != true`, "securityContext",
		},
		"limit range": {
			func(w *watched) {
				w.refuse(`pods "mountains-x" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi`)
			},
			0, "deployment mountains: FailedCreate: maximum memory usage per Container is 1Gi, but limit is 2Gi", "LimitRange",
		},
		"quota that is too small": {
			func(w *watched) {
				w.refuse(`pods "mountains-x" is forbidden: exceeded quota: few, requested: limits.memory=8Gi, used: limits.memory=0, limited: limits.memory=4Gi`)
			},
			0, "deployment mountains: FailedCreate: exceeded quota: few, requested: limits.memory=8Gi, used: limits.memory=0, limited: limits.memory=4Gi", "lower resources.limits.memory",
		},
		"account": {
			func(w *watched) {
				w.refuse(`pods "mountains-x" is forbidden: error looking up service account hiking/walker: serviceaccount "walker" not found`)
			},
			15 * time.Second,
			`deployment mountains: FailedCreate: error looking up service account hiking/walker: serviceaccount "walker" not found`, "create serviceaccount walker",
		},
		"webhook": {
			func(w *watched) {
				w.refuse(`Internal error occurred: failed calling webhook "v.example.com": service "v" not found`)
			},
			time.Minute,
			`deployment mountains: FailedCreate: failed calling webhook "v.example.com": service "v" not found`, "webhook v.example.com does not answer",
		},
		"secret of a volume": {
			func(w *watched) {
				w.put(pod("new", "rs2", waiting("ContainerCreating", "")))
				w.warn("new", "FailedMount", `MountVolume.SetUp failed for volume "db" : secret "db" not found`)
			},
			13 * time.Second,
			`deployment mountains: pod new: FailedMount: MountVolume.SetUp failed for volume "db" : secret "db" not found`, "create secret generic db",
		},
		"secret": {
			func(w *watched) {
				w.put(pod("new", "rs2", waiting("CreateContainerConfigError", `secret "db" not found`)))
			},
			10 * time.Second,
			`deployment mountains: pod new: container app: CreateContainerConfigError: secret "db" not found`, "create secret generic db",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := watch(t, fake.NewClientset(deployment(2, 2, newImage, 1, 1), replicaSet(2)), mountains)
				test.play(w)
				failure := w.expectFailure(test.after)
				if failure.Error() != test.message || !strings.Contains(failure.Advice, test.advice) {
					t.Errorf("failure %q with advice %q, want %q with %q", failure, failure.Advice, test.message, test.advice)
				}
			})
		})
	}
}

// A used-up quota may become free, so the watch reports it and waits.
func TestUsedUpQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, fake.NewClientset(deployment(2, 2, newImage, 1, 1)), mountains)
		w.refuse(`pods "mountains-x" is forbidden: exceeded quota: few, requested: pods=1, used: pods=4, limited: pods=4`)
		if last := w.updates[len(w.updates)-1]; !strings.Contains(last, "FailedCreate: exceeded quota: few") || !strings.Contains(w.advice, "ResourceQuota few") {
			t.Errorf("update %q with advice %q, want the quota", last, w.advice)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if w.done {
			t.Fatalf("ended: %v", w.err)
		}
		w.put(replicaSet(2))
		w.put(deployment(2, 2, newImage, 2, 2))
		if !w.done || w.err != nil {
			t.Errorf("done %t, %v, want done", w.done, w.err)
		}
		w.cancel()
	})
}

func TestWaitTimeout(t *testing.T) {
	t.Run("the worst trouble", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := watchFor(t, 20*time.Second, fake.NewClientset(deployment(2, 2, newImage, 1, 1)), mountains)
			w.refuse("exceeded quota")
			failure := w.expectFailure(20 * time.Second)
			if failure.Reason != "FailedCreate" || failure.Message != "exceeded quota; it has waited for 20s" || failure.Advice == "" {
				t.Errorf("failure %+v", failure)
			}
		})
	})
	t.Run("a pod that is not ready", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := watchFor(t, 20*time.Second, fake.NewClientset(deployment(2, 2, newImage, 2, 1), replicaSet(2)), mountains)
			w.put(pod("new", "rs2", running(false)))
			failure := w.expectFailure(20 * time.Second)
			if failure.Pod != "new" || failure.Reason != "Stalled" || len(failure.Log) == 0 || !strings.Contains(failure.Advice, "readinessProbe") {
				t.Errorf("failure %+v", failure)
			}
		})
	})
	t.Run("nothing known", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := watchFor(t, 20*time.Second, fake.NewClientset(deployment(2, 1, newImage, 0, 0)), mountains)
			failure := w.expectFailure(20 * time.Second)
			if failure.Reason != "Stalled" || failure.Message != "waiting for the new spec to be observed; it has waited for 20s" {
				t.Errorf("failure %+v", failure)
			}
		})
	})
	t.Run("restarts with every progress", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := watchFor(t, 20*time.Second, fake.NewClientset(deployment(2, 2, newImage, 0, 0), replicaSet(2)), mountains)
			for _, forward := range []func(){
				func() { w.put(pod("new", "rs2", waiting("ContainerCreating", ""))) },
				func() { w.put(pod("new", "rs2", running(false))) },
				func() { w.put(pod("new", "rs2", running(true))) },
				func() { w.put(deployment(2, 2, newImage, 1, 1)) },
			} {
				time.Sleep(15 * time.Second)
				synctest.Wait()
				if w.done {
					t.Fatalf("ended: %v", w.err)
				}
				forward()
			}
			if failure := w.expectFailure(20 * time.Second); failure.Reason != "Stalled" {
				t.Errorf("failure %+v", failure)
			}
		})
	})
}

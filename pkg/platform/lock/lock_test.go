package lock

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// server is an API server with Leases: like a real one, it refuses to replace a version that is not
// the newest.
func server(objects ...runtime.Object) *fake.Clientset {
	client := fake.NewClientset(objects...)
	version := 0
	next := func(lease *coordinationv1.Lease) {
		version++
		lease.ResourceVersion = fmt.Sprint(version)
	}
	client.PrependReactor("create", "leases", func(action k8stesting.Action) (bool, runtime.Object, error) {
		lease := action.(k8stesting.CreateAction).GetObject().(*coordinationv1.Lease)
		next(lease)
		lease.UID = "1"
		return false, nil, nil
	})
	client.PrependReactor("update", "leases", func(action k8stesting.Action) (bool, runtime.Object, error) {
		lease := action.(k8stesting.UpdateAction).GetObject().(*coordinationv1.Lease)
		stored, err := client.Tracker().Get(action.GetResource(), action.GetNamespace(), lease.Name)
		if err != nil {
			return true, nil, err
		}
		if stored.(*coordinationv1.Lease).ResourceVersion != lease.ResourceVersion {
			return true, nil, apierrors.NewConflict(action.GetResource().GroupResource(), lease.Name, errors.New("newer"))
		}
		next(lease)
		return false, nil, nil
	})
	return client
}

// foreign is the Lease of a holder that does not renew it.
func foreign(identity string, acquired time.Time) *coordinationv1.Lease {
	now := metav1.NewMicroTime(acquired)
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: Name, Namespace: manifests.SystemNamespace, ResourceVersion: "0"},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &identity, AcquireTime: &now, RenewTime: &now},
	}
}

func lease(client kubernetes.Interface) (*coordinationv1.Lease, error) {
	return client.CoordinationV1().Leases(manifests.SystemNamespace).Get(context.Background(), Name, metav1.GetOptions{})
}

// TestOneAtATime runs four at once, each for longer than the lock lasts without renewal.
func TestOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := server()
		var running, waited atomic.Int32
		done := make(chan error)
		for range 4 {
			l := &Lock{Client: client, Command: "setup", Timeout: 10 * time.Minute, Waiting: func(Holder) { waited.Add(1) }}
			go func() {
				done <- l.Hold(t.Context(), func(ctx context.Context) error {
					if running.Add(1) != 1 {
						t.Error("two run at once")
					}
					defer running.Add(-1)
					time.Sleep(3 * Duration)
					return ctx.Err()
				})
			}()
		}
		for range 4 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if _, err := lease(client); !apierrors.IsNotFound(err) {
			t.Errorf("the lock stays: %v", err)
		}
		// The last one waited for three others.
		if waited.Load() < 6 {
			t.Errorf("%d words about who has the lock", waited.Load())
		}
	})
}

// TestKilledHolder finds the Lease of a holder that was killed.
func TestKilledHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := server(foreign("setup by alice@laptop\x1b[31m (1)", time.Now().Add(-12*time.Second)))
		var said []string
		l := &Lock{Client: client, Command: "setup", Timeout: time.Minute, Waiting: func(h Holder) { said = append(said, h.String()) }}
		start := time.Now()
		err := l.Hold(t.Context(), func(context.Context) error {
			if took := time.Since(start); took < Duration || took > Duration+2*poll {
				t.Errorf("it took %s", took)
			}
			return nil
		})
		if err != nil || len(said) != 1 || strings.ContainsRune(said[0], '\x1b') || !strings.HasPrefix(said[0], "setup by alice@laptop") || !strings.HasSuffix(said[0], ", which started 12s ago") {
			t.Errorf("got %v, %q", err, said)
		}
	})
}

// TestTimeout gives up while another one renews the lock.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := server()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan error)
		started := make(chan struct{})
		go func() {
			l := &Lock{Client: client, Command: "setup", Timeout: time.Minute}
			ended <- l.Hold(ctx, func(ctx context.Context) error { close(started); <-ctx.Done(); return ctx.Err() })
		}()
		<-started
		l := &Lock{Client: client, Command: "teardown", Timeout: time.Minute, Waiting: func(Holder) {}}
		var wait *WaitError
		err := l.Hold(t.Context(), func(context.Context) error { t.Error("it ran"); return nil })
		if !errors.As(err, &wait) || !strings.Contains(err.Error(), "setup by ") || !strings.Contains(err.Error(), "--timeout") {
			t.Errorf("got %v", err)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if _, err := lease(client); !apierrors.IsNotFound(err) {
			t.Errorf("an interrupted holder keeps the lock: %v", err)
		}
	})
}

// TestLost takes the lock from a holder: by another one, by silence of the API server, and by
// deletion, as teardown does with the namespace.
func TestLost(t *testing.T) {
	for name, test := range map[string]struct {
		fault func(*fake.Clientset)
		says  string
	}{
		"another one": {func(client *fake.Clientset) {
			other := foreign("setup by bob@desk (2)", time.Now())
			other.ResourceVersion = "77"
			_ = client.Tracker().Update(coordinationv1.SchemeGroupVersion.WithResource("leases"), other, manifests.SystemNamespace)
		}, "setup by bob@desk runs now"},
		"silence": {func(client *fake.Clientset) {
			client.PrependReactor("update", "leases", func(k8stesting.Action) (bool, runtime.Object, error) {
				return true, nil, errors.New("connection refused")
			})
		}, "the API server has not answered"},
		"deleted": {func(client *fake.Clientset) {
			_ = client.Tracker().Delete(coordinationv1.SchemeGroupVersion.WithResource("leases"), manifests.SystemNamespace, Name)
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := server()
				l := &Lock{Client: client, Command: "setup", Timeout: time.Minute}
				err := l.Hold(t.Context(), func(ctx context.Context) error {
					test.fault(client)
					select {
					case <-ctx.Done():
						return ctx.Err()
					case <-time.After(2 * Duration):
						return nil
					}
				})
				var lost *LostError
				if errors.As(err, &lost) != (test.says != "") || lost != nil && !strings.Contains(err.Error(), test.says) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

// TestReady wants no lock where there is no namespace for it.
func TestReady(t *testing.T) {
	system := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: manifests.SystemNamespace}}
	deleted := system.DeepCopy()
	deleted.DeletionTimestamp, deleted.Finalizers = new(metav1.Now()), []string{"kubernetes"}
	for name, test := range map[string]struct {
		objects []runtime.Object
		allowed bool
		want    bool
	}{
		"installed":      {[]runtime.Object{system}, true, true},
		"no namespace":   {nil, true, false},
		"being deleted":  {[]runtime.Object{deleted}, true, false},
		"no permissions": {[]runtime.Object{system}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			client := fake.NewClientset(test.objects...)
			client.PrependReactor("create", "selfsubjectaccessreviews", func(action k8stesting.Action) (bool, runtime.Object, error) {
				review := action.(k8stesting.CreateAction).GetObject().(*authorizationv1.SelfSubjectAccessReview).DeepCopy()
				review.Status.Allowed = test.allowed
				return true, review, nil
			})
			if got, err := Ready(t.Context(), client); got != test.want || err != nil {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

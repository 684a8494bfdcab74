// Package lock lets one setup or teardown at a time change the platform, by a Lease in
// pyflow-system.
package lock

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// Name is the name of the Lease.
const Name = "setup"

const (
	// Duration is how long a holder that was killed keeps the others waiting.
	Duration = 15 * time.Second
	// renewal is how often a holder shows that it runs, and how long one attempt may take.
	renewal = 4 * time.Second
	// poll is how often those that wait look again.
	poll = time.Second
)

// LostError reports that the work was canceled because the lock could no longer be renewed, so
// that another command may have it.
type LostError struct {
	// By is who has the lock now; empty if the API server did not answer.
	By string
}

func (e *LostError) Error() string {
	if e.By == "" {
		return fmt.Sprintf("stopped, because the API server has not answered for %s and another setup may run by now: run it again", Duration-renewal)
	}
	return fmt.Sprintf("stopped, because it did not answer for %s, and %s runs now: run it again afterwards", Duration, e.By)
}

// WaitError reports that another command had the lock for as long as the caller could wait.
type WaitError struct{ Holder Holder }

func (e *WaitError) Error() string {
	return fmt.Sprintf("nothing was changed: %s has run for %s: run it again when that has finished, or wait longer with --timeout",
		e.Holder.Name, e.Holder.For.Round(time.Second))
}

// Holder is who has the lock.
type Holder struct {
	// Name has the command, the user and the host, such as "setup by alice@laptop". It is made safe
	// to print.
	Name string
	// For is how long it has had the lock.
	For time.Duration
}

// String returns who it is, and since when.
func (h Holder) String() string {
	return fmt.Sprintf("%s, which started %s ago", h.Name, h.For.Round(time.Second))
}

// Permissions are the permissions that Hold needs.
func Permissions() []access.Permission {
	var needed []access.Permission
	for _, verb := range []string{"get", "create", "update", "delete"} {
		needed = append(needed, access.Permission{
			Verb: verb, Group: coordinationv1.GroupName, Resource: "leases", Namespace: manifests.SystemNamespace,
		})
	}
	return needed
}

// Ready reports whether Hold can work: the namespace of the Lease exists and is not being deleted,
// and the user has the permissions.
func Ready(ctx context.Context, client kubernetes.Interface) (bool, error) {
	var missing *access.MissingError
	if err := access.Check(ctx, client, Permissions()); errors.As(err, &missing) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	namespace, err := client.CoreV1().Namespaces().Get(ctx, manifests.SystemNamespace, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		return false, nil
	}
	return err == nil && namespace.DeletionTimestamp == nil, err
}

// Lock is the lock of one command.
type Lock struct {
	Client kubernetes.Interface
	// Command is what runs, such as "setup".
	Command string
	// Timeout bounds the wait for the lock.
	Timeout time.Duration
	// Waiting is called when another command has the lock, once for each.
	Waiting func(Holder)
}

// Hold waits for the lock, runs work, and releases the lock. The context of work is canceled if the
// lock is lost, and the error is a *LostError then. It is a *WaitError if the lock did not become
// free in time. A holder that does not renew the lock for Duration loses it, whatever the clocks of
// both machines say: those who wait measure the time themselves.
func (l *Lock) Hold(ctx context.Context, work func(context.Context) error) error {
	h := &holding{leases: l.Client.CoordinationV1().Leases(manifests.SystemNamespace), identity: identity(l.Command)}
	if err := h.acquire(ctx, l.Timeout, l.Waiting); err != nil {
		return err
	}
	working, cancel := context.WithCancelCause(ctx)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		h.renew(working, cancel)
	}()
	err := work(working)
	var lost *LostError
	if errors.As(context.Cause(working), &lost) && err != nil {
		err = fmt.Errorf("%w (%w)", lost, err)
	}
	cancel(nil)
	<-renewed
	h.release(ctx)
	return err
}

// identity returns a name of this process for others to read. Its end makes it unique; holder cuts
// it off.
func identity(command string) string {
	name := "unknown"
	if current, err := user.Current(); err == nil {
		name = current.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s by %s@%s (%s)", command, name, host, rand.Text()[:8])
}

// holding is the Lease of one holder.
type holding struct {
	leases   coordination.LeaseInterface
	identity string
	// lease is as the API server stored it last.
	lease *coordinationv1.Lease
}

// acquire returns when the lock is taken.
func (h *holding) acquire(ctx context.Context, timeout time.Duration, waiting func(Holder)) error {
	start := time.Now()
	var seen *coordinationv1.Lease
	var since time.Time
	for {
		taken, other, err := h.try(ctx, seen != nil && time.Since(since) >= Duration, seen)
		if err != nil || taken {
			return err
		}
		if other != nil {
			if seen == nil || seen.ResourceVersion != other.ResourceVersion {
				since = time.Now()
			}
			if seen == nil || identityOf(seen) != identityOf(other) {
				waiting(holder(other))
			}
			seen = other
			if time.Since(start) > timeout {
				return &WaitError{Holder: holder(other)}
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(poll):
		}
	}
}

// try takes the lock if it is free, or if it is expired and as it was seen. Otherwise it returns
// the Lease of the other holder; nil if that changes just now.
func (h *holding) try(ctx context.Context, expired bool, seen *coordinationv1.Lease) (taken bool, other *coordinationv1.Lease, err error) {
	current, err := h.leases.Get(ctx, Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		h.lease, err = h.leases.Create(ctx, h.fresh(), metav1.CreateOptions{})
	case err != nil:
	case expired && seen.ResourceVersion == current.ResourceVersion:
		next := h.fresh()
		next.ResourceVersion = current.ResourceVersion
		h.lease, err = h.leases.Update(ctx, next, metav1.UpdateOptions{})
	default:
		return false, current, nil
	}
	if apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err) {
		return false, nil, nil
	}
	if err != nil {
		return false, nil, fmt.Errorf("lock the platform: %w", err)
	}
	return true, nil, nil
}

func (h *holding) fresh() *coordinationv1.Lease {
	now, seconds := metav1.NowMicro(), int32(Duration/time.Second)
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: Name, Namespace: manifests.SystemNamespace},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &h.identity, LeaseDurationSeconds: &seconds, AcquireTime: &now, RenewTime: &now},
	}
}

// renew renews the lock until ctx ends, and ends it if the lock is lost. A Lease that is gone is not
// lost: a teardown deletes its namespace.
func (h *holding) renew(ctx context.Context, cancel context.CancelCauseFunc) {
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(renewal):
		}
		err := h.renewOnce(ctx)
		switch {
		case err == nil || apierrors.IsNotFound(err):
			last = time.Now()
		case apierrors.IsConflict(err):
			current, err := h.leases.Get(ctx, Name, metav1.GetOptions{})
			if err == nil && identityOf(current) != h.identity {
				cancel(&LostError{By: holder(current).Name})
				return
			}
			if err == nil {
				h.lease = current
			}
		}
		if time.Since(last) >= Duration-renewal {
			cancel(&LostError{})
			return
		}
	}
}

func (h *holding) renewOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, renewal)
	defer cancel()
	next, now := h.lease.DeepCopy(), metav1.NowMicro()
	next.Spec.RenewTime = &now
	stored, err := h.leases.Update(ctx, next, metav1.UpdateOptions{})
	if err == nil {
		h.lease = stored
	}
	return err
}

// release deletes the Lease, unless another holder has it. An error only makes the next holder
// wait.
func (h *holding) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewal)
	defer cancel()
	_ = h.leases.Delete(ctx, Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &h.lease.UID, ResourceVersion: &h.lease.ResourceVersion},
	})
}

// identityOf returns the identity of the holder of a Lease.
func identityOf(lease *coordinationv1.Lease) string {
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

// holder reads who has a Lease.
func holder(lease *coordinationv1.Lease) Holder {
	name, _, _ := strings.Cut(identityOf(lease), " (")
	result := Holder{Name: cmp.Or(display.OneLine(display.Sanitize(name)), "another setup")}
	if acquired := lease.Spec.AcquireTime; acquired != nil {
		result.For = max(0, time.Since(acquired.Time))
	}
	return result
}

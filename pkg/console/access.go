package console

import (
	"context"
	"errors"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
)

// answerAge is how long the API server's answer about a permission counts.
const answerAge = 5 * time.Minute

// allowed answers what the user may do, and asks for each permission once in answerAge. It
// is safe for concurrent use.
type allowed struct {
	client  kubernetes.Interface
	mu      sync.Mutex
	answers map[access.Permission]answer
}

type answer struct {
	denied bool
	at     time.Time
}

func newAllowed(client kubernetes.Interface) *allowed {
	return &allowed{client: client, answers: map[access.Permission]answer{}}
}

// denied returns the first of permissions that the user lacks, in words; empty if there is
// none, or if the API server does not say: the action itself will fail then.
func (a *allowed) denied(ctx context.Context, permissions ...access.Permission) string {
	for _, permission := range permissions {
		if a.lacks(ctx, permission) {
			return permission.String()
		}
	}
	return ""
}

// deniedAll returns the first of permissions in words if the user has none of them.
func (a *allowed) deniedAll(ctx context.Context, permissions ...access.Permission) string {
	for _, permission := range permissions {
		if !a.lacks(ctx, permission) {
			return ""
		}
	}
	return a.denied(ctx, permissions...)
}

func (a *allowed) lacks(ctx context.Context, permission access.Permission) bool {
	a.mu.Lock()
	known, ok := a.answers[permission]
	a.mu.Unlock()
	if ok && time.Since(known.at) < answerAge {
		return known.denied
	}
	err := access.Check(ctx, a.client, []access.Permission{permission})
	denied := errors.As(err, new(*access.MissingError))
	if err == nil || denied {
		a.mu.Lock()
		a.answers[permission] = answer{denied, time.Now()}
		a.mu.Unlock()
	}
	return denied
}

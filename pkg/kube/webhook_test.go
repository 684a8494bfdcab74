package kube_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
)

// TestUntilWebhookAnswers checks that only requests whose webhook is unreachable are
// repeated.
func TestUntilWebhookAnswers(t *testing.T) {
	away := apierrors.NewInternalError(errors.New(`failed calling webhook "v": failed to call webhook: connect: connection refused`))
	converting := apierrors.NewInternalError(errors.New(`conversion webhook for tekton.dev/v1 failed: EOF`))
	denied := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "p", errors.New(`admission webhook "v" denied the request`))
	foreign := errors.New("failed calling webhook")
	broken := apierrors.NewInternalError(errors.New("etcd is broken"))
	for name, test := range map[string]struct {
		patience time.Duration
		answers  []error
		want     error
	}{
		"at once":            {time.Minute, []error{nil}, nil},
		"without patience":   {0, []error{away}, away},
		"later":              {time.Minute, []error{fmt.Errorf("create x: %w", away), converting, nil}, nil},
		"denied":             {time.Minute, []error{denied}, denied},
		"denied later":       {time.Minute, []error{away, denied}, denied},
		"another error":      {time.Minute, []error{broken}, broken},
		"not the API server": {time.Minute, []error{foreign}, foreign},
	} {
		t.Run(name, func(t *testing.T) {
			tries := 0
			err := kube.UntilWebhookAnswers(t.Context(), test.patience, func(context.Context) error {
				tries++
				return test.answers[tries-1]
			})
			if tries != len(test.answers) || !errors.Is(err, test.want) {
				t.Errorf("%d tries and %v, want %d and %v", tries, err, len(test.answers), test.want)
			}
		})
	}
}

// TestUntilWebhookAnswersEnds checks that the error at the end is that of the webhook, not
// the deadline.
func TestUntilWebhookAnswersEnds(t *testing.T) {
	away := apierrors.NewInternalError(errors.New(`failed calling webhook "v"`))
	ctx, cancel := context.WithCancel(t.Context())
	if err := kube.UntilWebhookAnswers(ctx, time.Minute, func(context.Context) error {
		cancel()
		return away
	}); !errors.Is(err, away) {
		t.Errorf("error %v, want %v", err, away)
	}
}

package kube

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes"
)

const (
	// silence is how long an API server may give no answer before that is worth a word.
	silence = 5 * time.Second
	// heartbeat is the time between two requests, and attempt how long one may take. Together they
	// are not longer than silence.
	heartbeat = 2 * time.Second
	attempt   = 3 * time.Second
)

// SilentError reports that the API server gives no answer. A watch without changes is silent as
// well, so only a request can tell.
type SilentError struct {
	// For is for how long.
	For time.Duration
	// Err is how the last request failed.
	Err error
}

func (e *SilentError) Error() string {
	return fmt.Sprintf("the API server has not answered for %s", e.For.Round(time.Second))
}

// Unwrap returns how the last request failed.
func (e *SilentError) Unwrap() error { return e.Err }

// Heartbeat asks the API server for its version every few seconds until ctx ends. It sends a
// *SilentError when it has not answered for 5 seconds, and nil when it answers again. Any answer
// counts, also a refusal. A fake client without a connection has no heartbeat.
func Heartbeat(ctx context.Context, client kubernetes.Interface) <-chan error {
	connection := client.Discovery().RESTClient()
	if connection == nil {
		return nil
	}
	return beat(ctx, func(ctx context.Context) error {
		err := connection.Get().AbsPath("/version").Do(ctx).Error()
		if _, answered := err.(apierrors.APIStatus); answered {
			return nil
		}
		return err
	})
}

func beat(ctx context.Context, ask func(context.Context) error) <-chan error {
	changes := make(chan error)
	go func() {
		answered, silent := time.Now(), false
		for {
			select {
			case <-time.After(heartbeat):
			case <-ctx.Done():
				return
			}
			asking, stop := context.WithTimeout(ctx, attempt)
			err := ask(asking)
			stop()
			waited := time.Since(answered)
			if err == nil {
				answered = time.Now()
			}
			var change error
			switch {
			case ctx.Err() != nil:
				return
			case err == nil && silent:
			case err != nil && !silent && waited >= silence:
				change = &SilentError{For: waited, Err: err}
			default:
				continue
			}
			silent = change != nil
			select {
			case changes <- change:
			case <-ctx.Done():
				return
			}
		}
	}()
	return changes
}

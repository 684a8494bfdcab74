package build

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
)

func numbered(i int) event.Event { return event.Event{Type: event.Log, Message: fmt.Sprint(i)} }

// TestHubServesSeveral checks that subscribers that come at different times get every
// event in order, each with its number, and then the end.
func TestHubServesSeveral(t *testing.T) {
	const events, subscribers = 500, 8
	hub := NewHub(events)
	var group sync.WaitGroup
	for s := range subscribers {
		group.Go(func() {
			subscription := hub.Subscribe(uint64(s))
			for want := max(s, 1); ; want++ {
				got, err := subscription.Next(t.Context())
				if errors.Is(err, ErrClosed) {
					if want != events+1 {
						t.Errorf("subscriber %d ends before event %d", s, want)
					}
					return
				}
				if err != nil || got.Sequence != uint64(want) || got.Missed != 0 || got.Message != fmt.Sprint(want) {
					t.Errorf("subscriber %d: got %+v, %v, want event %d", s, got, err, want)
					return
				}
			}
		})
	}
	for i := range events {
		hub.Publish(numbered(i + 1))
	}
	failure := errors.New("failed")
	hub.Close(Result{Result: event.Result{Digest: "sha256:a"}}, failure)
	hub.Close(Result{}, nil)
	hub.Publish(numbered(0))
	group.Wait()
	if result, ok, err := hub.Result(); !ok || result.Digest != "sha256:a" || !errors.Is(err, failure) {
		t.Errorf("the result is %+v, %t, %v", result, ok, err)
	}
}

// TestHubDoesNotWaitForTheSlow checks that a subscriber that is too slow misses events and
// learns how many, while Publish continues.
func TestHubDoesNotWaitForTheSlow(t *testing.T) {
	hub := NewHub(4)
	slow := hub.Subscribe(0)
	for i := range 10 {
		hub.Publish(numbered(i + 1))
	}
	for want := uint64(7); want <= 10; want++ {
		got, err := slow.Next(t.Context())
		missed := uint64(0)
		if want == 7 {
			missed = 6
		}
		if err != nil || got.Sequence != want || got.Missed != missed || got.Message != fmt.Sprint(want) {
			t.Errorf("got %+v, %v, want event %d after %d missed ones", got, err, want, missed)
		}
	}
}

// TestHubSubscriptionEndsWithItsContext checks that a closed connection ends one
// subscription and nothing else.
func TestHubSubscriptionEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := NewHub(4)
		if _, ok, _ := hub.Result(); ok {
			t.Error("there is a result before the end")
		}
		ctx, leave := context.WithCancelCause(t.Context())
		gone := errors.New("the tab was closed")
		ended := make(chan error, 1)
		go func() {
			_, err := hub.Subscribe(1).Next(ctx)
			ended <- err
		}()
		synctest.Wait()
		leave(gone)
		if err := <-ended; !errors.Is(err, gone) {
			t.Errorf("it ends with %v", err)
		}
		hub.Publish(numbered(1))
		if got, err := hub.Subscribe(1).Next(t.Context()); err != nil || got.Message != "1" {
			t.Errorf("another one gets %+v, %v", got, err)
		}
	})
}

package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
)

// TestHeartbeat freezes a server twice.
func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var frozen atomic.Bool
		changes := beat(ctx, func(ctx context.Context) error {
			if !frozen.Load() {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		})
		for range 2 {
			time.Sleep(20 * time.Second)
			frozen.Store(true)
			start := time.Now()
			var silent *SilentError
			if err := <-changes; !errors.As(err, &silent) || err.Error() != fmt.Sprintf("the API server has not answered for %s", silent.For.Round(time.Second)) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			if took := time.Since(start); took > silence+heartbeat {
				t.Errorf("it takes %s to notice", took)
			}
			time.Sleep(time.Minute)
			frozen.Store(false)
			start = time.Now()
			if err := <-changes; err != nil || time.Since(start) > heartbeat+attempt {
				t.Errorf("got %v after %s", err, time.Since(start))
			}
		}
		cancel()
	})
}

// TestSlowServer refuses one request in two: that is no silence.
func TestSlowServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		changes := beat(ctx, func(context.Context) error {
			if n++; n%2 == 0 {
				return errors.New("connection refused")
			}
			return nil
		})
		select {
		case err := <-changes:
			t.Errorf("got %v", err)
		case <-time.After(time.Minute):
		}
		cancel()
	})
}

// TestRefusalIsAnAnswer asks a server that forbids the question.
func TestRefusalIsAnAnswer(t *testing.T) {
	asked := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path
		w.WriteHeader(http.StatusForbidden)
	}))
	defer server.Close()
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	changes := Heartbeat(ctx, client)
	for range 2 {
		select {
		case path := <-asked:
			if path != "/version" {
				t.Errorf("it asks for %s", path)
			}
		case err := <-changes:
			t.Fatalf("got %v", err)
		}
	}
	if Heartbeat(ctx, fake.NewClientset()) != nil {
		t.Error("a client without a connection has a heartbeat")
	}
}

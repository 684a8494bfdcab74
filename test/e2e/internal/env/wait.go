//go:build e2e

package env

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// Check stops the test on an error.
func Check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Eventually returns when try returns no error, and stops the test with the last
// error when that takes longer than SettleLimit.
func Eventually(t *testing.T, what string, try func(ctx context.Context) error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), pollEvery, SettleLimit, true, func(ctx context.Context) (bool, error) {
		last = try(ctx)
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("%s: %v: %v", what, err, last)
	}
}

// Get fetches a page of an app.
func Get(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %s", url, response.Status, body)
	}
	return string(body), err
}

// Serves waits until url answers with text.
func Serves(t *testing.T, url, text string) {
	t.Helper()
	Eventually(t, "wait for the answer "+text, func(ctx context.Context) error {
		body, err := Get(ctx, url)
		if err == nil && !strings.Contains(body, text) {
			err = fmt.Errorf("GET %s answers %s", url, body)
		}
		return err
	})
}

// KeepsServing requests url until the returned function is called, each time on a
// new connection as new users do. That function fails the test when a request was
// not answered.
func KeepsServing(t *testing.T, url string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	asked, failed := 0, []string{}
	done := make(chan struct{})
	pause := time.NewTicker(20 * time.Millisecond)
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			asked++
			if _, err := Get(context.WithoutCancel(ctx), url); err != nil {
				failed = append(failed, err.Error())
			}
			<-pause.C
		}
	}()
	return func() {
		t.Helper()
		// Pods that were replaced end after the rollout.
		<-time.After(2 * time.Second)
		cancel()
		<-done
		pause.Stop()
		if len(failed) > 0 || asked < 10 {
			t.Errorf("%d of %d requests were not answered, among them %q", len(failed), asked, failed[:min(len(failed), 3)])
		}
	}
}

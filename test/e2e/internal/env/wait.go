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
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: requestLimit}
	return get(ctx, &client, url)
}

// requestLimit bounds one request to an app.
const requestLimit = 10 * time.Second

func get(ctx context.Context, client *http.Client, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
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
	load := NewLoad(t, url, 1)
	return func() {
		t.Helper()
		// Pods that were replaced end after the rollout.
		<-time.After(2 * time.Second)
		load.Stop(t)
	}
}

//go:build e2e

package env

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"
)

const (
	// loadPause is how long a client of a Load waits between two requests.
	loadPause = 100 * time.Millisecond
	// maxFailures is how many failures of a Load are kept.
	maxFailures = 5
)

// Load is requests that clients send to an app without end, side by side.
type Load struct {
	stop    context.CancelFunc
	clients sync.WaitGroup

	mu            sync.Mutex
	asked, failed int
	failures      []string
}

// NewLoad sends requests to url from a number of clients, until Stop. Every second client, the
// first among them, opens a connection for each request, as new users do; the others keep theirs
// as far as the app does.
func NewLoad(t *testing.T, url string, clients int) *Load {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	load := &Load{stop: stop}
	for i := range clients {
		transport := &http.Transport{DisableKeepAlives: i%2 == 0}
		client := &http.Client{Transport: transport, Timeout: requestLimit}
		load.clients.Go(func() {
			defer transport.CloseIdleConnections()
			pause := time.NewTicker(loadPause)
			defer pause.Stop()
			for ctx.Err() == nil {
				// The last request is not cut off.
				load.ask(context.WithoutCancel(ctx), client, url)
				<-pause.C
			}
		})
	}
	return load
}

func (l *Load) ask(ctx context.Context, client *http.Client, url string) {
	start := time.Now()
	_, err := get(ctx, client, url)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	if err == nil {
		return
	}
	l.failed++
	if len(l.failures) < maxFailures {
		l.failures = append(l.failures, fmt.Sprintf("at %s after %s: %v", start.Format("15:04:05.000"), time.Since(start).Round(time.Millisecond), err))
	}
}

// Stop ends the requests. It fails the test when one of them was not answered, and returns how
// many there were.
func (l *Load) Stop(t *testing.T) int {
	t.Helper()
	l.stop()
	l.clients.Wait()
	if l.failed > 0 || l.asked < 10 {
		t.Errorf("%d of %d requests were not answered, among them %q", l.failed, l.asked, l.failures)
	}
	return l.asked
}

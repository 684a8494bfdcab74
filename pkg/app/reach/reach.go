// Package reach finds out where an app answers: at its URL, or else through a port-forward to
// one of its pods.
package reach

import (
	"context"
	"crypto/tls"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/watch"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
)

const (
	// Short is how long an address may take to answer in a list.
	Short = time.Second
	// Long is how long it may take if its user waits for it.
	Long = 3 * time.Second
	// retry is when an address is asked again that refuses: nodes learn of new pods late.
	retry = 100 * time.Millisecond
	// parallel is how many addresses are asked at once.
	parallel = 32
	// fresh is how long an answer counts.
	fresh = 30 * time.Second
)

// Prober asks addresses whether they answer, and keeps the answers for a while. It is safe for
// concurrent use.
type Prober struct {
	patience time.Duration

	mu      sync.Mutex
	answers map[string]answer
}

type answer struct {
	ok bool
	at time.Time
}

// NewProber returns a prober without answers. patience is how long an address may take.
func NewProber(patience time.Duration) *Prober {
	return &Prober{patience: patience, answers: map[string]answer{}}
}

// Answers reports whether something answers a GET of an address in time, whatever the status. It sends no credentials, and ignores who signed a certificate.
func (p *Prober) Answers(ctx context.Context, address string) bool {
	p.mu.Lock()
	known, ok := p.answers[address]
	p.mu.Unlock()
	if ok && time.Since(known.at) < fresh {
		return known.ok
	}
	answers := p.ask(ctx, address)
	if ctx.Err() == nil {
		p.mu.Lock()
		p.answers[address] = answer{answers, time.Now()}
		p.mu.Unlock()
	}
	return answers
}

// ask asks an address until it answers, or too much time has passed.
func (p *Prober) ask(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, p.patience)
	defer cancel()
	for !get(ctx, address) {
		if !watch.WaitFor(ctx, nil, retry) {
			return false
		}
	}
	return true
}

func get(ctx context.Context, address string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // only whether it answers counts
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return true
}

// Mark sets Reach of the apps that have no URL which answers.
func (p *Prober) Mark(ctx context.Context, apps []status.App) {
	group := errgroup.Group{}
	group.SetLimit(parallel)
	for i := range apps {
		group.Go(func() error {
			if one := &apps[i]; one.Desired > 0 && (one.URL == "" || !p.Answers(ctx, one.URL)) {
				one.Reach = Command(one.Namespace, one.Name)
			}
			return nil
		})
	}
	_ = group.Wait()
}

// Command returns the command that opens an app through a port-forward.
func Command(namespace, app string) string {
	return display.QuoteCommand("kubectl", "pyflow", "open", app, "--namespace", namespace)
}

package live

import (
	"context"
	"sync"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/watch"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
)

// platformTimeout bounds one reading of the platform.
const platformTimeout = time.Minute

// Platform is the platform as it was read last.
type Platform struct {
	// Report is nil until it has been read once.
	Report *status.Report
	// Whole reports that Report has the namespaces of the scope.
	Whole bool
	// Read is when it was read.
	Read time.Time
	// Reading reports that it is being read again.
	Reading bool
	// Err is why the last reading failed.
	Err error
}

// platformReader reads the platform when it is asked to. Nothing watches it: it has many
// parts, and few of them change.
type platformReader struct {
	read   func(ctx context.Context, whole bool) (*status.Report, error)
	signal *watch.Signal
	state  Platform
	// next and nextWhole are the reading that was asked for during another one.
	next, nextWhole bool
}

// Platform returns what was read last.
func (c *Cluster) Platform() (p Platform) {
	c.platform.signal.Read(func() { p = c.platform.state })
	return p
}

// PlatformChanged returns a channel that is closed when Platform may return something else.
func (c *Cluster) PlatformChanged() <-chan struct{} { return c.platform.signal.Changed() }

// ReadPlatform reads the platform in the background, unless what is known is not older than
// age. whole includes the namespaces of the scope.
func (c *Cluster) ReadPlatform(whole bool, age time.Duration) {
	c.platform.refresh(c.followers.ctx, &c.followers.group, whole, age)
}

func (p *platformReader) refresh(ctx context.Context, group *sync.WaitGroup, whole bool, age time.Duration) {
	start := false
	p.signal.Update(func() {
		known := p.state.Report != nil && time.Since(p.state.Read) < age && (p.state.Whole || !whole)
		switch {
		case known:
		case p.state.Reading && age == 0:
			// What is at work may have read before the change that the user wants to see.
			p.next, p.nextWhole = true, p.nextWhole || whole
		case !p.state.Reading:
			p.state.Reading, start = true, true
		}
	})
	if start {
		group.Go(func() { p.work(ctx, whole) })
	}
}

func (p *platformReader) work(ctx context.Context, whole bool) {
	for again := true; again; {
		reading, stop := context.WithTimeout(ctx, platformTimeout)
		report, err := p.read(reading, whole)
		stop()
		p.signal.Update(func() {
			if err == nil {
				p.state.Report, p.state.Read, p.state.Whole = report, time.Now(), whole
			}
			again = p.next && ctx.Err() == nil
			whole = p.nextWhole
			p.state.Err, p.state.Reading, p.next, p.nextWhole = err, again, false, false
		})
	}
}

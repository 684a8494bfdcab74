package live

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/podlog"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/watch"
)

// linger is how long a run or an app is followed after its last viewer has gone: a reload of
// the page, or a look at another page, does not read the log again.
const linger = 30 * time.Second

// followers follow each run and each app once, however many look at it.
type followers struct {
	ctx     context.Context
	clients *kube.Clients
	logs    podlog.Source
	group   sync.WaitGroup
	count   atomic.Int64

	runs     shared[*Follower]
	apps     shared[*AppFollower]
	releases shared[*ReleaseFollower]
}

func (s *followers) init(ctx context.Context, clients *kube.Clients) {
	s.ctx, s.clients, s.logs = ctx, clients, podlog.From(clients.Kube)
}

// id returns what tells one following from any other.
func (s *followers) id() string { return fmt.Sprint(s.count.Add(1)) }

// Follow returns the follower of a run, which exists or not. The caller calls done when it
// looks at it no longer.
func (c *Cluster) Follow(namespace, name string) (f *Follower, done func()) {
	s := &c.followers
	return s.runs.take(namespace+"/"+name, func() (*Follower, context.CancelFunc) {
		ctx, stop := context.WithCancel(s.ctx)
		f := &Follower{ID: s.id(), signal: watch.New()}
		s.group.Go(func() { f.follow(ctx, s.clients, namespace, name) })
		return f, stop
	})
}

// FollowApp returns the follower of an app, which is deployed or not. Its log is that of one pod,
// or of all replicas if pod is empty. The caller calls done when it looks at it no longer.
func (c *Cluster) FollowApp(namespace, name, pod string) (f *AppFollower, done func()) {
	s := &c.followers
	return s.apps.take(namespace+"/"+name+"/"+pod, func() (*AppFollower, context.CancelFunc) {
		ctx, stop := context.WithCancel(s.ctx)
		f := newAppFollower(s.id(), s.clients.Kube, s.logs, namespace, pod)
		s.group.Go(func() {
			f.Follow(ctx, func() ([]string, <-chan struct{}) {
				changed := c.Changed()
				app, _ := c.App(namespace, name)
				return app.Workloads, changed
			})
		})
		return f, stop
	})
}

// shared keeps what follows something as long as a page shows it, and for a while after.
type shared[T any] struct {
	mu    sync.Mutex
	byKey map[string]*entry[T]
}

type entry[T any] struct {
	value   T
	stop    context.CancelFunc
	viewers int
	expires *time.Timer
}

// take returns the value of a key, which start makes if nobody has it. The caller calls done
// when it looks at it no longer.
func (s *shared[T]) take(key string, start func() (T, context.CancelFunc)) (value T, done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.byKey[key]
	if one == nil {
		one = &entry[T]{}
		one.value, one.stop = start()
		if s.byKey == nil {
			s.byKey = map[string]*entry[T]{}
		}
		s.byKey[key] = one
	}
	if one.expires != nil {
		one.expires.Stop()
	}
	one.viewers++
	return one.value, sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if one.viewers--; one.viewers == 0 {
			one.expires = time.AfterFunc(linger, func() { s.expire(key, one) })
		}
	})
}

// expire ends what nobody looks at.
func (s *shared[T]) expire(key string, one *entry[T]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one.viewers == 0 && s.byKey[key] == one {
		one.stop()
		delete(s.byKey, key)
	}
}

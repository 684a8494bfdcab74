// Package watch keeps copies of objects up to date with informers, and signals every change.
package watch

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/cache"
)

// Signal signals the changes of informers, and of the state that their owner keeps beside
// them. Its methods are safe for concurrent use.
type Signal struct {
	mu   sync.Mutex
	wake chan struct{}
}

// New returns a Signal without informers.
func New() *Signal { return &Signal{wake: make(chan struct{})} }

// Changed returns a channel that is closed at the next change. Get it before you read the
// state, so that you miss no change.
func (s *Signal) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wake
}

// Update calls change, which may be nil, to change the state of the owner. Then it signals a
// change.
func (s *Signal) Update(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if change != nil {
		change()
	}
	close(s.wake)
	s.wake = make(chan struct{})
}

// Read calls read to read the state that Update changes.
func (s *Signal) Read(read func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	read()
}

// Watch runs an informer, which must not have run before, until ctx ends. group waits for its
// goroutines. The informer lists again when a watch has expired, so a reader that reads its
// store after every change sees the last state. Watch reports to failed each error that is
// not the normal end of a watch; the informer retries in any case.
func (s *Signal) Watch(ctx context.Context, group *sync.WaitGroup, informer cache.SharedIndexInformer, failed func(error)) {
	touch := func(any) { s.Update(nil) }
	// Both fail only for an informer that runs or has stopped.
	_ = informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
		if !ends(err) {
			failed(err)
		}
	})
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    touch,
		UpdateFunc: func(_, object any) { touch(object) },
		DeleteFunc: touch,
	})
	group.Go(func() { informer.RunWithContext(ctx) })
	group.Go(func() {
		// A handler is not called for an empty list.
		cache.WaitForCacheSync(ctx.Done(), informer.HasSynced)
		s.Update(nil)
	})
}

// Wait waits for a change. It reports false if ctx ended.
func Wait(ctx context.Context, changed <-chan struct{}) bool {
	select {
	case <-changed:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// WaitFor waits for a change, at most for d; changed may be nil. It reports false if ctx
// ended.
func WaitFor(ctx context.Context, changed <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// ends reports whether an error is the normal end of a watch.
func ends(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		apierrors.IsResourceExpired(err) || apierrors.IsGone(err)
}

// Get returns the object with a key (NAMESPACE/NAME, or NAME), or nil. Do not change it.
func Get[T any](informer cache.SharedIndexInformer, key string) *T {
	object, exists, err := informer.GetStore().GetByKey(key)
	if err != nil || !exists {
		return nil
	}
	result, _ := object.(*T)
	return result
}

// List returns all objects of an informer, in no order. Do not change them.
func List[T any](informer cache.SharedIndexInformer) []*T {
	var all []*T
	for _, object := range informer.GetStore().List() {
		if t, ok := object.(*T); ok {
			all = append(all, t)
		}
	}
	return all
}

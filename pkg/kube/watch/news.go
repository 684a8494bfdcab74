// Package news keeps watched objects up to date, and wakes whoever waits for a
// change of them.
package watch

import (
	"context"
	"errors"
	"io"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/cache"
)

// News is of any number of informers, and of what their owner knows beside them. Its
// methods may be called at any time, from any goroutine.
type News struct {
	mu   sync.Mutex
	wake chan struct{}
}

// New has no informers yet.
func New() *News { return &News{wake: make(chan struct{})} }

// Changed is closed at the next change. Ask for it before looking at the state, to
// miss none.
func (n *News) Changed() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.wake
}

// Change changes what the owner knows, if change is not nil, and wakes all who wait.
func (n *News) Change(change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if change != nil {
		change()
	}
	close(n.wake)
	n.wake = make(chan struct{})
}

// Read reads what Change changes.
func (n *News) Read(read func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	read()
}

// Watch runs an informer, which has not run before, until ctx ends; group waits for
// all that this starts. The informer lists again where a watch has expired, so that
// reading its store after every change misses no last state. failed hears of every
// error of its watch that is not a normal end of one; each is tried again in any case.
func (n *News) Watch(ctx context.Context, group *sync.WaitGroup, informer cache.SharedIndexInformer, failed func(error)) {
	touch := func(any) { n.Change(nil) }
	// Both fail only once the informer runs or has been stopped.
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
		// An empty list changes nothing that a handler would hear of.
		cache.WaitForCacheSync(ctx.Done(), informer.HasSynced)
		n.Change(nil)
	})
}

// ends says that an error belongs to the life of a watch.
func ends(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		apierrors.IsResourceExpired(err) || apierrors.IsGone(err)
}

// Get returns the object of a key (NAMESPACE/NAME, or NAME), to be read only; nil if
// there is none.
func Get[T any](informer cache.SharedIndexInformer, key string) *T {
	object, exists, err := informer.GetStore().GetByKey(key)
	if err != nil || !exists {
		return nil
	}
	result, _ := object.(*T)
	return result
}

// List returns all objects of an informer, in no order, to be read only.
func List[T any](informer cache.SharedIndexInformer) []*T {
	var all []*T
	for _, object := range informer.GetStore().List() {
		if t, ok := object.(*T); ok {
			all = append(all, t)
		}
	}
	return all
}

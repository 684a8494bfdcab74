package build

import (
	"context"
	"errors"
	"sync"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
)

// ErrClosed ends a subscription after its last event.
var ErrClosed = errors.New("the build has ended")

// Hub passes the events of one run to any number of subscribers. It keeps the newest
// events, so that a subscriber can come late or come back. Publish never waits for a
// subscriber. All methods may be called from any goroutine.
type Hub struct {
	mu sync.Mutex
	// ring has the newest events: the event with sequence number n is at n % len(ring).
	ring []event.Event
	// next is the sequence number of the next event; the first event has 1.
	next   uint64
	wake   chan struct{}
	closed bool
	result Result
	err    error
}

// NewHub returns a hub that keeps the newest size events; size is at least 1.
func NewHub(size int) *Hub {
	return &Hub{ring: make([]event.Event, max(size, 1)), next: 1, wake: make(chan struct{})}
}

// Publish appends an event. It does nothing after Close.
func (h *Hub) Publish(e event.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.ring[h.next%uint64(len(h.ring))] = e
	h.next++
	h.signal()
}

// Close ends the events with the result of the build. A second call does nothing.
func (h *Hub) Close(result Result, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.closed, h.result, h.err = true, result, err
	h.signal()
}

// Result returns the result of the build and its error. ok is false before Close.
func (h *Hub) Result() (result Result, ok bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.result, h.closed, h.err
}

// signal wakes all subscribers that wait.
func (h *Hub) signal() {
	close(h.wake)
	h.wake = make(chan struct{})
}

// Subscribe returns a subscription that starts with the event of a sequence number; 0
// and 1 are the first event.
func (h *Hub) Subscribe(from uint64) *Subscription {
	return &Subscription{hub: h, next: max(from, 1)}
}

// Subscription reads the events of a Hub, in one goroutine. It needs no end.
type Subscription struct {
	hub  *Hub
	next uint64
}

// Numbered is an event with its sequence number. The numbers of a hub have no gaps.
type Numbered struct {
	Sequence uint64
	// Missed is how many events before this one the subscriber was too slow to get.
	Missed uint64
	event.Event
}

// Next returns the next event, and waits for it. Its error is ErrClosed after the last
// event, or the cause of ctx.
func (s *Subscription) Next(ctx context.Context) (Numbered, error) {
	for {
		numbered, wake, err := s.take()
		if wake == nil {
			return numbered, err
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return Numbered{}, context.Cause(ctx)
		}
	}
}

// take returns the next event if there is one, else what wakes up when there is.
func (s *Subscription) take() (Numbered, <-chan struct{}, error) {
	h := s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case s.next >= h.next && h.closed:
		return Numbered{}, nil, ErrClosed
	case s.next >= h.next:
		return Numbered{}, h.wake, nil
	}
	numbered := Numbered{Sequence: s.next}
	if size := uint64(len(h.ring)); h.next > size && s.next < h.next-size {
		numbered.Sequence = h.next - size
		numbered.Missed = numbered.Sequence - s.next
	}
	numbered.Event = h.ring[numbered.Sequence%uint64(len(h.ring))]
	s.next = numbered.Sequence + 1
	return numbered, nil, nil
}

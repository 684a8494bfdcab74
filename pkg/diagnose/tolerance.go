package diagnose

import (
	"math"
	"time"
)

// Forever is the limit of a problem that may pass at any time.
const Forever = time.Duration(math.MaxInt64)

// pullAttempts is the number of failed pulls after which a pull is given up, if another
// attempt is not expected to succeed.
const pullAttempts = 2

// Tolerance decides how long to wait for problems to pass. It remembers when it saw each
// problem first. Its methods are not for concurrent use.
type Tolerance struct {
	since map[key]time.Time
	pulls map[key]int // the failed pulls seen
	last  map[key]string
}

// key identifies a problem for as long as it lasts: its message may vary.
type key struct{ pod, container, reason string }

// NewTolerance returns a Tolerance that has seen no problem.
func NewTolerance() *Tolerance {
	return &Tolerance{since: map[key]time.Time{}, pulls: map[key]int{}, last: map[key]string{}}
}

// Exceeded reports whether waiting for p to pass cannot help any more. If it still can,
// again is the time at which to ask again, or zero if waiting may help for ever. The caller
// must report every problem that it sees. Two failed pulls exceed the tolerance at once,
// unless the cause is known to pass.
func (t *Tolerance) Exceeded(p Problem, now time.Time) (exceeded bool, again time.Time) {
	key := key{pod: p.Pod, container: p.Container, reason: p.Reason}
	pull := p.Reason == errImagePull || p.Reason == imagePullBackOff
	if pull {
		key.reason = "pull" // the two reasons alternate
		if p.Reason == errImagePull && t.last[key] != p.Reason {
			t.pulls[key]++
		}
		t.last[key] = p.Reason
	}
	since, known := t.since[key]
	if !known {
		since = now
		t.since[key] = now
	}
	limit := p.Limit()
	switch {
	case limit == Forever:
		return false, time.Time{}
	case pull && t.pulls[key] >= pullAttempts && !OfPull(p.Message).Passes():
		return true, time.Time{}
	}
	return now.Sub(since) >= limit, since.Add(limit)
}

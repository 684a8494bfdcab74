package diagnose

import "time"

// History remembers since when there is which trouble.
type History struct {
	since map[key]time.Time
	pulls map[key]int // failed pulls that were seen
	last  map[key]string
}

// key is a trouble as long as it lasts: messages vary.
type key struct{ pod, container, reason string }

// NewHistory begins one.
func NewHistory() *History {
	return &History{since: map[key]time.Time{}, pulls: map[key]int{}, last: map[key]string{}}
}

// Judge says whether waiting can not help any more, and otherwise when that has
// to be asked again: never, when it is zero. It has to be told of every trouble
// that is seen. A pull that failed twice for a reason that does not pass is
// hopeless, however soon that came.
func (h *History) Judge(t Trouble, now time.Time) (hopeless bool, again time.Time) {
	key := key{pod: t.Pod, container: t.Container, reason: t.Reason}
	pull := t.Reason == "ErrImagePull" || t.Reason == "ImagePullBackOff"
	if pull {
		key.reason = "pull" // they take turns
		if t.Reason == "ErrImagePull" && h.last[key] != t.Reason {
			h.pulls[key]++
		}
		h.last[key] = t.Reason
	}
	since, known := h.since[key]
	if !known {
		since = now
		h.since[key] = now
	}
	limit := Patience(t)
	if limit == Forever {
		return false, time.Time{}
	}
	if pull && h.pulls[key] >= 2 && !OfPull(t.Message).Passes() {
		return true, time.Time{}
	}
	return now.Sub(since) >= limit, since.Add(limit)
}

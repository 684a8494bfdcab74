package follow

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/diagnose"
)

const (
	// maxLine bounds the memory that one line takes; what is longer is cut.
	maxLine = 4 << 20
	// drain is how long the log of a container that has exited may be silent
	// before its connection is taken for dead.
	drain = 5 * time.Second
	// attempts bounds how often the log of a container that has exited is asked
	// for in vain.
	attempts         = 5
	firstRetry       = 200 * time.Millisecond
	longestRetry     = 5 * time.Second
	failuresToReport = 3
)

// log tells the log of a container that has started, to its very end.
//
// A stream that ends proves nothing: the API server, a proxy or the kubelet may
// have let go. So the log is complete only when a stream that was opened after
// the container had exited came to its end; any other is resumed.
func (f *follower) log(ctx context.Context, t target, container string) error { //nolint:gocognit // one loop over the ways in which a log ends
	step := strings.TrimPrefix(container, stepPrefix)
	warn := func(text string) error {
		return f.emit(ctx, Event{Kind: Warning, Task: t.task, Step: step, Text: text})
	}
	tell := func(l line) error {
		if found, ok := diagnose.InText(f.namespace, l.text); ok {
			f.delays.refused = &found
		}
		return f.emit(ctx, Event{Kind: Log, Task: t.task, Step: step, Time: l.time, Text: l.text})
	}
	position := newPosition()
	var unfinished *line
	for failures := 0; ; {
		exited := f.exited(t, container)
		rest, progress, err := f.stream(ctx, t, container, exited, position, tell)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if progress {
			failures = 0
		}
		if progress || rest != nil {
			unfinished = rest
		}
		gone := apierrors.IsNotFound(err)
		if gone && !f.exited(t, container) {
			// The API knew before the watch did.
			gone = false
		}
		complete := exited && err == nil
		if complete || gone {
			if unfinished != nil {
				if err := tell(*unfinished); err != nil {
					return err
				}
			}
			if gone {
				return warn(fmt.Sprintf("the pod %s is gone, and what is left of its log with it", t.pod))
			}
			return nil
		}
		if apierrors.IsForbidden(err) {
			return warn(fmt.Sprintf("the log cannot be read: %v", err))
		}
		if err != nil {
			failures++
		}
		if exited && failures >= attempts {
			return warn(fmt.Sprintf("the rest of the log cannot be read: %v", err))
		}
		if failures == failuresToReport {
			if err := warn(fmt.Sprintf("the log is interrupted, trying again: %v", err)); err != nil {
				return err
			}
		}
		if err := f.untilRetry(ctx, t, container, exited, failures); err != nil {
			return err
		}
	}
}

// untilRetry waits before a log is asked for again: longer after every failure,
// and no longer than the container runs.
func (f *follower) untilRetry(ctx context.Context, t target, container string, exited bool, failures int) error {
	timer := time.NewTimer(min(firstRetry<<failures, longestRetry))
	defer timer.Stop()
	for {
		changed := f.watches.changed()
		if !exited && f.exited(t, container) {
			return nil
		}
		select {
		case <-changed:
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// stream tells one stream of a log from position on. It returns the last line
// if that came without a line break and was not emitted; whether a line was emitted; and
// how the stream ended, nil being its end.
func (f *follower) stream(ctx context.Context, t target, container string, exited bool, position *position, tell func(line) error) (*line, bool, error) { //nolint:gocognit // one loop over the ways in which a stream ends
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	options := &corev1.PodLogOptions{Container: container, Follow: !exited, Timestamps: true, SinceTime: position.resume()}
	body, err := f.clients.Logs.Open(ctx, f.namespace, t.pod, options)
	if err != nil {
		return nil, false, fmt.Errorf("open log of %s: %w", container, err)
	}
	// Closing frees a reader that blocks, whatever the body makes of its context.
	defer func() { _ = body.Close() }()
	lines := make(chan chunk)
	go readLines(ctx, body, lines)

	progress := false
	var quiet <-chan time.Time
	for {
		changed := f.watches.changed()
		if f.exited(t, container) {
			quiet = time.After(drain)
		}
		for changed != nil {
			select {
			case c := <-lines:
				if c.err != nil {
					var rest *line
					if c.text != "" && position.isNew(c.line) {
						rest = &c.line
					}
					if errors.Is(c.err, io.EOF) {
						c.err = nil
					}
					return rest, progress, c.err
				}
				if position.isNew(c.line) {
					progress = true
					if err := tell(c.line); err != nil {
						return nil, progress, err
					}
					position.advance(c.line)
				}
				if quiet != nil {
					quiet = time.After(drain)
				}
			case <-quiet:
				return nil, progress, errors.New("the connection is silent")
			case <-changed:
				changed = nil
			case <-ctx.Done():
				return nil, progress, ctx.Err()
			}
		}
	}
}

// line is one line of a log without its line break.
type line struct {
	time time.Time
	text string
}

// chunk is a line, or with err the unfinished rest before it.
type chunk struct {
	line
	err error
}

// readLines sends every line of r, and at last an error.
func readLines(ctx context.Context, r io.Reader, out chan<- chunk) {
	reader := bufio.NewReaderSize(r, 64<<10)
	for {
		text, err := readLine(reader)
		c := chunk{line: parseLine(text), err: err}
		select {
		case out <- c:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// readLine reads up to the next line break. What is longer than maxLine is cut,
// and says so; with an error comes what was read before it.
func readLine(reader *bufio.Reader) (string, error) {
	var text []byte
	cut := 0
	for {
		part, err := reader.ReadSlice('\n')
		keep := min(len(part), max(0, maxLine-len(text)))
		text = append(text, part[:keep]...)
		cut += len(part) - keep
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		text = bytes.TrimRight(text, "\r\n")
		if cut > 0 {
			return fmt.Sprintf("%s… (%d bytes more)", text, cut), err
		}
		return string(text), err
	}
}

// parseLine splits off the timestamp that the kubelet puts before every line. A
// line without one is the kubelet's own.
func parseLine(text string) line {
	stamp, rest, _ := strings.Cut(text, " ")
	if at, err := time.Parse(time.RFC3339Nano, stamp); err == nil {
		return line{time: at, text: rest}
	}
	return line{text: text}
}

// swap is how far apart the stamps of standard output and error may be when they
// swap places: the runtime stamps each line before it writes it.
const swap = 100 * time.Millisecond

// position is where in a log we are. A log can be asked for from a whole second
// on only, so a new stream repeats lines. Those that are older than what may
// still swap places were emitted; the others are remembered, so memory depends on
// what is written in two tenths of a second.
type position struct {
	// at is when the span of the newest line emitted begins; spans are swap long.
	at time.Time
	// seen are the emitted lines of that span, before those of the one before it.
	seen, before map[lineKey]int
	// skip are those of them that the stream has yet to repeat; repeating says
	// that nothing else than repeated lines has come of it.
	skip      map[lineKey]int
	repeating bool
	seed      maphash.Seed
}

type lineKey struct {
	nanoseconds int64
	text        uint64
}

func newPosition() *position {
	return &position{seen: map[lineKey]int{}, before: map[lineKey]int{}, seed: maphash.MakeSeed()}
}

// resume begins a new stream: it returns the time from which to ask for it, nil
// for the beginning.
func (p *position) resume() *metav1.Time {
	p.skip = maps.Clone(p.before)
	for key, count := range p.seen {
		p.skip[key] += count
	}
	if p.at.IsZero() {
		return nil
	}
	p.repeating = true
	return &metav1.Time{Time: p.at.Truncate(time.Second)}
}

func (p *position) key(l line) lineKey {
	key := lineKey{text: maphash.String(p.seed, l.text)}
	if !l.time.IsZero() {
		key.nanoseconds = l.time.UnixNano()
	}
	return key
}

// isNew reports whether a line of the stream was not emitted before. Ask once per line.
func (p *position) isNew(l line) bool {
	if key := p.key(l); p.skip[key] > 0 {
		p.skip[key]--
		return false
	}
	if p.repeating && !l.time.IsZero() && l.time.Before(p.at.Add(-swap)) {
		return false
	}
	p.repeating = false
	return true
}

// advance remembers a line that was emitted.
func (p *position) advance(l line) {
	at := l.time.Truncate(swap)
	switch {
	case l.time.IsZero() || at.Equal(p.at):
		p.seen[p.key(l)]++
	case at.After(p.at):
		p.before = map[lineKey]int{}
		if at.Sub(p.at) == swap {
			p.before = p.seen
		}
		p.at, p.seen = at, map[lineKey]int{p.key(l): 1}
	case at.Equal(p.at.Add(-swap)):
		p.before[p.key(l)]++
	}
}

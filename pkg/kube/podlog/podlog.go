// Package podlog reads the log of a container as it is written: each line once and whole,
// also if connections break and containers restart.
package podlog

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
	"k8s.io/client-go/kubernetes"
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

// Source opens the log of one container of a pod, as the API's pods/log does.
type Source interface {
	Open(ctx context.Context, namespace, pod string, options *corev1.PodLogOptions) (io.ReadCloser, error)
}

// From returns the source that asks the API server.
func From(client kubernetes.Interface) Source { return api{client} }

type api struct{ client kubernetes.Interface }

func (a api) Open(ctx context.Context, namespace, pod string, options *corev1.PodLogOptions) (io.ReadCloser, error) {
	return a.client.CoreV1().Pods(namespace).GetLogs(pod, options).Stream(ctx)
}

// Line is one line of a log without its line break.
type Line struct {
	// Time is when it was written; zero for a line of the kubelet's own.
	Time time.Time
	Text string
}

// ErrGone reports that the pod is deleted, and its log with it.
var ErrGone = errors.New("the pod is gone")

// InterruptedError reports that the rest of the log of a container that has exited cannot be
// read.
type InterruptedError struct{ Err error }

func (e *InterruptedError) Error() string {
	return fmt.Sprintf("the rest of the log cannot be read: %v", e.Err)
}

// Unwrap returns the last failure.
func (e *InterruptedError) Unwrap() error { return e.Err }

// Instance is what the caller knows of one instance of the container: a restart makes the
// next.
type Instance struct {
	// Exited reports whether the instance will write nothing more.
	Exited func() bool
	// Restarted reports whether the next instance has started; nil is never.
	Restarted func() bool
	// Changed returns a channel that is closed when one of them may return something else.
	Changed func() <-chan struct{}
	// Line takes each line, in order. Its error ends Read.
	Line func(Line) error
	// Failing is called when the log cannot be read for a while, and will be tried again;
	// nil is ignored. Its error ends Read.
	Failing func(error) error
}

// Reader reads the log of one container, of one instance after the other. It is for one
// goroutine.
type Reader struct {
	source                    Source
	namespace, pod, container string
	tail                      int64
	since                     *metav1.Time
	position                  *position
}

// NewReader returns a reader of a container. With a positive tail it starts with that many
// of the last lines of the first instance, else with the first line.
func NewReader(source Source, namespace, pod, container string, tail int64) *Reader {
	return &Reader{source: source, namespace: namespace, pod: pod, container: container, tail: tail, position: newPosition()}
}

// Since makes the reader start with the second of that time. Call it before Read.
func (r *Reader) Since(start time.Time) { r.since = &metav1.Time{Time: start.Truncate(time.Second)} }

// Read reads the log of one instance from where the reader is to its very end. It returns nil
// when the log is complete, ErrGone, an *InterruptedError, an error of the API server that
// the user may not read the log, the error of a function of instance, or that of ctx.
//
// A stream that ends proves nothing: the API server, a proxy or the kubelet may
// have let go. So the log is complete only when a stream that was opened after
// the container had exited came to its end; any other is resumed.
func (r *Reader) Read(ctx context.Context, instance Instance) error { //nolint:gocognit // one loop over the ways in which a log ends
	var unfinished *Line
	for failures := 0; ; {
		exited := instance.Exited()
		rest, progress, err := r.stream(ctx, instance, exited)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if refused := (*refusedError)(nil); errors.As(err, &refused) {
			return refused.error
		}
		if progress {
			failures = 0
		}
		if progress || rest != nil {
			unfinished = rest
		}
		gone := apierrors.IsNotFound(err)
		if gone && !instance.Exited() {
			// The API knew before the watch did.
			gone = false
		}
		complete := exited && err == nil
		if complete || gone {
			if unfinished != nil {
				if err := instance.Line(*unfinished); err != nil {
					return err
				}
				r.position.advance(*unfinished)
			}
			if gone {
				return ErrGone
			}
			return nil
		}
		if apierrors.IsForbidden(err) {
			return err
		}
		if err != nil {
			failures++
		}
		if exited && failures >= attempts {
			return &InterruptedError{err}
		}
		if failures == failuresToReport && instance.Failing != nil {
			if err := instance.Failing(err); err != nil {
				return err
			}
		}
		if err := untilRetry(ctx, instance, exited, failures); err != nil {
			return err
		}
	}
}

// refusedError is an error of Instance.Line.
type refusedError struct{ error }

// untilRetry waits before a log is asked for again: longer after every failure,
// and no longer than the container runs.
func untilRetry(ctx context.Context, instance Instance, exited bool, failures int) error {
	timer := time.NewTimer(min(firstRetry<<failures, longestRetry))
	defer timer.Stop()
	for {
		changed := instance.Changed()
		if !exited && instance.Exited() {
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

// stream reads one stream of the log from where the reader is. It returns the last line
// if that came without a line break and was not passed on; whether a line was; and
// how the stream ended, nil being its end.
func (r *Reader) stream(ctx context.Context, instance Instance, exited bool) (*Line, bool, error) { //nolint:gocognit // one loop over the ways in which a stream ends
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	options := &corev1.PodLogOptions{Container: r.container, Follow: !exited, Timestamps: true, SinceTime: r.position.resume()}
	options.Previous = exited && instance.Restarted != nil && instance.Restarted()
	if options.SinceTime == nil {
		options.SinceTime = r.since
		if r.tail > 0 {
			options.TailLines = &r.tail
		}
	}
	body, err := r.source.Open(ctx, r.namespace, r.pod, options)
	if err != nil {
		return nil, false, fmt.Errorf("open log of %s: %w", r.container, err)
	}
	// Closing frees a reader that blocks, whatever the body makes of its context.
	defer func() { _ = body.Close() }()
	lines := make(chan chunk)
	go readLines(ctx, body, lines)

	progress := false
	var quiet <-chan time.Time
	for {
		changed := instance.Changed()
		if instance.Exited() {
			quiet = time.After(drain)
		}
		for changed != nil {
			select {
			case c := <-lines:
				if c.err != nil {
					var rest *Line
					if c.Text != "" && r.position.isNew(c.Line) {
						rest = &c.Line
					}
					if errors.Is(c.err, io.EOF) {
						c.err = nil
					}
					return rest, progress, c.err
				}
				if r.position.isNew(c.Line) {
					progress = true
					if err := instance.Line(c.Line); err != nil {
						return nil, progress, &refusedError{err}
					}
					r.position.advance(c.Line)
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

// chunk is a line, or with err the unfinished rest before it.
type chunk struct {
	Line
	err error
}

// readLines sends every line of r, and at last an error.
func readLines(ctx context.Context, r io.Reader, out chan<- chunk) {
	reader := bufio.NewReaderSize(r, 64<<10)
	for {
		text, err := readLine(reader)
		c := chunk{Line: parseLine(text), err: err}
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
func parseLine(text string) Line {
	stamp, rest, _ := strings.Cut(text, " ")
	if at, err := time.Parse(time.RFC3339Nano, stamp); err == nil {
		return Line{Time: at, Text: rest}
	}
	return Line{Text: text}
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

func (p *position) key(l Line) lineKey {
	key := lineKey{text: maphash.String(p.seed, l.Text)}
	if !l.Time.IsZero() {
		key.nanoseconds = l.Time.UnixNano()
	}
	return key
}

// isNew reports whether a line of the stream was not emitted before. Ask once per line.
func (p *position) isNew(l Line) bool {
	if key := p.key(l); p.skip[key] > 0 {
		p.skip[key]--
		return false
	}
	if p.repeating && !l.Time.IsZero() && l.Time.Before(p.at.Add(-swap)) {
		return false
	}
	p.repeating = false
	return true
}

// advance remembers a line that was emitted.
func (p *position) advance(l Line) {
	at := l.Time.Truncate(swap)
	switch {
	case l.Time.IsZero() || at.Equal(p.at):
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

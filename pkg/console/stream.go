package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/console/live"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/console/view"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/watch"
)

const (
	// frameRate is the shortest time between two versions of a view, and firstFrameRate between
	// the first two: what a view has at first is soon more.
	frameRate      = 200 * time.Millisecond
	firstFrameRate = 25 * time.Millisecond
	// heartbeat is the longest time without a word, so that the browser knows a dead
	// connection from an idle one.
	heartbeat = 15 * time.Second
	// batch is how many lines of a log go into one message.
	batch = 2000
)

// page is a view of one tab, as long as the tab shows it.
type page struct {
	// render returns the view as the cluster is now.
	render func(context.Context) (view.Page, error)
	// changed returns a channel that is closed when render may return something else, besides
	// the runs and apps of the cluster; nil if it depends on nothing else.
	changed func() <-chan struct{}
	// log is streamed beside the view; nil if there is none. logID tells it from another
	// that has lines of the same numbers.
	log   *live.Log
	logID string
	// close ends the page; may be nil.
	close func()
}

// frame is a view as the browser gets it.
type frame struct {
	Title   string `json:"title"`
	Section string `json:"section"`
	HTML    string `json:"html"`
	// Unreachable is why the API server does not answer; empty if it does.
	Unreachable string `json:"unreachable,omitempty"`
}

// lines are lines of a log as the browser gets them.
type lines struct {
	// First is the number of the first line.
	First uint64 `json:"first"`
	// Lines are [source, text, kind].
	Lines [][3]any `json:"lines"`
}

// stream sends a page as server-sent events: "view" with each version, "log" with lines of
// its log, and "reset" before a log that starts again. The id of an event says how far the
// log is, and Last-Event-ID continues there.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, p *page) {
	if p.close != nil {
		defer p.close()
	}
	w.Header().Set("Content-Type", "text/event-stream")
	out := &events{w: w, flusher: http.NewResponseController(w)}
	next := resume(r.Header.Get("Last-Event-ID"), p.logID)
	if p.log != nil && next == 0 {
		out.send("reset", "", struct{}{})
	}
	last := ""
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	ctx := r.Context()
	rate := firstFrameRate
	for out.err == nil && ctx.Err() == nil {
		cluster := s.cluster.Changed()
		var changed <-chan struct{}
		if p.changed != nil {
			changed = p.changed()
		}
		started := time.Now()
		if sent := s.version(ctx, p); sent != last && ctx.Err() == nil {
			out.raw("view", "", sent)
			last = sent
		}
		next = p.sendLog(out, next)
		if !news(ctx, out, changed, cluster, beat.C) {
			return
		}
		watch.WaitFor(ctx, nil, rate-time.Since(started))
		rate = min(2*rate, frameRate)
	}
}

// news waits until there is something new to send. It reports false when the tab has gone.
func news(ctx context.Context, out *events, changed, cluster <-chan struct{}, beat <-chan time.Time) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-changed:
			return true
		case <-cluster:
			return true
		case <-beat:
			if out.comment(); out.err != nil {
				return false
			}
		}
	}
}

// version renders the page. An error of the cluster is a view as well.
func (s *Server) version(ctx context.Context, p *page) string {
	rendered, err := p.render(ctx)
	if err != nil {
		rendered = s.errorPage(err)
	}
	html, err := s.renderer.Render(rendered)
	if err != nil {
		rendered = s.errorPage(err)
		html, _ = s.renderer.Render(rendered)
	}
	f := frame{Title: rendered.Title, Section: rendered.Section, HTML: html}
	if err := s.cluster.Unreachable(); err != nil {
		f.Unreachable = display.OneLine(err.Error())
	}
	text, _ := json.Marshal(f)
	return string(text)
}

// sendLog sends the lines from number next on, and returns the number after them.
func (p *page) sendLog(out *events, next uint64) uint64 {
	if p.log == nil {
		return next
	}
	for out.err == nil {
		first, found := p.log.From(next, batch)
		if len(found) == 0 {
			break
		}
		message := lines{First: first, Lines: make([][3]any, len(found))}
		for i, line := range found {
			message.Lines[i] = [3]any{line.Source, display.SanitizeLog(line.Text, false), line.Kind}
		}
		next = first + uint64(len(found))
		out.send("log", p.logID+":"+strconv.FormatUint(next, 10), message)
	}
	return next
}

// resume returns the number of the line after the last one that a browser has of a log; 0
// if it has none of this log.
func resume(lastEventID, logID string) uint64 {
	id, number, ok := strings.Cut(lastEventID, ":")
	if !ok || id != logID {
		return 0
	}
	next, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return 0
	}
	return next
}

// events writes server-sent events. After an error it writes nothing more.
type events struct {
	w       http.ResponseWriter
	flusher *http.ResponseController
	err     error
}

func (e *events) send(name, id string, data any) {
	text, err := json.Marshal(data)
	if err != nil {
		e.err = err
		return
	}
	e.raw(name, id, string(text))
}

// raw sends JSON, which has no line breaks.
func (e *events) raw(name, id, data string) {
	if e.err != nil {
		return
	}
	if id != "" {
		id = "id: " + id + "\n"
	}
	_, err := fmt.Fprintf(e.w, "event: %s\n%sdata: %s\n\n", name, id, data)
	e.err = errors.Join(err, e.flusher.Flush())
}

// comment sends a sign of life.
func (e *events) comment() {
	_, err := fmt.Fprint(e.w, ":\n\n")
	e.err = errors.Join(err, e.flusher.Flush())
}

package track

import (
	"context"
	"errors"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
)

const (
	// logLines is how much of what failed is told again.
	logLines = 20
	// rateSpan is the time that a rate is of, and tick the time between two
	// updates about a transfer.
	rateSpan = 3 * time.Second
	tick     = 100 * time.Millisecond
)

// Tracker makes the events of one build out of what its caller does and what the
// cluster tells. All of its methods belong to one goroutine.
type Tracker struct {
	emit func(event.Event)
	now  func() time.Time

	app, namespace, run string
	begun               time.Time

	// at is when that happened in the cluster which is being told.
	at time.Time

	stage      event.Phase
	stageBegun time.Time
	times      []event.PhaseTime
	samples    []sample

	dockerfile *dockerfile.Dockerfile
	engine     engine
	steps      steps
	tests      tests
	// target is the stage of the Dockerfile that is built; empty is the last one.
	target string
}

type sample struct {
	at    time.Time
	bytes int64
}

// NewTracker makes a tracker that hands each event to emit, from the goroutine
// that called the method.
func NewTracker(app, namespace string, emit func(event.Event)) *Tracker {
	return &Tracker{emit: emit, now: time.Now, app: app, namespace: namespace, begun: time.Now()}
}

// tell completes an event and hands it on.
func (t *Tracker) tell(e event.Event) {
	e.Time = t.at
	if e.Time.IsZero() {
		e.Time = t.now()
	}
	e.App, e.Namespace, e.Run = t.app, t.namespace, t.run
	t.emit(e)
}

// Plan says which stages will take place.
func (t *Tracker) Plan(phases ...event.Phase) {
	t.tell(event.Event{Type: event.Planned, Phases: phases})
}

// Dockerfile says which Dockerfile is being built, for the instructions in the
// build engine's log. Without one there are no instructions.
func (t *Tracker) Dockerfile(parsed *dockerfile.Dockerfile) { t.dockerfile = parsed }

// Begin begins a stage; one that is under way has succeeded.
func (t *Tracker) Begin(stage event.Phase) {
	if t.stage != "" {
		t.End(event.Succeeded, "")
	}
	t.stage, t.stageBegun, t.samples = stage, t.now(), nil
	t.tell(event.Event{Type: event.PhaseStarted, Phase: stage})
}

// End ends the stage under way, if there is one, with its result as a short phrase.
func (t *Tracker) End(state event.State, result string) {
	if t.stage == "" {
		return
	}
	spent := event.PhaseTime{Phase: t.stage, DurationSeconds: t.now().Sub(t.stageBegun).Seconds()}
	t.times = append(t.times, spent)
	t.tell(event.Event{Type: event.PhaseEnded, Phase: t.stage, State: state, DurationSeconds: spent.DurationSeconds, Message: result})
	t.stage = ""
}

// Transfer is news of what the stage under way reads or sends, as often as there
// is some: it is told now and then, with the rate, and at the end.
func (t *Tracker) Transfer(transfer event.Transfer) {
	now := t.now()
	n := len(t.samples)
	if n > 0 && transfer.Bytes < t.samples[n-1].bytes {
		t.samples, n = nil, 0 // it began again
	}
	if n > 0 && now.Sub(t.samples[n-1].at) < tick && transfer.Bytes != transfer.Total {
		return
	}
	t.samples = append(t.samples, sample{now, transfer.Bytes})
	for len(t.samples) > 2 && now.Sub(t.samples[1].at) >= rateSpan {
		t.samples = t.samples[1:]
	}
	if span := now.Sub(t.samples[0].at); span >= tick {
		transfer.BytesPerSecond = int64(float64(transfer.Bytes-t.samples[0].bytes) / span.Seconds())
	}
	t.tell(event.Event{Type: event.PhaseUpdated, Phase: t.stage, Transfer: &transfer})
}

// Update is news of the stage under way, as a short phrase.
func (t *Tracker) Update(message string) {
	t.tell(event.Event{Type: event.PhaseUpdated, Phase: t.stage, Message: message})
}

// Notice tells something to know.
func (t *Tracker) Notice(message string) { t.tell(event.Event{Type: event.Notice, Message: message}) }

// Warn tells a warning.
func (t *Tracker) Warn(message string) {
	t.tell(event.Event{Type: event.Notice, Reason: "Warning", Message: message})
}

// Wait tells why nothing goes on.
func (t *Tracker) Wait(reason, message, advice string) {
	t.tell(event.Event{Type: event.Waiting, Phase: t.stage, Reason: reason, Message: message, Advice: advice})
}

// Finish is the end: it ends the stage under way, tells the result and returns what
// the caller ends with: err, or nil for a build that a later one superseded. The
// result's state and times are set here.
func (t *Tracker) Finish(ctx context.Context, result event.Result, err error) error {
	var (
		failure    *event.Failure
		superseded *SupersededError
		canceled   *CanceledError
	)
	switch {
	case err == nil:
		result.State = event.Succeeded
	case errors.As(err, &superseded):
		result.State = event.Superseded
		t.Notice("Superseded: " + err.Error())
		err = nil
	case errors.As(err, &canceled):
		result.State = event.Canceled
		failure = &event.Failure{Message: err.Error()}
	case ctx.Err() != nil:
		result.State = event.Canceled
		failure = &event.Failure{Message: "interrupted"}
	default:
		result.State = event.Failed
		if !errors.As(err, &failure) {
			failure = &event.Failure{Message: err.Error()}
		}
	}
	if failure != nil && failure.Phase == "" {
		failure.Phase = t.stage
	}
	t.End(result.State, "")
	result.Tests = t.tests.sums()
	result.Phases = t.times
	if result.Phases == nil {
		result.Phases = []event.PhaseTime{}
	}
	result.DurationSeconds = t.now().Sub(t.begun).Seconds()
	t.tell(event.Event{Type: event.Finished, State: result.State, Result: &result, Failure: failure})
	return err
}

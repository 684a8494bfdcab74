// Package track makes the events of a build: out of what its caller does, and out of the
// events of its run.
package track

import (
	"context"
	"errors"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
)

const (
	// rateSpan is the time over which a rate is measured, tick the time between two
	// updates of a transfer.
	rateSpan = 3 * time.Second
	tick     = 100 * time.Millisecond
)

// Recorder completes the events of one build with its app, its run, the time and the
// durations of its phases. Its methods are called from one goroutine at a time.
type Recorder struct {
	sink func(event.Event)
	now  func() time.Time

	app, namespace, run string
	started             time.Time

	// at is the cluster's time of what is being recorded.
	at time.Time

	phase        event.Phase
	phaseStarted time.Time
	times        []event.PhaseTime
	samples      []sample
}

type sample struct {
	at    time.Time
	bytes int64
}

// NewRecorder returns a recorder that passes every event to sink, in the goroutine that
// calls the method.
func NewRecorder(app, namespace string, sink func(event.Event)) *Recorder {
	return &Recorder{sink: sink, now: time.Now, app: app, namespace: namespace, started: time.Now()}
}

// Emit completes an event and passes it on.
func (r *Recorder) Emit(e event.Event) {
	e.Time = r.at
	if e.Time.IsZero() {
		e.Time = r.now()
	}
	e.App, e.Namespace, e.Run = r.app, r.namespace, r.run
	r.sink(e)
}

// Phase returns the current phase; it is empty between two phases.
func (r *Recorder) Phase() event.Phase { return r.phase }

// Plan records the phases of the build.
func (r *Recorder) Plan(phases ...event.Phase) {
	r.Emit(event.Event{Type: event.Planned, Phases: phases})
}

// Created records that the run has been created. usual is how long such a run takes; zero if
// that is not known.
func (r *Recorder) Created(name string, usual time.Duration) {
	r.run = name
	r.Emit(event.Event{Type: event.RunCreated, UsualSeconds: usual.Seconds()})
}

// Begin starts a phase. It ends the current one as succeeded.
func (r *Recorder) Begin(phase event.Phase) {
	r.End(event.Succeeded, "")
	r.phase, r.phaseStarted, r.samples = phase, r.now(), nil
	r.Emit(event.Event{Type: event.PhaseStarted, Phase: phase})
}

// End ends the current phase, if there is one, with its result as a short phrase.
func (r *Recorder) End(state event.State, result string) {
	if r.phase == "" {
		return
	}
	spent := event.PhaseTime{Phase: r.phase, DurationSeconds: r.now().Sub(r.phaseStarted).Seconds()}
	r.times = append(r.times, spent)
	r.Emit(event.Event{Type: event.PhaseEnded, Phase: r.phase, State: state, DurationSeconds: spent.DurationSeconds, Message: result})
	r.phase = ""
}

// Transfer records how much the current phase has read or sent. Call it as often as
// there is progress: it emits an event now and then, with the rate, and at the end.
func (r *Recorder) Transfer(transfer event.Transfer) {
	now := r.now()
	n := len(r.samples)
	if n > 0 && transfer.Bytes < r.samples[n-1].bytes {
		r.samples, n = nil, 0 // the transfer started again
	}
	if n > 0 && now.Sub(r.samples[n-1].at) < tick && transfer.Bytes != transfer.Total {
		return
	}
	r.samples = append(r.samples, sample{now, transfer.Bytes})
	for len(r.samples) > 2 && now.Sub(r.samples[1].at) >= rateSpan {
		r.samples = r.samples[1:]
	}
	if span := now.Sub(r.samples[0].at); span >= tick {
		transfer.BytesPerSecond = int64(float64(transfer.Bytes-r.samples[0].bytes) / span.Seconds())
	}
	r.Emit(event.Event{Type: event.PhaseUpdated, Phase: r.phase, Transfer: &transfer})
}

// Update records progress of the current phase as a short phrase.
func (r *Recorder) Update(message string) {
	r.Emit(event.Event{Type: event.PhaseUpdated, Phase: r.phase, Message: message})
}

// Notice records information.
func (r *Recorder) Notice(message string) { r.Emit(event.Event{Type: event.Notice, Message: message}) }

// Warn records a warning.
func (r *Recorder) Warn(message string) {
	r.Emit(event.Event{Type: event.Notice, Reason: event.Warning, Message: message})
}

// Wait records why the build makes no progress.
func (r *Recorder) Wait(reason, message, advice string) {
	r.Emit(event.Event{Type: event.Waiting, Phase: r.phase, Reason: reason, Message: message, Advice: advice})
}

// Finish ends the current phase, emits the last event and returns the error that the
// caller ends with: err, or for a build that a later one superseded the *SupersededError
// alone. It sets the state and the durations of result.
func (r *Recorder) Finish(ctx context.Context, result event.Result, err error) error {
	var superseded *SupersededError
	state, failure := judge(ctx, err)
	if errors.As(err, &superseded) {
		r.Notice("Superseded: " + err.Error())
		err = superseded
	}
	if failure != nil && failure.Phase == "" {
		failure.Phase = r.phase
	}
	r.End(state, "")
	result.State, result.Phases = state, r.times
	if result.Phases == nil {
		result.Phases = []event.PhaseTime{}
	}
	result.DurationSeconds = r.now().Sub(r.started).Seconds()
	r.Emit(event.Event{Type: event.Finished, State: state, Result: &result, Failure: failure})
	return err
}

// judge returns the state of a build that ends with err, and its failure.
func judge(ctx context.Context, err error) (event.State, *event.Failure) {
	var (
		failure    *event.Failure
		superseded *SupersededError
		canceled   *CanceledError
	)
	switch {
	case err == nil:
		return event.Succeeded, nil
	case errors.As(err, &superseded):
		return event.Superseded, nil
	case errors.As(err, &canceled):
		return event.Canceled, &event.Failure{Message: err.Error()}
	case ctx.Err() != nil:
		return event.Canceled, &event.Failure{Message: "interrupted"}
	case errors.As(err, &failure):
		return event.Failed, failure
	}
	return event.Failed, &event.Failure{Message: err.Error()}
}

// CanceledError reports that the run was canceled.
type CanceledError struct {
	// Run is its name.
	Run string
}

// Error names the run.
func (e *CanceledError) Error() string { return "run " + e.Run + " was canceled" }

// SupersededError reports that a later run of the app was deployed instead of this one.
type SupersededError struct {
	// By is the later run.
	By string
}

// Error names the later run.
func (e *SupersededError) Error() string {
	return "run " + e.By + ", which started later, was deployed in place of this one"
}

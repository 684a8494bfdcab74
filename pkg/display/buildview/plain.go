package buildview

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
)

const (
	// plainEvery, plainStep and plainRest bound how often progress is shown: after that
	// time, or after that percentage but not within plainRest.
	plainEvery = 10 * time.Second
	plainStep  = 10
	plainRest  = time.Second
	// plainTail is how many log lines are remembered as shown.
	plainTail = 64
)

// plain writes each event as a line when it happens.
type plain struct {
	*results
	errOut io.Writer
	now    func() time.Time
	// mu guards what follows: a timer of its own shows that the build is at work.
	mu sync.Mutex
	// stop ends the timer.
	stop func()
	// lineAt is when a line was written last; running is the phase, since its start, at its
	// instruction and doing what happens in it, since doingSince.
	lineAt     time.Time
	running    event.Phase
	since      time.Time
	at         *event.Instruction
	doing      string
	doingSince time.Time

	// shownAt is when the progress of the running phase was last shown, percent and
	// message what was shown.
	shownAt time.Time
	percent int64
	message string
	waiting string
	// instruction is the last instruction shown: none is shown twice.
	instruction string
	shown       ring
}

func newPlain(results *results, errOut io.Writer, now func() time.Time) *plain {
	return &plain{results: results, errOut: errOut, now: now, shown: newRing(plainTail), stop: func() {}}
}

// watch writes a line whenever nothing else was written for a while, until the view closes.
func (v *plain) watch() *plain {
	done := make(chan struct{})
	v.stop = sync.OnceFunc(func() { close(done) })
	go func() {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				v.remind()
			}
		}
	}()
	return v
}

// Close ends the view.
func (v *plain) Close() error {
	v.stop()
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.results.Close()
}

// remind says what the build does if it has said nothing for plainEvery.
func (v *plain) remind() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.running == "" || v.now().Sub(v.lineAt) < plainEvery {
		return
	}
	_, doing, _ := words(v.running)
	text, since := doing, v.since
	if v.at != nil {
		text += fmt.Sprintf(" %d/%d", v.at.Number, v.at.Total)
		since = v.doingSince
	}
	if v.doing != "" {
		text += ": " + display.OneLine(v.doing)
		since = v.doingSince
	}
	v.line("  " + text + ", " + ticking(v.now().Sub(since)))
}

// follow remembers what the build does.
func (v *plain) follow(e event.Event) {
	switch e.Type {
	case event.PhaseStarted:
		v.running, v.since, v.at, v.doing = e.Phase, v.now(), nil, ""
	case event.PhaseUpdated:
		if v.doing != e.Message {
			v.doing, v.doingSince = e.Message, v.now()
		}
	case event.InstructionStarted:
		v.at, v.doing, v.doingSince = e.Instruction, "", v.now()
	case event.PhaseEnded, event.Finished:
		v.running = ""
	case event.Planned, event.InstructionEnded, event.Log, event.Waiting, event.Notice, event.RunCreated:
	}
}

func (v *plain) Show(e event.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.follow(e)
	v.show(e)
	if e.Type == event.Finished {
		v.stop()
	}
}

func (v *plain) show(e event.Event) {
	switch e.Type {
	case event.RunCreated:
		text := "Run " + e.Run
		if e.UsualSeconds > 0 {
			text += ", which usually takes " + ticking(time.Duration(e.UsualSeconds*float64(time.Second)))
		}
		v.line(text)
	case event.PhaseStarted:
		v.shownAt, v.percent, v.message, v.waiting, v.instruction = v.now(), 0, "", "", ""
	case event.PhaseUpdated:
		v.updated(e)
	case event.PhaseEnded:
		v.line(fmt.Sprintf("%s %s  %s", endMark(e.State), ended(e.Phase, e.State, e.Message), duration(e.DurationSeconds)))
	case event.InstructionStarted:
		v.instructed(e.Instruction)
	case event.InstructionEnded:
		if e.Instruction != nil && e.DurationSeconds >= slowSeconds {
			v.line("  " + place("", e.Instruction) + " took " + duration(e.DurationSeconds))
		}
	case event.Log:
		v.waiting = ""
		if !e.Chatter && !e.Folded {
			v.log(e.Source, e.Message)
		}
	case event.Waiting:
		v.wait(e)
	case event.Notice:
		v.notice(e)
	case event.Finished:
		v.end(e)
	case event.Planned:
	}
}

func (v *plain) line(text string) {
	v.lineAt = v.now()
	fmt.Fprintln(v.errOut, text)
}

func (v *plain) log(source, text string) {
	v.shown.add(logged{source, lastState(text)})
	v.line("  " + LogLine(source, text, false))
}

// updated shows the progress of a phase, at long intervals.
func (v *plain) updated(e event.Event) {
	since := v.now().Sub(v.shownAt)
	_, doing, _ := words(e.Phase)
	switch {
	case e.Transfer != nil && e.Transfer.Total > 0:
		percent := e.Transfer.Bytes * 100 / e.Transfer.Total
		if percent >= 100 || since < plainEvery && (percent < v.percent+plainStep || since < plainRest) {
			return
		}
		v.percent = percent
		v.line(fmt.Sprintf("  %s: %s (%d%%)", doing, transferred(e.Transfer), percent))
	case e.Transfer != nil:
		if since < plainEvery {
			return
		}
		v.line("  " + doing + ": " + transferred(e.Transfer))
	case v.at != nil:
		return // remind says it
	default:
		if e.Message == v.message || since < plainEvery {
			return
		}
		v.message = e.Message
		v.line("  " + doing + ": " + display.OneLine(e.Message))
	}
	v.shownAt = v.now()
}

func (v *plain) instructed(instruction *event.Instruction) {
	if instruction == nil {
		return
	}
	v.waiting = ""
	text := fmt.Sprintf("%d/%d %s: %s", instruction.Number, instruction.Total, place("", instruction), written(instruction))
	if instruction.Cached {
		text += " (cached)"
	}
	if text == v.instruction {
		return
	}
	v.instruction = text
	v.line("  " + text)
}

func (v *plain) wait(e event.Event) {
	reason, advice := waiting(&e)
	if reason == "" || reason+"\n"+advice == v.waiting {
		return
	}
	v.waiting = reason + "\n" + advice
	v.line("  waiting: " + reason)
	if advice != "" {
		v.line("  hint: " + advice)
	}
}

func (v *plain) notice(e event.Event) {
	if e.Reason == warning {
		v.line("  warning: " + display.OneLine(e.Message))
		return
	}
	v.line(display.OneLine(e.Message))
}

func (v *plain) end(e event.Event) {
	for _, line := range excerpt(e.Failure, unpainted()) {
		v.line(line)
	}
	// The log of a pod of the app comes with the failure only.
	if e.Failure != nil && !v.seen(e.Failure.Log) {
		for _, text := range e.Failure.Log {
			v.line("  " + LogLine(e.Failure.Step, text, false))
		}
	}
	for _, line := range exit(e.Failure) {
		v.line(line)
	}
	for _, line := range summary(e.Result) {
		v.line(line)
	}
	v.finished(e.Result)
}

// seen reports whether the last lines of a log have been shown.
func (v *plain) seen(log []string) bool {
	return !slices.ContainsFunc(log, func(text string) bool {
		return strings.TrimSpace(text) != "" && !slices.ContainsFunc(v.shown.last(plainTail), func(line logged) bool {
			return line.text == lastState(text)
		})
	})
}

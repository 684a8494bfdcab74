package buildview

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/track"
)

const (
	// plainEvery and plainStep are how often the plain view tells how far a stage
	// is: after that time, or after that part of the whole but not within a second.
	plainEvery = 10 * time.Second
	plainStep  = 10
	plainRest  = time.Second
	// plainTail is how many lines of log are remembered as shown already.
	plainTail = 64
)

// plain writes lines, each when it happens.
type plain struct {
	*results
	errOut io.Writer
	now    func() time.Time

	// told is when the stage under way was last told of, percent how far it was
	// and message what was said.
	told    time.Time
	percent int64
	message string
	waiting string
	// instruction is the line of the last one, so that it is not told twice.
	instruction string
	shown       ring
}

func newPlain(results *results, errOut io.Writer, now func() time.Time) *plain {
	return &plain{results: results, errOut: errOut, now: now, shown: newRing(plainTail)}
}

func (v *plain) Show(event track.Event) {
	switch event.Type {
	case track.RunCreated:
		v.line("Run " + event.Run)
	case track.StageStarted:
		v.told, v.percent, v.message, v.waiting, v.instruction = v.now(), 0, "", "", ""
	case track.StageUpdated:
		v.updated(event)
	case track.StageEnded:
		v.line(fmt.Sprintf("%s %s  %s", endMark(event.State), ended(event.Stage, event.State, event.Message), duration(event.DurationSeconds)))
	case track.InstructionStarted:
		v.instructed(event.Instruction)
	case track.Log:
		v.waiting = ""
		if !event.Chatter {
			v.log(event.Source, event.Message)
		}
	case track.Waiting:
		v.wait(event)
	case track.Notice:
		v.notice(event)
	case track.Finished:
		v.end(event)
	case track.Planned:
	}
}

func (v *plain) line(text string) {
	fmt.Fprintln(v.errOut, text)
}

func (v *plain) log(source, text string) {
	v.shown.add(logged{source, lastState(text)})
	v.line("  " + LogLine(source, text, false))
}

// updated tells how far a stage is, seldom.
func (v *plain) updated(event track.Event) {
	since := v.now().Sub(v.told)
	_, doing, _ := words(event.Stage)
	switch {
	case event.Transfer != nil && event.Transfer.Total > 0:
		percent := event.Transfer.Bytes * 100 / event.Transfer.Total
		if percent >= 100 || since < plainEvery && (percent < v.percent+plainStep || since < plainRest) {
			return
		}
		v.percent = percent
		v.line(fmt.Sprintf("  %s: %s (%d%%)", doing, transferred(event.Transfer), percent))
	case event.Transfer != nil:
		if since < plainEvery {
			return
		}
		v.line("  " + doing + ": " + transferred(event.Transfer))
	default:
		if event.Message == v.message || since < plainEvery {
			return
		}
		v.message = event.Message
		v.line("  " + doing + ": " + oneLine(event.Message))
	}
	v.told = v.now()
}

func (v *plain) instructed(instruction *track.Instruction) {
	if instruction == nil {
		return
	}
	v.waiting = ""
	text := place("", instruction) + ": " + oneLine(instruction.Text)
	if instruction.Cached {
		text += " (cached)"
	}
	if text == v.instruction {
		return
	}
	v.instruction = text
	v.line("  " + text)
}

func (v *plain) wait(event track.Event) {
	reason, advice := waiting(&event)
	if reason == "" || reason+"\n"+advice == v.waiting {
		return
	}
	v.waiting = reason + "\n" + advice
	v.line("  waiting: " + reason)
	if advice != "" {
		v.line("  hint: " + advice)
	}
}

func (v *plain) notice(event track.Event) {
	if event.Reason == warning {
		v.line("  warning: " + oneLine(event.Message))
		return
	}
	v.line(oneLine(event.Message))
}

func (v *plain) end(event track.Event) {
	for _, line := range excerpt(event.Failure, unpainted()) {
		v.line(line)
	}
	// What the pod of a service wrote comes with the failure alone.
	if event.Failure != nil && !v.seen(event.Failure.Log) {
		for _, text := range event.Failure.Log {
			v.line("  " + LogLine(event.Failure.Step, text, false))
		}
	}
	for _, line := range exit(event.Failure) {
		v.line(line)
	}
	for _, line := range summary(event.Result) {
		v.line(line)
	}
	v.finished(event.Result)
}

// seen says whether the last lines of a log have been shown.
func (v *plain) seen(log []string) bool {
	return !slices.ContainsFunc(log, func(text string) bool {
		return strings.TrimSpace(text) != "" && !slices.ContainsFunc(v.shown.last(plainTail), func(line logged) bool {
			return line.text == lastState(text)
		})
	})
}

package live

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
)

// Lines keep their numbers, also when the oldest ones are dropped.
func TestLog(t *testing.T) {
	var log Log
	for i := range 5 {
		log.Append(Line{Source: "build", Text: fmt.Sprint(i)})
	}
	first, lines := log.From(2, 2)
	if first != 2 || len(lines) != 2 || lines[0].Text != "2" || lines[1].Text != "3" {
		t.Errorf("from 2: %d %v", first, lines)
	}
	if first, lines := log.From(5, 10); first != 5 || lines != nil {
		t.Errorf("after the end: %d %v", first, lines)
	}
	long := strings.Repeat("x", maxLogBytes/4)
	for range 6 {
		log.Append(Line{Text: long})
	}
	first, lines = log.From(0, 100)
	if first == 0 || first+uint64(len(lines)) != 11 {
		t.Errorf("%d lines from %d are left", len(lines), first)
	}
	if log.bytes > maxLogBytes {
		t.Errorf("%d bytes are left", log.bytes)
	}
}

// Events of a build become phases with their instructions, in the order of the phases.
func TestProgress(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	run := &event.Instruction{Number: 2, Total: 3, Line: 4, Text: "RUN pip install"}
	var p Progress
	for _, e := range []event.Event{
		{Type: event.Planned, Phases: []event.Phase{event.Queue, event.Build, event.Push}},
		{Type: event.PhaseStarted, Phase: event.Queue, Time: at(0)},
		{Type: event.Waiting, Phase: event.Queue, Message: "no node has room"},
		{Type: event.PhaseEnded, Phase: event.Queue, State: event.Succeeded, Time: at(5)},
		{Type: event.PhaseStarted, Phase: event.Build, Time: at(5)},
		{Type: event.InstructionStarted, Phase: event.Build, Instruction: &event.Instruction{Number: 1, Line: 1, Text: "FROM x", Cached: true}, Time: at(5)},
		{Type: event.InstructionEnded, Phase: event.Build, Instruction: &event.Instruction{Number: 1, Line: 1, Text: "FROM x", Cached: true}, Time: at(6), DurationSeconds: 1},
		{Type: event.InstructionStarted, Phase: event.Build, Instruction: run, Time: at(6)},
		{Type: event.Notice, Reason: event.Warning, Message: "slow"},
		{Type: event.PhaseEnded, Phase: event.Build, State: event.Failed, Time: at(9), Message: "exit code 1"},
		{Type: event.Finished, State: event.Failed, Failure: &event.Failure{Message: "no"}},
	} {
		p.take(e)
	}
	if p.Waiting.Message != "" || len(p.Notices) != 1 || p.Finished == nil || len(p.Phases) != 3 {
		t.Fatalf("got %+v", p)
	}
	build := p.Phases[1]
	if build.Name != event.Build || build.State != event.Failed || build.Running || build.Message != "exit code 1" || len(build.Instructions) != 2 {
		t.Fatalf("the build is %+v", build)
	}
	if from, last := build.Instructions[0], build.Instructions[1]; !from.Cached || from.Failed || !last.Failed || last.Running || !last.Ended.Equal(at(9)) {
		t.Errorf("the instructions are %+v", build.Instructions)
	}
	if p.Phases[2].Running || p.Phases[2].State != "" {
		t.Errorf("the push is %+v", p.Phases[2])
	}
	// A phase that was not planned has its place.
	p.take(event.Event{Type: event.PhaseStarted, Phase: event.Fetch, Time: at(4)})
	if p.Phases[1].Name != event.Fetch {
		t.Errorf("the phases are %+v", p.Phases)
	}
}

// A phase of a run that ended long ago ends with the run, and not when it was looked at.
func TestBound(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	late := start.Add(time.Hour)
	p := Progress{Phases: []Phase{
		{Name: event.Build, Started: start, Ended: start.Add(5 * time.Second)},
		{Name: event.Deploy, Started: start.Add(5 * time.Second), Ended: late},
		{Name: event.Test, Started: start.Add(10500 * time.Millisecond), Ended: late},
		{Name: event.Rollout, Started: late, Ended: late.Add(time.Second)},
	}}
	p.bound(start.Add(10 * time.Second))
	for i, want := range []time.Duration{5 * time.Second, 5 * time.Second, 0, time.Second} {
		if got := p.Phases[i].Ended.Sub(p.Phases[i].Started); got != want {
			t.Errorf("%s took %s, not %s", p.Phases[i].Name, got, want)
		}
	}
}

package track

import (
	"slices"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/follow"
)

// TestRestart builds again in a new pod: that is said, its instructions start again, and each line of
// a command comes once.
func TestRestart(t *testing.T) {
	r := record(t, twoStages, nil)
	r.Created("app-x", 0)
	r.Begin(event.Queue)
	say := func(lines ...string) {
		for _, line := range lines {
			r.Handle(follow.Event{Kind: follow.Log, Task: "build", Step: "build", Text: line})
		}
	}
	begin := func() {
		r.Handle(engineSays("Building stage 'python:3.13-slim' [idx: '0', base-idx: '-1']"))
		r.Handle(engineSays("RUN pip install   -r /tmp/requirements.txt"))
	}
	r.Handle(follow.Event{Kind: follow.StepStarted, Task: "build", Step: "build"})
	begin()
	say("one", "two", "two")
	r.Handle(follow.Event{Kind: follow.StepRestarted, Task: "build", Step: "build", Text: "pod app-x-build-pod was deleted; step build starts again in a new one"})
	begin()
	say("one", "two", "two", "two", "three")
	r.Handle(follow.Event{Kind: follow.StepRestarted, Task: "build", Step: "build", Text: "again"})
	say("one", "two", "two", "two", "three", "four")

	var lines, warnings []string
	started := 0
	for _, e := range r.events {
		switch {
		case e.Type == event.Log && !e.Chatter:
			lines = append(lines, e.Message)
		case e.Type == event.Notice && e.Reason == event.Warning:
			warnings = append(warnings, e.Message)
		case e.Type == event.InstructionStarted && e.Instruction.Line == 4:
			started++
		}
	}
	if want := []string{"one", "two", "two", "two", "three", "four"}; !slices.Equal(lines, want) {
		t.Errorf("got %q, want %q", lines, want)
	}
	if len(warnings) != 2 || warnings[0] != "pod app-x-build-pod was deleted; step build starts again in a new one" || started != 2 {
		t.Errorf("got the warnings %q, and the instruction started %d times", warnings, started)
	}
}

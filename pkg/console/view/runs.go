package view

import (
	"fmt"
	"slices"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/console/live"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
)

// Runs is the model of the list of runs.
type Runs struct {
	Runs []status.Run
	// Total counts the runs that match, All those that there are.
	Total, All int
	Pager      Pager
	// App, State and Text are the filters; States are those to choose from.
	App, State, Text string
	States           []status.RunState
	// ManyNamespaces shows the namespace of each run.
	ManyNamespaces bool
	// Ready reports that all runs are read: until then they are those that are so far.
	Ready   bool
	Problem *Problem
	Build   Action
}

// OneApp reports that the list of runs need not name the app of each.
func (Runs) OneApp() bool { return false }

// Problem is what cannot be read, and what to do.
type Problem struct{ Message, Advice string }

// RunStates returns the states to filter by.
func RunStates() []status.RunState {
	return []status.RunState{status.RunPending, status.RunRunning, status.RunSucceeded, status.RunFailed, status.RunCanceled, status.RunSuperseded}
}

// Run is the model of one run.
type Run struct {
	status.Run
	Progress live.Progress
	// Rows are the phases and instructions of the timeline.
	Rows []Row
	// Failure is why the run failed; nil if it did not.
	Failure *event.Failure
	// Image is the path of the view of its image; empty if there is none.
	Image   string
	Actions []Action
	Objects string
	Log     Log
	// Source is where the source comes from, in a few words.
	Source string
}

// Row is a bar of a timeline. Offset and Width are in percent of the whole.
type Row struct {
	Name, Detail  string
	State         string
	Offset, Width float64
	// Took is how long it took; Since is its beginning while it runs.
	Took        time.Duration
	Since       time.Time
	Known       bool
	Instruction bool
	Cached      bool
	// Line is the line of an instruction in the Dockerfile; 0 if there is none.
	Line int
}

// Timeline returns the bars of a run, at a time. It is pure.
func Timeline(progress live.Progress, now time.Time) []Row {
	start, end := bounds(progress.Phases, now)
	whole := max(end.Sub(start), time.Second)
	place := func(row *Row, from, to time.Time, running bool) {
		if from.IsZero() {
			return
		}
		row.Known = true
		if running {
			row.Since, to = from, now
		} else if to.IsZero() || to.Before(from) {
			to = from
		}
		row.Took = to.Sub(from)
		row.Offset = min(100, max(0, 100*float64(from.Sub(start))/float64(whole)))
		row.Width = min(100-row.Offset, max(0.4, 100*float64(row.Took)/float64(whole)))
	}
	var rows []Row
	for _, phase := range progress.Phases {
		row := Row{Name: phaseName(phase.Name), Detail: phase.Message, State: phaseState(phase.State, phase.Running)}
		place(&row, phase.Started, phase.Ended, phase.Running)
		rows = append(rows, row)
		for _, instruction := range phase.Instructions {
			row := Row{
				Name: instruction.Text, Instruction: true, Cached: instruction.Cached, Line: instruction.Line,
				State: phaseState(event.Succeeded, instruction.Running),
			}
			if instruction.Failed {
				row.State = phaseState(event.Failed, false)
			}
			if instruction.Image != "" {
				row.Detail = instruction.Image
			}
			place(&row, instruction.Started, instruction.Ended, instruction.Running)
			rows = append(rows, row)
		}
	}
	return rows
}

// bounds returns when the first phase started and the last one ended.
func bounds(phases []live.Phase, now time.Time) (start, end time.Time) {
	for _, phase := range phases {
		if !phase.Started.IsZero() && (start.IsZero() || phase.Started.Before(start)) {
			start = phase.Started
		}
		if phase.Running {
			end = now
		}
		if phase.Ended.After(end) {
			end = phase.Ended
		}
	}
	return start, end
}

func phaseState(state event.State, running bool) string {
	switch {
	case running:
		return "Running"
	case state == "":
		return "Waiting"
	}
	return string(state)
}

// phaseName returns the name of a phase for people.
func phaseName(phase event.Phase) string {
	names := map[event.Phase]string{
		event.Pack: "Pack", event.Upload: "Upload", event.Queue: "Queue", event.Fetch: "Fetch", event.Build: "Build",
		event.Push: "Push", event.Test: "Test", event.Deploy: "Deploy", event.Rollout: "Roll out",
	}
	if name, ok := names[phase]; ok {
		return name
	}
	return string(phase)
}

// Excerpt are numbered lines of a file.
type Excerpt struct {
	Number int
	Text   string
}

// Excerpt returns the lines of the Dockerfile that failed.
func (r Run) Excerpt() []Excerpt {
	if r.Failure == nil || r.Failure.Instruction == nil {
		return nil
	}
	var lines []Excerpt
	for i, text := range r.Failure.Excerpt {
		lines = append(lines, Excerpt{Number: r.Failure.Instruction.Line + i, Text: text})
	}
	return lines
}

// Warnings returns the warnings of a run.
func (r Run) Warnings() []event.Event {
	return slices.DeleteFunc(slices.Clone(r.Progress.Notices), func(e event.Event) bool { return e.Reason != event.Warning })
}

// Tests returns the results of the tests in a few words; empty if there are none.
func (r Run) Tests() string {
	if r.Progress.Finished == nil || r.Progress.Finished.Result == nil || r.Progress.Finished.Result.Tests == nil {
		return ""
	}
	tests := r.Progress.Finished.Result.Tests
	text := fmt.Sprintf("%d passed", tests.Total-tests.Failed-tests.Errors-tests.Skipped)
	for _, part := range []struct {
		number int
		word   string
	}{{tests.Failed, "failed"}, {tests.Errors, "broken"}, {tests.Skipped, "skipped"}} {
		if part.number > 0 {
			text += fmt.Sprintf(", %d %s", part.number, part.word)
		}
	}
	return text
}

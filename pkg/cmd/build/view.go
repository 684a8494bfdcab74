package build

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/follow"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/rollout"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/term"
)

// view shows a build to a person, stage by stage, and keeps what explains a
// failure. Its times are this machine's own: the cluster's clock may differ,
// and its objects tell seconds only.
type view struct {
	steps      *term.Steps
	dockerfile *project.Dockerfile

	start time.Time
	spent []string
	done  func(result string, err error)
	// states are the rollouts under way.
	states map[release.Workload]rollout.State

	// instruction is the one that the build engine is at.
	instruction *project.Instruction
	failed      *follow.Event
	waiting     *follow.Event
	// full says that the registry had no room for what the build engine pushed.
	full bool
}

func newView(out io.Writer, dockerfile *project.Dockerfile) *view {
	return &view{steps: term.NewSteps(out), dockerfile: dockerfile, start: time.Now(), states: map[release.Workload]rollout.State{}}
}

// stage begins a stage whose time the summary names.
func (v *view) stage(name, doing string) (done func(result string, err error)) {
	start := time.Now()
	end := v.steps.Start(doing)
	return func(result string, err error) {
		v.spent = append(v.spent, name+" "+term.Seconds(time.Since(start)))
		end(result, err)
	}
}

func (v *view) print(line string) { v.steps.Print(line) }

func (v *view) packing(files int, read int64) {
	v.steps.Update(fmt.Sprintf("Packing: %s, %s", term.Count(files, "file"), term.Bytes(read)))
}

func (v *view) uploading(complete, total int64) {
	v.steps.Update(fmt.Sprintf("Uploading %s of %s", term.Bytes(complete), term.Bytes(total)))
}

func (v *view) beginRun(name string) {
	v.print("Run " + name)
	v.done = v.stage("queue", "Waiting for the build to start")
}

// next ends the stage under way and begins another.
func (v *view) next(result, name, doing string) {
	v.done(result, nil)
	v.done = v.stage(name, doing)
}

// show tells one event of the run.
func (v *view) show(event follow.Event) {
	switch event.Kind {
	case follow.StepStarted:
		v.waiting = nil
		v.stepStarted(event)
	case follow.Log:
		v.log(event)
	case follow.StepEnded:
		if event.ExitCode != 0 && v.failed == nil {
			v.failed = &event
		}
	case follow.TaskEnded:
		if event.Succeeded && event.Task == manifests.BuildTask {
			v.next("Image built and pushed", "deliver", "Delivering")
		}
	case follow.Waiting:
		v.waiting = &event
		v.print(fmt.Sprintf("  waiting: %s: %s", event.Reason, event.Text))
	case follow.Warning:
		v.print("  warning: " + event.Text)
	case follow.RunEnded:
		v.runEnded(event)
	}
}

// log shows a line of log, and notes which instruction the build engine is at:
// it prints each before it carries it out. The engine's chatter is left to
// those who read the pod's own log.
func (v *view) log(event follow.Event) {
	line := pipelinerun.ParseLogLine(event.Text)
	if event.Task == manifests.BuildTask && line.Level != "" {
		for i, instruction := range v.dockerfile.Instructions {
			if instruction.Text == line.Message {
				v.instruction = &v.dockerfile.Instructions[i]
			}
		}
	}
	v.full = v.full || (event.Task == manifests.BuildTask && registry.SaysFull(line.Message))
	if !line.Chatter {
		v.steps.Log(event.Step, line.Message)
	}
}

func (v *view) stepStarted(event follow.Event) {
	if event.Task == manifests.BuildTask && v.instruction == nil && event.Step == "fetch" {
		v.next("Build started", "build", "Building")
	}
}

func (v *view) runEnded(event follow.Event) {
	var err error
	if outcome := pipelinerun.Verdict(event.Run); event.Err != nil || !outcome.Succeeded {
		err = errNotSucceeded
	}
	v.done("Manifests applied", err)
}

// failure is the run's failure in the user's terms: the Dockerfile's line, else
// the step, else what Tekton says.
func (v *view) failure(run string, outcome pipelinerun.Outcome) error {
	reason := outcome.Message
	switch {
	case outcome.Canceled:
		return fmt.Errorf("run %s was canceled", run)
	case v.full && v.failed != nil && v.failed.Task == manifests.BuildTask:
		return fmt.Errorf("run %s failed: step %s: %w", run, v.failed.Step, registry.ErrFull)
	case v.failed != nil && v.failed.Task == manifests.BuildTask && v.instruction != nil:
		reason = fmt.Sprintf("%s:%d: %s\nstep %s: %s, exit code %d", v.dockerfile.Path, v.instruction.Line, v.instruction.Text,
			v.failed.Step, v.failed.Reason, v.failed.ExitCode)
	case v.failed != nil:
		reason = fmt.Sprintf("task %s, step %s: %s, exit code %d", v.failed.Task, v.failed.Step, v.failed.Reason, v.failed.ExitCode)
	case v.waiting != nil:
		reason = fmt.Sprintf("%s: %s (%s)", v.waiting.Reason, v.waiting.Text, outcome.Message)
	}
	return fmt.Errorf("run %s failed: %s", run, reason)
}

func (v *view) rolling(update rollout.Update) {
	v.states[update.Workload] = update.State
	v.steps.Update("Rolling out: " + cmp.Or(update.Trouble, update.State.Message))
}

func (v *view) rolledOut() string {
	var ready, desired int32
	for _, state := range v.states {
		ready += state.Ready
		desired += state.Desired
	}
	return fmt.Sprintf("Rolled out, %d of %d replicas ready", ready, desired)
}

// times sums the stages up.
func (v *view) times() {
	v.print(fmt.Sprintf("Done in %s: %s", term.Seconds(time.Since(v.start)), strings.Join(v.spent, ", ")))
}

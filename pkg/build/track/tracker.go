package track

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/follow"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/secret"
)

// The reasons of Tekton for a step that ended with another code than 0: the task ends with
// it, or goes on.
const (
	stepError = "Error"
	continued = "Continued"
)

// logLines is how many of the last lines a failure repeats.
const logLines = 20

// Tracker turns the events of a run into those of a build.
type Tracker struct {
	*Recorder
	engine engine.Engine
	run    pipelinerun.Info

	steps  steps
	stages instructions
	// running is the instruction that runs, from since on; nil if none does.
	running *event.Instruction
	since   time.Time
	// activity is what the current phase was said to do last.
	activity string
	installs installs
	tests    tests
	// full reports that the registry had no space for what was pushed.
	full bool
}

// steps is what is known of the run's steps.
type steps struct {
	// failed is the first step that failed, task the first task.
	failed, task *follow.Event
	waiting      *follow.Event
	// last are the last lines of the current step.
	last []string
	// written are the lines of the commands of the current step.
	written written
	// folded reports that the line that is read is one that a sum stands for.
	folded bool
	// exit is the exit code of the command because of which the engine ended.
	exit int32
	// fetched is the Dockerfile of a repository.
	fetched strings.Builder
	// isFetched reports that the source of a repository has been fetched.
	isFetched bool
	// reason is why the source could not be fetched, in the step's words.
	reason string
}

// NewTracker returns a tracker of a run, which is described by run and built by engine.
// parsed is the Dockerfile; it is nil if it is not known.
func NewTracker(recorder *Recorder, engine engine.Engine, run pipelinerun.Info, parsed *dockerfile.Dockerfile) *Tracker {
	t := &Tracker{Recorder: recorder, engine: engine, run: run}
	t.stages = instructions{parsed: parsed, target: run.Target}
	if run.Test != nil {
		t.tests.command, t.tests.stage = run.Test.Command, run.Test.Stage
	}
	return t
}

// JUnit returns the test results as JUnit XML, as far as they were written; empty if
// there are none.
func (t *Tracker) JUnit() []byte { return t.tests.xml }

// Tests returns the test results; nil if they are not known.
func (t *Tracker) Tests() *event.Tests { return t.tests.sums() }

// Done ends the current phase with the phrase for its success.
func (t *Tracker) Done() { t.End(event.Succeeded, t.phrase()) }

// phrase is the result of the current phase if it succeeds.
func (t *Tracker) phrase() string {
	switch t.Phase() {
	case event.Fetch:
		return "Fetched the source"
	case event.Build:
		return t.stages.phrase()
	case event.Push:
		return "Pushed the image"
	case event.Test:
		return t.tests.passed()
	case event.Deploy:
		return "Applied the manifests"
	}
	return ""
}

// Handle emits the events of the build that follow from an event of its run.
func (t *Tracker) Handle(e follow.Event) {
	t.at = e.Time
	defer func() { t.at = time.Time{} }()
	switch e.Kind {
	case follow.TaskStarted:
		t.taskStarted(e)
	case follow.StepStarted:
		t.steps.waiting = nil
		t.stepStarted(e)
	case follow.Log:
		t.log(e)
	case follow.StepEnded:
		t.stepEnded(e)
	case follow.TaskEnded:
		t.taskEnded(e)
	case follow.Waiting:
		t.steps.waiting = &e
		t.Emit(event.Event{
			Type: event.Waiting, Phase: t.Phase(),
			Reason: e.Reason, Message: e.Text, Advice: e.Advice, Terminal: e.Hopeless,
		})
	case follow.Warning:
		t.Warn(e.Text)
	case follow.StepRestarted:
		t.Warn(e.Text)
		restart(t)
	case follow.RunEnded:
	}
}

func (t *Tracker) taskStarted(e follow.Event) {
	switch {
	case t.Phase() == event.Queue:
	case e.Task == pipelinerun.DeployTask:
		t.next(event.Deploy)
		t.does("starting the pod that deploys")
	case e.Task == pipelinerun.TestTask:
		t.next(event.Test)
		t.does("starting the pod that tests")
	}
}

func (t *Tracker) taskEnded(e follow.Event) {
	switch {
	case !e.Succeeded && t.steps.task == nil:
		t.steps.task = &e
	case e.Succeeded && (e.Task == pipelinerun.BuildTask || e.Task == pipelinerun.TestTask):
		t.Done()
	case e.Succeeded && e.Task == pipelinerun.FetchTask:
		t.does("starting the pod that builds")
	}
}

func (t *Tracker) stepStarted(e follow.Event) {
	if isReport(e) {
		return // the last lines of the tests still count
	}
	t.steps.last, t.steps.written = nil, written{}
	switch {
	case e.Task == pipelinerun.BuildTask && e.Step == pipelinerun.DigestStep:
		t.does("reading the digest from the registry")
	case e.Task == pipelinerun.FetchTask, e.Task == pipelinerun.BuildTask && e.Step == pipelinerun.FetchStep:
		t.next(event.Fetch)
		t.does("")
	case e.Task == pipelinerun.BuildTask:
		t.next(event.Build)
	case e.Task == pipelinerun.TestTask:
		t.next(event.Test)
		t.does("")
	case e.Task == pipelinerun.DeployTask:
		t.next(event.Deploy)
		if e.Step == pipelinerun.PullStep {
			t.does("looking up the user in the image")
		} else {
			t.does("")
		}
	}
}

func (t *Tracker) stepEnded(e follow.Event) {
	if isEngine(e.Task, e.Step) {
		t.endInstruction()
	}
	if e.ExitCode != 0 && t.steps.failed == nil {
		failed := e
		if isEngine(e.Task, e.Step) && failed.Reason == continued {
			failed.Reason = stepError // the report that follows ends the task
		}
		if isReport(e) {
			failed.Step = pipelinerun.TestStep // the report exits as the tests did
		}
		t.steps.failed = &failed
	}
	if isReport(e) {
		t.tests.read()
	}
	if e.Task == pipelinerun.FetchTask && e.ExitCode == 0 {
		t.readDockerfile()
	}
}

// next starts a phase unless it is the current one.
func (t *Tracker) next(phase event.Phase) {
	if t.Phase() == phase {
		return
	}
	t.endInstruction()
	t.Done()
	t.Begin(phase)
	t.activity = ""
}

// does says what the current phase does from here on; empty is nothing else than before.
func (t *Tracker) does(activity string) {
	if activity != t.activity {
		t.activity = activity
		t.Update(activity)
	}
}

// endInstruction ends the instruction that runs, if one does.
func (t *Tracker) endInstruction() {
	if t.running == nil {
		return
	}
	ended := event.Event{Type: event.InstructionEnded, Phase: t.Phase(), Source: pipelinerun.BuildStep, Instruction: t.running}
	if !t.since.IsZero() && t.at.After(t.since) {
		ended.DurationSeconds = t.at.Sub(t.since).Seconds()
	}
	t.running = nil
	t.Emit(ended)
}

func (t *Tracker) log(e follow.Event) {
	message, hide, source := e.Text, false, e.Step
	t.steps.folded = false
	switch {
	case isReport(e):
		t.tests.add(e.Text)
		return
	case isEngine(e.Task, e.Step):
		if t.engine.ParseLine(e.Text).Level == "" && t.steps.written.repeats(e.Text) {
			return
		}
		message, hide = t.engineLine(e)
		if t.tests.started || t.stages.runsTest() {
			source = pipelinerun.TestStep
		}
	case e.Task == pipelinerun.FetchTask, e.Task == pipelinerun.DeployTask:
		line := pipelinerun.ParseFetchLine(e.Text)
		switch {
		case line.Dockerfile:
			t.steps.fetched.WriteString(line.Message + "\n")
			return
		case line.Level == "warning":
			t.Warn(line.Message)
			return
		case line.Level == "error":
			t.steps.reason = secret.ReplaceTokens(line.Message, secret.Hidden)
		}
		message, hide = line.Message, line.Chatter || deployChatter(e)
	case e.Task == pipelinerun.TestTask:
		hide = strings.HasSuffix(e.Text, skippedStep)
	}
	raw := secret.ReplaceTokens(e.Text, secret.Hidden)
	if message == e.Text {
		message = raw
	} else {
		message = secret.ReplaceTokens(message, secret.Hidden)
	}
	if !hide {
		t.steps.last = append(t.steps.last, message)
		t.steps.last = t.steps.last[max(0, len(t.steps.last)-logLines):]
	}
	t.Emit(event.Event{Type: event.Log, Phase: t.Phase(), Source: source, Message: message, Raw: raw, Chatter: hide, Folded: t.steps.folded})
}

// checkedObject is how kubectl names an object that the API server would accept.
var checkedObject = regexp.MustCompile(`^[a-z0-9.-]+/[a-z0-9.:-]+$`)

// deployChatter reports whether people need not see a line of the deployment: the objects that
// pass the check, which are applied next, and kubectl's remark on their order.
func deployChatter(e follow.Event) bool {
	return e.Task == pipelinerun.DeployTask &&
		(e.Step == pipelinerun.CheckStep && checkedObject.MatchString(e.Text) || strings.Contains(e.Text, "Warning: Sorting order is set both"))
}

// engineLine reads a line of the build engine and returns its message, and whether
// people need not see it.
func (t *Tracker) engineLine(e follow.Event) (message string, hide bool) {
	line := t.engine.ParseLine(e.Text)
	t.full = t.full || registry.SaysFull(line.Message)
	if line.Level == "panic" {
		if diagnosis, ok := t.engine.Diagnose(e.Text); ok {
			t.stages.diagnose(diagnosis)
		}
	}
	if line.Level == "" {
		return line.Message, t.commandLine(line)
	}
	if line.Pushing != "" && !isLayer(line.Pushing, t.run.Repository) {
		t.next(event.Push)
	}
	instruction := t.stages.read(line)
	if line.Stage != nil && t.stages.testing() {
		t.next(event.Test)
	}
	switch {
	case instruction != nil:
		t.startInstruction(e, instruction)
	case line.Runs:
		t.does("")
	case line.Activity != "" && (!line.Background || t.stages.atEnd()):
		t.does(line.Activity)
	}
	// Without the Dockerfile, the engine's words for an instruction are all there is.
	return line.Message, line.Chatter || line.Level == "info" && t.stages.parsed != nil
}

// isLayer reports whether what is pushed is a layer for the cache of the repository.
func isLayer(reference, repository string) bool {
	return slices.ContainsFunc(manifests.CacheSuffixes(), func(suffix string) bool {
		return strings.HasPrefix(reference, repository+suffix+":")
	})
}

// startInstruction starts an instruction of the Dockerfile, which ends the one before.
func (t *Tracker) startInstruction(e follow.Event, instruction *event.Instruction) {
	if t.stages.runsTest() {
		instruction.Text = strings.Join(t.tests.command, " ")
		t.tests.start(&t.steps)
	}
	t.installs = newInstalls(instruction.Text)
	t.endInstruction()
	t.running, t.since = instruction, e.Time
	t.Emit(event.Event{Type: event.InstructionStarted, Phase: t.Phase(), Source: e.Step, Instruction: instruction})
	t.does("")
}

// commandLine reads a line that a command of the Dockerfile wrote, or with which the engine
// ends, and returns whether people need not see it.
func (t *Tracker) commandLine(line engine.Line) (hide bool) {
	if diagnosis, ok := t.engine.Diagnose(line.Message); ok {
		t.stages.diagnose(diagnosis)
	}
	if line.Exit != 0 {
		t.steps.exit = line.Exit
		return true
	}
	if t.tests.started || t.stages.hearsTest() {
		t.tests.start(&t.steps)
		t.tests.hear(line.Message)
		return false
	}
	folded, activity, sum := t.installs.read(line.Message)
	t.steps.folded = folded
	if activity != "" {
		t.does(activity)
	}
	if sum != "" {
		t.Emit(event.Event{Type: event.Log, Phase: t.Phase(), Source: pipelinerun.BuildStep, Message: sum, Sum: true})
	}
	return false
}

// readDockerfile reads the Dockerfile that the fetch step has printed.
func (t *Tracker) readDockerfile() {
	t.steps.isFetched = true
	if t.stages.parsed != nil || t.steps.fetched.Len() == 0 {
		return
	}
	if parsed, err := dockerfile.Parse(cmp.Or(t.run.Dockerfile, "Dockerfile"), []byte(t.steps.fetched.String())); err == nil {
		t.stages.parsed = parsed
	}
}

// Fetched reports whether the source of a repository has been fetched, and returns its
// Dockerfile, nil if that cannot be read, and the text of it.
func (t *Tracker) Fetched() (parsed *dockerfile.Dockerfile, text string, ok bool) {
	return t.stages.parsed, t.steps.fetched.String(), t.steps.isFetched
}

// superseded is how the API server refuses what an older run deploys.
var superseded = regexp.MustCompile(`run (\S+), which (?:began|started) later, ` + manifests.Superseded)

// supersededBy returns the later run because of which the API server refused this one;
// empty if the run failed for another reason.
func (t *Tracker) supersededBy() string {
	if t.steps.failed.Task != pipelinerun.DeployTask {
		return ""
	}
	for _, line := range t.steps.last {
		if match := superseded.FindStringSubmatch(line); match != nil {
			return match[1]
		}
	}
	return ""
}

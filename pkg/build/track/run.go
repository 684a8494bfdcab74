package track

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/follow"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/workload"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/rollout"
)

// cancelTimeout bounds the cancellation of a run, which takes place after the
// context has ended, too.
const cancelTimeout = 10 * time.Second

// lateness is how much later than its own timeout a run may be seen to end.
const lateness = time.Minute

// Clients are the API clients that Run needs.
type Clients struct {
	Tekton versioned.Interface
	Kube   kubernetes.Interface
}

// Target is a run to watch.
type Target struct {
	// Run is the run as it was started.
	Run *tektonv1.PipelineRun
	// App is what it is a run of, and Repository where nodes pull the image from.
	App, Repository string
	// Timeout is the run's own, and bounds its rollout as well.
	Timeout time.Duration
	// WaitTimeout bounds how long a pod may stand still before its first step, or
	// a rollout without progress; zero does not.
	WaitTimeout time.Duration
}

// steps is what is known of the run's steps.
type steps struct {
	failed  *follow.Event
	waiting *follow.Event
	task    *follow.Event // the one that failed
	last    []string
	fetched strings.Builder
	// said is why the source could not be fetched, in the step's words.
	said string
}

// Run watches a run and, when it succeeded, the rollout of what it delivered, to
// the end. The error is a *Failure for what is wrong with the build; what ended ctx
// for an interrupt, after which the run has been canceled; a *SupersededError when a
// later run of the app took over; or what went wrong with the cluster.
func (t *Tracker) Run(ctx context.Context, clients Clients, target Target) (pipelinerun.Outcome, error) {
	t.Of(target.Run)
	t.Begin(event.Queue)
	outcome, err := t.follow(ctx, clients, target)
	if err != nil || !pipelinerun.Delivers(target.Run) {
		return outcome, err
	}
	return outcome, t.rollOut(ctx, clients, target, outcome.Digest)
}

// Of says which run is observed: what it builds of the Dockerfile, and how it tests.
func (t *Tracker) Of(run *tektonv1.PipelineRun) {
	t.target = pipelinerun.TargetStage(run)
	t.tests.stage, t.tests.command = pipelinerun.TestStage(run), pipelinerun.TestCommand(run)
}

// Created says that there is a run.
func (t *Tracker) Created(name string) {
	t.run = name
	t.tell(event.Event{Type: event.RunCreated})
}

func (t *Tracker) follow(ctx context.Context, clients Clients, target Target) (pipelinerun.Outcome, error) {
	none := pipelinerun.Outcome{}
	// Tekton bounds the run; this bounds waiting for a server that is gone.
	following, stop := context.WithTimeoutCause(ctx, target.Timeout+lateness,
		fmt.Errorf("no end of it within %s; it may still go on in the cluster", target.Timeout+lateness))
	defer stop()
	var end follow.Event
	events, err := follow.Run(following, follow.Clients{Tekton: clients.Tekton, Kube: clients.Kube}, target.Run.Namespace, target.Run.Name,
		follow.WaitTimeout(target.WaitTimeout))
	if err == nil {
		for e := range events {
			t.Observe(e)
			end = e
			if e.Hopeless {
				t.cancel(ctx, clients, target)
				stop()
				return none, &event.Failure{Message: e.Reason + ": " + e.Text, Reason: e.Reason, Advice: e.Advice}
			}
		}
		err = end.Err
	}
	if ctx.Err() != nil {
		t.Notice("Canceling run " + target.Run.Name)
		t.cancel(ctx, clients, target)
		return none, context.Cause(ctx)
	}
	if err == nil && end.Kind != follow.RunEnded {
		err = context.Cause(following)
	}
	if err != nil {
		return none, fmt.Errorf("follow run %s: %w", target.Run.Name, err)
	}
	outcome := pipelinerun.Verdict(end.Run)
	if err := t.Verdict(end.Run); err != nil {
		return outcome, err
	}
	t.End(event.Succeeded, t.result())
	return outcome, nil
}

// cancel stops the run whatever has happened to ctx.
func (t *Tracker) cancel(ctx context.Context, clients Clients, target Target) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), cancelTimeout)
	defer stop()
	if err := pipelinerun.Cancel(ctx, clients.Tekton, target.Run.Namespace, target.Run.Name); err != nil {
		t.Warn(fmt.Sprintf("run %s goes on: %v", target.Run.Name, err))
	}
}

// result is what the stage under way has come to, when all is well.
func (t *Tracker) result() string {
	switch t.stage {
	case event.Fetch:
		return "Source fetched"
	case event.Build:
		return "Image built"
	case event.Push:
		return "Image pushed"
	case event.Test:
		return t.tests.passed()
	case event.Deploy:
		return "Manifests applied"
	}
	return ""
}

// Observe tells what an event of the run means.
func (t *Tracker) Observe(e follow.Event) {
	t.at = e.Time
	defer func() { t.at = time.Time{} }()
	switch e.Kind {
	case follow.StepStarted:
		t.steps.waiting = nil
		t.stepStarted(e)
	case follow.Log:
		t.log(e)
	case follow.StepEnded:
		if e.ExitCode != 0 && t.steps.failed == nil {
			if isTest(e.Task) && e.Step == pipelinerun.ReportStep {
				e.Step = pipelinerun.TestStep // it ends as that one did
			}
			t.steps.failed = &e
		}
		if isTest(e.Task) && e.Step == pipelinerun.ReportStep {
			t.tests.read()
		}
		if e.Task == manifests.FetchTask && e.ExitCode == 0 {
			t.readDockerfile()
		}
	case follow.TaskEnded:
		switch {
		case !e.Succeeded && t.steps.task == nil:
			t.steps.task = &e
		case e.Succeeded && (e.Task == manifests.BuildTask || t.tests.last(e.Task)):
			t.End(event.Succeeded, t.result())
		}
	case follow.Waiting:
		t.steps.waiting = &e
		t.tell(event.Event{Type: event.Waiting, Phase: t.stage, Reason: e.Reason, Message: e.Text, Advice: e.Advice})
	case follow.Warning:
		t.tell(event.Event{Type: event.Notice, Reason: "Warning", Message: e.Text})
	case follow.TaskStarted:
		switch {
		case t.stage == event.Queue:
		case e.Task == manifests.DeployTask:
			t.next(event.Deploy)
		case e.Task == manifests.BuildTestTask || isTest(e.Task):
			t.next(event.Test)
		}
	case follow.RunEnded:
	}
}

// next begins a stage unless it is under way.
func (t *Tracker) next(stage event.Phase) {
	if t.stage == stage {
		return
	}
	t.End(event.Succeeded, t.result())
	t.Begin(stage)
}

func (t *Tracker) stepStarted(e follow.Event) {
	if isTest(e.Task) && e.Step == pipelinerun.ReportStep {
		return // what the tests have said last still counts
	}
	t.steps.last = nil
	switch {
	case e.Task == manifests.FetchTask, e.Task == manifests.BuildTask && e.Step == "fetch":
		t.next(event.Fetch)
	case e.Task == manifests.BuildTask:
		t.next(event.Build)
	case e.Task == manifests.BuildTestTask:
		t.engine = engine{test: t.tests.stage}
		t.next(event.Test)
	case isTest(e.Task):
		t.next(event.Test)
	case e.Task == manifests.DeployTask:
		t.next(event.Deploy)
	}
}

func (t *Tracker) log(e follow.Event) {
	line, hide := pipelinerun.LogLine{Message: e.Text}, false
	switch {
	case isTest(e.Task) && e.Step == pipelinerun.ReportStep:
		t.tests.add(e.Text)
		return
	case isEngine(e.Task, e.Step):
		line = pipelinerun.ParseLogLine(e.Text)
		hide = t.engineLog(line)
	case e.Task == manifests.FetchTask:
		var dockerfile bool
		if line, dockerfile = pipelinerun.ParseFetchLine(e.Text); dockerfile {
			t.steps.fetched.WriteString(line.Message + "\n")
			return
		}
		switch line.Level {
		case "warning":
			t.Warn(line.Message)
			return
		case "error":
			t.steps.said = line.Message
		}
	}
	hide = hide || isTest(e.Task) && strings.HasSuffix(e.Text, skippedStep)
	if !hide {
		t.steps.last = append(t.steps.last, line.Message)
		t.steps.last = t.steps.last[max(0, len(t.steps.last)-logLines):]
	}
	t.tell(event.Event{Type: event.Log, Phase: t.stage, Source: e.Step, Message: line.Message, Chatter: hide})
}

// readDockerfile takes the Dockerfile over that the step has told.
func (t *Tracker) readDockerfile() {
	if t.dockerfile != nil || t.steps.fetched.Len() == 0 {
		return
	}
	if parsed, err := dockerfile.Parse("Dockerfile", []byte(t.steps.fetched.String())); err == nil {
		t.dockerfile = parsed
	}
}

// Verdict is nil for a run that has succeeded, and else a *Failure or a
// *SupersededError, by what was observed of it.
func (t *Tracker) Verdict(run *tektonv1.PipelineRun) error {
	outcome := pipelinerun.Verdict(run)
	if outcome.Succeeded {
		return nil
	}
	return t.failure(run, outcome)
}

// failure is the run's failure in the user's terms: the Dockerfile's line, else
// the step, else what Tekton says.
func (t *Tracker) failure(run *tektonv1.PipelineRun, outcome pipelinerun.Outcome) error {
	failure := &event.Failure{Phase: t.stage, Reason: outcome.Reason}
	failed := t.steps.failed
	name := "run " + run.Name
	switch {
	case outcome.Canceled:
		return &CanceledError{Run: run.Name}
	case failed == nil:
		failure.Message = name + " failed: " + outcome.Message
		if waiting := t.steps.waiting; waiting != nil {
			failure.Reason, failure.Advice = waiting.Reason, waiting.Advice
			failure.Message = fmt.Sprintf("%s failed: %s: %s (%s)", name, waiting.Reason, waiting.Text, outcome.Message)
		}
		if task := t.steps.task; task != nil && task.Text != "" {
			failure.Reason, failure.Advice = task.Reason, cmp.Or(task.Advice, failure.Advice)
			failure.Message = fmt.Sprintf("%s failed: task %s: %s: %s", name, task.Task, task.Reason, task.Text)
		}
		return failure
	}
	failure.Step, failure.ExitCode, failure.Reason, failure.Log = failed.Step, failed.ExitCode, failed.Reason, t.steps.last
	failure.Advice = failed.Advice
	if outcome.Reason == tektonv1.PipelineRunReasonTimedOut.String() {
		failure.Reason, failure.Advice = outcome.Reason, "allow it more with --timeout"
	}
	if task := t.steps.task; task != nil && failure.Advice == "" {
		failure.Advice = task.Advice
	}
	if by := t.supersededBy(); by != "" {
		return &SupersededError{By: by}
	}
	if isTest(failed.Task) && failed.Step == pipelinerun.TestStep {
		t.testFailure(failure, name)
		return failure
	}
	failure.Message = fmt.Sprintf("%s failed: task %s, step %s: %s", name, failed.Task, failed.Step,
		cmp.Or(t.steps.said, failed.Text, t.lastLine(failed.Task), fmt.Sprintf("%s, exit code %d", failed.Reason, failed.ExitCode)))
	if !isEngine(failed.Task, failed.Step) {
		return failure
	}
	if failed.Task == manifests.BuildTestTask {
		name += " failed: the tests"
	}
	if t.engine.full {
		failure.Cause = registry.ErrFull
		failure.Message = fmt.Sprintf("%s failed: step %s: %v", name, failed.Step, registry.ErrFull)
		return failure
	}
	index, ok := t.culprit()
	if !ok {
		return failure
	}
	failure.Dockerfile = t.dockerfile.Path
	failure.Instruction = t.describe(index)
	failure.Excerpt = t.dockerfile.Excerpt(t.dockerfile.Instructions[index])
	reason := fmt.Sprintf("%s, exit code %d", failed.Reason, failed.ExitCode)
	if failed.Reason == "Error" {
		reason = fmt.Sprintf("exit code %d", failed.ExitCode)
	}
	if outcome.Reason == tektonv1.PipelineRunReasonTimedOut.String() {
		reason = "it took too long"
	}
	if failure.Advice == "" {
		failure.Advice = pipelinerun.CommandAdvice(t.steps.last)
	}
	if failure.Advice == "" && failed.Task == manifests.BuildTestTask {
		failure.Advice = pipelinerun.TestAdvice(strings.Fields(failure.Instruction.Text), t.tests.stage, failed.ExitCode, t.steps.last)
	}
	if diagnosis := t.engine.diagnosis; diagnosis != nil {
		reason, failure.Advice = diagnosis.Message, diagnosis.Advice
	}
	failure.Message = fmt.Sprintf("%s failed: %s:%d: %s: %s", name, t.dockerfile.Path, failure.Instruction.Line, display.Truncate(display.OneLine(failure.Instruction.Text), maxText), reason)
	return failure
}

// lastLine is the last thing that the step of a delivery has said; of a build it can
// be anything.
func (t *Tracker) lastLine(task string) string {
	if len(t.steps.last) == 0 || task != manifests.DeployTask {
		return ""
	}
	return display.Truncate(display.OneLine(t.steps.last[len(t.steps.last)-1]), maxText)
}

// maxText is the number of characters that a message shows of an instruction, a command or a
// line of a log.
const maxText = 120

// CanceledError says that somebody has canceled the run.
type CanceledError struct {
	// Run is its name.
	Run string
}

// Error names it.
func (e *CanceledError) Error() string { return "run " + e.Run + " was canceled" }

// SupersededError says that a later run of the app was delivered in place of this
// one.
type SupersededError struct {
	// By is the later run.
	By string
}

// Error names it.
func (e *SupersededError) Error() string {
	return "run " + e.By + ", which started later, was deployed in place of this one"
}

// overtaken is how the API server refuses such a delivery.
var overtaken = regexp.MustCompile(`run (\S+), which started later, ` + manifests.Superseded)

// supersededBy is the later run by which the delivery was refused; empty if that
// is not why it failed.
func (t *Tracker) supersededBy() string {
	if t.steps.failed.Task != manifests.DeployTask {
		return ""
	}
	for _, line := range t.steps.last {
		if match := overtaken.FindStringSubmatch(line); match != nil {
			return match[1]
		}
	}
	return ""
}

// rollOut watches until every workload that the run has delivered is rolled out.
func (t *Tracker) rollOut(ctx context.Context, clients Clients, target Target, digest string) error {
	namespace := target.Run.Namespace
	ctx, cancel := context.WithTimeoutCause(ctx, target.Timeout, fmt.Errorf("not all replicas are ready after %s", target.Timeout))
	defer cancel()
	t.Begin(event.Rollout)
	delivered, err := release.Current(ctx, clients.Kube, namespace, target.App, target.Repository)
	if err != nil {
		return err
	}
	sequence := pipelinerun.DeliverySequence(target.Run)
	if delivered.Sequence > sequence {
		return &SupersededError{By: release.RunOf(delivered.Sequence)}
	}
	states := map[release.Workload]workload.State{}
	trouble := ""
	err = rollout.Watch(ctx, clients.Kube, namespace, delivered.Workloads, target.Repository+"@"+digest, func(update rollout.Update) {
		states[update.Workload] = update.State
		if update.Trouble != "" && update.Trouble != trouble {
			t.Wait("NotReady", update.Trouble, update.Advice)
		}
		trouble = update.Trouble
		t.Update(replicas(states))
	}, rollout.WaitTimeout(target.WaitTimeout))
	var failure *rollout.Failure
	switch {
	case err == nil:
		t.End(event.Succeeded, "Rolled out, "+replicas(states))
		return nil
	case ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", context.Cause(ctx), err)
	case !errors.As(err, &failure):
		return err
	}
	if failure.Reason == rollout.Superseded {
		if now, err := release.Current(ctx, clients.Kube, namespace, target.App, target.Repository); err == nil && now.Sequence > sequence {
			return &SupersededError{By: release.RunOf(now.Sequence)}
		}
	}
	for _, line := range failure.Log {
		t.tell(event.Event{Type: event.Log, Phase: event.Rollout, Source: failure.Pod, Message: line})
	}
	if old := stillReady(states); old > 0 {
		t.Notice(fmt.Sprintf("The previous release keeps serving: %s", display.Count(int(old), "replica")))
	}
	return &event.Failure{
		Message: failure.Error(), Reason: failure.Reason, Advice: failure.Advice,
		Step: failure.Pod, Log: failure.Log, Phase: event.Rollout, Cause: failure,
	}
}

// replicas says how far the rollouts are.
func replicas(states map[release.Workload]workload.State) string {
	var ready, desired, done int32
	message := ""
	for _, state := range states {
		ready += state.Ready
		desired += state.Desired
		message = state.Message
		if state.Done {
			done++
		}
	}
	switch {
	case int(done) == len(states):
		return fmt.Sprintf("%d of %s ready", ready, display.Count(int(desired), "replica"))
	case len(states) == 1:
		return message
	}
	return fmt.Sprintf("%d of %d workloads", done, len(states))
}

// stillReady counts the replicas that are ready while new ones are not coming up.
func stillReady(states map[release.Workload]workload.State) int32 {
	var ready int32
	for workload, state := range states {
		if workload.Built && !state.Done {
			ready += state.Ready
		}
	}
	return ready
}

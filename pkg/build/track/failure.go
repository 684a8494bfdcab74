package track

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/follow"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/diagnose"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/secret"
)

const (
	// maxTests is how many tests the message of a failure names.
	maxTests = 3
	// maxText is how many characters a message shows of an instruction, a command or a
	// line of a log.
	maxText = 120
	// testsFailed is the Reason of tests that exited with another code than 0.
	testsFailed = "TestsFailed"
)

// Verdict returns nil for a run that succeeded, else an *event.Failure, a *CanceledError
// or a *SupersededError. It explains the failure by the events that were handled: the
// Dockerfile's line, else the step, else Tekton's reason.
func (t *Tracker) Verdict(run *tektonv1.PipelineRun) error {
	outcome := pipelinerun.Verdict(run)
	switch {
	case outcome.Succeeded:
		return nil
	case outcome.Canceled:
		return &CanceledError{Run: run.Name}
	case t.steps.failed == nil:
		return explanation{t}.withoutStep("run "+run.Name, outcome)
	}
	if by := t.supersededBy(); by != "" {
		return &SupersededError{By: by}
	}
	failure := explanation{t}.stepFailure("run "+run.Name, outcome)
	hideIn(failure)
	return failure
}

// hideIn replaces tokens and passwords in what a failure repeats of the log and the Dockerfile.
func hideIn(failure *event.Failure) {
	failure.Message, failure.Advice = secret.ReplaceTokens(failure.Message, secret.Hidden), secret.ReplaceTokens(failure.Advice, secret.Hidden)
	for i, line := range failure.Excerpt {
		failure.Excerpt[i] = secret.ReplaceTokens(line, secret.Hidden)
	}
}

// explanation explains a failure by what its tracker knows.
type explanation struct{ *Tracker }

// withoutStep explains a failure in which no step failed.
func (t explanation) withoutStep(name string, outcome pipelinerun.Outcome) *event.Failure {
	failure := &event.Failure{Phase: t.Phase(), Reason: outcome.Reason, Message: name + " failed: " + outcome.Message}
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

// stepFailure explains a failure by the step that failed.
func (t explanation) stepFailure(name string, outcome pipelinerun.Outcome) *event.Failure {
	failed, timedOut := t.steps.failed, outcome.Reason == tektonv1.PipelineRunReasonTimedOut.String()
	failure := &event.Failure{
		Phase: t.Phase(), Reason: failed.Reason, Advice: failed.Advice,
		Step: failed.Step, ExitCode: failed.ExitCode, Log: t.steps.last,
	}
	if timedOut {
		failure.Reason, failure.Advice = outcome.Reason, "give the run more time with --timeout"
	}
	if task := t.steps.task; task != nil {
		failure.Advice = cmp.Or(failure.Advice, task.Advice)
	}
	switch {
	case failed.Task == pipelinerun.TestTask && failed.Step == pipelinerun.TestStep:
		t.explainTests(failure, name)
		return failure
	case failed.Task == pipelinerun.DeployTask:
		if reason, message := refusal(t.steps.last); reason != "" {
			failure.Reason, failure.Advice = reason, adoptAdvice
			failure.Message = fmt.Sprintf("%s failed: nothing was changed: %s", name, message)
			return failure
		}
		if explainJobs(failure, name, timedOut) {
			return failure
		}
	case isEngine(failed.Task, failed.Step) && t.full:
		failure.Cause = registry.ErrFull
		failure.Message = fmt.Sprintf("%s failed: step %s: %v", name, failed.Step, registry.ErrFull)
		return failure
	case !timedOut && t.engineKilled():
		t.explainKilled(failure, name)
		return failure
	case isEngine(failed.Task, failed.Step) && t.stages.runsTest() && !timedOut:
		failure.Step, failure.ExitCode = pipelinerun.TestStep, cmp.Or(t.steps.exit, failure.ExitCode)
		t.explainTests(failure, name)
		return failure
	case isEngine(failed.Task, failed.Step):
		if index, ok := t.stages.failed(); ok {
			t.explainInstruction(failure, t.inTests(name), index, timedOut)
			return failure
		}
		if diagnosis := t.stages.diagnosis; diagnosis != nil {
			failure.Advice = diagnosis.Advice
			failure.Message = fmt.Sprintf("%s failed: step %s: %s", t.inTests(name), failed.Step, diagnosis.Message)
			return failure
		}
		// The Dockerfile of a repository is not known, the words of its commands are.
		_, remedy := diagnose.ParseCommand(t.steps.last, t.steps.exit)
		failure.Advice = cmp.Or(failure.Advice, remedy)
	}
	failure.Message = fmt.Sprintf("%s failed: task %s, step %s: %s", name, failed.Task, failed.Step,
		cmp.Or(t.steps.reason, failed.Text, t.lastLine(failed.Task), fmt.Sprintf("%s, exit code %d", failed.Reason, failed.ExitCode)))
	return failure
}

// killed are the exit codes of a step that a signal ended: Tekton's own for the program of the step,
// and those of a container that SIGKILL or SIGTERM ended.
func killed() []int32 { return []int32{255, 137, 143} }

// engineKilled reports whether something outside of the build ended the engine. An engine that ends
// by itself says why, also if a command exits with one of these codes. The kubelet names what else
// ends a container, such as OOMKilled.
func (t explanation) engineKilled() bool {
	failed := t.steps.failed
	signaled := failed.Reason == stepError && slices.Contains(killed(), failed.ExitCode)
	return isEngine(failed.Task, failed.Step) && (signaled || failed.Reason == follow.PodDeleted) && t.steps.exit == 0 && t.stages.diagnosis == nil
}

// explainKilled explains a failure of which the Dockerfile is not the cause.
func (t explanation) explainKilled(failure *event.Failure, name string) {
	failure.Step, failure.ExitCode = "", 0
	if failure.Reason == follow.PodDeleted {
		failure.Advice = cmp.Or(failure.Advice, "build again; pods are deleted by whoever drains or removes a node, and by people: kubectl get events shows some of it")
		failure.Message = fmt.Sprintf("%s failed: the pod of the build was deleted while it ran: the Dockerfile is not the cause", name)
		if text := t.steps.failed.Text; text != "" {
			failure.Message += ": " + text
		}
		return
	}
	failure.Reason = "EngineKilled"
	failure.Advice = "build again; if it happens again, find what ends processes in the pods of builds: a security agent of the node, kubectl exec, or the kernel when the node itself is out of memory"
	failure.Message = fmt.Sprintf("%s failed: the build engine was killed from outside, by a signal: the Dockerfile is not the cause", name)
	if index, ok := t.stages.failed(); ok {
		failure.Message += fmt.Sprintf("; it was at %s:%d", t.stages.parsed.Path, t.stages.describe(index).Line)
	}
}

// The steps of a deployment that has Jobs.
const (
	clearStep    = "clear"
	waitStep     = "wait"
	completeStep = "complete"
)

// jobName matches the name of a Job in what kubectl says of it.
var jobName = regexp.MustCompile(`jobs(?:\.batch)?[ /]"?([a-z0-9.-]+)`)

// explainJobs explains a failure of the Jobs of a release; false if it is another.
func explainJobs(failure *event.Failure, name string, timedOut bool) bool {
	var names []string
	for _, line := range failure.Log {
		if match := jobName.FindStringSubmatch(line); match != nil && !slices.Contains(names, match[1]) {
			names = append(names, match[1])
		}
	}
	jobs := cmp.Or(strings.Join(names, ", "), "of the release")
	const serving = "nothing runs the new image, and the release before it keeps serving"
	switch {
	case failure.Step == waitStep && timedOut:
		failure.Reason, failure.Advice = "JobTimeout", "see what the Job waits for (kubectl get pods, kubectl logs), or give the run more time with --timeout; the Job goes on until you delete it"
		failure.Message = fmt.Sprintf("%s failed: a Job of the release did not end in time: %s", name, serving)
	case failure.Step == completeStep:
		failure.Reason, failure.Advice = "JobFailed", "its log is above; correct it and build again, which runs the Job again"
		failure.Message = fmt.Sprintf("%s failed: Job %s failed: %s", name, jobs, serving)
	case failure.Step == clearStep && len(names) > 0:
		failure.Reason, failure.Advice = "JobRunning", "wait for its end, or stop it with kubectl delete job; then build again"
		failure.Message = fmt.Sprintf("%s failed: Job %s of an earlier release still runs: %s", name, jobs, serving)
	default:
		return false
	}
	return true
}

// conflictLine is what the API server answers to the application of a field that another manager
// owns.
var conflictLine = regexp.MustCompile(`conflicts? with "([^"]+)".*`)

// adoptAdvice is what to do about objects and fields of other owners.
const adoptAdvice = "leave them out of the manifests, or take them over with --adopt"

// refusal returns why the API server does not let a deployment change what is not the app's; two
// empty texts if the log has another reason.
func refusal(log []string) (reason, message string) {
	for i, line := range log {
		if _, text, ok := strings.Cut(line, "denied request: "); ok && strings.Contains(text, manifests.NotTheApps) {
			object, _, _ := strings.Cut(line, " is invalid")
			return "NotOwned", display.OneLine(strings.TrimPrefix(object, "The ") + " exists: " + text)
		}
		if match := conflictLine.FindString(line); match != "" {
			// The fields may be on lines of their own.
			for _, more := range log[i+1:] {
				if !strings.HasPrefix(strings.TrimSpace(more), "- .") {
					break
				}
				match += " " + strings.TrimSpace(more)
			}
			return "FieldConflict", display.OneLine(match)
		}
	}
	return "", ""
}

// inTests adds to the name of a run that the build of its tests failed.
func (t explanation) inTests(name string) string {
	if t.stages.testing() {
		return name + " failed: the tests"
	}
	return name
}

// explainInstruction explains a failure by an instruction of the Dockerfile.
func (t explanation) explainInstruction(failure *event.Failure, name string, index int, timedOut bool) {
	parsed := t.stages.parsed
	failure.Dockerfile = parsed.Path
	failure.Instruction = t.stages.describe(index)
	failure.Excerpt = parsed.Excerpt(parsed.Instructions[index])
	failed := t.steps.failed
	reason := fmt.Sprintf("%s, exit code %d", failed.Reason, failed.ExitCode)
	if failed.Reason == stepError {
		failure.ExitCode = cmp.Or(t.steps.exit, failure.ExitCode)
		reason = fmt.Sprintf("exit code %d", failure.ExitCode)
	}
	if timedOut {
		reason = "it took too long"
	}
	if failed.Reason == stepError && !timedOut {
		cause, remedy := diagnose.ParseCommand(t.steps.last, failure.ExitCode)
		failure.Advice = cmp.Or(failure.Advice, remedy)
		if cause != "" {
			reason += ": " + cause
		}
	}
	if t.stages.testing() {
		failure.Advice = cmp.Or(failure.Advice,
			adviceForTests(strings.Fields(failure.Instruction.Text), t.tests.stage, failure.ExitCode, t.steps.last))
	}
	if diagnosis := t.stages.diagnosis; diagnosis != nil {
		reason, failure.Advice = diagnosis.Message, diagnosis.Advice
	}
	failure.Message = fmt.Sprintf("%s failed: %s:%d: %s: %s", name, parsed.Path, failure.Instruction.Line, display.Truncate(display.OneLine(failure.Instruction.Text), maxText), reason)
}

// explainTests names the tests that failed, or says why there were none.
func (t explanation) explainTests(failure *event.Failure, name string) {
	reason := fmt.Sprintf("exit code %d", failure.ExitCode)
	switch failure.Reason {
	case stepError, continued:
		failure.Reason = testsFailed
	default:
		reason = failure.Reason + ", " + reason
	}
	failure.Message = fmt.Sprintf("%s failed: the tests failed: %s: %s", name, display.Truncate(display.OneLine(strings.Join(t.tests.command, " ")), maxText), reason)
	if results := t.tests.results; results != nil && len(results.Bad) > 0 {
		failure.FailedTests = results.Bad
		bad := results.Failed + results.Errors
		named := failure.FailedTests[:min(maxTests, len(failure.FailedTests))]
		failure.Message = fmt.Sprintf("%s failed: %d of %s failed: %s", name, bad, display.Count(results.Total, "test"), strings.Join(named, ", "))
		if more := bad - len(named); more > 0 {
			failure.Message += fmt.Sprintf(" and %d more", more)
		}
	}
	if diagnosis := t.stages.diagnosis; diagnosis != nil {
		failure.Message, failure.Advice = fmt.Sprintf("%s failed: the tests did not start: %s", name, diagnosis.Message), diagnosis.Advice
	}
	cause, remedy := diagnose.ParseCollection(t.steps.last)
	if cause != "" {
		failure.Message += ": " + cause
	}
	_, more := diagnose.ParseCommand(t.steps.last, failure.ExitCode)
	failure.Advice = cmp.Or(failure.Advice, remedy, adviceForTests(t.tests.command, t.tests.stage, failure.ExitCode, t.steps.last), more)
}

// lastLine is the last line of the step that deploys; the last line of a build can be
// anything.
func (t explanation) lastLine(task string) string {
	if len(t.steps.last) == 0 || task != pipelinerun.DeployTask {
		return ""
	}
	return display.Truncate(display.OneLine(t.steps.last[len(t.steps.last)-1]), maxText)
}

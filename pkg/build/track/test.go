package track

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/junit"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

const (
	// junitLimit bounds what is kept of the results, in bytes: the step prints no more.
	junitLimit = 4 << 20
	// namedTests is how many tests a failure's message names.
	namedTests = 3
	// skippedStep ends what Tekton writes into the log of a step that is left out.
	skippedStep = "Step was skipped due to when expressions were evaluated to false."
	// testsFailed is the Reason of tests that ended with another code than 0.
	testsFailed = "TestsFailed"
)

// tests is what is known of the tests of a run.
type tests struct {
	// command and stage are how it tests.
	command []string
	stage   string
	xml     []byte
	// results are nil until they are known.
	results *junit.Results
}

// isTest says whether a task runs the test command.
func isTest(task string) bool {
	return task == manifests.TestTask || task == manifests.TestStageTask
}

// isEngine says whether a step is the build engine.
func isEngine(task, step string) bool {
	return (task == manifests.BuildTask || task == manifests.BuildTestTask) && step == "build"
}

// last says whether the tests have passed when a task has ended well.
func (t *tests) last(task string) bool {
	return isTest(task) || task == manifests.BuildTestTask && len(t.command) == 0
}

// add takes a line of the results.
func (t *tests) add(line string) {
	if len(t.xml)+len(line) < junitLimit+len("\n") {
		t.xml = append(append(t.xml, line...), '\n')
	}
}

// read makes results of the lines. A program that writes others than JUnit's, or
// none, is not wrong for that.
func (t *tests) read() {
	if results, err := junit.Parse(t.xml); err == nil {
		t.results = &results
	}
}

// sums are the results; nil while they are not known.
func (t *tests) sums() *event.Tests {
	if t.results == nil {
		return nil
	}
	return &event.Tests{
		Total: t.results.Total, Failed: t.results.Failed, Errors: t.results.Errors, Skipped: t.results.Skipped,
		DurationSeconds: t.results.Duration.Seconds(),
	}
}

// passed is the result of tests that are green.
func (t *tests) passed() string {
	if t.results == nil {
		return "Tests passed"
	}
	text := fmt.Sprintf("Tests passed, %d passed", t.results.Passed())
	if t.results.Skipped > 0 {
		text += fmt.Sprintf(", %d skipped", t.results.Skipped)
	}
	return text + " in " + display.Seconds(t.results.Duration.Round(time.Millisecond))
}

// JUnit are the results of the tests in JUnit's XML, as far as they were written;
// empty when there are none.
func (t *Tracker) JUnit() []byte { return t.tests.xml }

// testFailure says which tests were red, or why there were none.
func (t *Tracker) testFailure(failure *event.Failure, name string) {
	command := display.Truncate(display.OneLine(strings.Join(t.tests.command, " ")), maxText)
	reason := fmt.Sprintf("exit code %d", failure.ExitCode)
	switch failure.Reason {
	case "Error", "Continued":
		failure.Reason = testsFailed
	default:
		reason = failure.Reason + ", " + reason
	}
	failure.Message = fmt.Sprintf("%s failed: the tests failed: %s: %s", name, command, reason)
	if t.tests.results != nil && len(t.tests.results.Bad) > 0 {
		failure.FailedTests = t.tests.results.Bad
		bad := t.tests.results.Failed + t.tests.results.Errors
		named := failure.FailedTests[:min(namedTests, len(failure.FailedTests))]
		failure.Message = fmt.Sprintf("%s failed: %d of %s failed: %s", name, bad, display.Count(t.tests.results.Total, "test"), strings.Join(named, ", "))
		if more := bad - len(named); more > 0 {
			failure.Message += fmt.Sprintf(" and %d more", more)
		}
	}
	failure.Advice = cmp.Or(failure.Advice,
		pipelinerun.TestAdvice(t.tests.command, t.tests.stage, failure.ExitCode, t.steps.last),
		pipelinerun.CommandAdvice(t.steps.last))
}

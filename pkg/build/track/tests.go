package track

import (
	"cmp"
	"fmt"
	"regexp"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/follow"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/junit"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
)

const (
	// junitLimit bounds what is kept of the results, in bytes: the step prints no more.
	junitLimit = 4 << 20
	// skippedStep ends what Tekton writes into the log of a step that is skipped.
	skippedStep = "Step was skipped due to when expressions were evaluated to false."
)

// tests is what is known of the tests of a run.
type tests struct {
	// command and stage are how the run tests.
	command []string
	stage   string
	xml     []byte
	// started reports that the test command has written a line or has been started, in the
	// pod that builds.
	started bool
	// said is what the tests wrote about their result, until the results are known.
	said string
	// results are nil until they are known.
	results *junit.Results
}

// isReport reports whether an event is about the step that prints the test results.
func isReport(e follow.Event) bool {
	return (e.Task == pipelinerun.TestTask || e.Task == pipelinerun.BuildTask) && e.Step == pipelinerun.ReportStep
}

// isEngine reports whether a step is the build engine.
func isEngine(task, step string) bool {
	return task == pipelinerun.BuildTask && step == pipelinerun.BuildStep
}

// summary is the last line of pytest: 2 passed, 1 skipped in 0.31s.
var summary = regexp.MustCompile(`^=*\s*((?:\d+ [a-z]+, )*\d+ passed(?:, \d+ [a-z]+)*) in ([\d.]+)s\b`)

// start begins the lines of the test, unless its first one has come already.
func (t *tests) start(steps *steps) {
	if !t.started {
		t.started = true
		steps.last = nil
	}
}

// add adds a line of the results.
func (t *tests) add(line string) {
	if len(t.xml)+len(line) < junitLimit+len("\n") {
		t.xml = append(append(t.xml, line...), '\n')
	}
}

// read parses the results. It is no error if a program writes none, or in another form.
func (t *tests) read() {
	if results, err := junit.Parse(t.xml); err == nil {
		t.results = &results
	}
}

// sums returns the results; nil while they are not known.
func (t *tests) sums() *event.Tests {
	if t.results == nil {
		return nil
	}
	return &event.Tests{
		Total: t.results.Total, Failed: t.results.Failed, Errors: t.results.Errors, Skipped: t.results.Skipped,
		DurationSeconds: t.results.Duration.Seconds(),
	}
}

// hear reads a line that the tests wrote.
func (t *tests) hear(line string) {
	if match := summary.FindStringSubmatch(ansi.Strip(line)); match != nil {
		t.said = "Tests passed: " + match[1] + " in " + match[2] + "s"
	}
}

// passed is the result of tests that passed.
func (t *tests) passed() string {
	if t.results == nil {
		return cmp.Or(t.said, "Tests passed")
	}
	text := fmt.Sprintf("Tests passed: %d passed", t.results.Passed())
	if t.results.Skipped > 0 {
		text += fmt.Sprintf(", %d skipped", t.results.Skipped)
	}
	return text + " in " + display.Seconds(t.results.Duration.Round(time.Millisecond))
}

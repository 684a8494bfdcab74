package track

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/follow"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
)

const tested = "FROM a AS run\nCOPY x /\nFROM run AS test\nRUN pytest\nFROM run\nCMD x\n"

const green = `<testsuite time="2.1"><testcase name="a"/><testcase name="b"><skipped/></testcase></testsuite>`

// testTask are the events of a test command that ends with code.
func testTask(task string, code int32, results string, lines ...string) []follow.Event {
	events := []follow.Event{
		{Kind: follow.TaskStarted, Task: task},
		{Kind: follow.StepStarted, Task: task, Step: "test"},
	}
	for _, line := range lines {
		events = append(events, follow.Event{Kind: follow.Log, Task: task, Step: "test", Text: line})
	}
	reason := "Completed"
	if code != 0 {
		reason = "Continued"
	}
	events = append(events, follow.Event{Kind: follow.StepEnded, Task: task, Step: "test", ExitCode: code, Reason: reason},
		follow.Event{Kind: follow.StepStarted, Task: task, Step: "report"})
	for line := range strings.SplitSeq(results, "\n") {
		events = append(events, follow.Event{Kind: follow.Log, Task: task, Step: "report", Text: line})
	}
	return append(events,
		follow.Event{Kind: follow.StepEnded, Task: task, Step: "report", ExitCode: code},
		follow.Event{Kind: follow.TaskEnded, Task: task, Succeeded: code == 0})
}

func TestTestsThatPass(t *testing.T) {
	r := record(t, tested, &pipelinerun.Test{Command: []string{"pytest"}, Stage: "test"})
	r.Begin(event.Push)
	events := []follow.Event{
		{Kind: follow.TaskEnded, Task: "build", Succeeded: true},
		{Kind: follow.TaskStarted, Task: "build-test"},
		{Kind: follow.StepStarted, Task: "build-test", Step: "build"},
		{Kind: follow.Log, Task: "build-test", Step: "build", Text: `time="x" level=info msg="COPY x /"`},
		{Kind: follow.Log, Task: "build-test", Step: "build", Text: `time="x" level=info msg="RUN pytest"`},
		{Kind: follow.Log, Task: "build-test", Step: "build", Text: `time="x" level=info msg="Pushing image to registry/team/app/test:app-x"`},
		{Kind: follow.StepEnded, Task: "build-test", Step: "build"},
		{Kind: follow.TaskEnded, Task: "build-test", Succeeded: true},
	}
	skipped := follow.Event{Kind: follow.Log, Task: "test-stage", Step: "fetch", Text: "2026/01/01 INFO " + skippedStep}
	events = append(append(events, skipped), testTask("test-stage", 0, green, ".s")...)
	events = append(events, follow.Event{Kind: follow.TaskStarted, Task: "deploy"})
	for _, e := range events {
		r.Handle(e)
	}
	r.expect(t,
		"StageStarted push",
		"StageEnded push Succeeded Pushed the image",
		"StageStarted test",
		"InstructionStarted test 2/6 line 2 COPY x /",
		"Log test build: COPY x / (chatter)",
		"InstructionStarted test 4/6 line 4 RUN pytest",
		"Log test build: RUN pytest (chatter)",
		"Log test build: Pushing image to registry/team/app/test:app-x (chatter)",
		"Log test fetch: 2026/01/01 INFO "+skippedStep+" (chatter)",
		"Log test test: .s",
		"StageEnded test Succeeded Tests passed: 1 passed, 1 skipped in 2.1s",
		"StageStarted deliver",
	)
	if err := r.Finish(t.Context(), event.Result{Tests: r.Tests()}, nil); err != nil {
		t.Fatal(err)
	}
	want := &event.Tests{Total: 2, Skipped: 1, DurationSeconds: 2.1}
	if got := r.events[len(r.events)-1].Result.Tests; !reflect.DeepEqual(got, want) {
		t.Errorf("the result has %+v", got)
	}
	if string(r.JUnit()) != green+"\n" {
		t.Errorf("kept is %q", r.JUnit())
	}
}

// A stage that the image is not made of has no instructions in its build, though a
// later one starts from the same base.
func TestInstructionsOfTheTestAreLeftOut(t *testing.T) {
	r := record(t, tested, nil)
	r.Begin(event.Build)
	r.Handle(engineSays("Building stage 'run' [idx: '2', base-idx: '0']"))
	r.expect(t, "StageStarted build", "InstructionStarted build 5/6 line 5 FROM run", "Log build build: Building stage 'run' [idx: '2', base-idx: '0'] (chatter)")
}

func TestTestsThatFail(t *testing.T) {
	bad := func(name string) string { return `<testcase classname="t" name="` + name + `"><failure/></testcase>` }
	red := `<testsuite>` + bad("a") + bad("b") + bad("c") + bad("d") + bad("e") + `<testcase name="good"/></testsuite>`
	inImage := pipelinerun.Test{Command: []string{"pytest", "-q"}}
	inStage := pipelinerun.Test{Command: []string{"pytest", "-q"}, Stage: "test"}
	build := func(lines ...string) []follow.Event {
		events := []follow.Event{
			{Kind: follow.StepStarted, Task: "build-test", Step: "build"},
			{Kind: follow.Log, Task: "build-test", Step: "build", Text: `time="x" level=info msg="Building stage 'run' [idx: '1', base-idx: '0']"`},
			{Kind: follow.Log, Task: "build-test", Step: "build", Text: `time="x" level=info msg="RUN pytest"`},
		}
		for _, line := range lines {
			events = append(events, follow.Event{Kind: follow.Log, Task: "build-test", Step: "build", Text: line})
		}
		return append(events, follow.Event{Kind: follow.StepEnded, Task: "build-test", Step: "build", ExitCode: 1, Reason: "Error"})
	}
	for name, test := range map[string]struct {
		test    pipelinerun.Test
		events  []follow.Event
		message string
		advice  string
		failed  int
		last    string
	}{
		"with results": {inImage, testTask("test", 1, red, "5 failed"), "run app-x failed: 5 of 6 tests failed: t.a, t.b, t.c and 2 more", "", 5, "5 failed"},
		"without":      {inImage, testTask("test", 3, "", "boom"), "run app-x failed: the tests failed: pytest -q: exit code 3", "", 0, "boom"},
		"results cut off": {
			inImage, testTask("test", 1, red[:50], "5 failed"), "run app-x failed: the tests failed: pytest -q: exit code 1", "", 0, "5 failed",
		},
		"no pytest in the image": {
			inImage, testTask("test", 1, "", `2026/01/01 Error executing command: exec: "pytest": executable file not found in $PATH`),
			"run app-x failed: the tests failed: pytest -q: exit code 1", "the image has no pytest: give the Dockerfile a stage test", 0, "executable file",
		},
		"no tests": {
			inStage, testTask("test-stage", 5, `<testsuite/>`, "no tests ran"), "run app-x failed: the tests failed: pytest -q: exit code 5",
			"pytest found no tests: check the path, that the stage test copies the tests", 0, "no tests ran",
		},
		"in the report only": {
			inImage,
			[]follow.Event{
				{Kind: follow.StepStarted, Task: "test", Step: "test"},
				{Kind: follow.Log, Task: "test", Step: "test", Text: "x"},
				{Kind: follow.StepEnded, Task: "test", Step: "test"},
				{Kind: follow.StepStarted, Task: "test", Step: "report"},
				{Kind: follow.StepEnded, Task: "test", Step: "report", ExitCode: 2, Reason: "Error"},
			},
			"run app-x failed: the tests failed: pytest -q: exit code 2", "", 0, "x",
		},
		"an instruction": {
			pipelinerun.Test{Stage: "test"}, build("1 failed"), "run app-x failed: the tests failed: Dockerfile:4: RUN pytest: exit code 1", "", 0, "1 failed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := record(t, tested, &test.test)
			r.Begin(event.Test)
			for _, e := range test.events {
				r.Handle(e)
			}
			err := r.Verdict(run("app-x", corev1.ConditionFalse, "Tasks Completed: 2"))
			var failure *event.Failure
			if !errors.As(err, &failure) || failure.Message != test.message || failure.Phase != event.Test {
				t.Fatalf("got %v, want %s", err, test.message)
			}
			if !strings.HasPrefix(failure.Advice, test.advice) || (failure.Advice == "") != (test.advice == "") {
				t.Errorf("advice is %q, want %q", failure.Advice, test.advice)
			}
			if len(failure.FailedTests) != test.failed || len(failure.Log) == 0 || !strings.Contains(failure.Log[len(failure.Log)-1], test.last) {
				t.Errorf("the failure is %+v", failure)
			}
		})
	}
}

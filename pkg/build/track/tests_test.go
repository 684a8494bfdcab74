package track

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/follow"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
)

const tested = "FROM a AS run\nCOPY x /\nFROM run AS test\nRUN pytest\nFROM run AS image\nCMD x\n\nFROM test AS pyflow-test\n"

// withTest is a Dockerfile as dockerfile.WithTest makes it.
const withTest = "FROM a AS run\nCOPY x /\nFROM run AS test\nCOPY t /\nFROM run AS pyflow-image\nCMD x\n\nFROM test AS pyflow-test\nENV PYTEST_ADDOPTS=x\nRUN [\"pytest\",\"-q\"]\n"

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
	events = append(events, follow.Event{Kind: follow.StepEnded, Task: task, Step: "test", ExitCode: code, Reason: reason})
	return append(events, report(task, code, results)...)
}

// report are the events of the step that prints results and exits with code.
func report(task string, code int32, results string) []follow.Event {
	events := []follow.Event{{Kind: follow.StepStarted, Task: task, Step: "report"}}
	for line := range strings.SplitSeq(results, "\n") {
		events = append(events, follow.Event{Kind: follow.Log, Task: task, Step: "report", Text: line})
	}
	return append(events,
		follow.Event{Kind: follow.StepEnded, Task: task, Step: "report", ExitCode: code},
		follow.Event{Kind: follow.TaskEnded, Task: task, Succeeded: code == 0})
}

func TestTestsThatPass(t *testing.T) {
	r := record(t, withTest, &pipelinerun.Test{Command: []string{"pytest", "-q"}, Stage: "test"})
	r.run.Target, r.stages.target = "pyflow-image", "pyflow-image"
	r.Begin(event.Build)
	for _, e := range slices.Concat([]follow.Event{
		{Kind: follow.StepStarted, Task: "build", Step: "build"},
		engineSays("Building stage 'a' [idx: '0', base-idx: '-1']"),
		engineSays("COPY x /"),
		engineSays("Building stage 'run' [idx: '2', base-idx: '0']"),
		engineSays("CMD x"),
		engineSays("Building stage 'run' [idx: '3', base-idx: '0']"),
		engineSays("COPY t /"),
		engineSays("ENV PYTEST_ADDOPTS=x"),
		engineSays(`RUN ["pytest","-q"]`),
		{Kind: follow.Log, Task: "build", Step: "build", Text: "1 passed, 1 skipped in 2.10s"},
		engineSays("Taking snapshot of full filesystem..."),
		engineSays("Pushing image to registry/team/app:app-x"),
		{Kind: follow.StepEnded, Task: "build", Step: "build"},
	}, report("build", 0, green)) {
		r.Handle(e)
	}
	r.Handle(follow.Event{Kind: follow.TaskStarted, Task: "deploy"})
	r.expect(t,
		"StageStarted build",
		"InstructionStarted build 1/7 line 1 FROM a AS run a",
		"Log build build: Building stage 'a' [idx: '0', base-idx: '-1'] (chatter)",
		"InstructionEnded build 1/7 line 1 FROM a AS run a",
		"InstructionStarted build 2/7 line 2 COPY x /",
		"Log build build: COPY x / (chatter)",
		"InstructionEnded build 2/7 line 2 COPY x /",
		"InstructionStarted build 3/7 line 5 FROM run AS pyflow-image",
		"Log build build: Building stage 'run' [idx: '2', base-idx: '0'] (chatter)",
		"InstructionEnded build 3/7 line 5 FROM run AS pyflow-image",
		"InstructionStarted build 4/7 line 6 CMD x",
		"Log build build: CMD x (chatter)",
		"InstructionEnded build 4/7 line 6 CMD x",
		"StageEnded build Succeeded Built image",
		"StageStarted test",
		"InstructionStarted test 5/7 line 3 FROM run AS test",
		"Log test build: Building stage 'run' [idx: '3', base-idx: '0'] (chatter)",
		"InstructionEnded test 5/7 line 3 FROM run AS test",
		"InstructionStarted test 6/7 line 4 COPY t /",
		"Log test build: COPY t / (chatter)",
		"Log test build: ENV PYTEST_ADDOPTS=x (chatter)",
		"InstructionEnded test 6/7 line 4 COPY t /",
		"InstructionStarted test 7/7 line 0 pytest -q",
		`Log test test: RUN ["pytest","-q"] (chatter)`,
		"Log test test: 1 passed, 1 skipped in 2.10s",
		"StageUpdated test taking a snapshot of the files",
		"Log test test: Taking snapshot of full filesystem... (chatter)",
		"InstructionEnded test 7/7 line 0 pytest -q",
		"StageEnded test Succeeded Tests passed: 1 passed, 1 skipped in 2.10s",
		"StageStarted push",
		"Log push test: Pushing image to registry/team/app:app-x (chatter)",
		"StageEnded push Succeeded Pushed the image",
		"StageStarted deliver",
		"StageUpdated deliver starting the pod that deploys",
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
	r := record(t, "FROM a AS run\nCOPY x /\nFROM run AS test\nRUN pytest\nFROM run\nCMD x\n", nil)
	r.Begin(event.Build)
	r.Handle(engineSays("Building stage 'a' [idx: '2', base-idx: '-1']"))
	r.Handle(engineSays("COPY x /"))
	r.Handle(engineSays("RUN pytest"))
	r.Handle(engineSays("CMD x"))
	// A word of a command that reads like an instruction before it.
	r.Handle(engineSays("COPY x /"))
	want := []string{"1/4 line 1", "2/4 line 2", "4/4 line 6"}
	var got []string
	for _, e := range r.events {
		if i := e.Instruction; i != nil && e.Type == event.InstructionStarted {
			got = append(got, fmt.Sprintf("%d/%d line %d", i.Number, i.Total, i.Line))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestLinesBeforeTheTest checks that the first lines of a fast test are its own, though they come
// before the engine's line for it, and that those of another command are not.
func TestLinesBeforeTheTest(t *testing.T) {
	const text = "FROM a AS run\nCOPY x /\nFROM run AS test\nRUN pip install pytest\nCOPY t /\nFROM run AS pyflow-image\nCMD x\n\nFROM test AS pyflow-test\nENV PYTEST_ADDOPTS=x\nARG PYFLOW_RUN\nRUN [\"pytest\",\"-q\"]\n"
	writes := func(line string) follow.Event {
		return follow.Event{Kind: follow.Log, Task: "build", Step: "build", Text: line}
	}
	for name, test := range map[string]struct {
		before []follow.Event
		// sources are those of the lines of commands.
		sources []string
	}{
		"before its ARG":        {[]follow.Event{engineSays("RUN pip install pytest"), writes("Collecting x"), engineSays("COPY t /"), engineSays("ENV PYTEST_ADDOPTS=x"), writes("one")}, []string{"build", "test", "test"}},
		"before its ENV":        {[]follow.Event{engineSays("RUN pip install pytest"), writes("Collecting x"), engineSays("COPY t /"), writes("one")}, []string{"build", "test", "test"}},
		"after a cached RUN":    {[]follow.Event{engineSays("Using caching version of cmd: RUN pip install pytest"), engineSays("RUN pip install pytest"), writes("one")}, []string{"test", "test"}},
		"of an instruction":     {[]follow.Event{engineSays("RUN pip install pytest"), writes("Collecting x"), writes("Installed")}, []string{"build", "build", "test"}},
		"before an instruction": {[]follow.Event{writes("Collecting x"), engineSays("RUN pip install pytest")}, []string{"build", "test"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := record(t, text, &pipelinerun.Test{Command: []string{"pytest", "-q"}, Stage: "test"})
			r.run.Target, r.stages.target = "pyflow-image", "pyflow-image"
			r.Begin(event.Build)
			for _, e := range slices.Concat(
				[]follow.Event{{Kind: follow.StepStarted, Task: "build", Step: "build"}, engineSays("Building stage 'run' [idx: '3', base-idx: '0']")},
				test.before,
				[]follow.Event{engineSays(`RUN ["pytest","-q"]`), writes("3 passed in 0.01s")},
			) {
				r.Handle(e)
			}
			var sources, own []string
			for _, e := range r.events {
				if e.Type == event.Log && !e.Chatter {
					sources = append(sources, e.Source)
					if e.Source == "test" {
						own = append(own, e.Message)
					}
				}
			}
			if !slices.Equal(sources, test.sources) {
				t.Errorf("the lines are of %q, want %q", sources, test.sources)
			}
			// A failure repeats all lines of the test, and none of another command.
			said := slices.DeleteFunc(slices.Clone(r.steps.last), func(line string) bool { return strings.HasPrefix(line, "RUN ") })
			if !slices.Equal(said, own) {
				t.Errorf("the last lines are %q, want %q", said, own)
			}
		})
	}
}

func TestTestsThatFail(t *testing.T) {
	bad := func(name string) string { return `<testcase classname="t" name="` + name + `"><failure/></testcase>` }
	red := `<testsuite>` + bad("a") + bad("b") + bad("c") + bad("d") + bad("e") + `<testcase name="good"/></testsuite>`
	inImage := pipelinerun.Test{Command: []string{"pytest", "-q"}}
	inStage := pipelinerun.Test{Command: []string{"pytest", "-q"}, Stage: "test"}
	build := func(lines ...string) []follow.Event {
		events := []follow.Event{
			{Kind: follow.StepStarted, Task: "build", Step: "build"},
			engineSays("Building stage 'run' [idx: '3', base-idx: '0']"),
			engineSays("RUN pytest"),
		}
		for _, line := range lines {
			events = append(events, follow.Event{Kind: follow.Log, Task: "build", Step: "build", Text: line})
		}
		return append(events, follow.Event{Kind: follow.StepEnded, Task: "build", Step: "build", ExitCode: 1, Reason: "Continued"})
	}
	const exits = "error building image: error building stage: failed to execute command: waiting for process to exit: exit status "
	inBuild := func(results string, lines ...string) []follow.Event {
		events := []follow.Event{
			{Kind: follow.StepStarted, Task: "build", Step: "build"},
			engineSays("Building stage 'run' [idx: '3', base-idx: '0']"),
			engineSays("COPY t /"),
			engineSays(`RUN ["pytest","-q"]`),
		}
		for _, line := range lines {
			events = append(events, follow.Event{Kind: follow.Log, Task: "build", Step: "build", Text: line})
		}
		events = append(events, follow.Event{Kind: follow.StepEnded, Task: "build", Step: "build", ExitCode: 1, Reason: "Continued"})
		return append(events, report("build", 1, results)...)
	}
	for name, test := range map[string]struct {
		test    pipelinerun.Test
		events  []follow.Event
		message string
		advice  string
		failed  int
		last    string
	}{
		"in the build": {
			inStage, inBuild(red, "5 failed", exits+"1"), "run app-x failed: 5 of 6 tests failed: t.a, t.b, t.c and 2 more", "", 5, "5 failed",
		},
		"in the build, no pytest": {
			inStage, inBuild("", `error building image: error building stage: failed to execute command: starting command: exec: "pytest": executable file not found in $PATH`),
			"run app-x failed: the tests failed: pytest -q: exit code 1", "the stage test has no pytest: install it there", 0, "executable file",
		},
		"in the build, no shell for the variables of the platform": {
			inStage, inBuild("", `error building image: error building stage: failed to execute command: starting command: fork/exec /kaniko/tini: no such file or directory`),
			"run app-x failed: the tests did not start: the image has no /bin/sh, by which a RUN gets what setup was given with --build-env and --build-ca", "copy a shell into this stage", 0, "fork/exec",
		},
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
			inStage, inBuild(`<testsuite/>`, "no tests ran", exits+"5"), "run app-x failed: the tests failed: pytest -q: exit code 5",
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
			pipelinerun.Test{Stage: "test"}, build("1 failed", exits+"1"), "run app-x failed: the tests failed: Dockerfile:4: RUN pytest: exit code 1", "", 0, "1 failed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			text := tested
			if len(test.test.Command) > 0 {
				text = withTest
			}
			r := record(t, text, &test.test)
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

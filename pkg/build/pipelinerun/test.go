package pipelinerun

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/tektoncd/pipeline/pkg/apis/pipeline/pod"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// TestSuffix is what the repository with the images of an app's test stage has
// behind that of the app.
const TestSuffix = "/test"

// What the Pipelines' parameter test says.
const (
	testCommand      = "command"
	testStage        = "stage"
	testStageCommand = "stage-command"
)

const (
	paramTest        = "test"
	paramTestCommand = "test-command"
	paramTestKaniko  = "test-engine-args"

	resultTested      = "TESTED"
	resultStageTested = "STAGE_TESTED"
	resultTestURL     = "TEST_IMAGE_URL"

	// TestStep is the step that the test command is.
	TestStep = "test"
	// ReportStep is the one after it, which prints the JUnit results and ends as the
	// command did.
	ReportStep = "report"

	targetFlag = "--target="
)

// testParams say how the image is tested; none are of a run that tests nothing.
func testParams(spec Spec) tektonv1.Params {
	test := spec.Test
	if test == nil {
		return nil
	}
	how := testCommand
	switch {
	case test.Stage != "" && len(test.Command) > 0:
		how = testStageCommand
	case test.Stage != "":
		how = testStage
	}
	params := tektonv1.Params{param(paramTest, how)}
	if len(test.Command) > 0 {
		params = append(params, array(paramTestCommand, test.Command))
	}
	if test.Stage != "" {
		spec.Target = test.Stage
		params = append(params, array(paramTestKaniko, kanikoArgs(spec)))
	}
	return params
}

// testRunSpecs are those of the tasks that test, in the Pipeline's order, made after
// that of the build: tests ask for no less than it, and run where it does.
func testRunSpecs(spec Spec, build tektonv1.PipelineTaskRunSpec) []tektonv1.PipelineTaskRunSpec {
	var specs []tektonv1.PipelineTaskRunSpec
	if spec.Test.Stage != "" {
		stage := *build.DeepCopy()
		stage.PipelineTaskName = manifests.BuildTestTask
		specs = append(specs, stage)
	}
	if len(spec.Test.Command) == 0 {
		return specs
	}
	test := *build.DeepCopy()
	test.PipelineTaskName = manifests.TestTask
	if spec.Test.Stage != "" {
		test.PipelineTaskName = manifests.TestStageTask
	}
	noLinks := false
	test.PodTemplate = &pod.PodTemplate{
		AutomountServiceAccountToken: build.PodTemplate.AutomountServiceAccountToken,
		NodeSelector:                 test.PodTemplate.NodeSelector,
		// The variables of Services that happen to be there change what tests see.
		EnableServiceLinks: &noLinks,
		ImagePullSecrets:   []corev1.LocalObjectReference{{Name: manifests.RegistrySecret}},
	}
	for i := range test.StepSpecs {
		test.StepSpecs[i].Name = TestStep
	}
	return append(specs, test)
}

// Tests says whether a run tests the image that it builds.
func Tests(run *tektonv1.PipelineRun) bool { return text(run, paramTest) != "" }

// TestCommand is the command by which a run tests the image; nil when the stage of
// TestStage is the test, or nothing is.
func TestCommand(run *tektonv1.PipelineRun) []string { return list(run, paramTestCommand) }

// TargetStage is the stage of the Dockerfile that a run builds; empty is the last
// one.
func TargetStage(run *tektonv1.PipelineRun) string { return target(list(run, paramKaniko)) }

// TestStage is the stage of the Dockerfile that a run tests; empty is none.
func TestStage(run *tektonv1.PipelineRun) string { return target(list(run, paramTestKaniko)) }

func target(args []string) string {
	for _, arg := range args {
		if stage, ok := strings.CutPrefix(arg, targetFlag); ok {
			return stage
		}
	}
	return ""
}

// list is an array parameter of a run; nil without it.
func list(run *tektonv1.PipelineRun, name string) []string {
	for _, param := range run.Spec.Params {
		if param.Name == name {
			return param.Value.ArrayVal
		}
	}
	return nil
}

// What programs say that are asked for one that is not there: Tekton, a shell, Python.
var (
	noProgram = regexp.MustCompile(`exec: "([^"]+)": executable file not found|exec (\S+): no such file or directory|(?:^|: )([\w./-]+): (?:command )?not found$|No module named '?([\w.]+)'?$`)
	noTests   = regexp.MustCompile(`^ERROR: file or directory not found: (\S+)`)
)

// What pytest ends with.
const (
	pytestUsage   = 4
	pytestNoTests = 5
	noCommand     = 127
)

// TestAdvice is what to do when tests have failed for another reason than what they
// test, by the exit code of their command and the lines that it wrote last; empty
// when that is not so, or not known. Stage is the Dockerfile's that it ran in.
func TestAdvice(command []string, stage string, exitCode int32, lines []string) string {
	where := "the image has no %s: give the Dockerfile a stage test that adds what the tests need, or add it to the image"
	files := "check the path, and that .dockerignore does not leave the tests out"
	if stage != "" {
		where = "the stage " + stage + " has no %s: install it there"
		files = "check the path, that the stage " + stage + " copies the tests, and that .dockerignore does not leave them out"
	}
	pytest := slices.ContainsFunc(command, func(word string) bool {
		return path.Base(word) == "pytest" || path.Base(word) == "py.test"
	})
	for _, line := range lines {
		if match := noTests.FindStringSubmatch(line); match != nil && pytest && exitCode == pytestUsage {
			return "there is no " + match[1] + ": " + files
		}
		match := noProgram.FindStringSubmatch(line)
		if match == nil {
			continue
		}
		missing := strings.Join(match[1:], "")
		// A program that is not there, not a module that the code under test imports.
		if exitCode == noCommand || slices.ContainsFunc(command, func(word string) bool { return word == missing }) {
			return fmt.Sprintf(where, missing)
		}
	}
	if pytest && exitCode == pytestNoTests {
		return "pytest found no tests: " + files
	}
	return ""
}

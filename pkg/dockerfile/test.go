package dockerfile

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// testStage is the name of the stage that tests an image.
const testStage = "test"

// Test is how a Dockerfile tests its image.
type Test struct {
	// Stage is the name of the stage.
	Stage string
	// Command is what the stage's own ENTRYPOINT and CMD run, with variables as they are
	// written; empty when it has neither: building it is the test then.
	Command []string
}

// Test returns how the image of target, as of Target, is tested: by the stage named
// test, which Docker's users build in CI. ok is false when there is none, or when the
// image is made of it.
func (d *Dockerfile) Test(target string) (test Test, ok bool) {
	number := d.target(testStage)
	if number < 0 || d.Needed(target)[number] {
		return Test{}, false
	}
	stage := &d.Stages[number]
	return Test{Stage: stage.Name, Command: stage.ownCommand()}, true
}

// ownCommand returns what the stage's own ENTRYPOINT and CMD run. An ENTRYPOINT in shell
// form takes no arguments.
func (s *Stage) ownCommand() []string {
	var command []string
	if s.Entrypoint != nil && slices.Contains(s.Steps, s.Entrypoint.Step) {
		if command = slices.Clone(s.Entrypoint.Args); s.Entrypoint.ShellForm {
			return command
		}
	}
	if s.Cmd != nil && slices.Contains(s.Steps, s.Cmd.Step) {
		command = append(command, s.Cmd.Args...)
	}
	return command
}

// The names of the stages that WithTest adds.
const (
	// TestRun is the stage that runs the test, on top of the stage of Test.
	TestRun = "pyflow-test"
	// testedImage names the stage of the image if it has no name.
	testedImage = "pyflow-image"
)

// TestRunArg is the argument that the stage TestRun declares: a build that gives it another
// value runs the test again, whatever is cached.
const TestRunArg = "PYFLOW_TEST_RUN"

// WithTest returns the Dockerfile with one more stage at its end, TestRun: it starts from
// the stage of test and runs test's command, as the user and in the directory of that
// stage, with further variables, each KEY=VALUE. So one build makes the image of target,
// as of Target, and fails if the test does. image is the name of the stage of target, which
// gets one if it has none. No line of the Dockerfile moves.
//
// The error is about a Dockerfile that takes no further line, or has a stage of that name.
func (d *Dockerfile) WithTest(target string, test Test, variables ...string) (tested *Dockerfile, image string, err error) {
	number := d.target(target)
	if number < 0 || d.target(test.Stage) < 0 {
		return nil, "", fmt.Errorf("%s has no stage %q or %q", d.Path, target, test.Stage)
	}
	if d.target(TestRun) >= 0 {
		return nil, "", fmt.Errorf("%s has a stage %s, which is the name of the stage that runs the tests: rename it", d.Path, TestRun)
	}
	text := string(d.Content)
	if image = d.Stages[number].Name; image == "" {
		image = testedImage
		text = withName(text, &d.Stages[number], image)
	}
	var added strings.Builder
	added.WriteString(strings.TrimRight(text, "\n"))
	fmt.Fprintf(&added, "\n\nFROM %s AS %s\n", test.Stage, TestRun)
	if len(test.Command) > 0 {
		if len(variables) > 0 {
			fmt.Fprintf(&added, "ENV %s\n", strings.Join(variables, " "))
		}
		fmt.Fprintf(&added, "ARG %s\nRUN %s\n", TestRunArg, execForm(test.Command))
	}
	tested, err = Parse(d.Path, []byte(added.String()))
	if err != nil {
		return nil, "", err
	}
	if len(tested.Stages) != len(d.Stages)+1 {
		return nil, "", fmt.Errorf("%s: its last line continues on the next one: end it", d.Path)
	}
	return tested, image, nil
}

// withName returns the text of a Dockerfile with a name for a stage that has none.
func withName(text string, stage *Stage, name string) string {
	lines := strings.Split(text, "\n")
	from, end := strings.CutSuffix(lines[stage.End-1], "\r")
	lines[stage.End-1] = strings.TrimRight(from, " \t") + " AS " + name
	if end {
		lines[stage.End-1] += "\r"
	}
	return strings.Join(lines, "\n")
}

// execForm returns a command as a JSON array in one line.
func execForm(command []string) string {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(command) // strings are always valid
	return strings.TrimSpace(text.String())
}

package dockerfile

import "slices"

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

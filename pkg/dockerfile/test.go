package dockerfile

import (
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// testStage is the name of a stage that is there to be tested.
const testStage = "test"

// Test is what a Dockerfile says of how its image is tested.
type Test struct {
	// Stage is the name of the stage.
	Stage string
	// Command is what the stage's own ENTRYPOINT and CMD run, without variables
	// replaced; empty when it has neither: building it is the test then.
	Command []string
}

// Test returns how the image of target, as of Target, is tested: by the stage named
// test, which Docker's users build in CI. ok is false when there is none, or when the
// image is made of it.
func (d *Dockerfile) Test(target string) (test Test, ok bool) {
	number := d.stage(testStage)
	if number < 0 || d.Needed(target)[number] {
		return Test{}, false
	}
	return Test{Stage: d.Stages[number].Name, Command: slices.Clone(d.details[number].command)}, true
}

// Needed says of every stage, by its number, whether the image of target is made of
// it: by FROM, COPY --from or RUN --mount. A builder leaves out the others. Of a
// target that there is not, all are.
func (d *Dockerfile) Needed(target string) []bool {
	needed := make([]bool, len(d.Stages))
	number := len(d.Stages) - 1
	if target != "" {
		number = d.stage(target)
	}
	if number < 0 {
		for i := range needed {
			needed[i] = true
		}
		return needed
	}
	needed[number] = true
	// A stage is made of earlier ones only.
	for i := number; i >= 0; i-- {
		for _, from := range d.details[i].from {
			needed[from] = needed[from] || needed[i]
		}
	}
	return needed
}

// stage is the number of the stage that Target finds, or -1.
func (d *Dockerfile) stage(name string) int {
	if i := slices.IndexFunc(d.Stages, func(stage Stage) bool { return strings.EqualFold(stage.Name, name) }); i >= 0 {
		return i
	}
	if number, err := strconv.Atoi(name); err == nil && number >= 0 && number < len(d.Stages) {
		return number
	}
	return -1
}

// detail is what only this package wants to know of a stage.
type detail struct {
	// from are the earlier stages that it takes something from.
	from    []int
	command []string
}

// newDetail reads the i-th of stages, whose base is given with its variables
// replaced.
func newDetail(stages []instructions.Stage, i int, base string) detail {
	var d detail
	// The last stage of that name before this one, as the builder finds it.
	take := func(name string) {
		for j := i - 1; j >= 0; j-- {
			if stages[j].Name != "" && strings.EqualFold(stages[j].Name, name) {
				d.from = append(d.from, j)
				return
			}
		}
		if number, err := strconv.Atoi(name); err == nil && number >= 0 && number < i {
			d.from = append(d.from, number)
		}
	}
	take(base)
	shell := []string{"/bin/sh", "-c"}
	words := func(line instructions.ShellDependantCmdLine) []string {
		if !line.PrependShell {
			return slices.Clone(line.CmdLine)
		}
		return append(slices.Clone(shell), strings.Join(line.CmdLine, " "))
	}
	var entrypoint, arguments []string
	shellForm := false
	for _, command := range stages[i].Commands {
		switch command := command.(type) {
		case *instructions.CopyCommand:
			take(command.From)
		case *instructions.RunCommand:
			for _, mount := range instructions.GetMounts(command) {
				take(mount.From)
			}
		case *instructions.ShellCommand:
			shell = command.Shell
		case *instructions.EntrypointCommand:
			entrypoint, shellForm = words(command.ShellDependantCmdLine), command.PrependShell
		case *instructions.CmdCommand:
			arguments = words(command.ShellDependantCmdLine)
		}
	}
	// An ENTRYPOINT in shell form takes no arguments.
	d.command = entrypoint
	if !shellForm {
		d.command = append(d.command, arguments...)
	}
	return d
}

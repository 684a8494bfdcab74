package lint

import (
	"path"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/lint/command"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/shell"
)

// image is what a Dockerfile makes of its target: what the rules look at.
type image struct {
	file *dockerfile.Dockerfile
	// target is the stage that is built, chain are the stages whose layers are in the
	// image: the target is the last one.
	target *dockerfile.Stage
	chain  []*dockerfile.Stage
	// needed reports of every stage whether the target needs it.
	needed []bool
	// stages are the stages that run the steps.
	stages map[*dockerfile.Step]*dockerfile.Stage
	// calls are the commands of RUN, CMD and ENTRYPOINT, and installs those of them that
	// install Python packages.
	calls    map[*dockerfile.Step][]call
	installs map[*dockerfile.Step][]install
}

// call is a command of a step.
type call struct {
	shell.Command
	located
}

// install is a command of a step that installs Python packages.
type install struct {
	command.Install
	located
	step *dockerfile.Step
}

// set reports whether a variable in the environment of the command has a value.
func (i *install) set(name string) bool {
	if value, set := i.Sets(name); set {
		return value
	}
	return i.step.Env[name] != ""
}

// newImage reads the commands of a Dockerfile for a target that exists.
func newImage(file *dockerfile.Dockerfile, target string) *image {
	i := &image{
		file: file, chain: file.Lineage(target), needed: file.Needed(target),
		stages: map[*dockerfile.Step]*dockerfile.Stage{}, calls: map[*dockerfile.Step][]call{}, installs: map[*dockerfile.Step][]install{},
	}
	i.target = i.chain[len(i.chain)-1]
	for number := range file.Stages {
		for _, step := range file.Stages[number].Steps {
			i.stages[step] = &file.Stages[number]
			i.calls[step] = readCalls(file, step)
			i.installs[step] = readInstalls(step, i.calls[step])
		}
	}
	return i
}

// readCalls returns the commands of a step.
func readCalls(file *dockerfile.Dockerfile, step *dockerfile.Step) []call {
	commands, script := file.Commands(step)
	calls := make([]call, 0, len(commands))
	for _, command := range commands {
		calls = append(calls, call{command, located{file.Path, script}})
	}
	return calls
}

// readInstalls returns the commands of a step that install packages, with the variables
// that are exported before them.
func readInstalls(step *dockerfile.Step, calls []call) []install {
	var installs []install
	var exported []shell.Word
	for _, one := range calls {
		if one.Name() == "export" {
			exported = append(exported, one.Words[1:]...)
		}
		if found, ok := command.ParseInstall(one.Command); ok {
			found.Assigns = slices.Concat(found.Assigns, exported)
			installs = append(installs, install{found, one.located, step})
		}
	}
	return installs
}

// at returns the place of a step.
func (in *inputs) at(step *dockerfile.Step) place {
	return in.sources.lines(in.dockerfile, step.Line, step.End)
}

// inImage reports whether the layers of the step's stage are in the image.
func (i *image) inImage(step *dockerfile.Step) bool {
	return slices.Contains(i.chain, i.stages[step])
}

// steps returns the steps of the stages that are in the image, in order.
func (i *image) steps() []*dockerfile.Step { return stepsOf(i.chain) }

// neededSteps returns the steps of all stages that the target needs.
func (i *image) neededSteps() []*dockerfile.Step { return stepsOf(i.neededStages()) }

// neededStages returns the stages that the target needs.
func (i *image) neededStages() []*dockerfile.Stage {
	var stages []*dockerfile.Stage
	for number, needed := range i.needed {
		if needed {
			stages = append(stages, &i.file.Stages[number])
		}
	}
	return stages
}

// installedSteps returns the steps of the stages whose packages are in the image: its own,
// and those from which it copies a directory that holds packages.
func (i *image) installedSteps() []*dockerfile.Step {
	stages := slices.Clone(i.chain)
	for _, step := range i.steps() {
		copied, ok := step.Command.(*instructions.CopyCommand)
		if !ok || copied.From == "" {
			continue
		}
		from := i.file.Source(copied.From, i.stages[step].Number)
		if from == nil || !slices.ContainsFunc(copied.SourcePaths, holdsPackages) {
			continue
		}
		for _, stage := range from.Lineage() {
			if !slices.Contains(stages, stage) {
				stages = append(stages, stage)
			}
		}
	}
	return stepsOf(stages)
}

// before returns the steps that run before a step in its image.
func (i *image) before(step *dockerfile.Step) []*dockerfile.Step {
	all := stepsOf(i.stages[step].Lineage())
	return all[:slices.Index(all, step)]
}

func stepsOf(stages []*dockerfile.Stage) []*dockerfile.Step {
	var steps []*dockerfile.Step
	for _, stage := range stages {
		steps = append(steps, stage.Steps...)
	}
	return steps
}

// holdsPackages reports whether a path of a build stage is one that holds installed
// packages.
func holdsPackages(source string) bool {
	source = path.Clean("/" + source)
	for _, mark := range []string{"venv", "env", "site-packages", ".local"} {
		if strings.Contains(source, mark) {
			return true
		}
	}
	return oneOf(source, "/", "/install", "/usr", "/usr/local", "/usr/local/lib", "/app", "/opt", "/deps", "/packages", "/python")
}

// copied returns what COPY or ADD copies from the build context; none for any other
// instruction.
func copied(step *dockerfile.Step) []string {
	switch command := step.Command.(type) {
	case *instructions.CopyCommand:
		if command.From == "" {
			return command.SourcePaths
		}
	case *instructions.AddCommand:
		return command.SourcePaths
	}
	return nil
}

// wholeContext reports whether a source is the whole build context.
func wholeContext(source string) bool {
	return path.Clean("/"+source) == "/" || source == "*" || source == "./*"
}

// isDevelopment reports whether a name says that something is for development or tests.
func isDevelopment(name string) bool { return developmentPattern.MatchString(name) }

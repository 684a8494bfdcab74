package lint

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
)

// image is what a Dockerfile makes of its target.
type image struct {
	stages []*stage
	// arguments are those before the first FROM.
	arguments []instructions.ArgCommand
	// chain are the stages whose layers are in the image: the target is the last
	// one, each starts from the one before it.
	chain []*stage
}

// stage is one FROM and what follows it.
type stage struct {
	index int
	name  string
	// base is the image it starts from with variables replaced, of which known says
	// whether all have a value, and written as it is in the file; parent is the stage
	// instead.
	base    string
	written string
	known   bool
	parent  *stage
	at      place
	steps   []*step
	// needed says that the target needs it, inImage that its layers are in it.
	needed, inImage bool
	// environment is what the steps leave.
	environment map[string]string
	onbuild     []*instructions.OnbuildCommand
}

// step is one instruction of a stage.
type step struct {
	command instructions.Command
	at      place
	stage   *stage
	// calls are the commands of RUN, CMD and ENTRYPOINT.
	calls []call
	// environment is what ENV and ARG say before it.
	environment map[string]string
	mounts      []*instructions.Mount
	// installs are what installsOf has found; nil before.
	installs []install
}

// lineage are the stages from the first one on to this one.
func (s *stage) lineage() []*stage {
	if s.parent == nil {
		return []*stage{s}
	}
	return append(s.parent.lineage(), s)
}

// root is the stage at whose start an image is.
func (s *stage) root() *stage { return s.lineage()[0] }

// reader turns a Dockerfile into an image.
type reader struct {
	*checker
	path   string
	image  *image
	global map[string]string
}

// read parses a Dockerfile that project.ParseDockerfile has parsed before.
func (c *checker) read(parsed *dockerfile.Dockerfile) (*image, error) {
	result, err := parser.Parse(bytes.NewReader(parsed.Content))
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", parsed.Path, err)
	}
	stages, global, err := instructions.Parse(result.AST, nil)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", parsed.Path, err)
	}
	c.escape = result.EscapeToken
	r := &reader{checker: c, path: parsed.Path, image: &image{arguments: global}, global: map[string]string{}}
	for i := range global {
		r.declare(r.global, nil, &global[i])
	}
	for i := range stages {
		r.addStage(i, &stages[i])
	}
	if len(r.image.stages) == 0 {
		return nil, fmt.Errorf("parse %s: there is no FROM instruction", parsed.Path)
	}
	target := r.image.source(c.options.Target, len(r.image.stages))
	if target == nil {
		target = r.image.stages[len(r.image.stages)-1]
	}
	r.image.chain = target.lineage()
	for _, stage := range r.image.chain {
		stage.inImage = true
	}
	r.need(target)
	return r.image, nil
}

// find returns the last stage before number that has the name, or is that number.
func (i *image) find(name string, number int) *stage {
	for ; number > 0 && name != ""; number-- {
		if stage := i.stages[number-1]; strings.EqualFold(stage.name, name) {
			return stage
		}
	}
	return nil
}

// source returns the stage that a --from names, nil when it is an image.
func (i *image) source(name string, number int) *stage {
	if stage := i.find(name, number); stage != nil {
		return stage
	}
	if index, err := strconv.Atoi(name); err == nil && index >= 0 && index < number {
		return i.stages[index]
	}
	return nil
}

// need marks what a stage is made of.
func (r *reader) need(stage *stage) {
	if stage == nil || stage.needed {
		return
	}
	stage.needed = true
	r.need(stage.parent)
	for _, step := range stage.steps {
		if copied, ok := step.command.(*instructions.CopyCommand); ok {
			r.need(r.image.source(copied.From, stage.index))
		}
		for _, mount := range step.mounts {
			r.need(r.image.source(mount.From, stage.index))
		}
	}
}

func (r *reader) addStage(index int, parsed *instructions.Stage) {
	at := r.place(parsed.Location)
	base, known := r.expand(parsed.BaseName, r.global)
	stage := &stage{index: index, name: parsed.Name, base: base, written: parsed.BaseName, known: known, at: at, environment: map[string]string{}}
	if parent := r.image.find(base, index); parent != nil {
		stage.parent = parent
		maps.Copy(stage.environment, parent.environment)
	}
	r.image.stages = append(r.image.stages, stage)
	arguments := map[string]string{}
	if stage.parent != nil {
		for _, trigger := range stage.parent.onbuild {
			if command := parseOnbuild(trigger); command != nil {
				r.addStep(stage, command, r.place(trigger.Location()), arguments, 2)
			}
		}
	}
	for _, command := range parsed.Commands {
		if trigger, ok := command.(*instructions.OnbuildCommand); ok {
			stage.onbuild = append(stage.onbuild, trigger)
			continue
		}
		r.addStep(stage, command, r.place(command.Location()), arguments, 1)
	}
}

// parseOnbuild returns the instruction that a trigger is, nil when it is none.
func parseOnbuild(trigger *instructions.OnbuildCommand) instructions.Command {
	result, err := parser.Parse(strings.NewReader(trigger.Expression))
	if err != nil || len(result.AST.Children) != 1 {
		return nil
	}
	parsed, err := instructions.ParseInstruction(result.AST.Children[0])
	if err != nil {
		return nil
	}
	command, _ := parsed.(instructions.Command)
	return command
}

// step adds an instruction to a stage; keywords are the words that it begins with.
func (r *reader) addStep(stage *stage, command instructions.Command, at place, arguments map[string]string, keywords int) {
	environment := maps.Clone(arguments)
	maps.Copy(environment, stage.environment)
	step := &step{command: command, at: at, stage: stage, environment: environment}
	stage.steps = append(stage.steps, step)
	switch command := command.(type) {
	case *instructions.ArgCommand:
		r.declare(arguments, environment, command)
	case *instructions.EnvCommand:
		for _, pair := range command.Env {
			value, _ := r.expand(pair.Value, environment)
			stage.environment[pair.Key] = value
		}
	case *instructions.RunCommand:
		_ = command.Expand(func(word string) (string, error) {
			expanded, _ := r.expand(word, environment)
			return expanded, nil
		})
		step.mounts = instructions.GetMounts(command)
		step.calls = r.calls(at, keywords, command.PrependShell)
	case *instructions.CmdCommand:
		step.calls = r.calls(at, keywords, command.PrependShell)
	case *instructions.EntrypointCommand:
		step.calls = r.calls(at, keywords, command.PrependShell)
	}
}

// calls returns the commands of an instruction.
func (r *reader) calls(at place, keywords int, shellForm bool) []call {
	chars := r.instruction(r.path, at.line, at.endLine, r.escape)
	for range keywords {
		chars = skipWord(chars)
	}
	for startsWith(chars, "--") {
		chars = skipWord(chars)
	}
	if shellForm {
		return scanShell(r.path, chars, 0)
	}
	return scanJSON(r.path, chars)
}

// place is that of an instruction.
func (r *reader) place(ranges []parser.Range) place {
	first, last := 0, 0
	for _, one := range ranges {
		if first == 0 || one.Start.Line < first {
			first = one.Start.Line
		}
		last = max(last, one.End.Line)
	}
	return r.lines(r.path, first, last)
}

// declare sets what an ARG says: its default, or the value from before the first
// FROM.
func (r *reader) declare(arguments, environment map[string]string, command *instructions.ArgCommand) {
	for _, pair := range command.Args {
		if pair.Value == nil {
			if value, ok := r.global[pair.Key]; ok {
				arguments[pair.Key] = value
			}
			continue
		}
		known := maps.Clone(arguments)
		maps.Copy(known, environment)
		if value, ok := r.expand(*pair.Value, known); ok {
			arguments[pair.Key] = value
		}
	}
}

// expandIn replaces the variables in a word of a step.
func (c *checker) expandIn(step *step, word string) (string, bool) {
	return expand(word, step.environment, c.escape)
}

func (r *reader) expand(word string, environment map[string]string) (string, bool) {
	return expand(word, environment, r.escape)
}

// expand replaces variables, and reports whether all had a value.
func expand(word string, environment map[string]string, escape rune) (string, bool) {
	list := make([]string, 0, len(environment))
	for _, key := range slices.Sorted(maps.Keys(environment)) {
		list = append(list, key+"="+environment[key])
	}
	result, err := shell.NewLex(escape).ProcessWordWithMatches(word, shell.EnvsFromSlice(list))
	if err != nil {
		return word, false
	}
	return result.Result, len(result.Unmatched) == 0
}

// steps are those of the stages that are in the image, from the first one on.
func (i *image) steps() []*step {
	var steps []*step
	for _, stage := range i.chain {
		steps = append(steps, stage.steps...)
	}
	return steps
}

// needed are the steps of all stages that the target needs.
func (i *image) needed() []*step {
	var steps []*step
	for _, stage := range i.stages {
		if stage.needed {
			steps = append(steps, stage.steps...)
		}
	}
	return steps
}

// target is the stage that is built.
func (i *image) target() *stage { return i.chain[len(i.chain)-1] }

// installed are the steps of the stages whose packages are in the image: its own,
// and those from which it copies where packages are.
func (i *image) installed() []*step {
	stages := slices.Clone(i.chain)
	for _, step := range i.steps() {
		copied, ok := step.command.(*instructions.CopyCommand)
		if !ok || copied.From == "" {
			continue
		}
		from := i.source(copied.From, step.stage.index)
		if from == nil || !slices.ContainsFunc(copied.SourcePaths, holdsPackages) {
			continue
		}
		for _, stage := range from.lineage() {
			if !slices.Contains(stages, stage) {
				stages = append(stages, stage)
			}
		}
	}
	var steps []*step
	for _, stage := range stages {
		steps = append(steps, stage.steps...)
	}
	return steps
}

// holdsPackages says whether a path of a build stage is one where installed
// packages are.
func holdsPackages(source string) bool {
	source = path.Clean("/" + source)
	for _, mark := range []string{"venv", "env", "site-packages", ".local"} {
		if strings.Contains(source, mark) {
			return true
		}
	}
	return slices.Contains([]string{"/", "/install", "/usr", "/usr/local", "/usr/local/lib", "/app", "/opt", "/deps", "/packages", "/python"}, source)
}

package dockerfile

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// Stage is one FROM and the instructions behind it.
type Stage struct {
	// Number counts from 0.
	Number int
	// Name is what AS calls it, in lower case, or empty.
	Name string
	// Base is the image or the earlier stage it starts from, with its variables
	// replaced. Written is the same as it is in the file.
	Base, Written string
	// Known reports whether all variables of Base have a value.
	Known bool
	// Parent is the earlier stage that it starts from; nil if that is an image.
	Parent *Stage
	// Line is where its FROM starts, from 1, and End the last line of the FROM.
	Line, End int
	// Steps are its instructions in the order of the build: those that ONBUILD of Parent
	// triggers, then its own.
	Steps []*Step

	// Config is what an image of the stage has after all steps.
	Config

	// from are the numbers of the earlier stages that it takes something from.
	from []int
	// triggers are its ONBUILD instructions.
	triggers []*instructions.OnbuildCommand
}

// Config is the configuration of an image, as far as the instructions of its stage and of
// those it starts from say it. The base image may say more.
type Config struct {
	// Env are the variables that ENV sets and whose values are known.
	Env map[string]string
	// Expose are the TCP ports of EXPOSE: in the order of the instructions, and
	// ascending inside each. A port whose variables have no value is left out.
	Expose []int
	// User and Workdir are what USER and WORKDIR set; a relative WORKDIR is below the one
	// before it.
	User, Workdir Setting
	// Shell is what runs commands in shell form; empty means /bin/sh -c.
	Shell []string
	// Entrypoint and Cmd are what the image starts, Healthcheck is how it is probed; nil
	// without such an instruction. An ENTRYPOINT drops the CMD of earlier stages.
	Entrypoint, Cmd, Healthcheck *Process

	// args are the values of ARG, which a stage on top of this one has as well.
	args map[string]string
}

// Setting is a value and the step that set it; the step is nil if none did.
type Setting struct {
	Value string
	// Known reports whether all variables of the value have one themselves.
	Known bool
	Step  *Step
}

// Process is a command line that an image starts.
type Process struct {
	// Args are the program and its arguments; in shell form the shell, -c and the
	// command. A variable in it is the shell's to replace. Those of a HEALTHCHECK start
	// with NONE, CMD or CMD-SHELL.
	Args []string
	// ShellForm reports whether it is written as a line for a shell, not as a JSON array.
	ShellForm bool
	Step      *Step
}

// Step is an instruction that a stage runs.
type Step struct {
	// Instruction is where it is written; of one that is triggered, the ONBUILD.
	Instruction
	// Command is what BuildKit's parser reads, with variables as they are written.
	Command instructions.Command
	// Triggered reports whether an ONBUILD of an earlier stage runs it.
	Triggered bool
	// Env are the variables before it and their values, of ENV and ARG: the later one
	// wins.
	Env map[string]string
	// Mounts are those of a RUN, with their variables replaced.
	Mounts []*instructions.Mount

	escape rune
}

// Expand replaces the variables of a word of the step and removes its quotes. known
// reports whether all of them have a value or a default.
func (s *Step) Expand(word string) (text string, known bool) { return expand(word, s.Env, s.escape) }

// Ports returns the TCP ports that the step exposes, ascending; none if it is no EXPOSE. A
// port whose variables have no value is left out.
func (s *Step) Ports() []int {
	command, ok := s.Command.(*instructions.ExposeCommand)
	if !ok {
		return nil
	}
	var ports []int
	for _, word := range command.Ports {
		if expanded, known := s.Expand(word); known {
			ports = append(ports, tcpPorts(expanded)...)
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// Expand replaces the variables of a word as a shell does in a container of the stage's
// image. known reports whether all of them have a value or a default.
func (s *Stage) Expand(word string) (text string, known bool) { return expand(word, s.Env, '\\') }

// Lineage returns the stages whose layers are in an image of the stage, from the one that
// starts from an image up to the stage itself.
func (s *Stage) Lineage() []*Stage {
	var stages []*Stage
	for stage := s; stage != nil; stage = stage.Parent {
		stages = append(stages, stage)
	}
	slices.Reverse(stages)
	return stages
}

// stageReader reads one stage.
type stageReader struct {
	file  *Dockerfile
	stage *Stage
	// given are the arguments of the build, global those of the ARGs before the first FROM.
	given, global map[string]string
}

// read fills the stage, which is the last one of the file so far.
func (r *stageReader) read(parsed *instructions.Stage) {
	s := r.stage
	at := r.file.at(parsed.Location)
	s.Number, s.Name, s.Written, s.Line, s.End = len(r.file.Stages)-1, parsed.Name, parsed.BaseName, at.Line, at.End
	s.Base, s.Known = expand(parsed.BaseName, r.global, r.file.escape)
	s.Env, s.args = map[string]string{}, map[string]string{}
	if parent := r.file.named(s.Base, s.Number); parent != nil {
		s.Parent, s.Config, s.from = parent, parent.Config, []int{parent.Number}
		s.Env, s.args, s.Expose = maps.Clone(parent.Env), maps.Clone(parent.args), slices.Clone(parent.Expose)
		for _, trigger := range parent.triggers {
			if command := triggered(trigger); command != nil {
				r.step(command, r.file.at(trigger.Location()), true)
			}
		}
	}
	for _, command := range parsed.Commands {
		if trigger, ok := command.(*instructions.OnbuildCommand); ok {
			s.triggers = append(s.triggers, trigger)
			continue
		}
		r.step(command, r.file.at(command.Location()), false)
	}
}

// triggered returns the instruction of an ONBUILD; nil if it is none.
func triggered(trigger *instructions.OnbuildCommand) instructions.Command {
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

// step adds an instruction to the stage.
func (r *stageReader) step(command instructions.Command, at Instruction, isTriggered bool) {
	// ENV removes the ARG of its name, so an ARG that is left came later and wins.
	env := maps.Clone(r.stage.Env)
	maps.Copy(env, r.stage.args)
	step := &Step{Instruction: at, Command: command, Triggered: isTriggered, Env: env, escape: r.file.escape}
	r.stage.Steps = append(r.stage.Steps, step)
	switch command := command.(type) {
	case *instructions.ArgCommand:
		r.arg(step, command)
	case *instructions.EnvCommand:
		r.env(step, command)
	case *instructions.CopyCommand:
		r.take(command.From)
	case *instructions.RunCommand:
		r.mounts(step, command)
	default:
		r.stage.configure(step)
	}
}

// arg declares arguments. One that gets no value keeps that of an earlier stage.
func (r *stageReader) arg(step *Step, command *instructions.ArgCommand) {
	for _, pair := range command.Args {
		if pair.Value != nil {
			delete(r.stage.args, pair.Key)
		}
	}
	maps.Copy(r.stage.args, declared(step, r.given, r.global))
}

// env sets variables, of which each sees the values from before the instruction.
func (r *stageReader) env(step *Step, command *instructions.EnvCommand) {
	for _, pair := range command.Env {
		delete(r.stage.Env, pair.Key)
		delete(r.stage.args, pair.Key)
		if value, known := step.Expand(pair.Value); known {
			r.stage.Env[pair.Key] = value
		}
	}
}

// mounts reads the mounts of a RUN.
func (r *stageReader) mounts(step *Step, command *instructions.RunCommand) {
	_ = command.Expand(func(word string) (string, error) {
		expanded, _ := step.Expand(word)
		return expanded, nil
	})
	step.Mounts = instructions.GetMounts(command)
	for _, mount := range step.Mounts {
		r.take(mount.From)
	}
}

// take notes that the stage takes files from another one, if the name is that of one.
func (r *stageReader) take(name string) {
	if from := r.file.Source(name, r.stage.Number); from != nil {
		r.stage.from = append(r.stage.from, from.Number)
	}
}

// configure applies an instruction that changes the image's configuration.
func (s *Stage) configure(step *Step) {
	switch command := step.Command.(type) {
	case *instructions.ExposeCommand:
		for _, port := range step.Ports() {
			if !slices.Contains(s.Expose, port) {
				s.Expose = append(s.Expose, port)
			}
		}
	case *instructions.UserCommand:
		user, known := step.Expand(command.User)
		s.User = Setting{Value: user, Known: known, Step: step}
	case *instructions.WorkdirCommand:
		dir, known := step.Expand(command.Path)
		if !path.IsAbs(dir) {
			dir, known = path.Join("/", s.Workdir.Value, dir), known && (s.Workdir.Known || s.Workdir.Step == nil)
		}
		s.Workdir = Setting{Value: path.Clean(dir), Known: known, Step: step}
	case *instructions.ShellCommand:
		s.Shell = command.Shell
	case *instructions.EntrypointCommand:
		s.Entrypoint = s.process(step, command.ShellDependantCmdLine)
		if s.Cmd != nil && !slices.Contains(s.Steps, s.Cmd.Step) {
			s.Cmd = nil
		}
	case *instructions.CmdCommand:
		s.Cmd = s.process(step, command.ShellDependantCmdLine)
	case *instructions.HealthCheckCommand:
		test := command.Health.Test
		s.Healthcheck = &Process{Args: test, ShellForm: len(test) > 0 && test[0] == "CMD-SHELL", Step: step}
	}
}

// process reads the command line of an instruction.
func (s *Stage) process(step *Step, line instructions.ShellDependantCmdLine) *Process {
	process := &Process{Args: slices.Clone(line.CmdLine), ShellForm: line.PrependShell, Step: step}
	if line.PrependShell {
		shell := s.Shell
		if len(shell) == 0 {
			shell = []string{"/bin/sh", "-c"}
		}
		process.Args = append(slices.Clone(shell), strings.Join(line.CmdLine, " "))
	}
	return process
}

// tcpPorts returns the ports of a word of EXPOSE: port or from-to, with an optional
// protocol. It leaves out other protocols than TCP and words that are no ports.
func tcpPorts(word string) []int {
	var ports []int
	for spec := range strings.FieldsSeq(word) {
		spec, protocol, _ := strings.Cut(spec, "/")
		if protocol != "" && !strings.EqualFold(protocol, "tcp") {
			continue
		}
		first, last, isRange := strings.Cut(spec, "-")
		if !isRange {
			last = first
		}
		from, errFrom := strconv.ParseUint(first, 10, 16)
		to, errTo := strconv.ParseUint(last, 10, 16)
		if errFrom != nil || errTo != nil || from == 0 {
			continue
		}
		for port := from; port <= to; port++ {
			ports = append(ports, int(port))
		}
	}
	return ports
}

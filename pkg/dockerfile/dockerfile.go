package dockerfile

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// Dockerfile is a Dockerfile that was read.
type Dockerfile struct {
	// Path is relative to the project's directory, with slashes.
	Path string
	// Content is the file itself.
	Content []byte
	// Stages are the build stages in their order; there is at least one.
	Stages []Stage
	// Args are the names of all arguments that are declared anywhere, in order.
	Args []string
	// Global are the ARG instructions before the first FROM.
	Global []Step
	// Instructions are all of them, in order.
	Instructions []Instruction

	escape rune
}

// Instruction is one instruction as it is written.
type Instruction struct {
	// Name is the instruction's keyword in upper case, such as RUN.
	Name string
	// Line is where it starts, from 1, and End its last line.
	Line, End int
	// Stage is the number of its stage, from 0; -1 before the first FROM.
	Stage int
	// Text is the instruction with its continued lines joined, as build engines
	// print it.
	Text string
	// Written is the instruction as the user wrote it; empty if that is Text.
	Written string
}

// Shown returns the instruction as the user wrote it, in one line.
func (i Instruction) Shown() string { return cmp.Or(i.Written, i.Text) }

// ParseError reports where a Dockerfile does not parse.
type ParseError struct {
	// Path is relative to the project's directory, with slashes.
	Path string
	// Line counts from 1; 0 means the file as a whole.
	Line int
	// Text is the line as it is in the file, without its end.
	Text string
	// Err is the cause.
	Err error
}

// Error returns path:line: cause, as compilers print it.
func (e *ParseError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %v", e.Path, e.Err)
	}
	return fmt.Sprintf("%s:%d: %v", e.Path, e.Line, e.Err)
}

// Unwrap returns the cause.
func (e *ParseError) Unwrap() error { return e.Err }

// Parse reads the text of a Dockerfile; path is for errors. An error is a *ParseError.
func Parse(path string, content []byte) (*Dockerfile, error) { return parse(path, content, nil) }

// WithBuildArgs returns the Dockerfile with the values that a build gives to its
// arguments, each KEY=VALUE. A KEY without a value has none.
func (d *Dockerfile) WithBuildArgs(args []string) *Dockerfile {
	given := map[string]string{}
	for _, arg := range args {
		if key, value, ok := strings.Cut(arg, "="); ok {
			given[key] = value
		}
	}
	read, err := parse(d.Path, d.Content, given)
	if err != nil { // it parsed before, and values change nothing about that
		return d
	}
	return read
}

// Rewritten returns the instructions of another text of the Dockerfile, each with the lines
// and the words that the user wrote for it. origin has the numbers of the user's lines for
// the lines of the other text, from 1. Content stays the user's.
func (d *Dockerfile) Rewritten(other *Dockerfile, origin []int) *Dockerfile {
	shown := *other
	shown.Content = d.Content
	shown.Instructions = slices.Clone(other.Instructions)
	for i := range shown.Instructions {
		instruction := &shown.Instructions[i]
		instruction.Line, instruction.End = origin[instruction.Line-1], origin[instruction.End-1]
		written := d.starting(instruction.Line)
		if written.Line == instruction.Line {
			instruction.End = written.End
			if written.Text != instruction.Text {
				instruction.Written = written.Text
			}
		}
	}
	// Files that a stage takes from another one can have become invisible.
	shown.Stages = slices.Clone(other.Stages)
	for i := range min(len(d.Stages), len(shown.Stages)) {
		shown.Stages[i].from = slices.Concat(shown.Stages[i].from, d.Stages[i].from)
	}
	return &shown
}

// parse reads a Dockerfile with the arguments that the build gives.
func parse(path string, content []byte, given map[string]string) (*Dockerfile, error) {
	result, err := parser.Parse(bytes.NewReader(content))
	if err != nil {
		return nil, parseError(path, content, err)
	}
	stages, global, err := instructions.Parse(result.AST, nil)
	if err != nil {
		return nil, parseError(path, content, err)
	}
	if len(stages) == 0 {
		return nil, parseError(path, content, errors.New("there is no FROM instruction"))
	}
	d := &Dockerfile{Path: path, Content: content, escape: result.EscapeToken, Instructions: list(result.AST)}
	arguments := platformArgs(given)
	for i := range global {
		step := Step{Instruction: d.at(global[i].Location()), Command: &global[i], Env: maps.Clone(arguments), escape: d.escape}
		d.Global = append(d.Global, step)
		maps.Copy(arguments, declared(&step, given, nil))
	}
	// Stages point to those before them, so they must not move.
	d.Stages = make([]Stage, 0, len(stages))
	for i := range stages {
		d.Stages = append(d.Stages, Stage{})
		reader := stageReader{file: d, stage: &d.Stages[i], given: given, global: arguments}
		reader.read(&stages[i])
	}
	d.Args = argNames(d)
	return d, nil
}

// list returns the instructions of a parsed file.
func list(root *parser.Node) []Instruction {
	all := make([]Instruction, 0, len(root.Children))
	stage := -1
	for _, node := range root.Children {
		name := strings.ToUpper(node.Value)
		if name == "FROM" {
			stage++
		}
		all = append(all, Instruction{
			Name: name, Line: node.StartLine, End: node.EndLine, Stage: stage, Text: strings.TrimSpace(node.Original),
		})
	}
	return all
}

// at returns the instruction at a location of BuildKit's.
func (d *Dockerfile) at(location []parser.Range) Instruction {
	line := 0
	for _, part := range location {
		if line == 0 || part.Start.Line < line {
			line = part.Start.Line
		}
	}
	return d.starting(line)
}

// starting returns the instruction that starts in a line.
func (d *Dockerfile) starting(line int) Instruction {
	if i := slices.IndexFunc(d.Instructions, func(instruction Instruction) bool { return instruction.Line == line }); i >= 0 {
		return d.Instructions[i]
	}
	return Instruction{Line: line, End: line, Stage: -1}
}

// argNames returns the arguments that a Dockerfile declares.
func argNames(d *Dockerfile) []string {
	var names []string
	add := func(steps []*Step) {
		for _, step := range steps {
			command, ok := step.Command.(*instructions.ArgCommand)
			if !ok {
				continue
			}
			for _, pair := range command.Args {
				if !slices.Contains(names, pair.Key) {
					names = append(names, pair.Key)
				}
			}
		}
	}
	for i := range d.Global {
		add([]*Step{&d.Global[i]})
	}
	for i := range d.Stages {
		add(d.Stages[i].Steps)
	}
	return names
}

// parseError returns the error of the parser with the line that it is about.
func parseError(path string, content []byte, err error) error {
	failure := &ParseError{Path: path, Err: err}
	var location *parser.LocationError
	if errors.As(err, &location) {
		failure.Err = location.Unwrap()
		for _, ranges := range location.Locations {
			if len(ranges) > 0 && failure.Line == 0 {
				failure.Line = ranges[0].Start.Line
			}
		}
	}
	lines := strings.Split(string(content), "\n")
	if failure.Line > 0 && failure.Line <= len(lines) {
		failure.Text = strings.TrimSuffix(lines[failure.Line-1], "\r")
	}
	return failure
}

package dockerfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// What can be wrong with a Dockerfile, beside a *ParseError.
var (
	// ErrNotFound says that there is none.
	ErrNotFound = errors.New("there is no Dockerfile")
	// ErrOutside says that it is not inside of the project's directory, which is
	// all that the build gets.
	ErrOutside = errors.New("the Dockerfile must be inside of the directory that is built")
)

// Dockerfile is what the rest of the program wants to know of one.
type Dockerfile struct {
	// Path is relative to the project's directory, with slashes.
	Path string
	// Content is the file itself.
	Content []byte
	// Stages are the build stages in their order; there is at least one.
	Stages []Stage
	// Args are the names of all arguments that are declared anywhere, in order.
	Args []string
	// Instructions are all of them, in order.
	Instructions []Instruction

	// details are of the stages.
	details []detail
}

// Instruction is one instruction of a Dockerfile.
type Instruction struct {
	// Line is where it starts, from 1, and End its last line.
	Line, End int
	// Stage is the number of the stage it belongs to, from 0; -1 before the first
	// FROM.
	Stage int
	// Text is the instruction with its continued lines joined, as build engines
	// print it.
	Text string
}

// Stage is one FROM and what follows it.
type Stage struct {
	// Name is what AS calls it, in lower case, or empty.
	Name string
	// Base is the image or the earlier stage it starts from, with the variables
	// that have a default replaced.
	Base string
	// Line is where it starts, from 1.
	Line int
	// Expose are the TCP ports that the stage exposes, also by way of the earlier
	// stages it is made from: in the order of the EXPOSE instructions, and
	// ascending inside of each. A port whose variables have no value in the
	// Dockerfile is left out.
	Expose []int
}

// ParseError says where a Dockerfile does not parse.
type ParseError struct {
	// Path is relative to the project's directory, with slashes.
	Path string
	// Line counts from 1; 0 means the file as a whole.
	Line int
	// Text is the line as it is in the file, without its end.
	Text string
	// Err is what is wrong there.
	Err error
}

// Error is path:line: and the cause, as compilers print it.
func (e *ParseError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %v", e.Path, e.Err)
	}
	return fmt.Sprintf("%s:%d: %v", e.Path, e.Line, e.Err)
}

// Unwrap returns the cause.
func (e *ParseError) Unwrap() error { return e.Err }

// Read parses a Dockerfile with BuildKit's parser. The name is that of
// a file inside of dir, relative to it or absolute; empty means "Dockerfile".
// Nothing is looked up: neither images nor the files that are copied. Errors
// hold ErrNotFound, ErrOutside or a *ParseError.
func Read(dir, name string) (*Dockerfile, error) {
	file, err := inside(dir, name)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the directory: %w", err)
	}
	defer root.Close() //nolint:errcheck // nothing was written through it
	target, err := resolve(dir, file)
	if err != nil {
		return nil, err
	}
	// Nobody may ever write into a pipe.
	if info, err := root.Stat(target); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read the Dockerfile: %s is not a file", filepath.Join(dir, target))
	}
	content, err := root.ReadFile(target)
	if err != nil {
		return nil, fmt.Errorf("read the Dockerfile: %w", err)
	}
	return Parse(file, content)
}

// inside returns the path of the Dockerfile in the directory, with slashes.
func inside(dir, name string) (string, error) {
	if name == "" {
		name = "Dockerfile"
	}
	relative := filepath.Clean(name)
	if filepath.IsAbs(name) {
		base, err := filepath.Abs(dir)
		if err != nil {
			return "", fmt.Errorf("find the Dockerfile: %w", err)
		}
		if relative, err = filepath.Rel(base, name); err != nil {
			return "", fmt.Errorf("%w: %s", ErrOutside, name)
		}
	}
	if !filepath.IsLocal(relative) {
		return "", fmt.Errorf("%w: %s", ErrOutside, name)
	}
	return filepath.ToSlash(relative), nil
}

// resolve follows symbolic links and returns where in the directory they end.
func resolve(dir, file string) (string, error) {
	base, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", fmt.Errorf("open the directory: %w", err)
	}
	name := filepath.Join(dir, filepath.FromSlash(file))
	target, err := filepath.EvalSymlinks(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%w: %s", ErrNotFound, name)
	case err != nil:
		return "", fmt.Errorf("read the Dockerfile: %w", err)
	}
	// One may be relative and the other not, when a link says so.
	if base, err = filepath.Abs(base); err != nil {
		return "", fmt.Errorf("open the directory: %w", err)
	}
	if target, err = filepath.Abs(target); err != nil {
		return "", fmt.Errorf("read the Dockerfile: %w", err)
	}
	relative, err := filepath.Rel(base, target)
	if err != nil || !filepath.IsLocal(relative) {
		return "", fmt.Errorf("%w: %s is a link to %s", ErrOutside, name, target)
	}
	return relative, nil
}

// Parse is Read for a Dockerfile that was read already; file
// is its path, for errors.
func Parse(file string, content []byte) (*Dockerfile, error) {
	fail := func(err error) error { return parseError(file, content, err) }
	result, err := parser.Parse(bytes.NewReader(content))
	if err != nil {
		return nil, fail(err)
	}
	stages, global, err := instructions.Parse(result.AST, nil)
	if err != nil {
		return nil, fail(err)
	}
	if len(stages) == 0 {
		return nil, fail(errors.New("there is no FROM instruction"))
	}

	escape := result.EscapeToken
	arguments := variables{}
	for i := range global {
		arguments.arg(&global[i], nil, escape)
	}
	dockerfile := &Dockerfile{Path: file, Content: content, Args: declared(global, stages)}
	stage := -1
	for _, node := range result.AST.Children {
		if strings.EqualFold(node.Value, "FROM") {
			stage++
		}
		dockerfile.Instructions = append(dockerfile.Instructions, Instruction{
			Line: node.StartLine, End: node.EndLine, Stage: stage, Text: strings.TrimSpace(node.Original),
		})
	}
	read := make([]stageState, 0, len(stages))
	for i := range stages {
		line := 0
		if len(stages[i].Location) > 0 {
			line = stages[i].Location[0].Start.Line
		}
		base, _ := arguments.expand(stages[i].BaseName, escape)
		dockerfile.details = append(dockerfile.details, newDetail(stages, i, base))
		dockerfile.Stages = append(dockerfile.Stages, Stage{Name: stages[i].Name, Base: base, Line: line})
		// The last stage of that name before this one, as the builder finds it.
		state := stageState{}
		for j := range i {
			if stages[j].Name != "" && strings.EqualFold(stages[j].Name, base) {
				state = read[j]
			}
		}
		read = append(read, state.follow(stages[i].Commands, arguments, escape))
		dockerfile.Stages[i].Expose = read[i].expose
	}
	return dockerfile, nil
}

// declared lists the arguments that a Dockerfile declares.
func declared(global []instructions.ArgCommand, stages []instructions.Stage) []string {
	var names []string
	add := func(command *instructions.ArgCommand) {
		for _, pair := range command.Args {
			if !slices.Contains(names, pair.Key) {
				names = append(names, pair.Key)
			}
		}
	}
	for i := range global {
		add(&global[i])
	}
	for _, stage := range stages {
		for _, command := range stage.Commands {
			if command, ok := command.(*instructions.ArgCommand); ok {
				add(command)
			}
		}
	}
	return names
}

// stageState is what a stage hands on to those that are made from it.
type stageState struct {
	environment variables
	expose      []int
}

// follow returns the state after the commands.
func (s stageState) follow(commands []instructions.Command, global variables, escape rune) stageState {
	state := stageState{environment: variables{}, expose: slices.Clone(s.expose)}
	seen := map[int]bool{}
	for _, port := range state.expose {
		seen[port] = true
	}
	environment := variables{} // what ENV says wins over what ARG says
	for key, value := range s.environment {
		environment[key], state.environment[key] = value, value
	}
	for _, command := range commands {
		switch command := command.(type) {
		case *instructions.ArgCommand:
			environment.arg(command, global, escape)
			for key, value := range state.environment {
				environment[key] = value
			}
		case *instructions.EnvCommand:
			// All of one instruction see the values from before it.
			set := variables{}
			for _, pair := range command.Env {
				if value, ok := environment.expand(pair.Value, escape); ok {
					set[pair.Key] = value
				}
			}
			for key, value := range set {
				environment[key], state.environment[key] = value, value
			}
		case *instructions.ExposeCommand:
			var ports []int
			for _, port := range command.Ports {
				if expanded, ok := environment.expand(port, escape); ok {
					ports = append(ports, tcpPorts(expanded)...)
				}
			}
			slices.Sort(ports)
			for _, port := range ports {
				if !seen[port] {
					seen[port] = true
					state.expose = append(state.expose, port)
				}
			}
		}
	}
	return state
}

// tcpPorts returns the ports of one word of EXPOSE: port or from-to, with an
// optional protocol. Others than TCP are left out, and so is what is no port.
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
		from, err := strconv.ParseUint(first, 10, 16)
		if err != nil || from == 0 {
			continue
		}
		to, err := strconv.ParseUint(last, 10, 16)
		if err != nil {
			continue
		}
		for port := from; port <= to; port++ {
			ports = append(ports, int(port))
		}
	}
	return ports
}

// variables are the values that are known while reading.
type variables map[string]string

// arg declares arguments. One without a default has its value from before the
// first FROM, if there is one.
func (v variables) arg(command *instructions.ArgCommand, global variables, escape rune) {
	for _, pair := range command.Args {
		value, ok := global[pair.Key]
		if pair.Value != nil {
			value, ok = v.expand(*pair.Value, escape)
		}
		if ok {
			v[pair.Key] = value
		} else {
			delete(v, pair.Key)
		}
	}
}

// expand replaces $name, ${name} and ${name:-default}, and takes quotes off. It
// reports whether every variable had a value. It is less than the builder's own
// expansion, and enough for ports and bases.
func (v variables) expand(word string, escape rune) (string, bool) {
	word = strings.Trim(word, `"'`)
	if strings.ContainsRune(word, escape) {
		return word, false
	}
	known := true
	expanded := os.Expand(word, func(name string) string {
		name, fallback, hasFallback := strings.Cut(name, ":-")
		if value, ok := v[name]; ok && (value != "" || !hasFallback) {
			return value
		}
		known = known && hasFallback
		return fallback
	})
	return expanded, known
}

// parseError finds the line that an error of the parser is about.
func parseError(file string, content []byte, err error) error {
	failure := &ParseError{Path: file, Err: err}
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

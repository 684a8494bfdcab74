package dockerfile

import (
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// bare finds the variables of a word that have no default there: $name and ${name}, but
// not ${name-default} or ${name:+alternative}.
var bare = regexp.MustCompile(`\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)(:?[-+])?)`)

// unknown stands for a value that the Dockerfile does not have. No Dockerfile can
// contain it.
const unknown = "\x00"

// expand replaces the variables of a word as BuildKit does, and removes its quotes. known
// reports whether the Dockerfile has all the values that the result depends on; those
// that it does not have are empty, as in a build on a base image without them.
func expand(word string, values map[string]string, escape rune) (text string, known bool) {
	required := map[string]bool{}
	for _, match := range bare.FindAllStringSubmatch(word, -1) {
		if match[3] == "" {
			required[match[1]+match[2]] = true
		}
	}
	marked, err := shell.NewLex(escape).ProcessWordWithMatches(word, scope{values: values, required: required})
	if err != nil {
		return word, false
	}
	if !strings.Contains(marked.Result, unknown) {
		return marked.Result, true
	}
	plain, err := shell.NewLex(escape).ProcessWordWithMatches(word, scope{values: values})
	if err != nil {
		return word, false
	}
	return plain.Result, false
}

// scope gives the values of variables to BuildKit's shell.Lex.
type scope struct {
	values map[string]string
	// required are the variables that are marked as unknown if they have no value.
	required map[string]bool
}

// Get returns the value of a variable.
func (s scope) Get(name string) (string, bool) {
	if value, ok := s.values[name]; ok {
		return value, true
	}
	if s.required[name] {
		return unknown, true
	}
	return "", false
}

// Keys returns the names of the variables.
func (s scope) Keys() []string {
	names := make([]string, 0, len(s.values))
	for name := range s.values {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// platformArgs returns the arguments that BuildKit defines for every build, for linux/amd64
// unless the build gives others.
func platformArgs(given map[string]string) map[string]string {
	values := map[string]string{
		"BUILDPLATFORM": "linux/amd64", "BUILDOS": "linux", "BUILDARCH": "amd64", "BUILDVARIANT": "",
		"TARGETPLATFORM": "linux/amd64", "TARGETOS": "linux", "TARGETARCH": "amd64", "TARGETVARIANT": "",
	}
	for name := range values {
		if value, ok := given[name]; ok {
			values[name] = value
		}
	}
	return values
}

// declared returns the arguments that an ARG gives a value: that of the build, else its
// default, else that of the ARG before the first FROM. It sees the variables of its step.
func declared(step *Step, given, global map[string]string) map[string]string {
	values := map[string]string{}
	command, ok := step.Command.(*instructions.ArgCommand)
	if !ok {
		return values
	}
	for _, pair := range command.Args {
		value, known := given[pair.Key]
		switch {
		case known:
		case pair.Value != nil:
			value, known = step.Expand(*pair.Value)
		default:
			value, known = global[pair.Key]
		}
		if known {
			values[pair.Key] = value
		}
	}
	return values
}

package packaging

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/syntax"
)

// The files of setuptools.
const (
	SetupCfgFile = "setup.cfg"
	SetupPyFile  = "setup.py"
)

// Setup is what setup.cfg and setup.py say of a project.
type Setup struct {
	// File is the one of the two that lists the dependencies; empty if neither
	// declares a project.
	File string
	// Dependencies are what the project needs to run.
	Dependencies []Requirement
	// Extras are the requirements of each extra.
	Extras map[string][]Requirement
	// Pythons are the ranges of Python, those of setup.cfg first.
	Pythons []PythonRange
	// Paths are what the two may read, such as a version or a description: setup fails
	// without those files. Most of them are other text and no paths.
	Paths []string
	// Modules are the modules from which setup.cfg reads an attribute.
	Modules []string
	// HasScript reports that there is a setup.py.
	HasScript bool
	// Extensions is where setup.py declares modules to compile; the zero Position if it
	// does not.
	Extensions Position
}

// ParseSetup parses setup.cfg and setup.py; nil stands for a file that does not exist.
// setup.py is not run: only literals count.
func ParseSetup(cfg, script []byte) *Setup {
	s := &Setup{Extras: map[string][]Requirement{}, HasScript: script != nil}
	options := parseSetupCfg(cfg)
	s.addOptions(options)
	if script != nil {
		s.addScript(parseSetupPy(script))
	}
	if s.File == "" && script == nil && options.text("packages")+options.text("py_modules") != "" {
		s.File = SetupCfgFile
	}
	return s
}

// setupOption is a key of setup.cfg.
type setupOption struct {
	// value has all its lines.
	value string
	line  int
}

func (o setupOption) position() Position { return Position{File: SetupCfgFile, Line: o.line} }

// setupOptions are the keys of the section [options], and those of other sections as
// section.key.
type setupOptions map[string]setupOption

func (o setupOptions) text(key string) string { return o[key].value }

// parseSetupCfg parses the INI format of configparser.
func parseSetupCfg(content []byte) setupOptions {
	options, values := setupOptions{}, map[string][]string{}
	section, key := "", ""
	for i, line := range strings.Split(string(content), "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "" || trimmed[0] == '#' || trimmed[0] == ';':
		case trimmed[0] == '[':
			section, key = strings.Trim(trimmed, "[]"), ""
		case (line[0] == ' ' || line[0] == '\t') && key != "":
			values[key] = append(values[key], trimmed)
		default:
			name, value, _ := strings.Cut(trimmed, "=")
			key = strings.TrimSpace(name)
			if section != "options" {
				key = section + "." + key
			}
			options[key], values[key] = setupOption{line: i + 1}, []string{strings.TrimSpace(value)}
		}
	}
	for key, option := range options {
		option.value = strings.Join(values[key], "\n")
		options[key] = option
	}
	return options
}

// addOptions adds what setup.cfg says.
func (s *Setup) addOptions(options setupOptions) {
	if requires := options["install_requires"]; requires.value != "" {
		s.File = SetupCfgFile
		s.Dependencies = ParseRequirements(strings.Split(requires.value, "\n"), requires.position())
	}
	if python := options["python_requires"]; python.value != "" {
		s.Pythons = append(s.Pythons, PythonRange{Specifier(python.value), python.value, python.position()})
	}
	for _, key := range slices.Sorted(maps.Keys(options)) {
		option := options[key]
		if extra, ok := strings.CutPrefix(key, "options.extras_require."); ok {
			s.Extras[extra] = ParseRequirements(strings.Split(option.value, "\n"), option.position())
		}
		if files, ok := strings.CutPrefix(option.value, "file:"); ok {
			separator := func(char rune) bool { return strings.ContainsRune(", \n", char) }
			s.Paths = append(s.Paths, strings.FieldsFunc(files, separator)...)
		}
		if attribute, ok := strings.CutPrefix(option.value, "attr:"); ok {
			attribute = strings.TrimSpace(attribute)
			s.Modules = append(s.Modules, attribute[:max(strings.LastIndex(attribute, "."), 0)])
		}
	}
}

// setupScript is what a setup.py consists of, as far as it matters here.
type setupScript struct {
	calls []*syntax.Call
	// assigned are the last values of variables.
	assigned map[string][]syntax.Token
	texts    []string
}

func parseSetupPy(content []byte) *setupScript {
	script := &setupScript{assigned: map[string][]syntax.Token{}}
	script.add(syntax.Parse(content))
	return script
}

func (s *setupScript) add(body []*syntax.Statement) {
	for _, statement := range body {
		keyword := statement.Keyword()
		if keyword != "def" && keyword != "class" {
			s.calls = append(s.calls, syntax.Calls(statement.Tokens)...)
			for name, value := range syntax.Assignments(statement.Tokens) {
				s.assigned[name] = value
			}
		}
		for _, token := range statement.Tokens {
			if text, ok := token.Literal(); ok {
				s.texts = append(s.texts, text)
			}
		}
		s.add(statement.Body)
	}
}

// addScript adds what setup.py says.
func (s *Setup) addScript(script *setupScript) {
	for _, call := range script.calls {
		at := Position{File: SetupPyFile, Line: call.Line}
		s.Paths = append(s.Paths, joinedPath(call))
		name := call.Name[strings.LastIndex(call.Name, ".")+1:]
		compiles := name == "Extension" || name == "cythonize" || name == "setup" && call.Argument("ext_modules", -1) != nil
		if compiles && s.Extensions.IsZero() {
			s.Extensions = at
		}
		if python, ok := syntax.Text(call.Argument("python_requires", -1)); ok && name == "setup" {
			s.Pythons = append(s.Pythons, PythonRange{Specifier(python), python, at})
		}
		if (call.Name == "setup" || call.Name == "setuptools.setup") && s.File == "" {
			s.File = SetupPyFile
			s.Dependencies = ParseRequirements(script.strings(call.Argument("install_requires", -1)), at)
		}
		for extra, requirements := range script.table(call.Argument("extras_require", -1)) {
			s.Extras[extra] = ParseRequirements(requirements, at)
		}
	}
	s.Paths = append(s.Paths, script.texts...)
}

// joinedPath returns the path that a call may read: open("README.md"), or
// os.path.join(here, "shop", "version.py").
func joinedPath(call *syntax.Call) string {
	var parts []string
	for _, argument := range call.Arguments {
		if text, ok := syntax.Text(argument.Value); ok && argument.Name == "" {
			parts = append(parts, text)
		}
	}
	return path.Join(parts...)
}

// strings returns the strings of a list, which may be the value of a variable.
func (s *setupScript) strings(tokens []syntax.Token) []string {
	if len(tokens) == 1 && tokens[0].Kind == syntax.Name {
		tokens = s.assigned[tokens[0].Text]
	}
	var found []string
	for _, part := range syntax.Split(syntax.Inside(tokens, 0), ",") {
		if text, ok := syntax.Text(part); ok {
			found = append(found, text)
		}
	}
	return found
}

// table returns the lists of strings of a dictionary by their keys.
func (s *setupScript) table(tokens []syntax.Token) map[string][]string {
	found := map[string][]string{}
	if len(tokens) == 0 || !tokens[0].Is("{") {
		return found
	}
	for _, entry := range syntax.Split(syntax.Inside(tokens, 0), ",") {
		if pair := syntax.Split(entry, ":"); len(pair) == 2 {
			if key, ok := syntax.Text(pair[0]); ok {
				found[key] = s.strings(pair[1])
			}
		}
	}
	return found
}

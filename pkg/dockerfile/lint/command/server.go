package command

import (
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/shell"
)

// Server is a command line that starts a server.
type Server struct {
	shell.Command
	// Kind is uvicorn, gunicorn, hypercorn, daphne, granian, flask, fastapi, litestar or
	// django.
	Kind string
	// Program is the word that names it, Arguments are those behind it.
	Program   shell.Word
	Arguments []shell.Word
}

// ParseServer reads a command line that starts a server, also behind the usual wrappers;
// ok is false if it starts none.
func ParseServer(line shell.Command) (server Server, ok bool) {
	for at := range line.Words {
		name, rest := program(line.Words[at:])
		if kind, ok := servers()[name]; ok {
			return Server{Command: line, Kind: kind, Program: rest[0], Arguments: rest[1:]}, true
		}
		if !passes(line.Words, at, name) {
			return Server{}, false
		}
	}
	return Server{}, false
}

// servers returns the servers by the names of their programs.
func servers() map[string]string {
	kinds := map[string]string{"manage.py": "django", "django-admin": "django", "django": "django"}
	for _, name := range []string{"uvicorn", "gunicorn", "hypercorn", "daphne", "granian", "flask", "fastapi", "litestar"} {
		kinds[name] = name
	}
	return kinds
}

// program returns what a command line runs, with the words from its name on: of Python
// the module, or the manage.py.
func program(words []shell.Word) (string, []shell.Word) {
	line := shell.Command{Words: words}
	name := line.Name()
	if !IsPython(name) {
		return name, words
	}
	if module, i := pythonModule(words); module != "" {
		name, _, _ = strings.Cut(module, ".")
		return name, words[i:]
	}
	isManage := func(word shell.Word) bool { return strings.HasSuffix(word.Text, "manage.py") }
	if script := slices.IndexFunc(words, isManage); script > 0 {
		return "manage.py", words[script:]
	}
	return name, words
}

// passes reports whether the word at an index belongs to a wrapper, so that a server can
// follow it.
func passes(words []shell.Word, at int, name string) bool {
	switch name {
	case "tini", "dumb-init", "--", "opentelemetry-instrument", "ddtrace-run", "newrelic-admin", "run-program", "uv", "poetry", "pipenv", "pdm", "run",
		"catchsegv", "sentry", "doppler", "infisical", "wait-for-it", "chamber", "python", "python3",
		"conda", "mamba", "micromamba":
		return true
	}
	// The environment of conda, the options of a wrapper, a script around the server.
	if at > 0 && slices.Contains([]string{"-n", "--name", "-p", "--prefix"}, words[at-1].Text) ||
		strings.HasPrefix(name, "-") || strings.HasSuffix(name, ".sh") || strings.HasSuffix(name, "entrypoint") {
		return true
	}
	// What a wrapper like wait-for-it.sh starts is behind two hyphens.
	return slices.ContainsFunc(words[at:], func(word shell.Word) bool { return word.Text == "--" })
}

// Option returns the value of an option in its spellings, and the word with its name; the
// value of a flag is empty.
func (s *Server) Option(names ...string) (value string, word shell.Word, ok bool) {
	for i, argument := range s.Arguments {
		for _, name := range names {
			if argument.Text == name {
				if i+1 < len(s.Arguments) {
					value = s.Arguments[i+1].Text
				}
				return value, argument, true
			}
			if value, ok := optionValue(argument.Text, name); ok {
				return value, argument, true
			}
		}
	}
	return "", shell.Word{}, false
}

// optionValue returns the value of an option that is in the same word.
func optionValue(text, name string) (value string, ok bool) {
	if value, ok = strings.CutPrefix(text, name+"="); ok {
		return value, true
	}
	if !strings.HasPrefix(name, "--") && len(text) > len(name) {
		return strings.CutPrefix(text, name)
	}
	return "", false
}

// HasUnknown reports whether a variable holds arguments, so that nothing is known about
// them: one that is not the value of an option.
func (s *Server) HasUnknown() bool {
	valued := []string{"--port", "-p", "--workers", "-w", "--threads", "--timeout", "--log-level", "--root-path"}
	for i, argument := range s.Arguments {
		if strings.HasPrefix(argument.Text, "$") && (i == 0 || !slices.Contains(valued, s.Arguments[i-1].Text)) {
			return true
		}
	}
	return false
}

// SetsVariable reports whether the command line itself sets the variable.
func (s *Server) SetsVariable(name string) bool {
	return slices.ContainsFunc(s.Assigns, func(word shell.Word) bool { return strings.HasPrefix(word.Text, name+"=") })
}

// Verb returns what a program with several commands is to do, such as run.
func (s *Server) Verb() (word shell.Word, ok bool) {
	i := slices.IndexFunc(s.Arguments, func(argument shell.Word) bool {
		return slices.Contains([]string{"run", "dev", "runserver", "runserver_plus"}, argument.Text)
	})
	if i < 0 {
		return shell.Word{}, false
	}
	return s.Arguments[i], true
}

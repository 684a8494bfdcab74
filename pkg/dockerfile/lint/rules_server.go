package lint

import (
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
)

// servers checks what the image starts.
func (c *checker) servers(image *image) {
	entrypoint, command := image.process()
	c.shellForm(entrypoint, command)
	if isDevelopment(image.target().name) {
		return
	}
	c.debugVariables(image)
	for _, call := range processCalls(entrypoint, command) {
		if found, ok := parseServer(call); ok {
			found.environment = image.target().environment
			c.reload(&found)
			c.host(&found)
			c.workers(&found)
		}
	}
}

// process returns the ENTRYPOINT and the CMD of the image; nil is none.
func (i *image) process() (entrypoint, command *step) {
	for _, step := range i.steps() {
		switch step.command.(type) {
		case *instructions.EntrypointCommand:
			entrypoint = step
			// One that is inherited does not count for another ENTRYPOINT.
			if command != nil && command.stage != step.stage {
				command = nil
			}
		case *instructions.CmdCommand:
			command = step
		}
	}
	return entrypoint, command
}

// processCalls returns the commands that may be the server.
func processCalls(entrypoint, command *step) []call {
	switch {
	case entrypoint == nil && command == nil:
		return nil
	case entrypoint == nil:
		return command.calls
	case command == nil || len(command.calls) == 0 || len(entrypoint.calls) == 0 || len(entrypoint.calls) > 1 || isShellForm(entrypoint):
		calls := slices.Clone(entrypoint.calls)
		if command != nil && len(entrypoint.calls) == 0 {
			calls = command.calls
		}
		return calls
	}
	if isShellForm(command) || len(command.calls) > 1 {
		return command.calls
	}
	joined := entrypoint.calls[0]
	joined.words = slices.Concat(joined.words, command.calls[0].words)
	if _, ok := parseServer(joined); ok {
		return []call{joined}
	}
	return command.calls // the ENTRYPOINT is a script around it
}

func isShellForm(step *step) bool {
	switch command := step.command.(type) {
	case *instructions.CmdCommand:
		return command.PrependShell
	case *instructions.EntrypointCommand:
		return command.PrependShell
	}
	return false
}

// shellForm finds a shell that stays between Kubernetes and the server.
func (c *checker) shellForm(entrypoint, command *step) {
	for _, step := range []*step{entrypoint, command} {
		if step == nil || len(step.calls) == 0 || step == command && entrypoint != nil && isShellForm(entrypoint) {
			continue
		}
		c.replace(linter.RuleJSONArgsRecommended.Name, step.at, "")
		_, script := step.calls[0].script()
		if !isShellForm(step) && !script || slices.ContainsFunc(step.calls, func(call call) bool { return call.exec }) {
			continue
		}
		name := strings.ToUpper(step.command.Name())
		c.find("shell-form-entrypoint", step.at, name+" starts a shell, which does not pass SIGTERM on: the server is killed in the end, with the requests that it has",
			"write "+name+` ["program", "argument"], or begin the shell's last command with exec`)
	}
}

// debugVariables finds variables that switch debugging on.
func (c *checker) debugVariables(image *image) {
	for _, step := range image.steps() {
		command, ok := step.command.(*instructions.EnvCommand)
		if !ok {
			continue
		}
		for _, pair := range command.Env {
			value, ok := image.target().environment[pair.Key]
			if !ok || !isDebug(pair.Key, strings.ToLower(strings.Trim(value, `"' `))) {
				continue
			}
			c.find("reload-in-production", c.within(step.at, pair.Key), pair.Key+" switches debugging on: errors show code and variables to whoever asks",
				"leave it out here, and set it where you develop")
		}
	}
}

func isDebug(name, value string) bool {
	on := slices.Contains([]string{"1", "true", "yes", "on"}, value)
	switch name {
	case "FLASK_ENV":
		return value == "development"
	case "FLASK_DEBUG", "DEBUG", "DJANGO_DEBUG", "APP_DEBUG", "UVICORN_RELOAD", "LITESTAR_DEBUG", "STARLETTE_DEBUG", "QUART_DEBUG":
		return on
	}
	return false
}

// server is a command line that starts one.
type server struct {
	// name is uvicorn, gunicorn, hypercorn, daphne, granian, flask, fastapi,
	// litestar or django.
	name string
	call call
	// program is the word that names it, arguments are those behind it.
	program     word
	arguments   []word
	environment map[string]string
}

// parseServer reads a command line, also behind the wrappers that are common.
func parseServer(call call) (server, bool) {
	for at := range call.words {
		rest := call
		rest.words = call.words[at:]
		name := rest.name()
		if isPython(name) {
			if module, i := pythonModule(rest); module != "" {
				name, _, _ = strings.Cut(module, ".")
				rest.words = rest.words[i:]
			} else if script := slices.IndexFunc(rest.words, func(word word) bool { return strings.HasSuffix(word.text, "manage.py") }); script > 0 {
				rest.words = rest.words[script:]
				name = "manage.py"
			}
		}
		found := server{name: name, call: call, program: rest.words[0], arguments: rest.words[1:]}
		switch name {
		case "uvicorn", "gunicorn", "hypercorn", "daphne", "granian", "flask", "fastapi", "litestar":
			return found, true
		case "manage.py", "django-admin", "django":
			found.name = "django"
			return found, true
		case "tini", "dumb-init", "--", "opentelemetry-instrument", "ddtrace-run", "newrelic-admin", "run-program", "uv", "poetry", "pipenv", "pdm", "run",
			"gosu", "su-exec", "catchsegv", "sentry", "doppler", "infisical", "wait-for-it", "chamber", "python", "python3",
			"conda", "mamba", "micromamba":
			continue
		}
		before := ""
		if at > 0 {
			before = call.words[at-1].text
		}
		// The user of gosu, the environment of conda, a script around it, the options of a wrapper.
		if slices.Contains([]string{"gosu", "su-exec", "-n", "--name", "-p", "--prefix"}, before) || strings.HasSuffix(name, ".sh") || strings.HasPrefix(name, "-") || strings.HasSuffix(name, "entrypoint") {
			continue
		}
		// What a wrapper like wait-for-it.sh starts is behind two hyphens.
		if !slices.ContainsFunc(call.words[at:], func(word word) bool { return word.text == "--" }) {
			return server{}, false
		}
	}
	return server{}, false
}

// option returns the value of an option and its place; the value of a flag is
// empty.
func (s *server) option(names ...string) (string, word, bool) {
	for i, argument := range s.arguments {
		for _, name := range names {
			if argument.text == name {
				if i+1 < len(s.arguments) {
					return s.arguments[i+1].text, argument, true
				}
				return "", argument, true
			}
			value, ok := strings.CutPrefix(argument.text, name+"=")
			if !ok && !strings.HasPrefix(name, "--") && len(argument.text) > len(name) {
				value, ok = strings.CutPrefix(argument.text, name)
			}
			if ok {
				return value, argument, true
			}
		}
	}
	return "", word{}, false
}

// unknown says whether a variable holds arguments, about which nothing is known: one
// that is not the value of an option.
func (s *server) unknown() bool {
	for i, argument := range s.arguments {
		if strings.HasPrefix(argument.text, "$") &&
			(i == 0 || !slices.Contains([]string{"--port", "-p", "--workers", "-w", "--threads", "--timeout", "--log-level", "--root-path"}, s.arguments[i-1].text)) {
			return true
		}
	}
	return false
}

// set says whether a variable of the image is.
func (s *server) set(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		return s.environment[name] != "" || slices.ContainsFunc(s.call.assigns, func(word word) bool { return strings.HasPrefix(word.text, name+"=") })
	})
}

// command returns what a program with several commands is to do.
func (s *server) command() (word, bool) {
	for _, argument := range s.arguments {
		if slices.Contains([]string{"run", "dev", "runserver", "runserver_plus"}, argument.text) {
			return argument, true
		}
	}
	return word{}, false
}

// reload finds development servers and what restarts on a change of the code.
func (c *checker) reload(s *server) {
	const rule = "reload-in-production"
	command, ok := s.command()
	at := s.program.at
	at.endLine, at.endColumn = command.at.endLine, command.at.endColumn
	switch {
	case ok && s.name == "flask" && command.text == "run":
		c.find(rule, at, "flask run is a server for development: one that is not hardened, and not made for load", "start gunicorn, as in gunicorn --threads 8 --bind 0.0.0.0:8000 app:app")
	case ok && s.name == "fastapi" && command.text == "dev":
		c.find(rule, at, "fastapi dev restarts on changes of the code, and listens on localhost only", "write fastapi run, or start uvicorn")
	case ok && s.name == "django" && strings.HasPrefix(command.text, "runserver"):
		c.find(rule, at, "runserver is a server for development: it went through no security audit and no load tests", "start gunicorn PROJECT.wsgi, or uvicorn PROJECT.asgi:application")
	}
	for _, argument := range s.arguments {
		switch argument.text {
		case "--reload":
			c.find(rule, argument.at, "--reload watches the files and restarts on changes of the code, which an image has none of", "leave --reload out")
		case "--debug":
			c.find(rule, argument.at, "--debug shows code and variables to whoever asks", "leave --debug out")
		}
	}
}

// host finds servers that only their own pod reaches.
func (c *checker) host(s *server) {
	if s.unknown() {
		return
	}
	var options []string
	var variables []string
	switch s.name {
	case "uvicorn":
		options, variables = []string{"--host", "--uds", "--fd"}, []string{"UVICORN_HOST"}
	case "gunicorn":
		options, variables = []string{"--bind", "-b", "--config", "-c"}, []string{"GUNICORN_CMD_ARGS", "PORT"}
	case "hypercorn":
		options = []string{"--bind", "-b", "--config", "-c", "--quic-bind", "--insecure-bind"}
	case "daphne":
		options = []string{"-b", "--bind", "-u", "-e", "--endpoint", "--fd"}
	case "granian":
		options, variables = []string{"--host", "--uds"}, []string{"GRANIAN_HOST"}
	case "flask":
		options, variables = []string{"--host", "-h"}, []string{"FLASK_RUN_HOST"}
	case "litestar":
		options, variables = []string{"--host", "-H", "--uds", "-U", "--fd", "-F"}, []string{"LITESTAR_HOST"}
	case "fastapi":
		options = []string{"--host"}
	case "django":
		c.djangoHost(s)
		return
	}
	_, hasCommand := s.command()
	if slices.Contains([]string{"flask", "fastapi", "litestar"}, s.name) && !hasCommand {
		return
	}
	const rule, fix = "listens-on-localhost", "let it listen on 0.0.0.0"
	value, at, ok := s.option(options...)
	switch {
	case ok && isLocalhost(value):
		c.find(rule, at.at, s.name+" listens on "+value+": neither probes nor other pods reach it", fix)
	case ok || s.set(variables...) || s.name == "fastapi": // fastapi run listens on all, of fastapi dev reload says it
	case s.name == "gunicorn" && c.hasFile("gunicorn.conf.py"):
	default:
		c.find(rule, s.program.at, s.name+" listens on 127.0.0.1 when it is not told otherwise: neither probes nor other pods reach it", fix)
	}
}

func (c *checker) djangoHost(s *server) {
	command, ok := s.command()
	if !ok {
		return
	}
	for i, argument := range s.arguments {
		if argument.text != command.text {
			continue
		}
		for _, address := range s.arguments[i+1:] {
			if !strings.HasPrefix(address.text, "-") {
				host, _, hasPort := strings.Cut(address.text, ":")
				if hasPort && host != "localhost" && host != "127.0.0.1" {
					return
				}
			}
		}
		c.find("listens-on-localhost", argument.at, "runserver listens on 127.0.0.1 when it is not told otherwise: neither probes nor other pods reach it", "add 0.0.0.0:8000")
		return
	}
}

// hasFile says whether a file is in the build context, at the top or one below.
func (c *checker) hasFile(name string) bool {
	for _, directory := range []string{"", "src/", "app/"} {
		if _, ok := c.file(directory + name); ok {
			return true
		}
	}
	return false
}

// isLocalhost says whether an address is one of the pod itself.
func isLocalhost(address string) bool {
	for _, local := range []string{"127.0.0.1", "localhost", "[::1]", "::1"} {
		if address == local || strings.HasPrefix(address, local+":") {
			return true
		}
	}
	return false
}

// workers checks how many processes answer requests.
func (c *checker) workers(s *server) {
	if s.unknown() || s.name == "gunicorn" && (s.set("GUNICORN_CMD_ARGS") || c.hasFile("gunicorn.conf.py")) {
		return
	}
	if _, _, configured := s.option("--config", "-c"); configured && (s.name == "gunicorn" || s.name == "hypercorn") {
		return
	}
	count, at, given := s.option("--workers", "-w")
	if s.name == "uvicorn" || s.name == "granian" || s.name == "fastapi" {
		count, at, given = s.option("--workers")
	}
	class, _, _ := s.option("--worker-class", "-k")
	number, err := strconv.Atoi(count)
	asgi := slices.Contains([]string{"uvicorn", "hypercorn", "fastapi"}, s.name) || s.name == "gunicorn" && strings.Contains(strings.ToLower(class), "uvicorn")
	switch {
	case asgi && given && err == nil && number > 1:
		c.find("workers-in-container", at.at, count+" processes take the memory of "+count+", and Kubernetes sees and restarts them as one",
			"leave "+at.text+" out, and set replicas, or an autoscaler, in the Deployment")
	case s.name == "gunicorn" && (class == "" || class == "sync") && (!given || err == nil && number == 1):
		threads, _, _ := s.option("--threads")
		if n, err := strconv.Atoi(threads); threads != "" && (err != nil || n > 1) || s.set("WEB_CONCURRENCY") {
			return
		}
		c.find("single-worker", s.program.at, "one synchronous worker answers one request at a time: a slow one, or a probe, waits for the other", "add --threads 8")
	}
}

package lint

import (
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/lint/command"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/shell"
)

// server is a server that the image starts.
type server struct {
	command.Server
	located
	env map[string]string
}

// sets reports whether one of the variables is set for the server.
func (s *server) sets(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return s.env[name] != "" || s.SetsVariable(name) })
}

// servers returns the servers that the image starts; none for an image for development.
func servers(image *image) []server {
	if isDevelopment(image.target.Name) {
		return nil
	}
	var servers []server
	for _, call := range processCalls(image) {
		if found, ok := command.ParseServer(call.Command); ok {
			servers = append(servers, server{found, call.located, image.target.Env})
		}
	}
	return servers
}

// processCalls returns the commands that can be the server.
func processCalls(image *image) []call {
	entrypoint, cmd := callsOf(image, image.target.Entrypoint), callsOf(image, image.target.Cmd)
	switch {
	case len(entrypoint) == 0:
		return cmd
	case len(cmd) == 0 || len(entrypoint) > 1 || image.target.Entrypoint.ShellForm:
		return entrypoint
	case image.target.Cmd.ShellForm || len(cmd) > 1:
		return cmd
	}
	// The CMD is the arguments of the ENTRYPOINT.
	joined := entrypoint[0]
	joined.Words = slices.Clone(joined.Words)
	for _, word := range cmd[0].Words {
		joined.Words = append(joined.Words, word.Moved(len(joined.script.Text)))
	}
	joined.script = joined.script.Join(cmd[0].script)
	if _, ok := command.ParseServer(joined.Command); !ok {
		return cmd // the ENTRYPOINT is a script around it
	}
	return []call{joined}
}

func callsOf(image *image, process *dockerfile.Process) []call {
	if process == nil {
		return nil
	}
	return image.calls[process.Step]
}

// shellForm finds a shell that stays between Kubernetes and the server.
func shellForm(image *image, in *inputs) []Finding {
	var findings []Finding
	for _, process := range processes(image) {
		calls := image.calls[process.Step]
		_, script := calls[0].Script()
		if !process.ShellForm && !script || slices.ContainsFunc(calls, func(call call) bool { return call.Exec }) {
			continue
		}
		name := strings.ToUpper(process.Step.Command.Name())
		findings = append(findings, finding(in.at(process.Step),
			name+" starts a shell, which does not pass SIGTERM on: at each stop the server runs until it is killed, with its open requests",
			"write "+name+` ["program", "argument"], or start the shell's last command with exec`))
	}
	return findings
}

// processes returns the ENTRYPOINT and the CMD that the image runs. A CMD behind an
// ENTRYPOINT in shell form is not run.
func processes(image *image) []*dockerfile.Process {
	var processes []*dockerfile.Process
	entrypoint, cmd := image.target.Entrypoint, image.target.Cmd
	if len(callsOf(image, entrypoint)) > 0 {
		processes = append(processes, entrypoint)
	}
	if len(callsOf(image, cmd)) > 0 && (entrypoint == nil || !entrypoint.ShellForm) {
		processes = append(processes, cmd)
	}
	return processes
}

// developmentServers finds development servers, reloaders and debug modes.
func developmentServers(image *image, in *inputs) []Finding {
	if isDevelopment(image.target.Name) {
		return nil
	}
	findings := debugVariables(image, in)
	for _, server := range servers(image) {
		findings = append(findings, developmentServer(&server)...)
		for _, argument := range server.Arguments {
			switch argument.Text {
			case "--reload":
				findings = append(findings, finding(server.at(argument), "--reload watches the files and restarts when the code changes, which it never does in an image", "remove --reload"))
			case "--debug":
				findings = append(findings, finding(server.at(argument), "--debug shows code and variables to everyone who causes an error", "remove --debug"))
			}
		}
	}
	return findings
}

// developmentServer finds that a server is one for development.
func developmentServer(s *server) []Finding {
	verb, ok := s.Verb()
	if !ok {
		return nil
	}
	for _, known := range []struct{ kind, verb, message, fix string }{
		{
			"flask", "run", "flask run is a development server: it is not hardened, and not made for load",
			"start gunicorn, as in gunicorn --threads 8 --bind 0.0.0.0:8000 app:app",
		},
		{"fastapi", "dev", "fastapi dev restarts when the code changes, and listens on localhost only", "write fastapi run, or start uvicorn"},
		{
			"django", "runserver", "runserver is a development server: it has had no security audits and no load tests",
			"start gunicorn PROJECT.wsgi, or uvicorn PROJECT.asgi:application",
		},
	} {
		if s.Kind == known.kind && strings.TrimSuffix(verb.Text, "_plus") == known.verb {
			return []Finding{finding(s.at(s.Program, verb), known.message, known.fix)}
		}
	}
	return nil
}

// debugVariables finds variables that turn debugging on.
func debugVariables(image *image, in *inputs) []Finding {
	var findings []Finding
	for _, step := range image.steps() {
		command, ok := step.Command.(*instructions.EnvCommand)
		if !ok {
			continue
		}
		for _, pair := range command.Env {
			value, known := image.target.Env[pair.Key]
			if known && isDebug(pair.Key, strings.ToLower(strings.Trim(value, `"' `))) {
				findings = append(findings, finding(in.sources.within(in.at(step), pair.Key),
					pair.Key+" turns debugging on: errors show code and variables to everyone who causes one",
					"remove it here, and set it where you develop"))
			}
		}
	}
	return findings
}

// isDebug reports whether a variable turns debugging on.
func isDebug(name, value string) bool {
	if name == "FLASK_ENV" {
		return value == "development"
	}
	return oneOf(value, "1", "true", "yes", "on") &&
		oneOf(name, "FLASK_DEBUG", "DEBUG", "DJANGO_DEBUG", "APP_DEBUG", "UVICORN_RELOAD", "LITESTAR_DEBUG", "STARLETTE_DEBUG", "QUART_DEBUG")
}

// addressing is how a server gets the address that it listens on.
type addressing struct {
	options, variables []string
	// verb reports whether only its commands run and dev listen.
	verb bool
}

// addressings returns how the servers get their addresses, by kind.
func addressings() map[string]addressing {
	return map[string]addressing{
		"uvicorn":   {options: []string{"--host", "--uds", "--fd"}, variables: []string{"UVICORN_HOST"}},
		"gunicorn":  {options: []string{"--bind", "-b", "--config", "-c"}, variables: []string{"GUNICORN_CMD_ARGS", "PORT"}},
		"hypercorn": {options: []string{"--bind", "-b", "--config", "-c", "--quic-bind", "--insecure-bind"}},
		"daphne":    {options: []string{"-b", "--bind", "-u", "-e", "--endpoint", "--fd"}},
		"granian":   {options: []string{"--host", "--uds"}, variables: []string{"GRANIAN_HOST"}},
		"flask":     {options: []string{"--host", "-h"}, variables: []string{"FLASK_RUN_HOST"}, verb: true},
		"litestar":  {options: []string{"--host", "-H", "--uds", "-U", "--fd", "-F"}, variables: []string{"LITESTAR_HOST"}, verb: true},
		"fastapi":   {options: []string{"--host"}, verb: true},
	}
}

// localhostServers finds servers that only their own pod reaches.
func localhostServers(image *image, in *inputs) []Finding {
	var findings []Finding
	for _, server := range servers(image) {
		if server.HasUnknown() {
			continue
		}
		if server.Kind == "django" {
			findings = append(findings, localRunserver(&server)...)
			continue
		}
		findings = append(findings, localhostServer(&server, in.folder)...)
	}
	return findings
}

const unreachable = ": neither probes nor other pods reach it"

func localhostServer(s *server, context folder) []Finding {
	const fix = "let it listen on 0.0.0.0"
	by := addressings()[s.Kind]
	if _, ok := s.Verb(); by.verb && !ok {
		return nil
	}
	value, option, given := s.Option(by.options...)
	switch {
	case given && isLocalhost(value):
		return []Finding{finding(s.at(option), s.Kind+" listens on "+value+unreachable, fix)}
	case given || s.sets(by.variables...):
		return nil
	case s.Kind == "fastapi": // fastapi run listens on all addresses, fastapi dev is another rule's
		return nil
	case s.Kind == "gunicorn" && hasGunicornConfig(context):
		return nil
	}
	return []Finding{finding(s.at(s.Program), s.Kind+" listens on 127.0.0.1 by default"+unreachable, fix)}
}

// localRunserver finds a runserver of Django that listens on localhost.
func localRunserver(s *server) []Finding {
	verb, ok := s.Verb()
	if !ok {
		return nil
	}
	behind := false
	for _, argument := range s.Arguments {
		host, _, hasPort := strings.Cut(argument.Text, ":")
		if behind && hasPort && !strings.HasPrefix(argument.Text, "-") && !oneOf(host, "localhost", "127.0.0.1") {
			return nil
		}
		behind = behind || argument.Start == verb.Start
	}
	return []Finding{finding(s.at(verb), "runserver listens on 127.0.0.1 by default"+unreachable, "add 0.0.0.0:8000")}
}

// hasGunicornConfig reports whether the build context has the file that gunicorn reads by
// itself, at the top or one directory below.
func hasGunicornConfig(context folder) bool {
	return slices.ContainsFunc([]string{"", "src/", "app/"}, func(directory string) bool { return context.has(directory + "gunicorn.conf.py") })
}

// isLocalhost reports whether only the pod itself reaches an address.
func isLocalhost(address string) bool {
	return slices.ContainsFunc([]string{"127.0.0.1", "localhost", "[::1]", "::1"}, func(local string) bool {
		return address == local || strings.HasPrefix(address, local+":")
	})
}

// workers are the processes that answer requests, as a command line sets them.
type workers struct {
	// count is the number of processes as it is written, number the same if it is one.
	count  string
	number int
	// option is the word that sets it; given reports whether there is one.
	option shell.Word
	given  bool
	// class is the worker class of gunicorn.
	class string
}

// workersOf returns the processes of a server; ok is false if other settings can decide.
func workersOf(s *server, context folder) (found workers, ok bool) {
	gunicorn := s.Kind == "gunicorn"
	if s.HasUnknown() || gunicorn && (s.sets("GUNICORN_CMD_ARGS") || hasGunicornConfig(context)) {
		return found, false
	}
	if _, _, configured := s.Option("--config", "-c"); configured && oneOf(s.Kind, "gunicorn", "hypercorn") {
		return found, false
	}
	names := []string{"--workers", "-w"}
	if oneOf(s.Kind, "uvicorn", "granian", "fastapi") {
		names = names[:1]
	}
	found.count, found.option, found.given = s.Option(names...)
	found.class, _, _ = s.Option("--worker-class", "-k")
	found.number, _ = strconv.Atoi(found.count)
	return found, true
}

// manyWorkers finds ASGI servers with several processes.
func manyWorkers(image *image, in *inputs) []Finding {
	var findings []Finding
	for _, server := range servers(image) {
		found, ok := workersOf(&server, in.folder)
		isASGI := oneOf(server.Kind, "uvicorn", "hypercorn", "fastapi") || server.Kind == "gunicorn" && strings.Contains(strings.ToLower(found.class), "uvicorn")
		if ok && isASGI && found.number > 1 {
			findings = append(findings, finding(server.at(found.option),
				found.count+" processes take the memory of "+found.count+", and Kubernetes sees and restarts them as one",
				"remove "+found.option.Text+", and set replicas, or an autoscaler, in the Deployment"))
		}
	}
	return findings
}

// singleWorker finds gunicorn with one synchronous worker.
func singleWorker(image *image, in *inputs) []Finding {
	var findings []Finding
	for _, server := range servers(image) {
		found, ok := workersOf(&server, in.folder)
		if !ok || server.Kind != "gunicorn" || !oneOf(found.class, "", "sync") || found.given && found.number != 1 {
			continue
		}
		threads, _, _ := server.Option("--threads")
		number, err := strconv.Atoi(threads)
		if threads != "" && (err != nil || number > 1) || server.sets("WEB_CONCURRENCY") {
			continue
		}
		findings = append(findings, finding(server.at(server.Program),
			"one synchronous worker answers one request at a time: while it waits, others wait too, and so do probes", "add --threads 8"))
	}
	return findings
}

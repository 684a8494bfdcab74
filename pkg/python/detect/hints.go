package detect

import (
	"iter"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/shell"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/procfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/syntax"
)

// hint is what a place says about the app, the port, or both.
type hint struct {
	// app is module:attribute, or a module alone, or empty.
	app     string
	factory bool
	// server is the program that the place starts.
	server string
	// dir is the directory from which the server imports the app.
	dir    string
	port   int
	source string
}

// setApp sets the app as it is written, with () for a factory.
func (h *hint) setApp(text string) {
	if app, ok := strings.CutSuffix(text, "()"); ok {
		text, h.factory = app, true
	}
	h.app = text
}

// from returns the hint with its source, in a list; an empty list for a hint of
// nothing.
func (h hint) from(source string) []hint {
	if h.app == "" && h.port == 0 {
		return nil
	}
	h.source = source
	return []hint{h}
}

// findHints returns what files beside the code say about the app and its port, and what
// the code says about its port, the more explicit first.
func findHints(c *code, m *manifest) []hint {
	var found []hint
	for _, read := range []func(*code, *manifest) []hint{
		entrypointHints, procfileHints, dockerfileHints, environmentHints, gunicornHints, programHints,
	} {
		found = append(found, read(c, m)...)
	}
	return found
}

// entrypointHints reads [tool.fastapi].
func entrypointHints(_ *code, m *manifest) []hint {
	entrypoint := m.Tool.FastAPI.Entrypoint
	return hint{app: entrypoint}.from(m.Find(entrypoint).String())
}

// lines yields the lines of a file with their positions; none if it does not exist.
func lines(c *code, file string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		content, _ := c.read(file)
		for i, line := range strings.Split(string(content), "\n") {
			if !yield(place(file, i+1), strings.TrimSpace(line)) {
				return
			}
		}
	}
}

// webHints reads the command of the web process that the user decides.
func webHints(options Options) []hint {
	return startedBy(shell.Parse(options.Web), asWritten).from(options.WebSource)
}

// procfileHints reads the web process of a Procfile.
func procfileHints(c *code, _ *manifest) []hint {
	content, _ := c.read(procfile.Name)
	var found []hint
	for _, process := range procfile.Parse(content) {
		if process.Name == "web" {
			found = append(found, startedBy(shell.Parse(process.Command), asWritten).from(place(procfile.Name, process.Line))...)
		}
	}
	return found
}

// environmentHints reads the variables of Flask's command line.
func environmentHints(c *code, _ *manifest) []hint {
	var found []hint
	for _, file := range []string{".flaskenv", ".env"} {
		for source, line := range lines(c, file) {
			name, setting, _ := strings.Cut(strings.TrimPrefix(line, "export "), "=")
			setting = strings.Trim(strings.TrimSpace(setting), `"'`)
			h := hint{}
			switch strings.TrimSpace(name) {
			case "FLASK_APP":
				h.setApp(strings.TrimSuffix(setting, ".py"))
				h.app = strings.ReplaceAll(h.app, "/", ".")
			case "FLASK_RUN_PORT":
				h.port = port(setting)
			}
			found = append(found, h.from(source)...)
		}
	}
	return found
}

// gunicornHints reads the configuration of gunicorn.
func gunicornHints(c *code, _ *manifest) []hint {
	var found []hint
	for _, file := range []string{"gunicorn.conf.py", "gunicorn_conf.py"} {
		m := c.module(file)
		if m == nil {
			continue
		}
		h := hint{}
		line := 0
		for _, name := range m.order {
			values := m.assigned[name]
			last := values[len(values)-1]
			text, ok := syntax.Text(last.value)
			switch {
			case !ok:
			case name == "bind":
				h.port, line = address(text), last.line
			case name == "wsgi_app":
				h.setApp(text)
				line = last.line
			}
		}
		found = append(found, h.from(place(file, line))...)
	}
	return found
}

// programHints reads the calls by which code starts a server.
func programHints(c *code, _ *manifest) []hint {
	var found []hint
	for m := range c.own() {
		for full, call := range m.fullCalls() {
			if full != "uvicorn.run" && full != "granian.Granian" {
				continue
			}
			h := hint{server: "uvicorn", dir: path.Dir(m.file)}
			h.app, _ = syntax.Text(call.Argument("app", 0))
			if number := call.Argument("port", -1); len(number) == 1 {
				h.port = port(number[0].Text)
			}
			yes := call.Argument("factory", -1)
			h.factory = len(yes) == 1 && yes[0].Is("True")
			found = append(found, h.from(place(m.file, call.Line))...)
		}
	}
	return found
}

// dockerfileHints reads the last stage of a Dockerfile; one that does not parse gives no
// hints.
func dockerfileHints(c *code, _ *manifest) []hint {
	content, ok := c.read("Dockerfile")
	if !ok {
		return nil
	}
	parsed, err := dockerfile.Parse("Dockerfile", content)
	if err != nil {
		return nil
	}
	stage := &parsed.Stages[len(parsed.Stages)-1]
	var found []hint
	for _, process := range []*dockerfile.Process{stage.Cmd, stage.Entrypoint} {
		if process == nil {
			continue
		}
		commands, _ := parsed.Commands(process.Step)
		h := startedBy(commands, stage.Expand)
		if h.server == "" && process == stage.Cmd && stage.Entrypoint != nil && !stage.Entrypoint.ShellForm && !process.ShellForm {
			h = commandLine(slices.Concat(stage.Entrypoint.Args, process.Args)) // the arguments of an ENTRYPOINT
		}
		found = append(found, h.from(place("Dockerfile", process.Step.Line))...)
	}
	// What the stage exposes itself, else what it has from the stages before.
	for _, step := range stage.Steps {
		if ports := step.Ports(); len(ports) > 0 {
			return append(found, hint{port: ports[0], source: place("Dockerfile", step.Line)})
		}
	}
	if len(stage.Expose) > 0 {
		found = append(found, hint{port: stage.Expose[0], source: "Dockerfile"})
	}
	return found
}

// startedBy returns what the commands of a script start: the first server, or else the
// first port. expand replaces the variables of a word that has some.
func startedBy(commands []shell.Command, expand func(string) (string, bool)) hint {
	var first hint
	for _, command := range commands {
		var args []string
		for _, word := range command.Words {
			text := word.Text
			if expanded, known := expand(text); known && !word.Literal {
				text = expanded
			}
			args = append(args, text)
		}
		h := commandLine(args)
		if h.server != "" {
			return h
		}
		if first.port == 0 {
			first = h
		}
	}
	return first
}

// asWritten leaves the variables of a word as they are: their values are not known.
func asWritten(word string) (string, bool) { return word, false }

// isServer reports whether a command is a server, by its path.
func isServer(command string) bool {
	servers := []string{"uvicorn", "gunicorn", "hypercorn", "daphne", "granian", "waitress-serve", "fastapi", "flask"}
	return slices.Contains(servers, path.Base(command))
}

// commandLine reads the command line of a server.
func commandLine(args []string) hint {
	at := slices.IndexFunc(args, isServer)
	if at < 0 {
		return developmentServer(args)
	}
	found := hint{server: path.Base(args[at])}
	options := serverOptions()
	rest := args[at+1:]
	for i := 0; i < len(rest); i++ {
		name, setting, joined := strings.Cut(rest[i], "=")
		set, known := options[name]
		switch hasNext := i+1 < len(rest); {
		case !strings.HasPrefix(name, "-"):
			found.addArgument(rest[i])
		case name == "--factory":
			found.factory = true
		case known && joined:
			set(&found, setting)
		case known && hasNext:
			i++
			set(&found, rest[i])
		case !joined && hasNext && takesValue(name) && !strings.HasPrefix(rest[i+1], "-") && !strings.Contains(rest[i+1], ":"):
			i++
		}
	}
	if found.server == "fastapi" && strings.HasSuffix(found.app, ".py") {
		found.app = strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(found.app, "./"), ".py"), "/", ".")
	}
	if strings.HasSuffix(found.app, "()") {
		found.setApp(found.app)
	}
	return found
}

// developmentServer reads the command line of Django's manage.py runserver, which says
// no more than the port.
func developmentServer(args []string) hint {
	at := slices.Index(args, "runserver")
	if at < 0 || at+1 >= len(args) {
		return hint{}
	}
	return hint{port: address(args[at+1])}
}

// serverOptions returns what the values of the options of servers say.
func serverOptions() map[string]func(h *hint, value string) {
	setPort := func(h *hint, value string) { h.port = port(value) }
	setAddress := func(h *hint, value string) { h.port = address(value) }
	setDir := func(h *hint, value string) { h.dir = value }
	setApp := func(h *hint, value string) { h.app = value }
	return map[string]func(h *hint, value string){
		"--port": setPort, "-p": setPort,
		"--bind": setAddress, "-b": setAddress, "--listen": setAddress,
		"--app-dir": setDir, "--chdir": setDir,
		"--app": setApp, "-A": setApp,
	}
}

// addArgument takes an argument that is no option: the first is the app, after the
// subcommand of fastapi and flask.
func (h *hint) addArgument(text string) {
	isSubcommand := (text == "run" || text == "dev") && (h.server == "fastapi" || h.server == "flask")
	if h.app == "" && !isSubcommand {
		h.app = text
	}
}

// takesValue reports whether a value follows an option of a server.
func takesValue(option string) bool {
	switch option {
	case "--reload", "--preload", "--proxy-headers", "--no-access-log", "--no-server-header", "--daemon", "--debug", "--no-proxy-headers",
		"--use-colors", "--no-use-colors", "--access-log", "--capture-output", "-D", "-R":
		return false
	}
	return true
}

// port parses a port; it returns 0 for any other text, such as a variable without a
// default.
func port(text string) int {
	text = strings.Trim(text, `"'`)
	if _, rest, ok := strings.Cut(text, ":-"); ok && strings.HasPrefix(text, "${") {
		text = strings.TrimSuffix(rest, "}")
	}
	number, err := strconv.Atoi(text)
	if err != nil || number < 1 || number > 65535 {
		return 0
	}
	return number
}

// address returns the port of host:port.
func address(text string) int {
	if at := strings.Index(text, "${"); at >= 0 {
		return port(text[at:])
	}
	return port(text[strings.LastIndex(text, ":")+1:])
}

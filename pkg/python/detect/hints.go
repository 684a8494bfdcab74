package detect

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/shell"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/syntax"
)

// hint is a place that names the app or the port.
type hint struct {
	// app is module:attribute, or a module alone, or empty.
	app     string
	factory bool
	// server is the program that the place runs.
	server string
	// dir is --app-dir or --chdir.
	dir    string
	port   int
	source string
}

// hints are what files say of the app besides its code, the more explicit first.
func (t *tree) hints(settings *manifest) []hint {
	var found []hint
	add := func(h hint, source string) {
		if h.app != "" || h.port != 0 {
			h.source = source
			found = append(found, h)
		}
	}
	if entry := settings.Tool.FastAPI.Entrypoint; entry != "" {
		add(hint{app: entry}, t.lineOf("pyproject.toml", entry))
	}
	if content, ok := t.read("Procfile"); ok {
		for i, line := range strings.Split(string(content), "\n") {
			if kind, command, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(kind) == "web" {
				add(startedBy(shell.Parse(command), asWritten), place("Procfile", i+1))
			}
		}
	}
	found = append(found, t.dockerfileHints()...)
	for _, file := range []string{".flaskenv", ".env"} {
		content, _ := t.read(file)
		for i, line := range strings.Split(string(content), "\n") {
			name, setting, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
			setting = strings.Trim(strings.TrimSpace(setting), `"'`)
			switch strings.TrimSpace(name) {
			case "FLASK_APP":
				h := hint{app: strings.TrimSuffix(setting, ".py")}
				if strings.HasSuffix(h.app, "()") {
					h.app, h.factory = strings.TrimSuffix(h.app, "()"), true
				}
				h.app = strings.ReplaceAll(h.app, "/", ".")
				add(h, place(file, i+1))
			case "FLASK_RUN_PORT":
				add(hint{port: port(setting)}, place(file, i+1))
			}
		}
	}
	for _, file := range []string{"gunicorn.conf.py", "gunicorn_conf.py"} {
		if m := t.module(file); m != nil {
			h := hint{}
			line := 0
			for _, name := range m.order {
				last := m.assigned[name][len(m.assigned[name])-1]
				text, ok := syntax.Text(last.value)
				switch {
				case !ok:
				case name == "bind":
					h.port, line = address(text), last.line
				case name == "wsgi_app":
					h.app, line = text, last.line
					if strings.HasSuffix(h.app, "()") {
						h.app, h.factory = strings.TrimSuffix(h.app, "()"), true
					}
				}
			}
			add(h, place(file, line))
		}
	}
	for _, file := range t.modules {
		if aside(file) || t.below(file) != "" {
			continue
		}
		m := t.module(file)
		if m == nil {
			continue
		}
		for _, call := range m.calls {
			full := call.Name
			if of, rest, ok := absolute(m, call.Name); ok {
				full = strings.TrimSuffix(of.dotted()+"."+rest, ".")
			}
			if full != "uvicorn.run" && full != "granian.Granian" {
				continue
			}
			h := hint{server: "uvicorn", dir: path.Dir(file)}
			if text, ok := syntax.Text(call.Argument("app", 0)); ok {
				h.app = text
			}
			if number := call.Argument("port", -1); len(number) == 1 {
				h.port = port(number[0].Text)
			}
			if yes := call.Argument("factory", -1); len(yes) == 1 && yes[0].Is("True") {
				h.factory = true
			}
			add(h, place(file, call.Line))
		}
	}
	return found
}

// dockerfileHints are what a Dockerfile says; one that does not parse says nothing.
func (t *tree) dockerfileHints() []hint {
	content, ok := t.read("Dockerfile")
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
		if h.app != "" || h.port != 0 {
			h.source = place("Dockerfile", process.Step.Line)
			found = append(found, h)
		}
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

// commandLine reads the command line of a server.
func commandLine(args []string) hint {
	found := hint{}
	for i := 0; i < len(args); i++ {
		arg, setting, joined := strings.Cut(args[i], "=")
		next := func() string {
			if joined {
				return setting
			}
			if i+1 < len(args) {
				i++
				return args[i]
			}
			return ""
		}
		base := path.Base(arg)
		switch {
		case found.server == "":
			switch base {
			case "uvicorn", "gunicorn", "hypercorn", "daphne", "granian", "waitress-serve", "fastapi", "flask":
				found.server = base
			case "runserver":
				found.port = address(next())
			}
		case arg == "--port" || arg == "-p":
			found.port = port(next())
		case arg == "--bind" || arg == "-b" || arg == "--listen":
			found.port = address(next())
		case arg == "--factory":
			found.factory = true
		case arg == "--app-dir" || arg == "--chdir":
			found.dir = next()
		case arg == "--app" || arg == "-A":
			found.app = next()
		case strings.HasPrefix(arg, "-"):
			if !joined && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") && !strings.Contains(args[i+1], ":") && takesValue(arg) {
				i++
			}
		case found.app == "" && (arg == "run" || arg == "dev") && (found.server == "fastapi" || found.server == "flask"):
		case found.app == "":
			found.app = args[i]
		}
	}
	if found.server == "fastapi" && strings.HasSuffix(found.app, ".py") {
		found.app = strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(found.app, "./"), ".py"), "/", ".")
	}
	if strings.HasSuffix(found.app, "()") {
		found.app, found.factory = strings.TrimSuffix(found.app, "()"), true
	}
	if found.server == "" {
		found.app = ""
	}
	return found
}

// takesValue says whether an option of a server is followed by its value.
func takesValue(option string) bool {
	switch option {
	case "--reload", "--preload", "--proxy-headers", "--no-access-log", "--no-server-header", "--daemon", "--debug", "--no-proxy-headers",
		"--use-colors", "--no-use-colors", "--access-log", "--capture-output", "-D", "-R":
		return false
	}
	return true
}

// port reads a port; what is none, such as a variable without a default, is 0.
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

// address reads the port of host:port.
func address(text string) int {
	if at := strings.Index(text, "${"); at >= 0 {
		return port(text[at:])
	}
	return port(text[strings.LastIndex(text, ":")+1:])
}

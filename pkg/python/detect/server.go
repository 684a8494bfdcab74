package detect

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/syntax"
)

// serverVersion is the version of a server that is installed when a project names
// none: the newest as of 2026-11 that runs on the version of Python.
func serverVersion(server, python string) string {
	switch {
	case server == "uvicorn" && python == "3.8":
		return "0.33.0"
	case server == "uvicorn" && python == "3.9":
		return "0.39.0"
	case server == "uvicorn":
		return "0.54.0"
	case server == "hypercorn" && (python == "3.8" || python == "3.9"):
		return "0.17.3"
	case server == "hypercorn":
		return "0.18.0"
	case python == "3.8" || python == "3.9":
		return "23.0.0"
	}
	return "27.0.1"
}

// server chooses the server, and adds it when the project does not name it.
func (f *finder) server() error {
	app := f.project.App
	if app == nil {
		return nil
	}
	if app.Framework == "django" && f.installs("whitenoise") {
		// It imports the settings, which may ask for what no build has.
		f.warn("whitenoise serves what collectstatic has collected, and a generated Dockerfile does not run that: have it written by kubectl pyflow init, and add the command")
	}
	if app.Server == "uvicorn" && !f.installs("uvicorn") && f.installs("hypercorn") {
		app.Server = "hypercorn"
	}
	if len(f.installed()) == 0 {
		f.warn("no dependencies are written down, and %s needs some: name them in requirements.txt, or lock them with uv, Poetry or Pipenv", app.File)
	}
	if source := f.sourceOf(app.Server); source != "" {
		f.found("server", app.Server, source)
		return nil
	}
	for _, one := range f.installed() {
		if one.brings(app.Server) {
			f.found("server", app.Server, "comes with "+one.Name)
			return nil
		}
	}
	extra := app.Server + "==" + serverVersion(app.Server, f.project.Python)
	f.project.Extra = append(f.project.Extra, extra)
	f.found("server", extra, "default")
	f.warn("%s is not among the dependencies, so %s is installed; add it to have its version locked", app.Server, extra)
	return nil
}

// sourceOf is where an installed package is named, or nothing.
func (f *finder) sourceOf(name string) string {
	for _, one := range f.installed() {
		if one.Name == name {
			return one.Source
		}
	}
	return ""
}

// firstPort is the first one that is open to everybody.
const firstPort = 1024

// port finds where the app listens.
func (f *finder) port() error {
	f.project.Port = DefaultPort
	source := "default"
	if f.options.Port != 0 {
		f.project.Port, source = f.options.Port, f.options.PortSource
		if source == "" {
			source = "--port"
		}
		if f.project.Port < firstPort {
			f.warn("%s says port %d, which needs root on some clusters, and the service is not root: choose one from %d on", source, f.project.Port, firstPort)
		}
	} else {
		for _, h := range f.hints(f.manifest) {
			if h.port == 0 {
				continue
			}
			if h.port < firstPort {
				f.warn("%s says port %d, which needs root; the service is not root and listens on %d", h.source, h.port, DefaultPort)
			} else {
				f.project.Port, source = h.port, h.source
			}
			break
		}
	}
	f.found("port", strconv.Itoa(f.project.Port), source)
	return nil
}

// django finds a Django project by its manage.py or its settings, whose apps are in
// wsgi.py and asgi.py.
func (f *finder) django() bool {
	var wsgi, asgi []candidate
	for _, file := range f.modules {
		if aside(file) || f.below(file) != "" {
			continue
		}
		base := path.Base(file)
		if base != "wsgi.py" && base != "asgi.py" {
			continue
		}
		found := f.candidates(file)
		named := func(c candidate) bool { return c.name == "application" }
		for _, c := range found {
			// Beside the application are those that it is made of.
			if c.value.framework != "django" || c.value.factory || !named(c) && slices.ContainsFunc(found, named) {
				continue
			}
			if c.value.asgi {
				asgi = append(asgi, c)
			} else {
				wsgi = append(wsgi, c)
			}
		}
	}
	if len(wsgi) > 1 {
		// manage.py says which settings are meant, and so which package.
		if setting := f.settings(); setting != "" {
			first, _, _ := strings.Cut(setting, ".")
			match := func(c candidate) bool { return path.Base(path.Dir(c.file)) != first }
			if kept := slices.DeleteFunc(slices.Clone(wsgi), match); len(kept) == 1 {
				wsgi, asgi = kept, slices.DeleteFunc(asgi, match)
			}
		}
	}
	if len(wsgi) > 1 || len(wsgi) == 0 && len(asgi) != 1 {
		return false
	}
	chosen := wsgi
	if len(asgi) == 1 && (len(wsgi) == 0 || !f.installs("gunicorn") && (f.installs("uvicorn") || f.installs("daphne") || f.installs("hypercorn"))) {
		chosen = asgi
	}
	f.keepCandidate(chosen[0])
	return true
}

// settings is the module that manage.py gives as DJANGO_SETTINGS_MODULE, or nothing.
func (f *finder) settings() string {
	for _, file := range f.modules {
		m := f.module(file)
		if path.Base(file) != "manage.py" || f.below(file) != "" || m == nil {
			continue
		}
		for _, call := range m.calls {
			if key, ok := syntax.Text(call.Argument("", 0)); ok && key == "DJANGO_SETTINGS_MODULE" {
				if value, ok := syntax.Text(call.Argument("", 1)); ok {
					return value
				}
			}
		}
	}
	return ""
}

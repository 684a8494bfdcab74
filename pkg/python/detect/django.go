package detect

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/syntax"
)

// djangoApp returns the app of a Django project, which is in wsgi.py or asgi.py; nil if
// there is none, or several.
func djangoApp(r *resolver, packages installed) *candidate {
	wsgi, asgi := djangoCandidates(r)
	if len(wsgi) > 1 {
		wsgi, asgi = ofSettings(wsgi, asgi, settingsPackage(r.code))
	}
	if len(wsgi) > 1 || len(wsgi) == 0 && len(asgi) != 1 {
		return nil
	}
	prefersASGI := !packages.has("gunicorn") && packages.has("uvicorn", "daphne", "hypercorn")
	if len(asgi) == 1 && (len(wsgi) == 0 || prefersASGI) {
		return &asgi[0]
	}
	return &wsgi[0]
}

// djangoCandidates returns the apps of the files that Django generates.
func djangoCandidates(r *resolver) (wsgi, asgi []candidate) {
	isApplication := func(c candidate) bool { return c.name == "application" }
	for m := range r.own() {
		if base := path.Base(m.file); base != "wsgi.py" && base != "asgi.py" {
			continue
		}
		found := r.candidates(m.file)
		// Beside the application are those that it is made of.
		if slices.ContainsFunc(found, isApplication) {
			found = slices.DeleteFunc(found, func(c candidate) bool { return !isApplication(c) })
		}
		for _, c := range found {
			switch {
			case c.framework.name != "django" || c.factory:
			case c.asgi:
				asgi = append(asgi, c)
			default:
				wsgi = append(wsgi, c)
			}
		}
	}
	return wsgi, asgi
}

// ofSettings returns the candidates beside the settings that manage.py names, if there
// is one such WSGI app, else all of them.
func ofSettings(wsgi, asgi []candidate, settings string) (keptWSGI, keptASGI []candidate) {
	isOther := func(c candidate) bool { return path.Base(path.Dir(c.file)) != settings }
	kept := slices.DeleteFunc(slices.Clone(wsgi), isOther)
	if settings == "" || len(kept) != 1 {
		return wsgi, asgi
	}
	return kept, slices.DeleteFunc(slices.Clone(asgi), isOther)
}

// settingsPackage returns the package of the module that manage.py gives as
// DJANGO_SETTINGS_MODULE, or nothing.
func settingsPackage(c *code) string {
	_, module := managed(c)
	return strings.Split(module, ".")[0]
}

// managed returns the path of manage.py and the module of the settings that it gives, or
// nothing.
func managed(c *code) (file, module string) {
	for _, file := range c.modules {
		if path.Base(file) != "manage.py" || c.isBelow(file) {
			continue
		}
		if module := settingsIn(c, file); module != "" {
			return file, module
		}
	}
	return "", ""
}

// settingsIn returns the module that a file gives as DJANGO_SETTINGS_MODULE, or nothing.
func settingsIn(c *code, file string) string {
	m := c.module(file)
	if m == nil {
		return ""
	}
	for _, call := range m.calls {
		key, _ := syntax.Text(call.Argument("", 0))
		if value, ok := syntax.Text(call.Argument("", 1)); ok && key == "DJANGO_SETTINGS_MODULE" {
			return value
		}
	}
	return ""
}

// djangoProject is the Django project of an app; Django is nil for any other.
type djangoProject struct {
	*Django
	notes
}

// findDjango returns what the settings of a Django project say about its static files and its
// database.
func findDjango(c *code, packages installed, app *App) djangoProject {
	found := djangoProject{}
	if app == nil || app.Framework != "django" {
		return found
	}
	manage, module := managed(c)
	django := &Django{Manage: manage, Settings: module}
	if served := settingsIn(c, app.File); served != "" && served != module {
		django.Settings, django.Differs = served, true
	}
	if !regexp.MustCompile(`^[A-Za-z0-9_./-]*$`).MatchString(manage) {
		django.Manage = "" // no command line has to quote it
	}
	files := settingsFiles(c, django.Settings)
	if !isDotted(django.Settings) || len(files) == 0 {
		return found
	}
	found.Django = django
	text, root := "", ""
	for _, file := range files {
		content := c.load(file)
		text += string(content) + "\n"
		if assigned := c.module(file).assigned["STATIC_ROOT"]; len(assigned) > 0 && root == "" {
			root = place(file, assigned[0].line)
		}
		django.Migrates = django.Migrates || len(c.module(file).assigned["DATABASES"]) > 0
	}
	found.add(refusals(c, files[0]))
	django.Unset = unset(text)
	django.Migrates = django.Migrates || slices.ContainsFunc(c.modules, func(file string) bool {
		return path.Base(path.Dir(file)) == "migrations" && path.Base(file) == "0001_initial.py" && !c.isBelow(file)
	})
	if !strings.Contains(text, "django.contrib.staticfiles") {
		return found
	}
	serves := packages.has("whitenoise")
	// Storages would be those of production.
	if django.Collects = root != "" && !packages.has("django-storages"); django.Collects {
		found.found("static", "collected into STATIC_ROOT", root)
	}
	switch {
	case serves && root == "":
		found.warn("whitenoise serves what is in STATIC_ROOT, and %s does not set it", files[0])
	case !serves && !packages.has("django-storages"):
		found.warn("nothing serves the static files of Django when DEBUG is off: add whitenoise to the dependencies, its middleware to MIDDLEWARE, and set STATIC_ROOT")
	}
	return found
}

// refusals warns about literal settings with which Django does not serve, or serves too much.
func refusals(c *code, file string) notes {
	n := notes{}
	last := func(name string) (assignment, bool) {
		values := c.module(file).assigned[name]
		if len(values) == 0 {
			return assignment{}, false
		}
		return values[len(values)-1], true
	}
	debug, ok := last("DEBUG")
	on := ok && len(debug.value) == 1 && debug.value[0].Is("True")
	if on {
		n.warn("%s: DEBUG is on: errors show code and settings to everyone; read it from a variable", place(file, debug.line))
	}
	hosts, ok := last("ALLOWED_HOSTS")
	if !on && ok && len(hosts.value) == 2 && hosts.value[0].Is("[") {
		n.warn("%s: ALLOWED_HOSTS is empty: Django refuses every request; name the hosts, or read them from a variable", place(file, hosts.line))
	}
	return n
}

// settingsFiles returns the files of the module of the settings: the module, and of a package
// all of its modules.
func settingsFiles(c *code, module string) []string {
	if module == "" {
		return nil
	}
	for _, root := range slices.Concat([]string{c.root, "."}, c.dirs) {
		file, ok := c.moduleFile(root, module)
		if !ok {
			continue
		}
		files := []string{file}
		for _, other := range c.modules {
			if inPackage := path.Dir(other) == path.Dir(file); inPackage && other != file && isSettingsPackage(file) {
				files = append(files, other)
			}
		}
		return slices.DeleteFunc(files, func(file string) bool { return c.module(file) == nil })
	}
	return nil
}

// isSettingsPackage reports whether a module of settings is one of several in a directory of
// their own.
func isSettingsPackage(file string) bool {
	return slices.Contains([]string{"settings", "config", "conf"}, path.Base(path.Dir(file))) || path.Base(file) == "__init__.py"
}

// unset returns the variables that settings read without a default, sorted: by os.environ, and
// by the functions of django-environ and python-decouple.
func unset(text string) []string {
	const name = `["']([A-Z][A-Z0-9_]*)["']`
	found := map[string]bool{}
	for _, pattern := range []string{
		`environ\[\s*` + name + `\s*\]`,
		`(?:getenv|environ\.get)\(\s*` + name + `\s*\)`,
		`\b(?:env|config)(?:\.[a-z_]+)?\(\s*` + name + `\s*(?:,\s*cast\s*=\s*[A-Za-z]+\s*)?\)`,
	} {
		for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			found[match[1]] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

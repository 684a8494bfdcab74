package detect

import (
	"path"
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
	for _, file := range c.modules {
		if path.Base(file) != "manage.py" || c.isBelow(file) {
			continue
		}
		m := c.module(file)
		if m == nil {
			continue
		}
		for _, call := range m.calls {
			key, _ := syntax.Text(call.Argument("", 0))
			if value, ok := syntax.Text(call.Argument("", 1)); ok && key == "DJANGO_SETTINGS_MODULE" {
				return strings.Split(value, ".")[0]
			}
		}
	}
	return ""
}

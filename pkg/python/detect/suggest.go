package detect

import (
	"iter"
	"path"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/syntax"
)

// suggest returns the processes that the code seems to need: workers of task queues, and the
// migration and the management commands of a Django project.
func suggest(c *code, packages installed, django *Django) []Suggestion {
	var found []Suggestion
	for _, tool := range []struct {
		packages []string
		find     func(*code, *Django) []Suggestion
	}{
		{[]string{"celery"}, celeryWorkers},
		{[]string{"rq", "django-rq"}, rqWorkers},
		{[]string{"dramatiq", "django-dramatiq"}, dramatiqWorkers},
		{[]string{"arq"}, arqWorkers},
	} {
		if packages.has(tool.packages...) {
			found = append(found, tool.find(c, django)...)
		}
	}
	if django != nil && django.Migrates {
		found = append(found, Suggestion{
			Name: "release", Command: django.Command("migrate --noinput"), Tool: "migrate",
			Because: "Django has a database to migrate before each release", Source: django.Settings,
		})
	}
	if django != nil {
		found = append(found, djangoCommands(c, django)...)
	}
	return found
}

// djangoCommands suggests a process for the first of the project's own management commands, and
// names all of them: only their author knows which of them run on their own.
func djangoCommands(c *code, django *Django) []Suggestion {
	var names []string
	source := ""
	for m := range working(c) {
		name := strings.TrimSuffix(path.Base(m.file), ".py")
		if _, is := m.classes["Command"]; !is || !strings.HasSuffix(path.Dir("/"+m.file), "/management/commands") || strings.HasPrefix(name, "_") {
			continue
		}
		if names = append(names, name); source == "" {
			source = m.file
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []Suggestion{{
		Name: strings.ReplaceAll(strings.ToLower(names[0]), "_", "-"), Command: django.Command(names[0]), Tool: names[0],
		Because: "management commands of Django, if one runs on its own: " + strings.Join(names, ", "), Source: source,
	}}
}

// works reports whether a file may have the work of task queues: the code of the service, and
// tasks.py, which is aside for a service.
func works(c *code, file string) bool {
	return c.isOwn(file) || path.Base(file) == "tasks.py" && c.isOwn(path.Join(path.Dir(file), "main.py"))
}

// working yields the modules that may have the work of task queues.
func working(c *code) iter.Seq[*module] {
	return func(yield func(*module) bool) {
		for _, file := range c.modules {
			if !works(c, file) {
				continue
			}
			if m := c.module(file); m != nil && !yield(m) {
				return
			}
		}
	}
}

// celeryWorkers suggests a worker for a Celery app, and a scheduler if there is a schedule.
func celeryWorkers(c *code, _ *Django) []Suggestion {
	for m := range working(c) {
		for _, name := range m.order {
			assigned := m.assigned[name][0]
			if !calls(m, assigned.value, "celery.Celery", "celery.app.Celery") {
				continue
			}
			app := objectName(c.rootOf(m.file), m.file, name)
			found := []Suggestion{{Name: "worker", Command: "celery -A " + app + " worker", Tool: "celery", Because: "Celery app " + app, Source: place(m.file, assigned.line)}}
			if source := mention(c, "beat_schedule", "CELERY_BEAT_SCHEDULE", "crontab("); source != "" {
				found = append(found, Suggestion{Name: "beat", Command: "celery -A " + app + " beat --schedule=/tmp/celerybeat", Tool: "celery", Because: "a schedule of Celery", Source: source})
			}
			return found
		}
	}
	return nil
}

// calls reports whether a value is the result of a call of one of the functions.
func calls(m *module, value []syntax.Token, functions ...string) bool {
	name, _ := syntax.Dotted(value)
	if of, rest, ok := absolute(m, name); ok {
		name = strings.TrimSuffix(of.dotted()+"."+rest, ".")
	}
	return slices.Contains(functions, name)
}

// mention returns the first place in the code that has one of the texts; empty if none has.
func mention(c *code, texts ...string) string {
	for _, file := range c.modules {
		if !works(c, file) {
			continue
		}
		content := c.load(file)
		for _, text := range texts {
			if before, _, ok := strings.Cut(string(content), text); ok {
				return place(file, strings.Count(before, "\n")+1)
			}
		}
	}
	return ""
}

// rqWorkers suggests a worker for the queue of RQ.
func rqWorkers(c *code, django *Django) []Suggestion {
	if source := mention(c, "django_rq"); source != "" && django != nil {
		return []Suggestion{{Name: "worker", Command: django.Command("rqworker default"), Tool: "rqworker", Because: "jobs of Django-RQ", Source: source}}
	}
	source := mention(c, "from rq ", "import rq")
	if source == "" {
		return nil
	}
	return []Suggestion{{Name: "worker", Command: "rq worker --url $REDIS_URL", Tool: "rq", Because: "jobs of RQ", Source: source}}
}

// dramatiqWorkers suggests a worker for the modules with actors.
func dramatiqWorkers(c *code, django *Django) []Suggestion {
	var modules []string
	first := ""
	for m := range working(c) {
		before, _, ok := strings.Cut(string(c.load(m.file)), "dramatiq.actor")
		if _, imported := m.imports["dramatiq"]; !imported || !ok {
			continue
		}
		module, _, _ := strings.Cut(objectName(c.rootOf(m.file), m.file, ""), ":")
		modules = append(modules, module)
		if first == "" {
			first = place(m.file, 1+strings.Count(before, "\n"))
		}
	}
	switch {
	case len(modules) == 0:
		return nil
	case django != nil && mention(c, "django_dramatiq") != "":
		return []Suggestion{{Name: "worker", Command: django.Command("rundramatiq"), Tool: "rundramatiq", Because: "actors of Dramatiq", Source: first}}
	}
	return []Suggestion{{Name: "worker", Command: "dramatiq " + strings.Join(modules, " "), Tool: "dramatiq", Because: "actors of Dramatiq", Source: first}}
}

// arqWorkers suggests a worker for the settings of arq.
func arqWorkers(c *code, _ *Django) []Suggestion {
	for m := range working(c) {
		if tokens, ok := m.classes["WorkerSettings"]; ok {
			class := strings.ReplaceAll(objectName(c.rootOf(m.file), m.file, "WorkerSettings"), ":", ".")
			return []Suggestion{{Name: "worker", Command: "arq " + class, Tool: "arq", Because: "functions of arq in " + path.Base(m.file), Source: place(m.file, tokens[0].Line)}}
		}
	}
	return nil
}

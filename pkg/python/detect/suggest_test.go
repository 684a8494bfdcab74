package detect

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const django = "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n"

// manage is a manage.py that gives a module of settings.
func manage(module string) string {
	return "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', '" + module + "')\n"
}

func TestSuggest(t *testing.T) {
	const fastapi = "from fastapi import FastAPI\napp = FastAPI()\n"
	for name, test := range map[string]struct {
		files []string
		want  []string
	}{
		"nothing": {files: []string{"main.py", fastapi, "requirements.txt", "fastapi\n"}},
		"Celery": {
			files: []string{"main.py", fastapi, "requirements.txt", "celery==5\n", "jobs/__init__.py", "", "jobs/tasks.py", "from celery import Celery\n\nqueue = Celery('jobs', broker='redis://')\n"},
			want:  []string{"worker: celery -A jobs.tasks:queue worker (Celery app jobs.tasks:queue, jobs/tasks.py:3)"},
		},
		"Celery with a schedule": {
			files: []string{"main.py", fastapi, "requirements.txt", "celery[redis]\n", "tasks.py", "import celery\napp = celery.Celery()\napp.conf.beat_schedule = {}\n"},
			want: []string{
				"worker: celery -A tasks:app worker (Celery app tasks:app, tasks.py:2)",
				"beat: celery -A tasks:app beat --schedule=/tmp/celerybeat (a schedule of Celery, tasks.py:3)",
			},
		},
		"Celery that is not installed": {files: []string{"main.py", fastapi, "requirements.txt", "fastapi\n", "tasks.py", "from celery import Celery\napp = Celery()\n"}},
		"RQ": {
			files: []string{"main.py", fastapi + "from rq import Queue\n", "requirements.txt", "rq\n"},
			want:  []string{"worker: rq worker --url $REDIS_URL (jobs of RQ, main.py:3)"},
		},
		"Dramatiq": {
			files: []string{"main.py", fastapi, "requirements.txt", "dramatiq\n", "a.py", "import dramatiq\n@dramatiq.actor\ndef a(): pass\n", "b.py", "import dramatiq\n@dramatiq.actor()\ndef b(): pass\n"},
			want:  []string{"worker: dramatiq a b (actors of Dramatiq, a.py:2)"},
		},
		"arq": {
			files: []string{"main.py", fastapi, "requirements.txt", "arq\n", "work/__init__.py", "", "work/settings.py", "class WorkerSettings:\n    functions = []\n"},
			want:  []string{"worker: arq work.settings.WorkerSettings (functions of arq in settings.py, work/settings.py:1)"},
		},
		"Django": {
			files: []string{"manage.py", manage("shop.settings"), "shop/settings.py", "DATABASES = {}\n", "shop/wsgi.py", django, "requirements.txt", "django\ndjango-rq\nrq\n", "shop/jobs.py", "import django_rq\n"},
			want: []string{
				"worker: python manage.py rqworker default (jobs of Django-RQ, shop/jobs.py:1)",
				"release: python manage.py migrate --noinput (Django has a database to migrate before each release, shop.settings)",
			},
		},
		"Django with commands": {
			files: []string{
				"manage.py", manage("shop.settings"), "shop/settings.py", "", "shop/wsgi.py", django, "requirements.txt", "django\n",
				"shop/feeds/management/commands/__init__.py", "", "shop/feeds/management/commands/_base.py", "class Command: pass\n",
				"shop/feeds/management/commands/sync_feeds.py", "from django.core.management.base import BaseCommand\nclass Command(BaseCommand): pass\n",
				"shop/feeds/management/commands/tidy.py", "class Command: pass\n", "shop/feeds/management/commands/shared.py", "x = 1\n",
			},
			want: []string{"sync-feeds: python manage.py sync_feeds (management commands of Django, if one runs on its own: sync_feeds, tidy, shop/feeds/management/commands/sync_feeds.py)"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			project, err := Read(folder(t, test.files), Options{Python: "3.13"})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, one := range project.Suggestions {
				got = append(got, fmt.Sprintf("%s: %s (%s, %s)", one.Name, one.Command, one.Because, one.Source))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDjango(t *testing.T) {
	const static = "INSTALLED_APPS = ['django.contrib.staticfiles']\n"
	for name, test := range map[string]struct {
		files   []string
		want    *Django
		command string
		warning string
	}{
		"no Django": {files: []string{"main.py", "from flask import Flask\napp = Flask('a')\n", "requirements.txt", "flask\ngunicorn\n"}},
		"static files": {
			files: []string{
				"manage.py", manage("shop.settings"), "shop/wsgi.py", django, "requirements.txt", "django\ngunicorn\nwhitenoise\n",
				"shop/settings.py", static + "STATIC_ROOT = 'static'\nA = os.environ['SECRET_KEY']\nB = os.environ.get('B', '')\nC = os.getenv('C')\nD = env('D')\nE = env.str('E', default='')\nF = config('F', cast=int)\nG = env.db('G')\nH = config('H', default=1, cast=int)\n",
			},
			want:    &Django{Manage: "manage.py", Settings: "shop.settings", Collects: true, Unset: []string{"C", "D", "F", "G", "SECRET_KEY"}},
			command: "python manage.py x",
		},
		"several settings": {
			files: []string{
				"backend/manage.py", manage("shop.settings.dev"), "backend/shop/__init__.py", "", "backend/shop/wsgi.py", manage("shop.settings.prod") + django, "requirements.txt", "django\nwhitenoise\n",
				"backend/shop/settings/__init__.py", "", "backend/shop/settings/base.py", static + "STATIC_ROOT = 'static'\nDATABASES = {}\n", "backend/shop/settings/dev.py", "from .base import *\n", "backend/shop/settings/prod.py", "from .base import *\n",
			},
			want:    &Django{Manage: "backend/manage.py", Settings: "shop.settings.prod", Differs: true, Collects: true, Migrates: true},
			command: "python backend/manage.py x --settings=shop.settings.prod",
		},
		"nothing serves them": {
			files: []string{"manage.py", manage("shop.settings"), "shop/wsgi.py", django, "shop/settings.py", static, "requirements.txt", "django\n"},
			want:  &Django{Manage: "manage.py", Settings: "shop.settings"}, command: "python manage.py x",
			warning: "nothing serves the static files of Django when DEBUG is off: add whitenoise to the dependencies, its middleware to MIDDLEWARE, and set STATIC_ROOT",
		},
		"no place for them": {
			files: []string{"manage.py", manage("shop.settings"), "shop/wsgi.py", django, "shop/settings.py", static, "requirements.txt", "django\nwhitenoise\n"},
			want:  &Django{Manage: "manage.py", Settings: "shop.settings"}, command: "python manage.py x",
			warning: "whitenoise serves what is in STATIC_ROOT, and shop/settings.py does not set it",
		},
		"debugging": {
			files: []string{"manage.py", manage("shop.settings"), "shop/wsgi.py", django, "shop/settings.py", "DEBUG = False\nDEBUG = True\nALLOWED_HOSTS = []\n", "requirements.txt", "django\n"},
			want:  &Django{Manage: "manage.py", Settings: "shop.settings"}, command: "python manage.py x",
			warning: "shop/settings.py:2: DEBUG is on: errors show code and settings to everyone; read it from a variable",
		},
		"no hosts": {
			files: []string{"manage.py", manage("shop.settings"), "shop/wsgi.py", django, "shop/settings.py", "DEBUG = False\nALLOWED_HOSTS: list[str] = []\n", "requirements.txt", "django\n"},
			want:  &Django{Manage: "manage.py", Settings: "shop.settings"}, command: "python manage.py x",
			warning: "shop/settings.py:2: ALLOWED_HOSTS is empty: Django refuses every request; name the hosts, or read them from a variable",
		},
		"no manage.py": {
			files: []string{"shop/wsgi.py", manage("shop.settings") + django, "shop/settings.py", "", "requirements.txt", "django\n"},
			want:  &Django{Settings: "shop.settings", Differs: true}, command: "python -m django x --settings=shop.settings",
		},
		"settings that are no module": {
			files: []string{"manage.py", manage("shop; touch x"), "shop/wsgi.py", django, "requirements.txt", "django\n"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			project, err := Read(folder(t, test.files), Options{Python: "3.13"})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, project.Django); diff != "" {
				t.Error(diff)
			}
			if project.Django != nil && project.Django.Command("x") != test.command {
				t.Errorf("got %q, want %q", project.Django.Command("x"), test.command)
			}
			warned := false
			for _, warning := range project.Warnings {
				warned = warned || warning == test.warning
			}
			if test.warning != "" && !warned {
				t.Errorf("warnings are %q", project.Warnings)
			}
		})
	}
}

// folder writes a directory of files, each a name and its content.
func folder(t *testing.T, files []string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		write(t, dir, files[i], files[i+1])
	}
	return dir
}

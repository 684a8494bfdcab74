package diagnose

import (
	"strings"
	"testing"
)

func TestParseCrash(t *testing.T) {
	tests := map[string]struct {
		log          string
		said, advice string
	}{
		"a module that is not there": {
			log: `Traceback (most recent call last):
  File "/opt/venv/bin/uvicorn", line 8, in <module>
    sys.exit(main())
  File "/opt/venv/lib/python3.13/site-packages/uvicorn/importer.py", line 19, in import_from_string
    module = importlib.import_module(module_str)
  File "<frozen importlib._bootstrap>", line 1387, in _gcd_import
  File "/app/shop/main.py", line 3, in <module>
    import nosuchmodule
ModuleNotFoundError: No module named 'nosuchmodule'`,
			said: "ModuleNotFoundError: No module named 'nosuchmodule' (/app/shop/main.py:3)", advice: "no module nosuchmodule",
		},
		"uvicorn, no such module": {
			log:  "INFO:     Will watch\nERROR:    Error loading ASGI app. Could not import module \"maim\".",
			said: `ERROR:    Error loading ASGI app. Could not import module "maim".`, advice: "no module maim",
		},
		"uvicorn, no such attribute": {
			log:  `ERROR:    Error loading ASGI app. Attribute "application" not found in module "main".`,
			said: `ERROR:    Error loading ASGI app. Attribute "application" not found in module "main".`, advice: "module main has no application",
		},
		"gunicorn, no such attribute": {
			log:  "[1] [INFO] Booting worker\nFailed to find attribute 'app' in 'shop.wsgi'.\n[1] [INFO] Shutting down: Master",
			said: "Failed to find attribute 'app' in 'shop.wsgi'.", advice: "module shop.wsgi has no app:",
		},
		"a library of the system": {
			log:  "  File \"/app/main.py\", line 1, in <module>\nImportError: libpq.so.5: cannot open shared object file: No such file or directory",
			said: "ImportError: libpq.so.5: cannot open shared object file: No such file or directory (/app/main.py:1)", advice: "system library libpq.so.5",
		},
		"a name": {
			log:  "ImportError: cannot import name 'Celery' from 'fastapi' (/opt/venv/lib/python3.13/site-packages/fastapi/__init__.py)",
			said: "ImportError: cannot import name 'Celery' from 'fastapi' (/opt/venv/lib/python3.13/site-packages/fastapi/__init__.py)", advice: "fastapi has no Celery",
		},
		"syntax": {
			log:  "  File \"/app/main.py\", line 7\n    def x(:\n          ^\nSyntaxError: invalid syntax",
			said: "SyntaxError: invalid syntax (/app/main.py:7)", advice: "--python",
		},
		"a variable": {
			log:  "  File \"/app/main.py\", line 4, in <module>\n    url = os.environ[\"DATABASE_URL\"]\n  File \"<frozen os>\", line 714, in __getitem__\nKeyError: 'DATABASE_URL'",
			said: "KeyError: 'DATABASE_URL' (/app/main.py:4)", advice: "--env DATABASE_URL=…",
		},
		"a key that is no variable": {
			log:  "  File \"/app/main.py\", line 4, in <module>\n    x = {}[\"a\"]\nKeyError: 'a'",
			said: "KeyError: 'a' (/app/main.py:4)",
		},
		"settings": {
			log:  "pydantic_core._pydantic_core.ValidationError: 1 validation error for Settings\ndatabase_url\n  Field required [type=missing, input_value={}, input_type=dict]",
			said: "pydantic_core._pydantic_core.ValidationError: 1 validation error for Settings", advice: "[tool.kubectl-pyflow.env]",
		},
		"a file": {
			log:  "PermissionError: [Errno 13] Permission denied: '/app/data.db'",
			said: "PermissionError: [Errno 13] Permission denied: '/app/data.db'", advice: "user 1000 may not read or write /app/data.db",
		},
		"a program that may not be read": {
			log:  "python: can't open file '/app/main.py': [Errno 13] Permission denied",
			said: "python: can't open file '/app/main.py': [Errno 13] Permission denied", advice: "user 1000 may not read /app/main.py",
		},
		"a file of a shell": {
			log:  "/app/start.sh: line 3: /data/log: Permission denied",
			said: "/app/start.sh: line 3: /data/log: Permission denied", advice: "user 1000 may not read or write /data/log",
		},
		"a directory": {
			log:  "mkdir: cannot create directory '/data/cache': Permission denied",
			said: "mkdir: cannot create directory '/data/cache': Permission denied", advice: "user 1000 may not read or write /data/cache",
		},
		"a database": {
			log: "sqlite3.OperationalError: unable to open database file", said: "sqlite3.OperationalError: unable to open database file",
			advice: "user 1000 may not read or write the file of the database",
		},
		"a port": {
			log:  "OSError: [Errno 98] error while attempting to bind on address ('0.0.0.0', 8000): address already in use",
			said: "OSError: [Errno 98] error while attempting to bind on address ('0.0.0.0', 8000): address already in use", advice: "--port",
		},
		"a program": {
			log: "/bin/sh: 1: uvicorn: not found", said: "/bin/sh: 1: uvicorn: not found", advice: "no program uvicorn",
		},
		"an error of its own": {
			log:  "Traceback (most recent call last):\n  File \"/app/main.py\", line 2, in <module>\n    raise shop.errors.StartError(\"no stock\")\nshop.errors.StartError: no stock\nbye",
			said: "shop.errors.StartError: no stock (/app/main.py:2)",
		},
		"an error of a library only": {
			log:  "  File \"/usr/lib/python3.13/json/decoder.py\", line 345, in decode\njson.decoder.JSONDecodeError: Expecting value",
			said: "json.decoder.JSONDecodeError: Expecting value (/usr/lib/python3.13/json/decoder.py:345)",
		},
		"a very long line":    {log: "ValueError: " + strings.Repeat("é", 500), said: "ValueError: " + strings.Repeat("é", 187) + "…"},
		"an ordinary message": {log: "GET / 200\nError: no, this is only a word"},
		"nothing":             {},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			said, advice := ParseCrash(strings.Split(test.log, "\n"), "user 1000")
			if said != test.said || !strings.Contains(advice, test.advice) || test.advice == "" && advice != "" {
				t.Errorf("got %q, %q", said, advice)
			}
		})
	}
}

package detect

// Project is what a directory contains. Paths are relative to it, with slashes; those of
// dependencies may lead out of it, as ../shared does.
type Project struct {
	// Name is the name of the project in pyproject.toml; empty without one.
	Name string
	// App is the web application, or nil.
	App *App
	// PassedOver are the places that name an app that does not exist, such as Procfile:1.
	PassedOver []string `json:",omitempty"`
	// Python is the version for the image, major.minor, such as 3.13.
	Python string
	// Port is the port that the app listens on if the variable PORT is not set: the one
	// that a file of the project names, or python.DefaultPort.
	Port int
	// Root is the directory from which Python imports the modules of the project, such as
	// "." or "src".
	Root string
	// Code are the files and directories that the app needs when it runs, sorted; "." is
	// the whole directory.
	Code []string
	// Package reports that the project itself has to be installed, because its code asks
	// for its metadata or has extensions to compile. Such a project has a [build-system]
	// or a setup.py.
	Package bool
	// Dependencies are what is installed to run the app, and Dev what its tests need as
	// well; Dev has no files if the project does not say.
	Dependencies, Dev Dependencies
	// Extra are requirements, as name==version, that the app needs and the project does
	// not name, such as uvicorn for an ASGI app.
	Extra []string
	// Django is what a Django project says about its static files and its database; nil for any
	// other project.
	Django *Django `json:",omitempty"`
	// Suggestions are processes that the code seems to need beside the web process.
	Suggestions []Suggestion `json:",omitempty"`
	// Libraries are the Debian packages that dependencies need.
	Libraries Libraries
	// Evidence is what was found and where, in the order that a user wants to read it.
	Evidence []Evidence
	// Warnings are about what is likely a mistake, each a sentence without a period.
	Warnings []string
}

// App is a web application.
type App struct {
	// Object is module:attribute, as servers take it.
	Object string
	// Factory reports that the attribute is a function that returns the application.
	Factory bool
	// Framework is fastapi, starlette, litestar, quart, flask, django, or asgi or
	// wsgi for another one.
	Framework string
	// Server is uvicorn, hypercorn or gunicorn.
	Server string
	// File is the file that defines it.
	File string
}

// Django is what a Django project says about its static files and its database.
type Django struct {
	// Manage is the path of manage.py; empty without one. Settings is the module of the settings
	// that the app is served with, and Differs reports that manage.py gives another one.
	Manage, Settings string
	Differs          bool `json:",omitempty"`
	// Collects reports that collectstatic has files to collect and a place for them.
	Collects bool
	// Migrates reports that there is a database to migrate.
	Migrates bool
	// Unset are the variables that the settings read and that have no default, sorted.
	Unset []string `json:",omitempty"`
}

// Command returns the command line of a management command with its arguments.
func (d *Django) Command(arguments string) string {
	command := "python " + d.Manage + " " + arguments
	if d.Manage == "" {
		command = "python -m django " + arguments
	}
	if d.Manage == "" || d.Differs {
		command += " --settings=" + d.Settings
	}
	return command
}

// Suggestion is a process that the code of a project seems to need.
type Suggestion struct {
	// Name is a name for the process, and Command its command line.
	Name, Command string
	// Tool is the program that starts it, such as celery; of Django, its management command.
	Tool string
	// Because says why, such as "Celery app shop:app", and Source where.
	Because, Source string
}

// Kind is the way in which dependencies are written down.
type Kind string

// The kinds.
const (
	// None is a project without dependencies.
	None Kind = ""
	// Requirements is requirements.txt or a file like it: Files[0] is the file to
	// install, the others are those that it includes.
	Requirements Kind = "requirements.txt"
	// UV is pyproject.toml and uv.lock.
	UV Kind = "uv"
	// Poetry is pyproject.toml and poetry.lock; without the lock, Files is
	// pyproject.toml alone and the dependencies are in Poetry's own table.
	Poetry Kind = "poetry"
	// Pipenv is Pipfile and Pipfile.lock; without the lock it is the Pipfile alone,
	// and not Locked.
	Pipenv Kind = "pipenv"
	// PEP621 is pyproject.toml without a lock, of [project].
	PEP621 Kind = "pyproject.toml"
	// Setuptools is setup.py or setup.cfg alone.
	Setuptools Kind = "setup.py"
)

// Dependencies are one set of packages to install.
type Dependencies struct {
	Kind Kind
	// Files are what the installation reads.
	Files []string
	// Locked reports that every package has an exact version, and Hashed that each has a
	// hash as well.
	Locked, Hashed bool
	// Groups are the groups or extras that hold this set, as the tool calls them:
	// dependency groups for uv and Poetry, "dev" for Pipenv, extras or groups for
	// pyproject.toml and setup.py.
	Groups []string
	// Extras are the extras of the project that hold a part of this set; for
	// pyproject.toml and setup.py they are among Groups as well.
	Extras []string
	// Dir is the directory that the installation runs in, relative to the project: the root of
	// a workspace of uv, else empty. Member is the name of the project in that workspace.
	Dir, Member string `json:",omitempty"`
	// Local are directories and files that are dependencies themselves, sorted; the
	// installation reads them as well. They have no hash, so a set with some is not Hashed.
	Local []string
	// ProjectRoot reports that the files name the directory of the project as ${PROJECT_ROOT}
	// or {root:uri}, as PDM and Hatch do.
	ProjectRoot bool `json:",omitempty"`
	// Itself reports that the requirements files ask for the project itself, as "-e ."
	// does.
	Itself bool
	// Names are the direct dependencies, normalized as PEP 503 says, sorted.
	Names []string
	// Access is what the installation needs to reach packages that are not public.
	Access Access `json:",omitzero"`
}

// Libraries are Debian packages, sorted: those for compiling, and those that the
// result needs when it runs.
type Libraries struct {
	Build, Run []string
}

// Evidence is one finding.
type Evidence struct {
	// What is app, framework, server, python, dependencies, context, tests, secret, port,
	// library, layout or static.
	What string
	// Value is the finding.
	Value string
	// Source is its place: a file, a file:line, or "default".
	Source string
}

// Package detect finds out what a Python project is: its app, its Python, its
// dependencies, and what they need of the system. It reads files and runs nothing.
package detect

// Project is what was found in a directory. Paths are relative to it, with
// slashes.
type Project struct {
	// Name is the project's own name, as pyproject.toml (or poetry's table) has
	// it; empty when it has none.
	Name string
	// App is the web application, nil when there is none.
	App *App
	// Python is the version for the image, major.minor, such as 3.13.
	Python string
	// Port is where the app listens when PORT is not set: what the project's files
	// say, or 8000.
	Port int
	// Root is the directory that is put on Python's path: "." or "src" or another.
	Root string
	// Code are the files and directories that the app needs when it runs, sorted;
	// "." is all of the directory.
	Code []string
	// Package says that the project itself has to be installed, as its code asks
	// for its metadata or has extensions to compile; it has a [build-system] or a
	// setup.py then.
	Package bool
	// Dependencies are what is installed to run the app, Dev what its tests need as
	// well; Dev has no files when the project does not say.
	Dependencies, Dev Dependencies
	// Extra are requirements that the app needs and the project does not name, such
	// as uvicorn for an ASGI app: name==version.
	Extra []string
	// Libraries are the Debian packages that dependencies need.
	Libraries Libraries
	// Evidence says what was found, and from where, in the order that a user wants
	// to read it.
	Evidence []Evidence
	// Warnings are what is likely not to be meant, each a sentence without a period.
	Warnings []string
}

// App is a web application.
type App struct {
	// Object is module:attribute, as servers take it.
	Object string
	// Factory says that the attribute is a function that returns the application.
	Factory bool
	// Framework is fastapi, starlette, litestar, quart, flask, django, or asgi or
	// wsgi for another one.
	Framework string
	// Server is uvicorn, hypercorn or gunicorn.
	Server string
	// File is where it is.
	File string
}

// Kind says how dependencies are written down.
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

// Dependencies are one set of them.
type Dependencies struct {
	Kind Kind
	// Files are what the installation reads.
	Files []string
	// Locked says that every package has an exact version, Hashed that each has a
	// hash as well.
	Locked, Hashed bool
	// Groups are the groups or extras that hold this set, as the tool calls them:
	// dependency groups for uv and Poetry, "dev" for Pipenv, extras or groups for
	// pyproject.toml and setup.py.
	Groups []string
	// Extras are the extras of the project that hold a part of this set; for
	// pyproject.toml and setup.py they are among Groups as well.
	Extras []string
	// Local are directories and files of the project that are dependencies
	// themselves, sorted; the installation reads them as well. They have no hash, so
	// that a set with some is not Hashed.
	Local []string
	// Itself says that the requirements files ask for the project itself, as -e .
	// does.
	Itself bool
	// Names are the direct dependencies, normalized as PEP 503 says, sorted.
	Names []string
}

// Libraries are Debian packages, sorted: those for compiling, and those that the
// result needs when it runs.
type Libraries struct {
	Build, Run []string
}

// Evidence is one finding.
type Evidence struct {
	// What is app, framework, server, python, dependencies, tests, port, library or
	// layout.
	What string
	// Value is what was found.
	Value string
	// Source is where: a file, a file:line, or "default".
	Source string
}

package generate

import (
	"path"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
)

// Users of the images: numbers, so that Kubernetes can tell that they are not
// root. The second one is the user nonroot of distroless images.
const (
	slimUser       = "10001:10001"
	distrolessUser = "65532:65532"
)

// overlay is where the build stage of Distroless puts what makes the venv one of
// the Python that runs.
const overlay = "/opt/distroless"

// staged writes Slim and Distroless.
func (w *writer) staged() {
	w.note(w.title())
	if w.variant == Slim {
		w.blank()
		w.line("ARG PYTHON_VERSION=%s", w.project.Python)
	}
	w.blank()
	w.buildStage()
	w.blank()
	if w.codeApart() {
		w.codeStage()
		w.blank()
	}
	w.runStage()
	if !w.test {
		return
	}
	w.blank()
	w.testStages()
	w.blank()
	w.note("What is delivered is `run` as it was tested; it is last, so that a build which names no target makes it and leaves the tests out.")
	w.line("FROM run")
}

func (w *writer) title() string {
	switch w.variant {
	case Distroless:
		return w.name + ": built with a shell and pip, run with Python alone."
	default:
		return w.name + ": built in one stage, run in another that has only what runs."
	}
}

// base is the image that has pip.
func (w *writer) base() string {
	if w.variant == Distroless {
		return "python:" + w.project.Python + "-slim-" + w.debian.name
	}
	return "python:${PYTHON_VERSION}-slim"
}

func (w *writer) buildStage() {
	if w.variant == Distroless {
		w.note("The Debian release of the last image: what is compiled here meets the same C library there.")
	}
	w.line("FROM %s AS build", w.base())
	w.note("A company's own index or proxy. Empty, pip keeps its default. Declared where pip runs only, so that the image does not carry them.")
	w.pipArguments()
	if build := w.project.Libraries.Build; len(build) > 0 {
		w.note("A compiler and headers, for dependencies without a wheel. They stay in this stage.")
		w.run(apt(build))
	}
	dependencies := w.project.Dependencies
	from := w.source(dependencies, nil)
	var test *source
	if w.sameLock() {
		of := w.source(dependencies, &w.project.Dev)
		test = &of
	}
	if dependencies.Kind != detect.None {
		w.installTools(from)
		w.line("WORKDIR %s", workplace)
		w.note("What names the dependencies and nothing else: a change of code leaves this stage, the slow one, cached.")
		copied := dependencies
		if test != nil {
			copied.Local = unite(copied.Local, w.project.Dev.Local)
		}
		w.prepare(copied, from)
	}
	w.note("One RUN, as Kaniko takes a snapshot after each. The image's own pip fills the venv, which therefore needs none. Bytecode is compiled here, as the service can not write it when it runs; unchecked-hash keeps it valid whatever a builder does to file times.")
	if from.why != "" {
		w.note(from.why)
	}
	switch {
	case w.wheelsOnly(dependencies):
		w.note("Wheels of the locked hashes only: nothing is compiled, and no code of a package runs while it is installed.")
	case dependencies.Hashed:
		w.note("Only files of the locked hashes are installed.")
	}
	commands := append([]string{"python -m venv --without-pip " + venv}, w.install(from, test)...)
	commands = append(commands, compile(venv+"/lib"))
	if w.variant == Distroless {
		commands = append(commands, w.repoint()...)
		w.note("The venv is at the same place in the last image, whose Python is /usr/bin/python" + w.project.Python + ": links and a pyvenv.cfg that say so are put over it there, so that scripts and .pth files work as they are.")
	}
	w.run(commands...)
}

// repoint makes what turns the venv into one of Debian's Python.
func (w *writer) repoint() []string {
	python := "python" + w.project.Python
	return []string{
		"mkdir -p " + overlay + "/bin",
		"ln -s /usr/bin/" + python + " " + overlay + "/bin/" + python,
		"ln -s " + python + " " + overlay + "/bin/python3",
		"ln -s " + python + " " + overlay + "/bin/python",
		`sed -e "s|^home = .*|home = /usr/bin|" -e "s|^executable = .*|executable = /usr/bin/` + python + `|"` +
			"\n" + venv + "/pyvenv.cfg > " + overlay + "/pyvenv.cfg",
	}
}

// sameLock says that the requirements of the tests come from where those of the
// app come from.
func (w *writer) sameLock() bool {
	project := w.project
	return w.test && len(project.Dev.Files) > 0 && project.Dev.Kind == project.Dependencies.Kind && project.Dev.Kind != detect.Requirements
}

// codeApart says that the code has a stage of its own: the one that runs can not
// compile it, or it has to be installed with what builds it. Otherwise one more stage
// is one more time that Kaniko unpacks the base image.
func (w *writer) codeApart() bool { return w.variant == Distroless || w.project.Package }

func (w *writer) codeStage() {
	code := w.code()
	if w.project.Package {
		w.note("The project itself, which asks for its own metadata or has extensions. A stage of its own, so that a change of code installs no dependency.")
		w.line("FROM build AS code")
		w.pipArguments()
		w.copyCode(appDir, code)
		w.copy("/tmp/project/", ".")
		w.run("python -m pip install --no-deps --no-compile --no-cache-dir --disable-pip-version-check\n--upgrade --target "+appDir+" /tmp/project",
			compile(appDir))
		return
	}
	w.note("The code changes most often, so it has a stage that needs nothing of the others. Its bytecode, too, is compiled once, and not by every replica that starts.")
	w.line("FROM %s AS code", w.base())
	w.copyCode(appDir, code)
	w.run(compile(appDir))
}

// code are the files that are copied: all that the app needs, without those that
// are installed.
func (w *writer) code() []string {
	if len(w.project.Code) == 0 && !w.project.Package {
		return []string{"."}
	}
	root := path.Clean(w.project.Root)
	if !w.project.Package || root == "." {
		return w.project.Code
	}
	var code []string
	for _, entry := range w.project.Code {
		if entry = path.Clean(entry); entry != "." && entry != root && !strings.HasPrefix(entry, root+"/") {
			code = append(code, entry)
		}
	}
	return code
}

// pythonPath is where the code is in the image.
func (w *writer) pythonPath() string {
	if w.project.Package {
		return appDir
	}
	return w.sourcePath()
}

// sourcePath is where what is on Python's path is in the image.
func (w *writer) sourcePath() string { return path.Join(appDir, w.project.Root) }

func (w *writer) runStage() {
	if w.variant == Distroless {
		w.note("Python, its libraries and certificates: no shell, no package manager, nothing to log in with.")
		w.line("FROM gcr.io/distroless/python3-debian%s:nonroot AS run", w.debian.number)
	} else {
		w.line("FROM %s AS run", w.base())
	}
	if libraries := w.project.Libraries.Run; len(libraries) > 0 {
		w.note("Libraries that dependencies load. The lists go in the same RUN: in a later one they would stay in this layer.")
		w.run(apt(libraries))
	}
	w.note("Scripts of the venv, and the code, are found by name. Nothing is compiled again, and a line of the log is written when it is printed.")
	w.line("ENV PATH=%s/bin:$PATH \\", venv)
	w.line("    PYTHONPATH=%s \\", w.pythonPath())
	w.line("    PYTHONDONTWRITEBYTECODE=1 \\")
	w.line("    PYTHONUNBUFFERED=1")
	w.copyVenv("build")
	if w.codeApart() {
		w.note("The code comes last: a change of it is this one small layer.")
		w.line("COPY --from=code %s %s", appDir, appDir)
	} else {
		w.note("The code comes last: a change of it is two small layers. Its bytecode, too, is compiled once, and not by every replica that starts; -I, as no module of the code takes part in that.")
		w.copyCode(appDir, w.code())
		w.run(compile(appDir))
	}
	w.line("WORKDIR %s", appDir)
	w.note("A number, so that Kubernetes can tell that it is not root. All files are root's: the service can not change its own code.")
	if w.variant == Distroless {
		w.line("USER %s", distrolessUser)
	} else {
		w.line("USER %s", slimUser)
	}
	w.line("EXPOSE %d", w.port)
	w.serveNotes()
	if w.variant == Distroless {
		w.note("The image's own entrypoint is Debian's Python; the venv's is the one that finds the dependencies.")
		w.exec("ENTRYPOINT", interpreter, "-m")
	}
	w.exec("CMD", w.serve()...)
}

// copyVenv takes the venv of a stage.
func (w *writer) copyVenv(stage string) {
	w.line("COPY --from=%s %s %s", stage, venv, venv)
	if w.variant == Distroless {
		w.line("COPY --from=build %s %s", overlay, venv)
	}
}

func (w *writer) testStages() {
	dev := w.project.Dev
	from := w.source(dev, nil)
	w.note("The venv again, with what the tests need. Only the target `test` takes this stage and the next.")
	w.line("FROM build AS test-build")
	w.pipArguments()
	var commands []string
	var wanted []string
	hashed := dev.Hashed
	switch {
	case w.sameLock():
		wanted = append(wanted, "-r "+testFile)
		hashed = w.project.Dependencies.Hashed && dev.Hashed
	case len(dev.Files) == 0:
		hashed = false
	case from.file != "":
		w.line("WORKDIR %s", workplace)
		w.prepare(dev, from)
		commands = append(commands, from.edited(dev.Files...)...)
		wanted = append(wanted, "-r "+quote(from.file))
	default:
		w.installTools(from)
		w.line("WORKDIR %s", workplace)
		w.prepare(dev, from)
		commands = append(append(commands, from.export(testFile)), from.edited(testFile)...)
		wanted = append(wanted, "-r "+testFile)
	}
	set := detect.Dependencies{Hashed: hashed}
	if hashed {
		commands = append(commands, w.pipInstall(set, wanted...))
		wanted = nil
	}
	if !w.hasPytest() {
		wanted = append(wanted, w.tool(testTool))
	}
	if len(wanted) > 0 {
		w.note("What runs is what is tested: the versions that the app has are not changed for a tool of the tests.")
		commands = append(commands,
			w.freeze(),
			w.pipInstall(detect.Dependencies{}, append(wanted, "-c "+constraints)...))
	}
	w.run(commands...)
	w.blank()
	w.note("The image that is delivered, with the tests: as the same user, with the same settings.")
	w.line("FROM run AS test")
	w.copyVenv("test-build")
	w.copy(appDir+"/", ".")
	w.note("The user can not write beside the code.")
	w.line("ENV PYTEST_ADDOPTS=\"-p no:cacheprovider\" \\")
	w.line("    COVERAGE_FILE=/tmp/.coverage")
	if w.variant == Distroless {
		w.exec("CMD", testCommand()[2:]...)
		return
	}
	w.exec("CMD", testCommand()...)
}

// hasPytest says that the project brings pytest itself.
func (w *writer) hasPytest() bool {
	return slices.Contains(w.project.Dependencies.Names, "pytest") || slices.Contains(w.project.Dev.Names, "pytest")
}

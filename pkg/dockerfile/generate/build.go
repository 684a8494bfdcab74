package generate

import (
	"slices"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
)

// buildStage writes the stage that installs the dependencies into a venv.
func buildStage(p *plan) string {
	w := newWriter(p)
	if p.variant == Distroless {
		w.note("The Debian release of the last image: what is compiled here meets the same C library there.")
	}
	w.line("FROM %s AS build", p.base())
	w.note("A company's own index or proxy. Empty, pip keeps its default. Declared where pip runs only, so that the image does not carry them.")
	w.pipArguments()
	if build := p.project.Libraries.Build; len(build) > 0 {
		w.note("A compiler and headers, for dependencies without a wheel. They stay in this stage.")
		w.run(apt(build))
	}
	dependencies := p.project.Dependencies
	from := p.source(dependencies, nil)
	test := p.testSource()
	reach := reachOf(p, dependencies)
	if dependencies.Kind != detect.None {
		installTools(p, w, from)
		w.line("WORKDIR %s", workDir(p, dependencies))
		w.note("Only the files that list the dependencies: a change of code leaves this stage, the slow one, cached.")
		copied := dependencies
		if test != nil {
			copied.Local = unite(copied.Local, p.project.Dev.Local)
		}
		prepare(p, w, copied, from)
	}
	first := reach.before(w)
	w.note("One RUN, because Kaniko takes a snapshot after each. The image's own pip fills the venv, which needs none itself. Bytecode is compiled here, because the running service cannot write it; unchecked-hash keeps it valid whatever a builder does to file times.")
	if from.why != "" {
		w.note(from.why)
	}
	switch {
	case p.wheelsOnly(dependencies):
		w.note("Wheels of the locked hashes only: nothing is compiled, and no code of a package runs while it is installed.")
	case dependencies.Hashed:
		w.note("Only files of the locked hashes are installed.")
	}
	reach.note(w)
	commands := slices.Concat(first, []string{"python -m venv --without-pip " + venv}, p.install(from, test))
	commands = append(commands, compile(venv+"/lib"))
	if p.variant == Distroless {
		commands = append(commands, p.repoint()...)
		w.note("The venv is at the same place in the last image, whose Python is /usr/bin/python" + p.project.Python + ": links and a pyvenv.cfg that say so are put over it there, so that scripts and .pth files work as they are.")
	}
	w.runMounted(reach.mounts, commands...)
	return w.String()
}

// repoint returns the commands that make the venv one of Debian's Python.
func (p *plan) repoint() []string {
	python := "python" + p.project.Python
	return []string{
		"mkdir -p " + overlay + "/bin",
		"ln -s /usr/bin/" + python + " " + overlay + "/bin/" + python,
		"ln -s " + python + " " + overlay + "/bin/python3",
		"ln -s " + python + " " + overlay + "/bin/python",
		`sed -e "s|^home = .*|home = /usr/bin|" -e "s|^executable = .*|executable = /usr/bin/` + python + `|"` +
			"\n" + venv + "/pyvenv.cfg > " + overlay + "/pyvenv.cfg",
	}
}

package generate

import (
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
)

// bloated writes the baseline: one stage, everything in it.
func (w *writer) bloated() {
	w.note(w.name + ", as it is often done. It works; the comments say what it costs, and what the variant slim does in its place.")
	w.blank()
	w.note("The full image: compilers, headers, git and ImageMagick, which no service runs. Every node pulls it, every scanner reports it, and whoever breaks in finds a workshop. Slim has them in a stage that is thrown away, when they are needed at all.")
	if w.test {
		w.line("FROM python:%s AS run", w.project.Python)
	} else {
		w.line("FROM python:%s", w.project.Python)
	}
	w.pipArguments()
	if libraries := unite(w.project.Libraries.Build, w.project.Libraries.Run); len(libraries) > 0 {
		w.note("What is only recommended is installed, too, and the package lists stay in the layer.")
		w.run("apt-get update", "apt-get install --yes "+strings.Join(libraries, " "))
	}
	w.line("WORKDIR %s", appDir)
	w.note("Everything, and first: a change of any file, be it a comment, throws away the cached layers that follow, so that each build installs each dependency again. Slim copies the lock alone before it installs.")
	w.copy(".", ".")
	w.bloatedInstall()
	w.line("EXPOSE %d", w.port)
	w.note("No USER: the service is root, who can change its code and tools, and has more of the kernel to attack.")
	w.note("Shell form: a shell starts the server. One that stays process 1 passes no SIGTERM on, so that every stop waits for the grace period and then cuts requests off.")
	w.line("CMD %s", shell(w.serve()))
	if !w.test {
		return
	}
	w.blank()
	w.line("FROM run AS test")
	if !w.hasPytest() {
		w.pipArguments()
		w.run("pip install " + w.tool(testTool))
	}
	w.exec("CMD", testCommand()...)
	w.blank()
	w.line("FROM run")
}

// bloatedInstall installs dependencies and those of the tests.
func (w *writer) bloatedInstall() {
	project := w.project
	w.note("pip keeps what it downloads in a cache that is now part of the image; the tools of the tests are in it, too; bytecode is compiled anew in every container, where the service may write it.")
	dependencies, dev := project.Dependencies, project.Dev
	sets := []detect.Dependencies{dependencies}
	switch {
	case len(dev.Files) == 0:
	case dev.Kind == dependencies.Kind && dev.Kind != detect.Requirements:
		sets[0].Groups = unite(dependencies.Groups, dev.Groups)
	default:
		sets = append(sets, dev)
	}
	for i, set := range sets {
		from := w.source(set, nil)
		if i == 0 && len(sets) == 1 && len(dev.Files) > 0 {
			from = w.source(dependencies, &dev)
		}
		if len(from.tools) > 0 {
			w.note("A tool that only the build needs, in the image for good.")
			w.run("pip install " + strings.Join(from.tools, " "))
		}
		if len(from.script) > 0 {
			w.heredoc(script, from.script)
		}
		if from.export != nil {
			from.file = "/tmp/" + lockFile
			w.run(from.export(from.file))
		}
		if from.export == nil && len(set.Local) > 0 {
			w.run(from.edited(set.Files...)...)
		}
		if from.file != "" {
			w.run("pip install -r " + quote(from.file))
		}
	}
	if len(project.Extra) > 0 {
		w.run("pip install " + strings.Join(quoteAll(project.Extra), " "))
	}
	if project.Package {
		w.run("pip install --no-deps .")
	}
	if root := w.project.Root; root != "" && root != "." {
		w.line("ENV PYTHONPATH=%s", w.sourcePath())
	}
}

package generate

import (
	"path"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
)

// bloated writes the baseline: one stage that has everything, and the stage of the tests.
func bloated(p *plan) []string {
	all := []string{
		heading(p),
		bloatedStage(p),
	}
	if p.test {
		all = append(all, bloatedTest(p), "FROM run\n")
	}
	return all
}

// bloatedStage writes the one stage.
func bloatedStage(p *plan) string {
	w := newWriter(p)
	w.note("The full image has compilers, headers, git and ImageMagick, which no service runs. Every node pulls them, every scanner reports them, and an intruder can use them. Slim has them in a stage that is thrown away, if they are needed at all.")
	from := "FROM python:" + p.project.Python
	if p.test {
		from += " AS run"
	}
	w.line("%s", from)
	w.pipArguments()
	if libraries := unite(p.project.Libraries.Build, p.project.Libraries.Run); len(libraries) > 0 {
		w.note("Recommended packages are installed, too, and the package lists stay in the layer.")
		w.run("apt-get update", "apt-get install --yes "+strings.Join(libraries, " "))
	}
	w.line("WORKDIR %s", appDir)
	w.note("Everything is copied first: a change of any file, even of a comment, discards the cached layers that follow, and each build installs each dependency again. Slim copies only the lock before it installs.")
	w.line("COPY . .")
	if p.within != "." {
		workIn(w, p.within)
	}
	bloatedInstall(w, p)
	collectStatic(w, p, "python")
	w.line("EXPOSE %d", p.port)
	w.note("No USER: the service runs as root, which can change its code and tools, and has more of the kernel to attack.")
	if p.project.App == nil {
		w.exec("CMD", p.command...)
		return w.String()
	}
	w.note("Shell form: a shell starts the server. A shell that stays process 1 does not pass SIGTERM on, so every stop waits for the grace period and then cuts requests off.")
	w.line("CMD %s", shell(p.serve()))
	return w.String()
}

// bloatedTest writes the stage that runs the tests.
func bloatedTest(p *plan) string {
	w := newWriter(p)
	w.line("FROM run AS test")
	if !p.hasPytest() {
		w.pipArguments()
		w.runMounted(givenFiles(p), "pip install "+p.tool(testTool))
	}
	w.exec("CMD", testCommand()...)
	return w.String()
}

// bloatedInstall installs dependencies and those of the tests.
func bloatedInstall(w *writer, p *plan) {
	project := p.project
	w.note("pip keeps its downloads in a cache that is now part of the image; the tools of the tests are in it, too; every container compiles the bytecode again, if the service can write it.")
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
		from := p.source(set, nil)
		if i == 0 && len(sets) == 1 && len(dev.Files) > 0 {
			from = p.source(dependencies, &dev)
		}
		if set.Dir != "" {
			workIn(w, path.Join(p.within, set.Dir))
		}
		reach := reachOf(p, set)
		if len(sets) == 1 {
			reach = reachOf(p, set, dev)
		}
		if len(from.tools) > 0 {
			w.note("A tool that only the build needs, in the image for good.")
			w.runMounted(givenFiles(p), "pip install "+strings.Join(from.tools, " "))
		}
		if len(from.script) > 0 {
			w.heredoc(script, from.script)
		}
		if from.export != nil {
			from.file = "/tmp/" + lockFile
			w.run(append([]string{from.export(from.file)}, loginsRemoved(from, set)...)...)
		}
		if from.export == nil && (len(set.Local) > 0 || len(set.Access.Git) > 0) {
			w.run(from.edited(set.Files...)...)
		}
		if from.file != "" {
			commands := reach.before(w, "pip install -r "+quote(from.file))
			reach.note(w)
			w.runMounted(reach.mounts, commands...)
		}
		if set.Dir != "" {
			workIn(w, p.within)
		}
	}
	if len(project.Extra) > 0 {
		w.runMounted(givenFiles(p), "pip install "+strings.Join(quoteAll(project.Extra), " "))
	}
	if project.Package {
		w.runMounted(givenFiles(p), "pip install --no-deps .")
	}
	if root := p.project.Root; root != "" && root != "." {
		w.line("ENV PYTHONPATH=%s", path.Join(appDir, p.within, root))
	}
}

// workIn makes a directory of the build context the working directory.
func workIn(w *writer, dir string) {
	if dir == "." {
		w.line("WORKDIR %s", appDir)
	} else {
		w.line("WORKDIR %s", path.Join(appDir, dir))
	}
}

// loginsRemoved returns the command that removes logins of git from what was exported.
func loginsRemoved(from source, set detect.Dependencies) []string {
	if len(set.Access.Git) == 0 {
		return nil
	}
	return from.edited(from.file)
}

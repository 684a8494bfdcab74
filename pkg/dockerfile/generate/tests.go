package generate

import (
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
)

// testVenv has what the tests need and the app does not; its Python sees the app's venv as
// well.
const testVenv = "/opt/test"

// testBuildStage writes the stage that installs what the tests need beside the venv.
func testBuildStage(p *plan) string {
	w := newWriter(p)
	dev := p.project.Dev
	from := p.source(dev, nil)
	w.note("What the tests need in a venv of its own, which sees the one of the app: the layer of the tests is small. Only the target `test` takes this stage and the next.")
	w.line("FROM build AS test-build")
	w.pipArguments()
	var commands []string
	var wanted []string
	hashed := dev.Hashed
	reach := reachOf(p, dev)
	if p.sameLock() {
		reach = reachOf(p, p.project.Dependencies, dev)
	}
	switch {
	case p.sameLock():
		wanted = append(wanted, "-r "+testFile)
		hashed = p.project.Dependencies.Hashed && dev.Hashed
	case len(dev.Files) == 0:
		hashed = false
	case from.file != "":
		w.line("WORKDIR %s", workDir(p, dev))
		prepare(p, w, dev, from)
		commands = append(commands, from.edited(dev.Files...)...)
		wanted = append(wanted, "-r "+quote(from.file))
	default:
		installTools(p, w, from)
		w.line("WORKDIR %s", workDir(p, dev))
		prepare(p, w, dev, from)
		commands = append(append(commands, from.export(testFile)), from.edited(testFile)...)
		wanted = append(wanted, "-r "+testFile)
	}
	set := detect.Dependencies{Hashed: hashed}
	commands = append(commands,
		"python -m venv --without-pip "+testVenv,
		`echo "import site; site.addsitedir('$(echo `+venv+`/lib/python*/site-packages)')"`+"\n"+
			`> "$(echo `+testVenv+`/lib/python*/site-packages)/app.pth"`)
	if hashed {
		commands = append(commands, pipInto(testVenv, p.pipFlags(set), wanted...))
		wanted = nil
	}
	if !p.hasPytest() {
		wanted = append(wanted, p.tool(testTool))
	}
	if len(wanted) > 0 {
		w.note("The tests run with the versions of the app: a tool of the tests does not change them.")
		commands = append(commands,
			p.freeze(),
			pipInto(testVenv, p.pipFlags(detect.Dependencies{}), append(wanted, "-c "+constraints)...))
	}
	// The user of the tests cannot write it, so they would compile pytest in every run.
	commands = append(commands, compile(testVenv+"/lib"))
	commands = reach.before(w, commands...)
	reach.note(w)
	w.runMounted(reach.mounts, commands...)
	return w.String()
}

// testStage writes the stage that runs the tests, in the image that is deployed.
func testStage(p *plan) string {
	w := newWriter(p)
	w.note("The image that is deployed, with the tests: the same user, the same settings.")
	w.line("FROM run AS test")
	w.line("COPY --from=test-build %s %s", testVenv, testVenv)
	if p.variant == Distroless {
		w.line("COPY --from=build %s %s", overlay, testVenv)
		w.note("A shell for the tests alone: by it they get the variables and the CA that the platform gives to builds.")
		w.line("COPY --from=build /usr/bin/dash /bin/sh")
	}
	w.copy(appDir+"/", ".")
	w.note("The user cannot write beside the code.")
	w.line("ENV PATH=%s/bin:$PATH \\", testVenv)
	w.line("    PYTEST_ADDOPTS=\"-p no:cacheprovider\" \\")
	w.line("    COVERAGE_FILE=/tmp/.coverage")
	if p.variant == Distroless {
		w.exec("ENTRYPOINT", testVenv+"/bin/python", "-m")
		w.exec("CMD", testCommand()[2:]...)
		return w.String()
	}
	w.exec("CMD", testCommand()...)
	return w.String()
}

package generate

import (
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
)

// testBuildStage writes the stage that adds the tools of the tests to the venv.
func testBuildStage(p *plan) string {
	w := &writer{}
	dev := p.project.Dev
	from := p.source(dev, nil)
	w.note("The venv again, with what the tests need. Only the target `test` takes this stage and the next.")
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
		w.line("WORKDIR %s", workplace)
		prepare(w, dev, from)
		commands = append(commands, from.edited(dev.Files...)...)
		wanted = append(wanted, "-r "+quote(from.file))
	default:
		installTools(p, w, from)
		w.line("WORKDIR %s", workplace)
		prepare(w, dev, from)
		commands = append(append(commands, from.export(testFile)), from.edited(testFile)...)
		wanted = append(wanted, "-r "+testFile)
	}
	set := detect.Dependencies{Hashed: hashed}
	if hashed {
		commands = append(commands, p.pipInstall(set, wanted...))
		wanted = nil
	}
	if !p.hasPytest() {
		wanted = append(wanted, p.tool(testTool))
	}
	if len(wanted) > 0 {
		w.note("The tests run with the versions of the app: a tool of the tests does not change them.")
		commands = append(commands,
			p.freeze(),
			p.pipInstall(detect.Dependencies{}, append(wanted, "-c "+constraints)...))
	}
	commands = reach.before(w, commands...)
	reach.note(w)
	w.runMounted(reach.mounts, commands...)
	return w.String()
}

// testStage writes the stage that runs the tests, in the image that is deployed.
func testStage(p *plan) string {
	w := &writer{}
	w.note("The image that is deployed, with the tests: the same user, the same settings.")
	w.line("FROM run AS test")
	copyVenv(w, p, "test-build")
	w.copy(appDir+"/", ".")
	w.note("The user cannot write beside the code.")
	w.line("ENV PYTEST_ADDOPTS=\"-p no:cacheprovider\" \\")
	w.line("    COVERAGE_FILE=/tmp/.coverage")
	if p.variant == Distroless {
		w.exec("CMD", testCommand()[2:]...)
		return w.String()
	}
	w.exec("CMD", testCommand()...)
	return w.String()
}

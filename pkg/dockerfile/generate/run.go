package generate

// Users of the images: numbers, so that Kubernetes can tell that they are not
// root. The second one is the user nonroot of distroless images.
const (
	slimUser       = "10001:10001"
	distrolessUser = "65532:65532"
)

// overlay is where the build stage of Distroless puts what makes the venv one of
// the Python that runs.
const overlay = "/opt/distroless"

// runStage writes the stage that serves: interpreter, venv, code and command.
func runStage(p *plan) string {
	w := newWriter(p)
	if p.variant == Distroless {
		w.note("Python, its libraries and certificates: no shell, no package manager.")
		w.line("FROM gcr.io/distroless/python3-debian%s:nonroot AS run", p.debian.number)
	} else {
		w.line("FROM %s AS run", p.base())
	}
	if libraries := p.project.Libraries.Run; len(libraries) > 0 {
		w.note("Libraries that dependencies load. The lists go in the same RUN: in a later one they would stay in this layer.")
		w.run(apt(libraries))
	}
	w.note("Scripts of the venv, and the code, are found by name. Nothing is compiled again, and a line of the log is written when it is printed.")
	w.line("ENV PATH=%s/bin:$PATH \\", venv)
	w.line("    PYTHONPATH=%s \\", p.pythonPath())
	w.line("    PYTHONDONTWRITEBYTECODE=1 \\")
	w.line("    PYTHONUNBUFFERED=1")
	w.line("COPY --from=build %s %s", venv, venv)
	if p.variant == Distroless {
		w.line("COPY --from=build %s %s", overlay, venv)
	}
	if p.codeApart() {
		w.note("The code comes last: a change of it is this one small layer.")
		w.line("COPY --from=code %s %s", appDir, appDir)
	} else {
		w.note("The code comes last: a change of it is two small layers. Its bytecode is compiled once as well, not by every replica that starts; -I keeps modules of the code out of that.")
		w.copyCode(appDir, p.code())
		w.run(compile(appDir))
	}
	w.line("WORKDIR %s", appDir)
	if !p.codeApart() {
		collectStatic(w, p, "python")
	}
	w.note("A number, so that Kubernetes can tell that it is not root. All files belong to root: the service cannot change its own code.")
	if p.variant == Distroless {
		w.line("USER %s", distrolessUser)
	} else {
		w.line("USER %s", slimUser)
	}
	w.line("EXPOSE %d", p.port)
	serveNotes(w, p)
	if p.variant == Distroless && p.project.App == nil {
		w.note("The command of a process names its program.")
		w.line("ENTRYPOINT []")
	} else if p.variant == Distroless {
		w.note("The image's own entrypoint is Debian's Python; the venv's is the one that finds the dependencies.")
		w.exec("ENTRYPOINT", interpreter, "-m")
	}
	w.exec("CMD", p.serve()...)
	return w.String()
}

package generate

import (
	"path"
	"strings"
)

// codeStage writes the stage that has the code, with its bytecode.
func codeStage(p *plan) string {
	w := newWriter(p)
	code := p.code()
	if p.project.Package {
		w.note("The project itself, which asks for its own metadata or has extensions. A stage of its own, so that a change of code installs no dependency.")
		w.line("FROM build AS code")
		w.pipArguments()
		w.copyCode(appDir, code)
		w.copy("/tmp/project/", ".")
		w.runMounted(givenFiles(p), "python -m pip install --no-deps --no-compile --no-cache-dir --disable-pip-version-check\n--upgrade --target "+appDir+" /tmp/project",
			compile(appDir))
		collectApart(w, p)
		return w.String()
	}
	w.note("The code changes most often, so it has a stage that is independent of the others. Its bytecode is compiled once as well, not by every replica that starts.")
	w.line("FROM %s AS code", p.base())
	w.copyCode(appDir, code)
	w.run(compile(appDir))
	if collects(p) {
		w.line("COPY --from=build %s %s", venv, venv)
	}
	collectApart(w, p)
	return w.String()
}

// code returns the files to copy: all that the app needs, without those that are installed.
func (p *plan) code() []string {
	if len(p.project.Code) == 0 && !p.project.Package {
		return []string{"."}
	}
	root := path.Clean(p.project.Root)
	if !p.project.Package || root == "." {
		return p.project.Code
	}
	var code []string
	for _, entry := range p.project.Code {
		if entry = path.Clean(entry); entry != "." && entry != root && !strings.HasPrefix(entry, root+"/") {
			code = append(code, entry)
		}
	}
	return code
}

// pythonPath returns where the code is in the image.
func (p *plan) pythonPath() string {
	if p.project.Package {
		return appDir
	}
	return p.sourcePath()
}

// sourcePath returns where the directory on Python's path is in the image.
func (p *plan) sourcePath() string { return path.Join(appDir, p.project.Root) }

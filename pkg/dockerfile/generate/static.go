package generate

import "strings"

// collects reports whether the image has the static files of a Django project.
func collects(p *plan) bool { return p.project.Django != nil && p.project.Django.Collects }

// collectStatic writes the instruction that collects the static files of a Django project, if
// there are some. The code is in the working directory, and python finds the dependencies.
func collectStatic(w *writer, p *plan, python string) {
	if !collects(p) {
		return
	}
	text := "Static files are collected into STATIC_ROOT. The settings are imported for it."
	words := []string{}
	for _, variable := range p.project.Django.Unset {
		words = append(words, variable+"="+placeholder(variable))
	}
	if len(words) > 0 {
		text += " What they read and has no default gets a value that this instruction alone has."
	}
	w.note(text)
	command := strings.Replace(p.project.Django.Command("collectstatic --noinput"), "python", python, 1)
	w.run(strings.Join(append(words, command), " "))
}

// collectApart does that in the stage that has the code alone and the dependencies beside it.
func collectApart(w *writer, p *plan) {
	if !collects(p) {
		return
	}
	w.line("WORKDIR %s", appDir)
	w.line("ENV PYTHONPATH=%s", p.pythonPath())
	collectStatic(w, p, interpreter)
}

// placeholder returns a value for a variable of the settings that suits most of what they do with
// it: it is a number, and of an address one that nothing connects to.
func placeholder(variable string) string {
	switch {
	case variable == "DATABASE_URL":
		return "sqlite:////tmp/unused"
	case strings.HasSuffix(variable, "_URL"):
		return "redis://unused"
	}
	return "0"
}

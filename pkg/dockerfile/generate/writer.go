package generate

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
)

// writer collects the text of one section of a Dockerfile. It knows how instructions are
// written, and nothing about Python.
type writer struct {
	// noted reports whether the last line is a comment.
	noted bool
	// within is the directory of the build context that the sources of copy are relative to.
	within string
	out    strings.Builder
}

// String returns the text.
func (w *writer) String() string { return w.out.String() }

// note writes a comment, wrapped. After another comment it is a paragraph of its own.
func (w *writer) note(text string) {
	const width = 92
	if w.noted {
		w.out.WriteString("#\n")
	}
	defer func() { w.noted = true }()
	line := "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > width {
			w.line(line)
			line = "#"
		}
		line += " " + word
	}
	w.line(line)
}

func (w *writer) line(format string, arguments ...any) {
	w.noted = false
	if len(arguments) == 0 {
		w.out.WriteString(format + "\n")
		return
	}
	_, _ = fmt.Fprintf(&w.out, format+"\n", arguments...)
}

// run writes one RUN of commands that follow each other. A newline in a command
// continues it.
func (w *writer) run(commands ...string) { w.runMounted(nil, commands...) }

// runMounted is run with flags of the RUN.
func (w *writer) runMounted(flags []string, commands ...string) {
	for i, command := range commands {
		commands[i] = strings.ReplaceAll(command, "\n", " \\\n      ")
	}
	text := strings.Join(flags, " \\\n    ")
	if text != "" {
		text += " \\\n    "
	}
	w.line("RUN %s", text+strings.Join(commands, " \\\n && "))
}

// exec writes an instruction in exec form.
func (w *writer) exec(instruction string, words ...string) { w.line("%s %s", instruction, list(words)) }

// list returns a JSON array as Dockerfiles have it.
func list(words []string) string {
	quoted := make([]string, 0, len(words))
	for _, word := range words {
		text, _ := json.Marshal(word) // it does not fail for a string
		quoted = append(quoted, string(text))
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// copy writes a COPY; paths with spaces take the exec form.
func (w *writer) copy(to string, from ...string) {
	words := make([]string, 0, len(from)+1)
	for _, one := range from {
		words = append(words, w.source(one))
	}
	words = append(words, to)
	if strings.Contains(strings.Join(words, ""), " ") {
		w.exec("COPY", words...)
		return
	}
	w.line("COPY %s", strings.Join(words, " "))
}

// source returns a path of the project in the build context.
func (w *writer) source(name string) string {
	if w.within == "" || w.within == "." {
		return name
	}
	return path.Join(w.within, name)
}

// copyFiles copies files, each into the directory that place returns for its own.
func (w *writer) copyFiles(place func(dir string) string, files []string) {
	var dirs []string
	grouped := map[string][]string{}
	for _, file := range files {
		dir := path.Dir(path.Clean(file))
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
		if !slices.Contains(grouped[dir], file) {
			grouped[dir] = append(grouped[dir], file)
		}
	}
	slices.Sort(dirs)
	for _, dir := range dirs {
		w.copy(place(dir)+"/", grouped[dir]...)
	}
}

// copyCode copies the app's files and directories below a directory. A
// directory's name stands for its content, so each goes to a place of its own,
// and Python files together.
func (w *writer) copyCode(to string, code []string) {
	var modules []string
	for _, entry := range code {
		switch entry = path.Clean(entry); {
		case entry == ".":
			w.copy(to+"/", ".")
		case path.Ext(entry) == ".py" && !strings.Contains(entry, "/"):
			modules = append(modules, entry)
		default:
			w.copy(path.Join(to, entry), entry)
		}
	}
	if len(modules) > 0 {
		w.copy(to+"/", modules...)
	}
}

// heredoc writes a file of the working directory.
func (w *writer) heredoc(name string, lines []string) {
	w.line("COPY <<'EOF' %s", name)
	for _, line := range lines {
		w.line("%s", line)
	}
	w.line("EOF")
}

// unite returns the words of both, each once, sorted.
func unite(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// pipArguments declares the arguments for a company's index or proxy.
func (w *writer) pipArguments() {
	w.line("ARG PIP_INDEX_URL")
	w.line("ARG PIP_TRUSTED_HOST")
}

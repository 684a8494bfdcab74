package detect

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// requirementsFile is a requirements file with all that it includes.
type requirementsFile struct {
	// files are the file itself and those that it includes, each once.
	files []string
	all   []requirement
	// direct are those that are not there for another one, as the comments of the
	// tool that wrote the file tell; all without such comments.
	direct []requirement
	// pinned says that each has an exact version, hashed that each has a hash.
	pinned, hashed bool
	// itself is where the file asks to install the project itself.
	itself string
	// err is the first line that can not be followed.
	err error
}

// password is what nobody is to read of an address.
var password = regexp.MustCompile(`//[^/\s]*@`)

// maxIncludes is how many files one requirements file may include.
const maxIncludes = 50

// requirements reads a requirements file as pip does; ok is false when it is not
// there.
func (t *tree) requirements(name string) (requirementsFile, bool) {
	r := requirementsFile{pinned: true, hashed: true}
	if !t.has(name) {
		return r, false
	}
	t.include(&r, name, "", false)
	if len(r.all) == 0 {
		r.pinned, r.hashed = false, false
	}
	return r, true
}

// include reads one file; from is the place that includes it.
func (t *tree) include(r *requirementsFile, name, from string, constraint bool) {
	if slices.Contains(r.files, name) || len(r.files) >= maxIncludes {
		return
	}
	content, ok := t.read(name)
	if !ok {
		if file, line, _ := strings.Cut(from, ":"); r.err == nil {
			number, _ := strconv.Atoi(line)
			r.err = &FileError{Path: file, Line: number, Err: fmt.Errorf("it includes %q, which is not in the directory", name)}
		}
		return
	}
	r.files = append(r.files, name)
	lines := strings.Split(string(content), "\n")
	var own []requirement
	indirect := map[int]bool{}
	annotated := false
	for i := 0; i < len(lines); i++ {
		number := i + 1
		line, via := cutComment(lines[i])
		for strings.HasSuffix(line, `\`) && i+1 < len(lines) {
			i++
			next, comment := cutComment(lines[i])
			line = strings.TrimSuffix(line, `\`) + " " + next
			via += comment
		}
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		option, value, _ := strings.Cut(fields[0], "=")
		if value == "" && len(fields) > 1 {
			value = fields[1]
		}
		switch option {
		case "-r", "--requirement":
			t.include(r, path.Join(path.Dir(name), value), place(name, number), constraint)
			continue
		case "-c", "--constraint":
			t.include(r, path.Join(path.Dir(name), value), place(name, number), true)
			continue
		case "-e", "--editable":
			if isItself(value) {
				r.itself = place(name, number)
				continue
			}
			if !strings.Contains(value, ":") {
				value = "./" + value
			}
			if one, ok := urlRequirement(value); ok {
				one.Source = place(name, number)
				own = append(own, one)
				r.pinned, r.hashed = false, false
			}
			continue
		}
		if strings.HasPrefix(option, "-") || constraint {
			continue
		}
		if isItself(fields[0]) {
			r.itself = place(name, number)
			continue
		}
		text, hashes, _ := strings.Cut(line, " --")
		one, ok := parseRequirement(text)
		if !ok {
			text = password.ReplaceAllString(text, "//…@")
			if one, ok = urlRequirement(fields[0]); !ok {
				r.pinned, r.hashed = false, false
				t.warn("%s is no requirement that can be understood: %q", place(name, number), strings.TrimSpace(text))
				continue
			}
		}
		one.Source = place(name, number)
		r.pinned = r.pinned && (one.pinned() != "" || one.URL != "")
		r.hashed = r.hashed && strings.Contains("--"+hashes, "--hash=")
		// The comment may be on the lines below as well.
		for i+1 < len(lines) && strings.HasPrefix(strings.TrimSpace(lines[i+1]), "#") && strings.HasPrefix(lines[i+1], " ") {
			i++
			via += lines[i]
		}
		if strings.Contains(via, "# via") {
			annotated = true
			indirect[len(own)] = !strings.Contains(via, "-r ") && !strings.Contains(via, "-e ") && !strings.Contains(via, "(") && !strings.Contains(via, ".in")
		}
		own = append(own, one)
	}
	r.all = append(r.all, own...)
	for i, one := range own {
		if !annotated || !indirect[i] {
			r.direct = append(r.direct, one)
		}
	}
}

// cutComment parts a line of a requirements file at its comment.
func cutComment(line string) (string, string) {
	line = strings.TrimRight(line, "\r")
	if trimmed := strings.TrimLeft(line, " \t"); strings.HasPrefix(trimmed, "#") {
		return "", trimmed
	}
	for _, mark := range []string{" #", "\t#"} {
		if before, comment, ok := strings.Cut(line, mark); ok {
			return strings.TrimSpace(before), "#" + comment
		}
	}
	return strings.TrimSpace(line), ""
}

// isItself says whether a requirement is the project's own directory.
func isItself(text string) bool {
	return text == "." || text == "./" || strings.HasPrefix(text, ".[") || strings.HasPrefix(text, "./[")
}

// urlRequirement reads a requirement that is an address or a path alone.
func urlRequirement(text string) (requirement, bool) {
	if !strings.Contains(text, "/") {
		return requirement{}, false
	}
	one := requirement{URL: text}
	address, fragment, _ := strings.Cut(text, "#")
	for _, part := range strings.Split(fragment, "&") {
		if egg, ok := strings.CutPrefix(part, "egg="); ok {
			egg, _, _ = strings.Cut(egg, "[")
			one.Name = normalize(egg)
		}
	}
	if one.Name == "" {
		base := strings.TrimSuffix(path.Base(address), ".git")
		base, _, _ = strings.Cut(base, "@")
		if strings.HasSuffix(base, ".whl") {
			base, _, _ = strings.Cut(base, "-")
		}
		one.Name = normalize(strings.TrimSuffix(base, ".git"))
	}
	return one, one.Name != ""
}

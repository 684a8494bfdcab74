package packaging

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Requirements is a requirements file with all that it includes, as pip reads it.
type Requirements struct {
	// Files are the file and those that it includes with -r and -c, each once.
	Files []string
	// Lines are the requirements in the order of the files. Constraints are not among
	// them.
	Lines []RequirementLine
	// Options are the options for the file as a whole, such as --index-url.
	Options []Option
	// Variables are those that pip replaces when it reads the files, also the constraints:
	// ${NAME} in upper case.
	Variables []Variable
	// Constraints are the requirements of the files that -c names. ConstraintMissing reports
	// that one of these files is not in the directory.
	Constraints       []Requirement
	ConstraintMissing bool
	// Self is where the file asks for the project itself, as "-e ." does; the zero
	// Position if it does not.
	Self Position
	// Invalid are lines that are not requirements.
	Invalid []InvalidLine
	// Missing is the first file that is included and does not exist, or nil, and MissingFile
	// its path.
	Missing     *FileError
	MissingFile string
}

// RequirementLine is one requirement of a requirements file.
type RequirementLine struct {
	Requirement
	// Text is the requirement as it is written, without options and comments.
	Text string
	// Editable reports the option -e.
	Editable bool
	// Hashes are those of the option --hash.
	Hashes []string
	// Via are the packages and files that need the requirement, as the comments of
	// pip-compile and uv list them. Empty without such comments.
	Via []string
}

// urlHash matches the fragment of a URL with a hash that pip accepts as --require-hashes
// demands it.
var urlHash = regexp.MustCompile(`[#&](?:sha256=[0-9a-fA-F]{64}|sha384=[0-9a-fA-F]{96}|sha512=[0-9a-fA-F]{128})(?:&|$)`)

// Hashed reports whether pip verifies the download: by the option --hash, or by the hash in
// the URL of an archive.
func (l RequirementLine) Hashed() bool {
	return len(l.Hashes) > 0 || !l.IsRepository() && urlHash.MatchString(l.URL)
}

// Direct reports whether the project itself asks for the requirement, as far as the
// comments of the tool that wrote the file show.
func (l RequirementLine) Direct() bool {
	return len(l.Via) == 0 || slices.ContainsFunc(l.Via, isFile)
}

// isFile reports whether what needs a requirement is a file: "-r dev.in", "dev.in" or
// "shop (pyproject.toml)". Constraints, as in "-c base.txt", need nothing.
func isFile(via string) bool {
	option, _, _ := strings.Cut(via, " ")
	return option == "-r" || option == "-e" || option != "-c" && (strings.Contains(via, "(") || strings.Contains(via, ".in") || strings.HasSuffix(via, ".txt"))
}

// Option is an option of a requirements file.
type Option struct {
	// Name is the long name, such as --index-url; Value is empty for a flag.
	Name, Value string
	Position    Position
}

// InvalidLine is a line of a requirements file that is not a requirement.
type InvalidLine struct {
	Position
	// Text is the line without the credentials of a URL.
	Text string
}

// maxIncludes is the number of files that one requirements file may include.
const maxIncludes = 50

// ReadRequirements reads a requirements file and the files that it includes. ok is
// false if the file does not exist.
func ReadRequirements(read ReadFile, name string) (r *Requirements, ok bool) {
	content, ok := read(name)
	if !ok {
		return nil, false
	}
	r = &Requirements{}
	r.add(read, name, content, false)
	return r, true
}

// All returns the requirements, without what only their lines have.
func (r *Requirements) All() []Requirement {
	return r.filter(func(RequirementLine) bool { return true })
}

// Direct returns the requirements that the project itself asks for.
func (r *Requirements) Direct() []Requirement { return r.filter(RequirementLine.Direct) }

func (r *Requirements) filter(keep func(RequirementLine) bool) []Requirement {
	var found []Requirement
	for _, line := range r.Lines {
		if keep(line) {
			found = append(found, line.Requirement)
		}
	}
	return found
}

// Exact reports whether every requirement has an exact version or a URL.
func (r *Requirements) Exact() bool {
	return r.every(func(line RequirementLine) bool { return line.Exact() != "" || line.URL != "" })
}

// Hashed reports whether every requirement has a hash.
func (r *Requirements) Hashed() bool {
	return r.every(RequirementLine.Hashed)
}

// every reports whether there are requirements, none is editable or invalid, and each
// satisfies a condition.
func (r *Requirements) every(condition func(RequirementLine) bool) bool {
	return len(r.Lines) > 0 && len(r.Invalid) == 0 && !slices.ContainsFunc(r.Lines, func(line RequirementLine) bool {
		return line.Editable || !condition(line)
	})
}

// include reads a file that another one includes.
func (r *Requirements) include(read ReadFile, name string, from Position, constraint bool) {
	if slices.Contains(r.Files, name) || len(r.Files) >= maxIncludes {
		return
	}
	content, ok := read(name)
	r.ConstraintMissing = r.ConstraintMissing || constraint && !ok
	if ok {
		r.add(read, name, content, constraint)
	} else if r.Missing == nil {
		r.Missing, r.MissingFile = &FileError{Position: from, Err: fmt.Errorf("it includes %q, which does not exist", name)}, name
	}
}

// pipVariable is a variable as pip replaces it in requirements files.
var pipVariable = regexp.MustCompile(`\$\{([A-Z0-9_]+)\}`)

// add reads one file. Of a file of constraints only the includes count.
func (r *Requirements) add(read ReadFile, name string, content []byte, constraint bool) {
	r.Files = append(r.Files, name)
	for _, line := range logicalLines(name, Text(content)) {
		for _, match := range pipVariable.FindAllStringSubmatch(line.text, -1) {
			r.Variables = append(r.Variables, Variable{match[1], line.Position})
		}
		option, value := cutOption(line.text)
		switch {
		case option == "--requirement" || option == "--constraint":
			r.include(read, joinPath(path.Dir(name), value), line.Position, constraint || option == "--constraint")
		case constraint:
			if one, ok := ParseRequirement(firstPart(line.text)); ok && option == "" {
				r.Constraints = append(r.Constraints, one)
			}
		case option == "--editable":
			r.addEditable(value, line)
		case option != "":
			r.Options = append(r.Options, Option{Name: option, Value: value, Position: line.Position})
		default:
			r.addLine(line)
		}
	}
}

// addEditable adds the requirement of the option -e.
func (r *Requirements) addEditable(value string, line logicalLine) {
	if isSelf(value) {
		r.Self = line.Position
		return
	}
	url := value
	if !strings.Contains(url, ":") && !path.IsAbs(url) {
		url = "./" + url
	}
	if one, ok := ParseURLRequirement(url); ok {
		one.Position = line.Position
		r.Lines = append(r.Lines, RequirementLine{Requirement: one, Text: value, Editable: true, Via: line.via})
	}
}

// credentials are the user and the password of a URL.
var credentials = regexp.MustCompile(`//[^/\s]*@`)

// addLine adds a line that is a requirement.
func (r *Requirements) addLine(line logicalLine) {
	text := firstPart(line.text)
	_, options, _ := strings.Cut(line.text, " --")
	first := strings.Fields(text)[0]
	if isSelf(first) {
		r.Self = line.Position
		return
	}
	one, ok := ParseRequirement(text)
	if !ok {
		if one, ok = ParseURLRequirement(first); !ok {
			r.Invalid = append(r.Invalid, InvalidLine{line.Position, credentials.ReplaceAllString(text, "//…@")})
			return
		}
	}
	one.Position = line.Position
	r.Lines = append(r.Lines, RequirementLine{Requirement: one, Text: text, Hashes: hashesOf(options), Via: line.via})
}

// firstPart returns a line without its options.
func firstPart(line string) string {
	text, _, _ := strings.Cut(line, " --")
	return strings.TrimSpace(text)
}

// hashesOf returns the values of the options --hash, of text that follows "--".
func hashesOf(options string) []string {
	var hashes []string
	for option := range strings.SplitSeq("--"+options, " --") {
		if hash, ok := strings.CutPrefix(strings.TrimPrefix(option, "--"), "hash"); ok {
			hashes = append(hashes, strings.TrimSpace(strings.TrimLeft(hash, " =")))
		}
	}
	return hashes
}

// longOption returns the long name of a short option of pip.
func longOption(short string) string {
	return map[string]string{"-r": "--requirement", "-c": "--constraint", "-e": "--editable", "-i": "--index-url", "-f": "--find-links"}[short]
}

// cutOption returns the long name and the value of a line that is an option, and
// nothing for any other line. pip takes -rFILE, -r FILE, -r=FILE and --requirement=FILE.
func cutOption(line string) (option, value string) {
	if !strings.HasPrefix(line, "-") {
		return "", ""
	}
	if !strings.HasPrefix(line, "--") && len(line) > 2 {
		line = line[:2] + " " + line[2:]
	}
	end := strings.IndexAny(line, " \t=")
	if end < 0 {
		end = len(line)
	}
	option = line[:end]
	if long := longOption(option); long != "" {
		option = long
	}
	if fields := strings.Fields(strings.TrimLeft(line[end:], " \t=")); len(fields) > 0 {
		value = fields[0]
	}
	return option, value
}

// isSelf reports whether a requirement is the project's own directory.
func isSelf(text string) bool {
	return text == "." || text == "./" || strings.HasPrefix(text, ".[") || strings.HasPrefix(text, "./[")
}

// logicalLine is a line of a requirements file with those that continue it.
type logicalLine struct {
	Position
	// text has no comment and is not empty.
	text string
	via  []string
}

// logicalLines splits a requirements file. Each line takes the indented comments
// below it, in which pip-compile and uv write what needs the requirement.
func logicalLines(name string, content []byte) []logicalLine {
	var found []logicalLine
	physical := strings.Split(string(content), "\n")
	for i := 0; i < len(physical); i++ {
		line := logicalLine{Position: Position{File: name, Line: i + 1}}
		text, comment := cutComment(physical[i])
		parts, comments := []string{text}, []string{comment}
		for strings.HasSuffix(text, `\`) && i+1 < len(physical) {
			i++
			parts[len(parts)-1] = strings.TrimSuffix(text, `\`)
			text, comment = cutComment(physical[i])
			parts, comments = append(parts, text), append(comments, comment)
		}
		if line.text = strings.TrimSpace(strings.Join(parts, " ")); line.text == "" {
			continue
		}
		for i+1 < len(physical) && isIndentedComment(physical[i+1]) {
			i++
			comments = append(comments, strings.TrimSpace(physical[i]))
		}
		line.via = viaOf(comments)
		found = append(found, line)
	}
	return found
}

// isIndentedComment reports whether a line has nothing but a comment, after spaces.
func isIndentedComment(line string) bool {
	return strings.HasPrefix(line, " ") && strings.HasPrefix(strings.TrimSpace(line), "#")
}

// cutComment separates a line of a requirements file from its comment.
func cutComment(line string) (text, comment string) {
	line = strings.TrimSpace(line)
	if strings.HasPrefix(line, "#") {
		return "", line
	}
	for i := 1; i < len(line); i++ {
		if line[i] == '#' && (line[i-1] == ' ' || line[i-1] == '\t') {
			return strings.TrimSpace(line[:i]), line[i:]
		}
	}
	return line, ""
}

// viaOf returns what the comments of a requirement list after "via".
func viaOf(comments []string) []string {
	var via []string
	listed := false
	for _, comment := range comments {
		text := strings.TrimSpace(strings.TrimPrefix(comment, "#"))
		if rest, ok := strings.CutPrefix(text, "via"); ok {
			listed, text = true, rest
		}
		if !listed {
			continue
		}
		for one := range strings.SplitSeq(text, ",") {
			if one = strings.TrimSpace(one); one != "" {
				via = append(via, one)
			}
		}
	}
	return via
}

package detect

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	pep440 "github.com/aquasecurity/go-pep440-version"
)

// defaultPython is the version for a project that takes any: the newest but one, for
// which all packages have wheels.
const defaultPython = "3.13"

// pythons are the versions that there are images of, ascending.
func pythons() []string {
	return []string{"3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14"}
}

// ended are the versions without security updates, by the month in which those
// ended: https://devguide.python.org/versions, as of 2026-11.
func ended(version string) string {
	return map[string]string{"3.8": "2024-10", "3.9": "2025-10", "3.10": "2026-10"}[version]
}

// statement is a place that says which Python is wanted.
type statement struct {
	// exact is major.minor; specifier is what a range says otherwise, and text how
	// it is written.
	exact, specifier, text, source string
}

// python chooses the version.
func (f *finder) python() error {
	if f.options.Python != "" {
		source := f.options.PythonSource
		if source == "" {
			source = "--python"
		}
		return f.exactly(statement{exact: majorMinor(f.options.Python), text: f.options.Python, source: source})
	}
	statements := f.statements()
	for _, s := range statements {
		if s.exact != "" {
			for _, other := range statements {
				if other.specifier == "" {
					continue
				}
				if fits, err := f.fits(s.exact, other); err != nil {
					return err
				} else if !fits {
					f.warn("%s says Python %s, but %s says %s", s.source, s.text, other.source, other.text)
				}
			}
			return f.exactly(s)
		}
	}
	var bounds []statement
	for _, s := range statements {
		if s.specifier != "" {
			bounds = append(bounds, s)
		}
	}
	if len(bounds) == 0 {
		f.project.Python = defaultPython
		f.found("python", defaultPython, "default")
		return nil
	}
	// Only the first range is the project's own; a lock repeats it.
	bound := bounds[0]
	var fitting []string
	for _, version := range pythons() {
		ok, err := f.fits(version, bound)
		if err != nil {
			return err
		}
		if ok {
			fitting = append(fitting, version)
		}
	}
	if len(fitting) == 0 {
		return &PythonError{Source: bound.source, Wanted: bound.text, Available: pythons()}
	}
	// The newest that is not newer than the default, else the oldest of the newer.
	chosen := fitting[0]
	for _, version := range fitting {
		if slices.Index(pythons(), version) <= slices.Index(pythons(), defaultPython) {
			chosen = version
		}
	}
	return f.exactly(statement{exact: chosen, text: bound.text, source: bound.source})
}

// exactly takes a version, when there is an image of it.
func (f *finder) exactly(s statement) error {
	if !slices.Contains(pythons(), s.exact) {
		return &PythonError{Source: s.source, Wanted: s.text, Available: pythons()}
	}
	if month := ended(s.exact); month != "" {
		f.warn("%s asks for Python %s, whose security updates ended in %s", s.source, s.exact, month)
	}
	f.project.Python = s.exact
	value := s.exact
	if s.text != s.exact {
		value += " (" + s.text + ")"
	}
	f.found("python", value, s.source)
	return nil
}

// fits says whether some release of major.minor satisfies a range.
func (f *finder) fits(version string, s statement) (bool, error) {
	specifiers, err := pep440.NewSpecifiers(s.specifier)
	if err != nil {
		file, line, _ := strings.Cut(s.source, ":")
		number, _ := strconv.Atoi(line)
		return false, &FileError{Path: file, Line: number, Err: fmt.Errorf("%q is no range of Python versions", s.text)}
	}
	// The image has a late release of the version; .0 is there for ==3.12 alone.
	for _, patch := range []string{".99", ".0"} {
		parsed, err := pep440.Parse(version + patch)
		if err == nil && specifiers.Check(parsed) {
			return true, nil
		}
	}
	return false, nil
}

// statements are what the project's files say, the more exact first.
func (f *finder) statements() []statement {
	var found []statement
	for _, file := range []string{".python-version", "runtime.txt"} {
		if s, ok := f.versionFile(file); ok {
			found = append(found, s)
		}
	}
	if wanted := f.manifest.Project.RequiresPython; wanted != "" {
		found = append(found, statement{specifier: wanted, text: wanted, source: f.lineOf("pyproject.toml", "requires-python")})
	}
	if wanted, ok := f.manifest.Tool.Poetry.Dependencies["python"].(string); ok {
		found = append(found, statement{
			specifier: poetrySpecifier(wanted), text: wanted,
			source: f.keyLine("pyproject.toml", "tool.poetry.dependencies", "python"),
		})
	}
	return append(found, f.otherPythons()...)
}

// versionLine is a version of CPython as tools write it: 3.12, 3.12.1, cpython-3.12,
// python3.12, 3.14-dev, 3.13t.
var versionLine = regexp.MustCompile(`^(?:c?python)?[-@]?(([0-9]+\.[0-9]+)(?:[-.+t]\S*)?)$`)

// versionFile is the first line of a file that says which Python; the user is warned
// when there are lines, and none of them does.
func (f *finder) versionFile(file string) (statement, bool) {
	content, _ := f.read(file)
	problem := ""
	for i, line := range strings.Split(string(content), "\n") {
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		if parts := versionLine.FindStringSubmatch(line); parts != nil {
			return statement{exact: parts[2], text: parts[1], source: place(file, i+1)}, true
		}
		if line != "" && strings.ContainsAny(line[:1], "<>=!~") {
			return statement{specifier: line, text: line, source: place(file, i+1)}, true
		}
		if problem == "" && line != "" && line != "3" {
			problem = fmt.Sprintf("%s says %q, which is no version of CPython and is passed over", place(file, i+1), line)
		}
	}
	if problem != "" {
		f.warn("%s", problem)
	}
	return statement{}, false
}

// majorMinor returns the first two numbers of a version, or nothing.
func majorMinor(version string) string {
	parts := strings.Split(strings.TrimSpace(version), ".")
	if len(parts) < 2 {
		return ""
	}
	for _, part := range parts[:2] {
		if _, err := strconv.Atoi(part); err != nil {
			return ""
		}
	}
	return parts[0] + "." + parts[1]
}

// poetrySpecifier writes a constraint of Poetry's as PEP 440 does: ^1.2 and ~1.2,
// and a bare version. Alternatives, with | or ||, have the form of go-pep440-version.
func poetrySpecifier(constraint string) string {
	var alternatives []string
	for _, alternative := range strings.Split(strings.ReplaceAll(constraint, "||", "|"), "|") {
		var parts []string
		for _, part := range strings.FieldsFunc(alternative, func(char rune) bool { return char == ',' }) {
			part = strings.TrimSpace(part)
			switch {
			case part == "" || part == "*":
			case strings.HasPrefix(part, "^"):
				version := strings.TrimSpace(part[1:])
				parts = append(parts, ">="+version, "<"+next(version, true))
			case strings.HasPrefix(part, "~") && !strings.HasPrefix(part, "~="):
				version := strings.TrimSpace(part[1:])
				parts = append(parts, ">="+version, "<"+next(version, false))
			case part[0] >= '0' && part[0] <= '9':
				parts = append(parts, "=="+part)
			default:
				parts = append(parts, part)
			}
		}
		if len(parts) == 0 {
			return ""
		}
		alternatives = append(alternatives, strings.Join(parts, ","))
	}
	return strings.Join(alternatives, "||")
}

// next is the first version that ^version, or ~version, leaves out.
func next(version string, caret bool) string {
	parts := strings.Split(version, ".")
	numbers := make([]int, len(parts))
	for i, part := range parts {
		numbers[i], _ = strconv.Atoi(part)
	}
	at := min(1, len(numbers)-1)
	if caret {
		at = 0
		for at < len(numbers)-1 && numbers[at] == 0 {
			at++
		}
	}
	out := make([]string, 0, at+1)
	for i := range at + 1 {
		number := numbers[i]
		if i == at {
			number++
		}
		out = append(out, strconv.Itoa(number))
	}
	return strings.Join(out, ".")
}

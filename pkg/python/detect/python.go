package detect

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/packaging"
)

// chosenPython is the version of Python for the image.
type chosenPython struct {
	version string
	notes
}

// choosePython chooses the version: that of the user, else the first that a file names,
// else the newest of a range that is not newer than the default, else the default.
func choosePython(t *tree, m *manifest, lock *packaging.Lock, options Options) (*chosenPython, error) {
	if options.Python != "" {
		return takePython(exactVersion(options.Python), options.Python, cmp.Or(options.PythonSource, "--python"))
	}
	statements, warnings := pythonStatements(t, m, lock)
	isRange := func(s packaging.PythonRange) bool { return s.Specifier != "" }
	ranges, named := partition(statements, isRange)
	chosen := &chosenPython{version: python.DefaultVersion}
	var err error
	switch {
	case len(named) > 0:
		chosen, err = takeNamed(named[0], ranges)
	case len(ranges) > 0:
		// The first range is the project's own; a lock repeats it.
		chosen, err = takeRange(ranges[0])
	default:
		chosen.found("python", chosen.version, "default")
	}
	if err != nil {
		return nil, err
	}
	chosen.warnings = append(warnings, chosen.warnings...)
	return chosen, nil
}

// partition separates the statements that satisfy a condition from the others.
func partition(statements []packaging.PythonRange, condition func(packaging.PythonRange) bool) (yes, no []packaging.PythonRange) {
	for _, s := range statements {
		if condition(s) {
			yes = append(yes, s)
		} else {
			no = append(no, s)
		}
	}
	return yes, no
}

// takeNamed takes the version that a statement names, and warns of ranges that do not
// include it.
func takeNamed(s packaging.PythonRange, ranges []packaging.PythonRange) (*chosenPython, error) {
	warnings, err := contradictions(s, ranges)
	if err != nil {
		return nil, err
	}
	chosen, err := takePython(majorMinor(s.Text), s.Text, s.Position.String())
	if err != nil {
		return nil, err
	}
	chosen.warnings = append(warnings, chosen.warnings...)
	return chosen, nil
}

// takePython takes a version, if there is an image of it; text is how it is written.
func takePython(version, text, source string) (*chosenPython, error) {
	if !slices.Contains(python.Versions(), version) {
		return nil, &PythonError{Source: source, Wanted: text, Available: python.Versions()}
	}
	chosen := &chosenPython{version: version}
	if python.Ended(version) {
		month := python.EndOfSupport(version)[:len("2006-01")]
		chosen.warn("%s asks for Python %s, whose security updates ended in %s", source, version, month)
	}
	value := version
	if text != version {
		value += " (" + text + ")"
	}
	chosen.found("python", value, source)
	return chosen, nil
}

// takeRange takes the newest version of a range that is not newer than the default,
// else the oldest of the newer ones.
func takeRange(s packaging.PythonRange) (*chosenPython, error) {
	versions := python.Versions()
	standard := slices.Index(versions, python.DefaultVersion)
	best := ""
	for i, version := range versions {
		ok, err := includes(s, version)
		if err != nil {
			return nil, err
		}
		if ok && (best == "" || i <= standard) {
			best = version
		}
	}
	if best == "" {
		return nil, &PythonError{Source: s.Position.String(), Wanted: s.Text, Available: versions}
	}
	return takePython(best, s.Text, s.Position.String())
}

// contradictions returns warnings of the ranges that do not include a version.
func contradictions(s packaging.PythonRange, ranges []packaging.PythonRange) ([]string, error) {
	n := notes{}
	for _, other := range ranges {
		ok, err := includes(other, majorMinor(s.Text))
		if err != nil {
			return nil, err
		}
		if !ok {
			n.warn("%s says Python %s, but %s says %s", s.Position, s.Text, other.Position, other.Text)
		}
	}
	return n.warnings, nil
}

// includes reports whether a range includes some release of major.minor.
func includes(s packaging.PythonRange, version string) (bool, error) {
	// The image has a late release; .0 is there for a range such as ==3.12.
	for _, patch := range []string{".99", ".0"} {
		ok, err := s.Specifier.Check(version + patch)
		if err != nil {
			return false, &packaging.FileError{Position: s.Position, Err: fmt.Errorf("%q is no range of Python versions", s.Text)}
		}
		if ok {
			return true, nil
		}
	}
	return false, nil
}

// pythonStatements returns what the files of a project say about its Python, the more
// specific first, and warnings of files that name no version. Text is the version of a
// statement without a range.
func pythonStatements(t *tree, m *manifest, lock *packaging.Lock) (found []packaging.PythonRange, warnings []string) {
	files := []string{".python-version", "runtime.txt"}
	if m.workspace != nil && !t.has(files[0]) {
		// uv takes that of the workspace.
		files = append(files, m.workspace.file(files[0]))
	}
	for _, file := range files {
		content, _ := t.read(file)
		s, warning := parseVersionFile(file, content)
		if s != nil {
			found = append(found, *s)
		} else if warning != "" {
			warnings = append(warnings, warning)
		}
	}
	if text := m.Project.RequiresPython; text != "" {
		found = append(found, packaging.PythonRange{Specifier: packaging.Specifier(text), Text: text, Position: m.Find("requires-python")})
	}
	text, _ := m.Tool.Poetry.Dependencies["python"].(string)
	if specifier := packaging.PoetrySpecifier(text); specifier != "" {
		found = append(found, packaging.PythonRange{Specifier: specifier, Text: text, Position: m.FindKey("tool.poetry.dependencies", "python")})
	}
	for _, one := range m.pipfile.Pythons() {
		if exactVersion(one.Text) != "" {
			found = append(found, one)
		}
	}
	found = append(found, m.setup.Pythons...)
	if lock.Python != nil {
		found = append(found, *lock.Python)
	}
	return found, warnings
}

// versionLine matches a version of CPython as tools write it: 3.12, 3.12.1,
// cpython-3.12, python3.12, 3.14-dev, 3.13t.
var versionLine = regexp.MustCompile(`^(?:c?python)?[-@]?([0-9]+\.[0-9]+(?:[-.+t]\S*)?)$`)

// parseVersionFile returns the first version in a file with one version a line, or nil
// and a warning if lines of it name other things.
func parseVersionFile(file string, content []byte) (s *packaging.PythonRange, warning string) {
	for i, line := range strings.Split(string(content), "\n") {
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		at := packaging.Position{File: file, Line: i + 1}
		if parts := versionLine.FindStringSubmatch(line); parts != nil {
			return &packaging.PythonRange{Text: parts[1], Position: at}, ""
		}
		if line != "" && strings.ContainsAny(line[:1], "<>=!~") {
			return &packaging.PythonRange{Specifier: packaging.Specifier(line), Text: line, Position: at}, ""
		}
		if warning == "" && line != "" && line != "3" {
			warning = fmt.Sprintf("%s says %q, which is no version of CPython and is passed over", at, line)
		}
	}
	return nil, warning
}

// leadingNumbers matches the first two numbers of a version.
var leadingNumbers = regexp.MustCompile(`^[0-9]+\.[0-9]+`)

// majorMinor returns the first two numbers of a version, such as 3.14-dev, or nothing.
func majorMinor(version string) string { return leadingNumbers.FindString(strings.TrimSpace(version)) }

// exactVersion is majorMinor for a version of numbers alone, such as 3.13 or 3.13.2.
func exactVersion(version string) string {
	found := majorMinor(version)
	if rest := strings.TrimPrefix(strings.TrimSpace(version), found); rest != "" && rest[0] != '.' {
		return ""
	}
	return found
}

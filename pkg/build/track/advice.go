package track

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// What Tekton, a shell and Python write about a program that does not exist.
var (
	noProgram = regexp.MustCompile(`exec: "([^"]+)": executable file not found|exec (\S+): no such file or directory|(?:^|: )([\w./-]+): (?:command )?not found$|No module named '?([\w.]+)'?$`)
	noTests   = regexp.MustCompile(`^ERROR: file or directory not found: (\S+)`)
)

// The exit codes of pytest, and of a shell.
const (
	pytestUsage   = 4
	pytestNoTests = 5
	noCommand     = 127
)

// adviceForTests returns what to do about tests that failed for another reason than the
// code under test, by the exit code of their command and the last lines that it wrote;
// empty if there is no such reason. stage is the stage of the Dockerfile that they ran
// in.
func adviceForTests(command []string, stage string, exitCode int32, lines []string) string {
	where := "the image has no %s: give the Dockerfile a stage test that adds what the tests need, or add it to the image"
	files := "check the path, and that .dockerignore does not exclude the tests"
	if stage != "" {
		where = "the stage " + stage + " has no %s: install it there"
		files = "check the path, that the stage " + stage + " copies the tests, and that .dockerignore does not exclude them"
	}
	pytest := slices.ContainsFunc(command, func(word string) bool {
		return path.Base(word) == "pytest" || path.Base(word) == "py.test"
	})
	for _, line := range lines {
		if match := noTests.FindStringSubmatch(line); match != nil && pytest && exitCode == pytestUsage {
			return match[1] + " does not exist: " + files
		}
		match := noProgram.FindStringSubmatch(line)
		if match == nil {
			continue
		}
		missing := strings.Join(match[1:], "")
		// The program itself, not a module that the code under test imports.
		if exitCode == noCommand || slices.ContainsFunc(command, func(word string) bool { return word == missing }) {
			return fmt.Sprintf(where, missing)
		}
	}
	if pytest && exitCode == pytestNoTests {
		return "pytest found no tests: " + files
	}
	return ""
}

package track

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// commandAdvice maps what the programs of a RUN write most often to what to do.
//
//nolint:gochecknoglobals // compiled regular expressions
var commandAdvice = []struct {
	words  *regexp.Regexp
	advice string
}{
	{regexp.MustCompile(`CERTIFICATE_VERIFY_FAILED|certificate verify failed|unable to get local issuer certificate`), "if your company has its own CA: kubectl pyflow setup --build-ca FILE"},
	{regexp.MustCompile(`401 Error, Credentials not correct for|HTTP error 401 while getting|401 Client Error: Unauthorized|^User for \S+:`), "the package index asks for a login, or rejects it: check the value of the build secret; kubectl pyflow build --show-dockerfile lists the secrets that the project's files ask for, --build-secret passes one"},
	{regexp.MustCompile(`could not read (?:Username|Password) for '?(https?://[^/'@]+)|Authentication failed for '?(https?://[^/'@]+)`), "git has no valid login for $1$2: write git+https://$${NAME}@… in the requirement, and pass --build-secret id=NAME,env=NAME; or pass --build-secret id=netrc,src=FILE"},
	{regexp.MustCompile(`Host key verification failed|No \S+ host key is known for`), "the key of git's host is not in known_hosts: pass --build-secret id=known_hosts,src=FILE, as ssh-keyscan writes it"},
	{regexp.MustCompile(`Permission denied \(publickey|Load key "[^"]*": `), "git's host rejects the key: check the build secret ssh-privatekey, and that the key may read the repository"},
	{regexp.MustCompile(`Temporary failure in name resolution|Could not resolve host|Name or service not known|Failed to establish a new connection|Network is unreachable|Temporary failure resolving`), "the build cannot reach the network: set a proxy or a package index with kubectl pyflow setup --build-env HTTPS_PROXY=… or PIP_INDEX_URL=…"},
	{regexp.MustCompile(`No matching distribution found for (\S+)`), "check the name and the version of $1, that it supports this Python, and that the package index has it"},
	{regexp.MustCompile(`THESE PACKAGES DO NOT MATCH THE HASHES`), "the lock does not fit what the package index has: lock the requirements again"},
	{regexp.MustCompile(`Unable to locate package (\S+)`), "check the name of $1, and call apt-get update in the same RUN"},
	{regexp.MustCompile(`command '?\S*(?:gcc|cc)'? failed|(?:gcc|cc): (?:command )?not found|unable to execute '\S*gcc'`), "the package has no wheel for this Python and needs a compiler: take a version that has one, or install build-essential in this stage"},
	{regexp.MustCompile(`No space left on device`), "give the build more disk space with --storage"},
}

// adviceForCommand returns what to do about a command that failed, by the last lines that
// it wrote; empty if none of them is known.
func adviceForCommand(lines []string) string {
	for _, row := range commandAdvice {
		for _, line := range lines {
			if match := row.words.FindStringSubmatchIndex(line); match != nil {
				return string(row.words.ExpandString(nil, row.advice, line, match))
			}
		}
	}
	return ""
}

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

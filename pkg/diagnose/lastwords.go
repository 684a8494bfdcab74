package diagnose

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
)

// lastWord is what a Python program, or the server that loads it, says when it
// ends, and what to do about it.
type lastWord struct {
	words *regexp.Regexp
	// context has to be in the lines before, nil for nothing.
	context *regexp.Regexp
	advice  string
}

const setVariable = "set it with --env %s=… or in [tool.kubectl-pyflow.env]; a secret belongs into a Secret that the Deployment refers to"

// lastWords are ordered: the first that fits a line counts.
//
//nolint:gochecknoglobals // a table with regular expressions, compiled once
var lastWords = []lastWord{
	{
		words:  regexp.MustCompile(`^ModuleNotFoundError: No module named '([^']+)'`),
		advice: "the image has no module $1: add the package that has it to the dependencies and lock them; one of the project's own has to be copied into the image, below a directory of PYTHONPATH",
	},
	{
		words:  regexp.MustCompile(`^ImportError: (lib\S+\.so\S*): cannot open shared object file`),
		advice: "the image has no system library $1: install the Debian package that has it in the last stage of the Dockerfile, or take a wheel that brings it, such as psycopg[binary]",
	},
	{
		words:  regexp.MustCompile(`^ImportError: cannot import name '([^']+)' from '([^']+)'`),
		advice: "$2 has no $1: check the name, and that the version of the package is the one that the code was written for",
	},
	{
		words:  regexp.MustCompile(`Could not import module "([^"]+)"`),
		advice: "the image has no module $1: name the app with --entrypoint MODULE:ATTRIBUTE, and check that its file is not left out by .dockerignore",
	},
	{
		words:  regexp.MustCompile(`Attribute "([^"]+)" not found in module "([^"]+)"|Failed to find attribute '([^']+)' in '([^']+)'`),
		advice: "module $2$4 has no $1$3: name the app with --entrypoint MODULE:ATTRIBUTE",
	},
	{
		words:  regexp.MustCompile(`^(?:SyntaxError|IndentationError|TabError): `),
		advice: "mend it there; the image's Python may be older than the one it was written with: --python",
	},
	{
		words:   regexp.MustCompile(`^KeyError: '(\w+)'`),
		context: regexp.MustCompile(`os\.environ|<frozen os>`),
		advice:  "the program needs the variable $1: " + fmt.Sprintf(setVariable, "$1"),
	},
	{
		words:  regexp.MustCompile(`ValidationError: \d+ validation errors? for \w*(?:Settings|Config)\w*`),
		advice: "the settings that the program reads from its environment are not complete: " + fmt.Sprintf(setVariable, "NAME"),
	},
	{
		words:  regexp.MustCompile(`^PermissionError: \[Errno 13\] .*?: '([^']+)'`),
		advice: "the program does not run as root and may not write $1: write below /tmp, or mount a volume there",
	},
	{
		words:  regexp.MustCompile(`^(?:OSError|PermissionError): \[Errno (?:13|98|99)\].*(?:address|port|bind|Permission)`),
		advice: "the program can not listen there: listen on 0.0.0.0 and a port above 1023 that nothing else has, --port",
	},
	{
		words:  regexp.MustCompile(`(?:sh|bash): (?:line )?(?:\d+: )?(\S+): (?:command )?not found`),
		advice: "the image has no program $1: add the package that has it to the dependencies, or correct CMD in the Dockerfile",
	},
	{
		words:  regexp.MustCompile(`can't open file '([^']+)'`),
		advice: "the image has no file $1: check COPY, WORKDIR and CMD in the Dockerfile",
	},
	{words: regexp.MustCompile(`^(?:[A-Za-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception)(?:: |$)`)},
}

var frame = regexp.MustCompile(`^\s*File "([^"]+)", line (\d+)`)

// LastWords reads the end of the log of a container that ended by itself, oldest
// line first: why a Python program did, in one line with the place in its code where
// it is known, and what to do. Both are empty when the lines do not say, advice alone
// when nothing is known to help. The last line that says something counts: a
// traceback ends with its reason.
func LastWords(lines []string) (said, advice string) {
	for i := len(lines) - 1; i >= 0; i-- {
		line := strings.TrimSpace(lines[i])
		for _, row := range lastWords {
			match := row.words.FindStringSubmatchIndex(line)
			if match == nil || row.context != nil && !row.context.MatchString(strings.Join(lines[:i], "\n")) {
				continue
			}
			return display.Truncate(line, maxLine) + place(lines[:i]), string(row.words.ExpandString(nil, row.advice, line, match))
		}
	}
	return "", ""
}

// place is the innermost frame of a traceback that is the project's own code, as far
// as that shows; else the innermost one.
func place(lines []string) string {
	innermost := ""
	for i := len(lines) - 1; i >= 0; i-- {
		match := frame.FindStringSubmatch(lines[i])
		if match == nil {
			continue
		}
		where := fmt.Sprintf(" (%s:%s)", match[1], match[2])
		if !strings.HasPrefix(match[1], "<") && !strings.Contains(match[1], "/lib/python") {
			return where
		}
		if innermost == "" && !strings.HasPrefix(match[1], "<") {
			innermost = where
		}
	}
	return innermost
}

// maxLine is the number of characters that are shown of a line of a log.
const maxLine = 200

package diagnose

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
)

// crash is one row of the table of what a Python program, or its server, logs before it
// exits, and what to do.
type crash struct {
	words *regexp.Regexp
	// context must match the lines before; nil matches all.
	context *regexp.Regexp
	remedy  string
}

const setVariable = "set it with --env %s=… or in [tool.kubectl-pyflow.env]; keep secrets in a Secret that the Deployment refers to"

// userMark stands for the user of the container in a remedy.
const userMark = "%user%"

const (
	denied = userMark + " may not read or write "
	allow  = "give it to that user in the Dockerfile (RUN chown, COPY --chown), write below /tmp, or mount a volume there"
)

// crashes are ordered: the first row that matches a line counts.
//
//nolint:gochecknoglobals // a table with regular expressions, compiled once
var crashes = []crash{
	{
		words:  regexp.MustCompile(`^ModuleNotFoundError: No module named '([^']+)'`),
		remedy: "the image has no module $1: add its package to the dependencies and lock them; copy a module of your project into the image, below a directory of PYTHONPATH",
	},
	{
		words:  regexp.MustCompile(`^ImportError: (lib\S+\.so\S*): cannot open shared object file`),
		remedy: "the image has no system library $1: install its Debian package in the last stage of the Dockerfile, or use a wheel that includes it, such as psycopg[binary]",
	},
	{
		words:  regexp.MustCompile(`^ImportError: cannot import name '([^']+)' from '([^']+)'`),
		remedy: "$2 has no $1: check the name, and the version of the package",
	},
	{
		words:  regexp.MustCompile(`Could not import module "([^"]+)"`),
		remedy: "the image has no module $1: name the app with --entrypoint MODULE:ATTRIBUTE, and check that .dockerignore does not exclude its file",
	},
	{
		words:  regexp.MustCompile(`Attribute "([^"]+)" not found in module "([^"]+)"|Failed to find attribute '([^']+)' in '([^']+)'`),
		remedy: "module $2$4 has no $1$3: name the app with --entrypoint MODULE:ATTRIBUTE",
	},
	{
		words:  regexp.MustCompile(`^(?:SyntaxError|IndentationError|TabError): `),
		remedy: "fix the code; or the Python of the image is older than yours: set --python",
	},
	{
		words:   regexp.MustCompile(`^KeyError: '(\w+)'`),
		context: regexp.MustCompile(`os\.environ|<frozen os>`),
		remedy:  "the program needs the variable $1: " + fmt.Sprintf(setVariable, "$1"),
	},
	{
		words:  regexp.MustCompile(`ValidationError: \d+ validation errors? for \w*(?:Settings|Config)\w*`),
		remedy: "the program misses settings in its environment: " + fmt.Sprintf(setVariable, "NAME"),
	},
	{
		words:  regexp.MustCompile(`can't open file '([^']+)': \[Errno 13\]`),
		remedy: userMark + " may not read $1: give it to that user (COPY --chown), or make it readable (COPY --chmod=0755)",
	},
	{
		words:  regexp.MustCompile(`^PermissionError: \[Errno 13\] .*?: '([^']+)'`),
		remedy: denied + "$1: " + allow,
	},
	{
		words:  regexp.MustCompile(`(?:^|[ :'"])(/[^'":\s]+)['"]?: Permission denied`),
		remedy: denied + "$1: " + allow,
	},
	{
		words:  regexp.MustCompile(`^sqlite3\.OperationalError: (?:unable to open database file|attempt to write a readonly database)`),
		remedy: denied + "the file of the database, or there is no such directory: " + allow,
	},
	{
		words:  regexp.MustCompile(`^(?:OSError|PermissionError): \[Errno (?:13|98|99)\].*(?:address|port|bind|Permission)`),
		remedy: "the program cannot listen there: listen on 0.0.0.0 and on a free port above 1023 (--port)",
	},
	{
		words:  regexp.MustCompile(`(?:sh|bash): (?:line )?(?:\d+: )?(\S+): (?:command )?not found`),
		remedy: "the image has no program $1: add its package to the dependencies, or correct CMD in the Dockerfile",
	},
	{
		words:  regexp.MustCompile(`can't open file '([^']+)'`),
		remedy: "the image has no file $1: check COPY, WORKDIR and CMD in the Dockerfile",
	},
	{words: regexp.MustCompile(`^(?:[A-Za-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception)(?:: |$)`)},
}

var frame = regexp.MustCompile(`^\s*File "([^"]+)", line (\d+)`)

// ParseCrash reads the end of the log of a container that exited, oldest line first, which ran
// as that user: UserOf. It returns why a Python program exited, in one line with the place in the code if that is
// known, and what to do. Both are empty if the lines do not tell; the remedy is empty if
// nothing is known to help. The last line that matches counts, because a traceback ends with
// its cause.
func ParseCrash(lines []string, user string) (cause, remedy string) {
	for i := len(lines) - 1; i >= 0; i-- {
		line := strings.TrimSpace(lines[i])
		for _, row := range crashes {
			match := row.words.FindStringSubmatchIndex(line)
			if match == nil || row.context != nil && !row.context.MatchString(strings.Join(lines[:i], "\n")) {
				continue
			}
			remedy = string(row.words.ExpandString(nil, row.remedy, line, match))
			return display.Truncate(line, maxLine) + place(lines[:i]), strings.ReplaceAll(remedy, userMark, user)
		}
	}
	return "", ""
}

// place returns the innermost frame of a traceback in the code of the project, or the
// innermost frame if all are in libraries.
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

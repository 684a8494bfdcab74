package diagnose

import (
	"regexp"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
)

// killed is the exit code of a program that the kernel killed.
const killed = 137

// outOfMemory is the cause of such an end in a build, whose limit of memory it is.
const outOfMemory = "it ran out of memory"

const moreMemory = "give the build more memory with --memory; a package with a wheel for this Python needs none for a compiler"

// failures are what the programs of a RUN write most often when they fail. They are ordered:
// the first row that matches any line counts, so that a cause comes before what it causes.
//
//nolint:gochecknoglobals // a table with regular expressions, compiled once
var failures = []struct {
	words         *regexp.Regexp
	cause, remedy string
}{
	{regexp.MustCompile(`No space left on device`), "the disk of the node is full", "give the build more disk space with --storage"},
	{regexp.MustCompile(`Killed signal terminated program|virtual memory exhausted|Cannot allocate memory|^MemoryError|(?:^|[\s)])Killed$`), outOfMemory, moreMemory},
	{regexp.MustCompile(`CERTIFICATE_VERIFY_FAILED|certificate verify failed|unable to get local issuer certificate|self[- ]signed certificate in certificate chain|invalid peer certificate: UnknownIssuer`), "a certificate is not trusted", "if your company has its own CA: kubectl pyflow setup --build-ca FILE"},
	{regexp.MustCompile(`Temporary failure in name resolution|Could not resolve host|Name or service not known|Failed to establish a new connection|Network is unreachable|Temporary failure resolving|failed to lookup address information|dns error`), "the network cannot be reached", "the build cannot reach the network: set a proxy or a package index with kubectl pyflow setup --build-env HTTPS_PROXY=… or PIP_INDEX_URL=…"},
	{regexp.MustCompile(`401 Error, Credentials not correct for|HTTP error 401 while getting|401 Client Error: Unauthorized|^User for \S+:`), "the package index refuses the login", "the package index asks for a login, or rejects it: check the value of the build secret; kubectl pyflow build --show-dockerfile lists the secrets that the project's files ask for, --build-secret passes one"},
	{regexp.MustCompile(`could not read (?:Username|Password) for '?(https?://[^/'@]+)|Authentication failed for '?(https?://[^/'@]+)`), "git has no valid login", "git has no valid login for $1$2: write git+https://$${NAME}@… in the requirement, and pass --build-secret id=NAME,env=NAME; or pass --build-secret id=netrc,src=FILE"},
	{regexp.MustCompile(`Host key verification failed|No \S+ host key is known for`), "the key of git's host is not known", "the key of git's host is not in known_hosts: pass --build-secret id=known_hosts,src=FILE, as ssh-keyscan writes it"},
	{regexp.MustCompile(`Permission denied \(publickey|Load key "[^"]*": `), "git's host rejects the key", "git's host rejects the key: check the build secret ssh-privatekey, and that the key may read the repository"},
	{regexp.MustCompile(`\b(401|403) (?:Client )?Error\b|HTTP error (401|403) while|HTTP status client error \((401|403)\b|\b(401|403) +(?:Unauthorized|Forbidden)\b`), "a server refuses the download ($1$2$3$4)", "the package index wants other credentials: pass them with --build-secret, and mount them in this RUN"},
	{regexp.MustCompile(`\b(404) Client Error|HTTP error (404) while|HTTP status client error \((404)\b`), "a download does not exist ($1$2$3)", "check the URL of the package index (PIP_INDEX_URL), and the name and the version of the package"},
	{regexp.MustCompile(`(?:No matching distribution found for |Distribution .)(pywin32|pywinpty|pypiwin32|wmi|pywin32-ctypes|win32-setctime|pythonnet)\b`), "$1 exists for Windows alone", `install it on Windows alone: $1; sys_platform == "win32"`},
	{regexp.MustCompile(`(?:No matching distribution found for |Distribution .)(pyobjc[\w-]*|appnope|macholib)\b`), "$1 exists for macOS alone", `install it on macOS alone: $1; sys_platform == "darwin"`},
	{regexp.MustCompile(`ERROR: (\S+) is not a supported wheel on this platform`), "$1 is a wheel of another system or Python", "name the package and its version in place of the file, so that pip takes the wheel for Linux and for the Python of the image"},
	{regexp.MustCompile("Distribution `?(\\S+?)`? .*can't be installed because it doesn't have a source distribution or wheel for the current platform"), "$1 has no wheel for Linux", "lock it with a marker of its system, such as sys_platform, or take a version with a wheel for Linux"},
	{regexp.MustCompile(`No matching distribution found for (\S+)`), "", "check the name and the version of $1, that it supports this Python, and that the package index has it"},
	{regexp.MustCompile(`THESE PACKAGES DO NOT MATCH THE HASHES`), "a package has another hash than the lock", "the lock does not fit what the package index has: lock the requirements again"},
	{regexp.MustCompile(`pg_config executable not found|fatal error: libpq-fe\.h: `), "libpq is not installed", "install libpq-dev and a compiler in this stage, or use psycopg[binary], which has its library inside"},
	{regexp.MustCompile(`mysql_config: not found|find valid pkg-config name|fatal error: mysql\.h: `), "the client library of MySQL is not installed", "install default-libmysqlclient-dev, pkg-config and a compiler in this stage"},
	{regexp.MustCompile(`fatal error: (Python\.h): No such file`), "$1 is missing", "install the headers of Python in this stage: python3-dev, or an official python image, which has them"},
	{regexp.MustCompile(`fatal error: ((?:ffi|openssl/\w+|libxml/\w+|zlib|jpeglib|lber|ldap|sasl/\w+|sql)\.h): No such file`), "the header $1 is missing", "install the Debian package with $1 in this stage: libffi-dev, libssl-dev, libxml2-dev, zlib1g-dev, libjpeg-dev, libldap2-dev, libsasl2-dev or unixodbc-dev"},
	{regexp.MustCompile(`fatal error: (\S+\.h(?:pp)?): No such file`), "the header $1 is missing", "install the Debian package with $1 in this stage; its name ends in -dev"},
	{regexp.MustCompile(`command '?\S*(?:gcc|cc|g\+\+)'? failed: No such file|(?:gcc|cc|g\+\+): (?:command )?not found|unable to execute '\S*gcc'|linker .cc. not found`), "there is no compiler", "the package has no wheel for this Python and needs a compiler: take a version that has one, or install build-essential in this stage"},
	{regexp.MustCompile(`command '?\S*(?:gcc|cc|g\+\+)'? failed`), "", "the package has no wheel for this Python and needs a compiler: take a version that has one, or install build-essential in this stage"},
	{regexp.MustCompile(`Could not open requirements file: .*'([^']+)'|File not found: .([\w./-]+\.(?:txt|toml|lock)).`), "$1$2 is not there", "COPY $1$2 before this RUN, and check that .dockerignore does not exclude it"},
	{regexp.MustCompile(`Unable to locate package (\S+)`), "there is no Debian package $1", "check the name of $1, and call apt-get update in the same RUN"},
	{regexp.MustCompile(`\[Errno 13\] Permission denied: '([^']+)'|cannot (?:create|touch|open)[^/]* '?(/[^':]+)'?: Permission denied`), "its user may not write $1$2", "run it before USER, or give the directory to the user: COPY --chown, RUN chown"},
}

// ParseCommand reads the end of the log of a RUN that failed with an exit code, oldest line
// first. It returns why it failed, as a phrase, and what to do. Both are empty if the lines do
// not tell; either may be.
func ParseCommand(lines []string, exitCode int32) (cause, remedy string) {
	for _, row := range failures {
		for _, line := range lines {
			line = strings.TrimSpace(line)
			if match := row.words.FindStringSubmatchIndex(line); match != nil {
				expand := func(text string) string { return string(row.words.ExpandString(nil, text, line, match)) }
				return display.Truncate(expand(row.cause), maxLine), expand(row.remedy)
			}
		}
	}
	if exitCode == killed {
		return outOfMemory, moreMemory
	}
	return "", ""
}

var (
	// collected is how pytest shows the error of an import, module the frames before it.
	collected = regexp.MustCompile(`^E\s+((?:ModuleNotFoundError|ImportError|SyntaxError|IndentationError|NameError|AttributeError|KeyError|PermissionError|[\w.]*ValidationError)\b.*)$`)
	module    = regexp.MustCompile(`^(\S+\.py):(\d+): in <module>`)
)

// ParseCollection reads the end of the log of pytest that could not import the code or the
// tests, oldest line first. It returns the error with its place in the code, and what to do;
// both are empty if that is not why pytest failed.
func ParseCollection(lines []string) (cause, remedy string) {
	place := ""
	for _, line := range lines {
		line = strings.TrimRight(line, " \r")
		if match := module.FindStringSubmatch(line); match != nil && !strings.Contains(match[1], "site-packages/") {
			place = " (" + match[1] + ":" + match[2] + ")"
		}
		match := collected.FindStringSubmatch(line)
		if match == nil || place == "" && !strings.HasPrefix(match[1], "ModuleNotFoundError") {
			continue
		}
		cause, remedy = ParseCrash([]string{match[1]}, "")
		if cause == "" {
			cause = display.Truncate(match[1], maxLine)
		}
		return cause + place, remedy
	}
	return "", ""
}

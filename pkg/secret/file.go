package secret

import (
	"bytes"
	"encoding/base64"
	"net"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Found is a secret in a file.
type Found struct {
	// Kind is what it is, as a short phrase.
	Kind string
	// Line is where it starts, from 1.
	Line int
	// Sure reports that its content is a secret. What is not sure is in a file for tests, examples or
	// documentation.
	Sure bool
}

// InFile finds the first secret in the content of a file: a key or a token by its format, a password in
// a URL, or a password in a file that is made for passwords. name is the path of the file, with slashes.
// It returns false for values that stand for a secret, such as variables, and for files that are not
// text. Its time is linear in the length of the content.
func InFile(name string, content []byte) (Found, bool) {
	if bytes.IndexByte(content[:min(len(content), 8<<10)], 0) >= 0 {
		return Found{}, false
	}
	found, ok := inText(name, content)
	found.Sure = ok && !isIllustration(name)
	return found, ok
}

func inText(name string, content []byte) (Found, bool) {
	if at := privateKeyAt(content); at >= 0 {
		kind := "private key"
		if bytes.Contains(content, []byte(`"private_key_id"`)) {
			kind = "key of a service account"
		}
		return Found{Kind: kind, Line: 1 + bytes.Count(content[:at], []byte("\n"))}, true
	}
	read := readerOf(name, content)
	number := 0
	for line := range strings.Lines(string(content)) {
		number++
		if kind := read(strings.TrimRight(line, "\r\n")); kind != "" {
			return Found{Kind: kind, Line: number}, true
		}
	}
	return Found{}, false
}

// privateKey is the first line of a key in PEM form, at the start of a line or of a string in JSON
// or YAML, and what follows it in a real key: a line of base64, or a header. The words alone occur
// in many programs.
var privateKey = regexp.MustCompile(`(?m)(?:^|")[ \t]*-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:\s|\\n|\\r)+(?:[A-Za-z0-9+/=]{16}|[A-Z][A-Za-z-]*: )`)

func privateKeyAt(content []byte) int {
	if !bytes.Contains(content, []byte("PRIVATE KEY")) {
		return -1
	}
	if match := privateKey.FindIndex(content); match != nil {
		return match[0]
	}
	return -1
}

// lineReader returns the kind of secret in a line; empty for none.
type lineReader func(line string) string

// readerOf returns the reader of the lines of a file: tokens and URLs in every file, and what files of
// that name have.
func readerOf(name string, content []byte) lineReader {
	lower := strings.ToLower(name)
	base := path.Base(lower)
	own := lineReader(func(string) string { return "" })
	strict := false
	switch in := path.Base(path.Dir(lower)) + "/" + base; {
	case base == ".npmrc", base == ".yarnrc.yml":
		own, strict = npmReader, true
	case base == "pip.conf", base == "pip.ini", base == "uv.toml", base == ".git-credentials", base == "pipfile", base == ".condarc",
		strings.HasPrefix(base, "requirements") && strings.HasSuffix(base, ".txt"), in == ".git/config":
		strict = true
	case base == ".netrc", base == "_netrc":
		own = netrcReader
	case base == ".pypirc", base == ".my.cnf", base == ".s3cfg", base == ".boto":
		own, strict = settingReader("credentials", "=", true), true
	case base == ".pgpass":
		own = pgpassReader
	case in == ".docker/config.json", base == ".dockercfg", base == ".dockerconfigjson":
		own = dockerReader
	case base == ".vault-token":
		own = vaultReader
	case strings.HasSuffix(base, ".tfvars"):
		own = settingReader("Terraform variable", "=", false)
	case strings.HasSuffix(base, ".tfvars.json"):
		own = settingReader("Terraform variable", ":", false)
	case strings.HasSuffix(base, ".tfstate"), strings.HasSuffix(base, ".tfstate.backup"):
		own = settingReader("Terraform state", ":", false)
	case in == ".streamlit/secrets.toml":
		own = settingReader("secrets", "=", false)
	case bytes.Contains(content, []byte("client-key-data")), bytes.Contains(content, []byte("Config")) && kubeconfig.Match(content):
		own = kubeconfigReader
	}
	return func(line string) string {
		if kind := own(line); kind != "" {
			return kind
		}
		if passwordInURL(line, strict) {
			return "password in a URL"
		}
		if awsKey(line) {
			return "secret access key of AWS"
		}
		if all := tokens(line, false); len(all) > 0 {
			return all[0].kind
		}
		return ""
	}
}

// isValue reports whether a text is a value and not a variable or a placeholder that stands for one.
func isValue(text string) bool {
	return text != "" && !strings.ContainsAny(text[:1], "$%{<*[(@") && !strings.Contains(text, "${") && !strings.Contains(text, "{{") && !strings.HasPrefix(text, "%(") &&
		!IsHarmless(text) && strings.ToLower(text) != "null" && strings.ToLower(text) != "none"
}

var npmToken = regexp.MustCompile(`^[ \t]*[^#;\s]*(?:_authToken|_password|_auth|npmAuthToken|npmAuthIdent)"?[ \t]*[=:][ \t]*"?([^\s"]+)`)

func npmReader(line string) string {
	if match := npmToken.FindStringSubmatch(line); match != nil && isValue(match[1]) && !isDummy(match[1]) {
		return "credentials of a package index"
	}
	return ""
}

var netrcPassword = regexp.MustCompile(`(?:^|\s)password\s+"?([^\s"]+)`)

func netrcReader(line string) string {
	if match := netrcPassword.FindStringSubmatch(line); match != nil && !isComment(line) && isValue(match[1]) {
		return "credentials"
	}
	return ""
}

func isComment(line string) bool {
	line = strings.TrimSpace(line)
	return strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") || strings.HasPrefix(line, "//")
}

// settingReader reads NAME = VALUE, or NAME: VALUE, of a name that stands for a secret. It accepts a
// value without quotes if plain is set.
func settingReader(kind, separator string, plain bool) lineReader {
	return func(line string) string {
		name, value, ok := strings.Cut(line, separator)
		name = strings.Trim(strings.TrimSpace(name), `"'`)
		value = strings.TrimSuffix(strings.TrimSpace(value), ",")
		quoted := strings.HasPrefix(value, `"`) || strings.HasPrefix(value, `'`)
		value, _, _ = strings.Cut(strings.Trim(value, `"'`), " #")
		value = strings.Trim(value, `"' `)
		if !ok || isComment(line) || !IsName(name) || !quoted && !plain || len(value) < 4 || !isValue(value) || isDummy(value) {
			return ""
		}
		return kind + " " + name
	}
}

func pgpassReader(line string) string {
	if fields := strings.Split(line, ":"); len(fields) == 5 && !isComment(line) && isValue(fields[4]) {
		return "password"
	}
	return ""
}

var dockerAuth = regexp.MustCompile(`"(?:auth|identitytoken|registrytoken)"\s*:\s*"([^"]+)"`)

func dockerReader(line string) string {
	for _, match := range dockerAuth.FindAllStringSubmatch(line, -1) {
		decoded, err := base64.StdEncoding.DecodeString(match[1])
		if _, password, _ := strings.Cut(string(decoded), ":"); err != nil || isValue(password) && !isDummy(password) {
			return "credentials of a registry"
		}
	}
	return ""
}

func vaultReader(line string) string {
	if text := strings.TrimSpace(line); len(text) >= 20 && isValue(text) && !isDummy(text) {
		return "token"
	}
	return ""
}

var kubeconfig = regexp.MustCompile(`(?m)^[ \t{]*"?kind"?:[ \t]*"?Config"?[ \t,]*\r?$`)

var kubeCredential = regexp.MustCompile(`^[ \t]*(?:- )?"?(?:client-key-data|token|password)"?:[ \t]*"?([^\s"]{8,})`)

func kubeconfigReader(line string) string {
	if match := kubeCredential.FindStringSubmatch(line); match != nil && isValue(match[1]) && !isDummy(match[1]) {
		return "kubeconfig with credentials"
	}
	return ""
}

var awsSecret = regexp.MustCompile(`(?i)aws_?secret_?(?:access_?)?key["']?\s*(?:=|:|=>)\s*["']?([A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+=]|$)`)

func awsKey(line string) bool {
	if !strings.Contains(line, "secret") && !strings.Contains(line, "SECRET") && !strings.Contains(line, "Secret") {
		return false
	}
	match := awsSecret.FindStringSubmatch(line)
	return match != nil && entropy(match[1]) >= 3.5 && !isDummy(match[1])
}

var urlPassword = regexp.MustCompile(`\b([a-zA-Z][a-zA-Z0-9+.-]*)://([^\s:/@"'<>]*):([^\s/@"'<>]+)@([^\s/"'<>?#]+)`)

// passwordInURL reports whether a URL in the line has a password in use. In a file with
// credentials for servers every password counts; elsewhere those of local services and of examples do
// not, nor short and simple ones.
func passwordInURL(line string, strict bool) bool {
	if at := strings.Index(line, "://"); at < 0 || strings.IndexByte(line[at:], '@') < 0 || strict && isComment(line) {
		return false
	}
	for _, match := range urlPassword.FindAllStringSubmatch(line, -1) {
		user, password, host := match[2], match[3], match[4]
		if decoded, err := url.PathUnescape(password); err == nil {
			password = decoded
		}
		switch {
		case !isValue(password) || strings.ContainsAny(password, "{}$"):
		case strict && !isReserved(host):
			return true
		case len(password) >= 8 && entropy(password) >= 2.5 && password != user && !isDummy(password) && isServer(host):
			return true
		}
	}
	return false
}

// isReserved reports whether a host is one of documentation.
func isReserved(host string) bool {
	name := hostname(host)
	labels := strings.Split(name, ".")
	top := labels[len(labels)-1]
	return slices.Contains([]string{"example", "test", "invalid", "localhost"}, top) || len(labels) > 1 && labels[len(labels)-2] == "example"
}

// isServer reports whether a host is reached by its full name or address: not one of a development
// machine or of documentation.
func isServer(host string) bool {
	name := hostname(host)
	if ip := net.ParseIP(name); ip != nil {
		return !ip.IsLoopback() && !ip.IsUnspecified()
	}
	return strings.Contains(name, ".") && !isReserved(host) && !strings.HasSuffix(name, ".local") && !strings.HasSuffix(name, ".internal") && !strings.ContainsAny(name, "{}$%")
}

func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.Trim(host, "[]."))
}

// isIllustration reports whether a file is for tests, examples or documentation, by its path.
func isIllustration(name string) bool {
	directories := strings.Split(strings.ToLower(name), "/")
	base := directories[len(directories)-1]
	for _, directory := range directories[:len(directories)-1] {
		if slices.Contains([]string{
			"test", "tests", "testing", "testdata", "fixtures", "example", "examples", "sample", "samples", "doc", "docs", "spec", "specs", "mocks", "snapshots", "__snapshots__",
			"cassettes", "node_modules", "site-packages", "vendor",
		}, directory) {
			return true
		}
	}
	switch path.Ext(base) {
	case ".md", ".rst", ".adoc", ".example", ".sample", ".template", ".tmpl", ".tpl", ".dist", ".defaults", ".j2", ".jinja", ".jinja2":
		return true
	}
	stem := strings.TrimSuffix(base, path.Ext(base))
	return strings.HasPrefix(base, "test_") || strings.HasSuffix(stem, "_test") || strings.HasSuffix(stem, ".test") || strings.HasSuffix(stem, ".spec") ||
		strings.HasSuffix(stem, ".example") || strings.HasSuffix(stem, ".sample") || strings.HasSuffix(stem, "-example") || strings.HasPrefix(base, "example.") ||
		base == "conftest.py"
}

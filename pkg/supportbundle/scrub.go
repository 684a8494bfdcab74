package supportbundle

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/secret"
)

const (
	redacted = "[redacted]"
	// minSecret is the length of the shortest value that is redacted. Shorter values occur
	// everywhere.
	minSecret = 6
	// maxSecret is the length of the longest. No program prints a longer value as a whole, and
	// its lines are redacted anyway.
	maxSecret = 16 << 10
)

var (
	// credentialName matches names of variables with secret values, referenceName those that
	// only name where such a value is.
	credentialName = regexp.MustCompile(`(?i)pass(word|wd|phrase|code)?$|pass(word|wd|phrase)|pwd|secret|token|credential|api_?-?key|private_?-?key|access_?-?key|(^|_|-)auth($|_|-)|dsn$|connection_?string`)
	referenceName  = regexp.MustCompile(`(?i)(name|file|path|dir|enabled)$`)

	// userinfo matches what is before the host of a URL. A password may have any character but
	// a space, a quote and a slash.
	userinfo = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^\s/"'<>@]*(?:@[^\s/"'<>@]*)*@`)
	// authorization matches a header in the forms in which programs print it.
	authorization = regexp.MustCompile(`(?i)((?:proxy-)?authorization["']?\s*[:=]\s*\[?["']?)(?:(basic|bearer|token|negotiate|digest)\s+)?[^\s"'\]]+`)
	// argument matches a build argument, or a variable for builds, within other text. In a text
	// of its own it has a value up to the end.
	argument = regexp.MustCompile(`(--build-(?:arg|env)[= ])([^=\s]+)=("[^"]*"|'[^']*'|\S*)`)
	alone    = regexp.MustCompile(`(?s)^(--build-(?:arg|env)=)([^=\s]+)=(.*)$`)
	// cookie and header match other headers that carry credentials.
	cookie = regexp.MustCompile(`(?i)\b((?:set-)?cookie["']?\s*:\s*\[?["']?)[^"'\]\r\n]*=[^"'\]\r\n]*`)
	header = regexp.MustCompile(`(?i)\b((?:x-)?(?:api-key|auth-token|vault-token|access-token|csrf-token|private-token|job-token)["']?\s*:\s*\[?["']?)[^\s"'\]]+`)
	// login matches the user and the password of curl.
	login = regexp.MustCompile(`(\s(?:-u|--user)[ =]*["']?[^\s:"']+:)[^\s"']+`)
	// assignment matches NAME=VALUE, also in the query of a URL, and field "NAME": "VALUE".
	assignment = regexp.MustCompile(`([A-Za-z_][A-Za-z0-9_.-]*)=("[^"]*"|'[^']*'|[^\s&"',;]+)`)
	field      = regexp.MustCompile(`("([A-Za-z0-9_.-]+)"\s*:\s*)"([^"]+)"`)
	// keyStart and keyEnd frame a private key, and keyLine matches a line between them.
	keyStart = regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----`)
	keyEnd   = regexp.MustCompile(`-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----`)
	keyLine  = regexp.MustCompile(`^[^A-Za-z0-9+/=]*(?:[A-Za-z0-9+/=]{1,80}|[A-Z][A-Za-z-]*: .*)?[^A-Za-z0-9+/=]*$`)
	// webToken matches a JSON Web Token, as ServiceAccounts have them.
	webToken = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}`)
	// pem matches the frame around a key or a certificate.
	pem = regexp.MustCompile(`^-----(BEGIN|END) [A-Z0-9 ]+-----$`)
)

func isCredential(name string) bool {
	return credentialName.MatchString(name) && !referenceName.MatchString(name)
}

// scrubber removes secrets from text. Collect the values first, then scrub.
type scrubber struct {
	values   map[string]bool
	plain    map[string]bool
	replacer *strings.Replacer
}

// newScrubber returns a scrubber that leaves the given words alone: names that are all over the
// bundle, so that redacting them would hide nothing.
func newScrubber(plain ...string) *scrubber {
	s := &scrubber{values: map[string]bool{}, plain: map[string]bool{}}
	for _, word := range plain {
		s.plain[word] = true
	}
	return s
}

// secret records the values of a Secret.
func (s *scrubber) secret(of *corev1.Secret) {
	for key, value := range of.Data {
		switch {
		case of.Type == corev1.SecretTypeServiceAccountToken && key != corev1.ServiceAccountTokenKey:
			// The namespace and the CA are not secret.
		case bytes.HasPrefix(value, []byte("-----BEGIN CERTIFICATE-----")):
			// A certificate is public, but a chain with a key is not.
			if bytes.Contains(value, []byte("PRIVATE KEY-----")) {
				s.add(string(value))
			}
		case key == corev1.DockerConfigJsonKey, key == corev1.DockerConfigKey:
			s.dockerConfig(value)
		case strings.HasSuffix(of.Name, manifestsSuffix):
			s.manifests(value)
		default:
			s.add(string(value))
		}
	}
}

// manifestsSuffix is the suffix of the Secrets with the manifests that a run applies. Only the
// Secrets among those are secret; the rest is what the bundle is about.
const manifestsSuffix = "-manifests"

func (s *scrubber) manifests(text []byte) {
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		object := map[string]any{}
		if err := decoder.Decode(&object); err != nil {
			return // the end, or not YAML
		}
		s.object(object)
		if object["kind"] != "Secret" {
			continue
		}
		plain, _, _ := unstructured.NestedMap(object, "stringData")
		for _, value := range plain {
			if text, ok := value.(string); ok {
				s.add(text)
			}
		}
		encoded, _, _ := unstructured.NestedMap(object, "data")
		for _, value := range encoded {
			text, _ := value.(string)
			if decoded, err := base64.StdEncoding.DecodeString(text); err == nil {
				s.add(string(decoded))
			}
		}
	}
}

// dockerConfig records the credentials in a Docker configuration file. User names are not
// secret: they are those of namespaces.
func (s *scrubber) dockerConfig(text []byte) {
	s.value(string(text))
	var config struct {
		Auths map[string]map[string]any `json:"auths"`
	}
	direct := map[string]map[string]any{}
	if json.Unmarshal(text, &config) != nil || config.Auths == nil {
		_ = json.Unmarshal(text, &direct) // the older form, or none
		config.Auths = direct
	}
	for _, auth := range config.Auths {
		field := func(name string) string {
			text, _ := auth[name].(string)
			return text
		}
		user := field("username")
		for _, name := range []string{"password", "identitytoken", "registrytoken"} {
			if password := field(name); password != "" {
				s.add(password)
				s.value(user + ":" + password)
			}
		}
		if decoded, err := base64.StdEncoding.DecodeString(field("auth")); err == nil && len(decoded) > 0 {
			s.value(string(decoded))
			_, password, _ := strings.Cut(string(decoded), ":")
			s.add(password)
		}
	}
}

// add records a value and its parts: each line, the value in a line of the form NAME=VALUE, all
// strings of JSON, and the password of a URL.
func (s *scrubber) add(value string) {
	s.value(value)
	var document any
	if trimmed := strings.TrimSpace(value); strings.HasPrefix(trimmed, "{") || strings.HasPrefix(trimmed, "[") {
		if json.Unmarshal([]byte(trimmed), &document) == nil {
			walk(document, func(text string) string {
				s.value(text)
				return text
			})
		}
	}
	for line := range strings.Lines(value) {
		line = strings.TrimSpace(line)
		if pem.MatchString(line) {
			continue
		}
		s.value(line)
		s.url(line)
		for _, separator := range []string{"=", ":"} {
			if _, part, ok := strings.Cut(line, separator); ok {
				s.value(strings.Trim(strings.TrimSpace(part), `"'`))
			}
		}
	}
}

// url records the password in a URL.
func (s *scrubber) url(text string) {
	parsed, err := url.Parse(text)
	if err != nil || parsed.User == nil {
		return
	}
	if password, ok := parsed.User.Password(); ok {
		s.value(password)
		s.value(parsed.User.Username() + ":" + password)
	} else {
		s.value(parsed.User.Username())
	}
}

// value records one value in the forms in which programs write it.
func (s *scrubber) value(value string) {
	value = strings.TrimSpace(value)
	if len(value) < minSecret || len(value) > maxSecret || s.plain[value] {
		return
	}
	quoted, _ := json.Marshal(value) // never fails for a string
	for _, form := range []string{
		value, string(quoted[1 : len(quoted)-1]), url.QueryEscape(value), url.PathEscape(value), url.UserPassword("", value).String()[1:],
		// A program may encode the value with a line break at its end.
		base64.StdEncoding.EncodeToString([]byte(value)), base64.RawStdEncoding.EncodeToString([]byte(value)),
		base64.StdEncoding.EncodeToString([]byte(value + "\n")),
		base64.URLEncoding.EncodeToString([]byte(value)), base64.RawURLEncoding.EncodeToString([]byte(value)),
	} {
		s.values[form] = true
	}
}

// object records the plain secrets of an object: values of variables and build arguments that
// are named like credentials, and passwords in URLs.
func (s *scrubber) object(object any) {
	switch object := object.(type) {
	case map[string]any:
		name, _ := object["name"].(string)
		if value, ok := object["value"].(string); ok && isCredential(name) {
			s.add(value)
		}
		for _, value := range object {
			s.object(value)
		}
	case []any:
		for _, value := range object {
			s.object(value)
		}
	case string:
		s.text(object)
	}
}

// text is object for one string.
func (s *scrubber) text(text string) {
	for _, match := range arguments(text).FindAllStringSubmatch(text, -1) {
		if isCredential(match[2]) {
			s.add(match[3])
		}
		s.url(match[3])
	}
	for _, match := range userinfo.FindAllString(text, -1) {
		s.url(match + "host")
	}
}

func arguments(text string) *regexp.Regexp {
	if alone.MatchString(text) {
		return alone
	}
	return argument
}

// seal ends the collection of values.
func (s *scrubber) seal() {
	// Longer values first, because one may be a part of another.
	values := slices.SortedFunc(maps.Keys(s.values), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
	pairs := make([]string, 0, 2*len(values))
	for _, value := range values {
		pairs = append(pairs, value, redacted)
	}
	s.replacer = strings.NewReplacer(pairs...)
}

// scrub returns text without secrets. It returns the same for a text of several lines as a
// whole and line by line, by lines.
func (s *scrubber) scrub(text string) string {
	text = s.replacer.Replace(text)
	var out strings.Builder
	clean := lines()
	for line := range strings.Lines(text) {
		body := strings.TrimSuffix(line, "\n")
		out.WriteString(clean(body) + line[len(body):])
	}
	return out.String()
}

// lines returns a function that scrubs one line of a text after the other.
func (s *scrubber) lines() func(string) string {
	clean := lines()
	return func(line string) string { return clean(s.replacer.Replace(line)) }
}

// lines returns a function that hides what has the form of a secret, in one line of a text after the
// other. It knows whether the line is in a private key.
func lines() func(string) string {
	inKey := false
	return func(line string) string {
		if inKey {
			end := keyEnd.FindStringIndex(line)
			switch {
			case end != nil:
				inKey = false
				return redacted + line[end[0]:]
			case keyLine.MatchString(line):
				return redacted
			}
			inKey = false
		}
		if strings.Contains(line, "PRIVATE KEY") {
			line, inKey = scrubKeys(line)
		}
		return scrubForms(line)
	}
}

// scrubKeys hides the private keys in a line, and reports whether one goes on in the next line.
func scrubKeys(line string) (clean string, open bool) {
	var out strings.Builder
	for {
		start := keyStart.FindStringIndex(line)
		if start == nil {
			return out.String() + line, false
		}
		out.WriteString(line[:start[1]])
		line = line[start[1]:]
		end := keyEnd.FindStringIndex(line)
		if end == nil {
			if strings.TrimSpace(line) != "" {
				line = redacted
			}
			return out.String() + line, true
		}
		out.WriteString(redacted)
		line = line[end[0]:]
	}
}

// scrubForms hides what has the form of a secret in a line.
func scrubForms(text string) string {
	if strings.Contains(text, "://") {
		text = userinfo.ReplaceAllString(text, "${1}"+redacted+"@")
	}
	if strings.Contains(text, "uthorization") || strings.Contains(text, "UTHORIZATION") {
		text = authorization.ReplaceAllStringFunc(text, func(header string) string {
			match := authorization.FindStringSubmatch(header)
			if match[2] != "" {
				return match[1] + match[2] + " " + redacted
			}
			return match[1] + redacted
		})
	}
	if strings.Contains(text, ":") {
		text = header.ReplaceAllString(cookie.ReplaceAllString(text, "${1}"+redacted), "${1}"+redacted)
	}
	if strings.Contains(text, "curl") {
		text = login.ReplaceAllString(text, "${1}"+redacted)
	}
	if strings.Contains(text, "--build-") {
		pattern := arguments(text)
		text = pattern.ReplaceAllStringFunc(text, func(arg string) string {
			match := pattern.FindStringSubmatch(arg)
			if isCredential(match[2]) {
				return match[1] + match[2] + "=" + redacted
			}
			return arg
		})
	}
	if strings.Contains(text, "=") {
		text = scrubPairs(text, assignment, 1, 2, "=")
	}
	if strings.Contains(text, `"`) {
		text = scrubPairs(text, field, 2, 3, "")
	}
	if strings.Contains(text, "eyJ") {
		text = webToken.ReplaceAllString(text, redacted)
	}
	return secret.ReplaceTokens(text, redacted)
}

// scrubPairs hides the values of names that stand for a credential. name and value are the groups of
// the pattern.
func scrubPairs(text string, pattern *regexp.Regexp, name, value int, separator string) string {
	return pattern.ReplaceAllStringFunc(text, func(pair string) string {
		match := pattern.FindStringSubmatch(pair)
		plain := strings.Trim(match[value], `"'`)
		if !isCredential(match[name]) || secret.IsHarmless(plain) || strings.HasPrefix(plain, "$") || strings.Contains(plain, redacted) {
			return pair
		}
		if separator == "" {
			return match[1] + `"` + redacted + `"`
		}
		return match[1] + separator + redacted
	})
}

// clean scrubs an object in place, and removes fields that repeat its content.
func (s *scrubber) clean(object map[string]any) {
	unstructured.RemoveNestedField(object, "metadata", "managedFields")
	unstructured.RemoveNestedField(object, "metadata", "annotations", corev1.LastAppliedConfigAnnotation)
	for key, value := range object {
		object[key] = s.cleaned(value)
	}
}

func (s *scrubber) cleaned(value any) any {
	switch value := value.(type) {
	case map[string]any:
		name, _ := value["name"].(string)
		if _, ok := value["value"].(string); ok && isCredential(name) {
			value["value"] = redacted
		}
		cleaned := make(map[string]any, len(value))
		for key, inner := range value {
			cleaned[s.scrub(key)] = s.cleaned(inner)
		}
		return cleaned
	case []any:
		for i := range value {
			value[i] = s.cleaned(value[i])
		}
		return value
	case string:
		return s.scrub(value)
	}
	return value
}

// walk replaces every string of a document by the result of change.
func walk(value any, change func(string) string) {
	switch value := value.(type) {
	case map[string]any:
		for _, inner := range value {
			walk(inner, change)
		}
	case []any:
		for _, inner := range value {
			walk(inner, change)
		}
	case string:
		change(value)
	}
}

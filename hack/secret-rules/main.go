// Command secret-rules writes the formats of tokens that pkg/secret recognizes, out of the rules of
// the gitleaks module that hack/tools/gitleaks pins. gitleaks itself is not a dependency: it brings
// readers of archives and of git that the plugin has no use for.
//
// It takes the rules for tokens that say themselves what they are, by a fixed prefix or shape. It
// leaves out those that guess by words in the neighborhood, and those of leftOut.
//
// Usage: secret-rules MODULE_DIR VERSION OUTPUT
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// leftOut are rules that would stop a build for what is no secret, or that pkg/secret has itself.
func leftOut() map[string]string {
	return map[string]string{ //nolint:gosec // names of rules
		"authress-service-client-access-key": "the keyword ext_ is in every program",
		"curl-auth-header":                   "commands in documentation, over several lines",
		"curl-auth-user":                     "commands in documentation, over several lines",
		"facebook-access-token":              "a number and any word",
		"flutterwave-public-key":             "public",
		"gcp-api-key":                        "in the page of every app that uses Firebase",
		"jwt":                                "tokens in tests, and public ones",
		"jwt-base64":                         "tokens in tests, and public ones",
		"microsoft-teams-webhook":            "the keyword is not in the token's line",
		"private-key":                        "over several lines; pkg/secret has it",
		"sidekiq-sensitive-url":              "pkg/secret knows passwords in URLs",
		"slack-legacy-workspace-token":       "eight letters after a prefix",
		"sourcegraph-access-token":           "any SHA-1",
		"square-access-token":                "any base64 of zeros",
		"twilio-api-key":                     "any base64 that contains SK and 32 hexadecimal digits",
	}
}

// neighborhood starts the rules that look for a value near a word.
const neighborhood = `[\w.-]{0,50}?`

// config is gitleaks.toml.
type config struct {
	Allowlist allowlist `toml:"allowlist"`
	Rules     []rule    `toml:"rules"`
}

type rule struct {
	ID          string      `toml:"id"`
	Description string      `toml:"description"`
	Regex       string      `toml:"regex"`
	Path        string      `toml:"path"`
	SecretGroup int         `toml:"secretGroup"`
	Entropy     float64     `toml:"entropy"`
	Keywords    []string    `toml:"keywords"`
	Allowlists  []allowlist `toml:"allowlists"`
}

type allowlist struct {
	Description string   `toml:"description"`
	Paths       []string `toml:"paths"`
	Regexes     []string `toml:"regexes"`
	StopWords   []string `toml:"stopwords"`
	RegexTarget string   `toml:"regexTarget"`
	Condition   string   `toml:"condition"`
}

// format is a rule as pkg/secret reads it.
type format struct {
	Name     string   `json:"name"`
	Regex    string   `json:"regex"`
	Keywords []string `json:"keywords"`
	Fold     bool     `json:"fold,omitempty"`
	Entropy  float64  `json:"entropy,omitempty"`
	Allow    []string `json:"allow,omitempty"`
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: secret-rules MODULE_DIR VERSION OUTPUT")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "secret-rules:", err)
		os.Exit(1)
	}
}

func run(module, version, output string) error {
	text, err := os.ReadFile(filepath.Join(module, "config", "gitleaks.toml"))
	if err != nil {
		return err
	}
	license, err := os.ReadFile(filepath.Join(module, "LICENSE"))
	if err != nil {
		return err
	}
	// An unknown key may restrict a rule.
	var rules config
	decoder := toml.NewDecoder(bytes.NewReader(stripHead(text))).DisallowUnknownFields()
	if err := decoder.Decode(&rules); err != nil {
		return fmt.Errorf("read gitleaks.toml: %w", err)
	}
	var formats []format
	dropped := leftOut()
	for _, rule := range rules.Rules {
		if _, drop := dropped[rule.ID]; drop {
			delete(dropped, rule.ID)
			continue
		}
		if rule.Regex == "" || rule.Path != "" || strings.Contains(rule.Regex, neighborhood) {
			continue
		}
		one, err := convert(rule)
		if err != nil {
			return fmt.Errorf("rule %s: %w", rule.ID, err)
		}
		formats = append(formats, one)
	}
	if len(dropped) > 0 {
		return fmt.Errorf("gitleaks no longer has some of leftOut: %v", dropped)
	}
	return os.WriteFile(output, write(version, string(license), formats), 0o644)
}

// stripHead leaves out what is before the first table: settings of the program.
func stripHead(text []byte) []byte {
	if at := bytes.Index(text, []byte("\n[")); at >= 0 {
		return text[at+1:]
	}
	return text
}

// convert checks that pkg/secret can do what a rule asks for.
func convert(rule rule) (format, error) {
	if _, err := regexp.Compile(rule.Regex); err != nil {
		return format{}, err
	}
	if rule.SecretGroup != 0 || len(rule.Keywords) == 0 {
		return format{}, fmt.Errorf("it has a group %d and %d keywords", rule.SecretGroup, len(rule.Keywords))
	}
	one := format{Name: rule.ID, Regex: rule.Regex, Entropy: rule.Entropy}
	one.Keywords, one.Fold = exactCase(rule)
	for _, word := range rule.Keywords {
		if len(word) < 2 || word != strings.ToLower(word) {
			return format{}, fmt.Errorf("the keyword %q is short or not in lower case", word)
		}
	}
	for _, list := range rule.Allowlists {
		one.Allow = append(one.Allow, list.Regexes...)
		if len(list.StopWords) > 0 || list.RegexTarget != "" || list.Condition != "" {
			return format{}, fmt.Errorf("it allows what pkg/secret cannot tell: %+v", list)
		}
	}
	return one, nil
}

// exactCase returns the keywords in the case that the expression asks for, or reports that it has one
// that any case of it may match.
func exactCase(rule rule) (keywords []string, fold bool) {
	literal := strings.ReplaceAll(rule.Regex, `\`, "")
	for _, word := range rule.Keywords {
		if word == "s." { // of Vault before 1.10; in every program
			continue
		}
		at := strings.Index(strings.ToLower(literal), word)
		if at < 0 || strings.Contains(literal[:at], "(?i") {
			return slices.DeleteFunc(slices.Clone(rule.Keywords), func(word string) bool { return word == "s." }), true
		}
		keywords = append(keywords, literal[at:at+len(word)])
	}
	return keywords, false
}

// write returns the file, with a line for each format, so that a diff is readable.
func write(version, license string, formats []format) []byte {
	slices.SortFunc(formats, func(a, b format) int { return strings.Compare(a.Name, b.Name) })
	encode := func(value any) string {
		var out bytes.Buffer
		encoder := json.NewEncoder(&out)
		encoder.SetEscapeHTML(false)
		_ = encoder.Encode(value) // a buffer and plain data
		return strings.TrimSpace(out.String())
	}
	lines := make([]string, len(formats))
	for i, one := range formats {
		lines[i] = "    " + encode(one)
	}
	return fmt.Appendf(nil, "{\n  \"comment\": %s,\n  \"license\": %s,\n  \"formats\": [\n%s\n  ]\n}\n",
		encode("Code generated by hack/secret-rules from github.com/zricethezav/gitleaks "+version+". DO NOT EDIT."),
		encode(license), strings.Join(lines, ",\n"))
}

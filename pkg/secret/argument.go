package secret

import (
	"regexp"
	"strings"
)

// ArgumentError reports a build argument with a secret. It names the argument and not the value.
type ArgumentError struct {
	// Name is the argument.
	Name string
	// Kind is what its value has, as a short phrase.
	Kind string
}

// Error says what is wrong, and not what to do: that depends on who asks for the argument.
func (e *ArgumentError) Error() string {
	return "build argument " + e.Name + " has " + e.Kind + ", and build arguments are not secret: runs, their records and the history of the image show them"
}

// CheckArgument returns an *ArgumentError if the value of a build argument, KEY=VALUE, has a secret:
// a user or a password in a URL, also in one of several URLs, or a token of a known format. It does
// not judge by the name of the argument. Variables such as ${TOKEN} in a URL are no secret.
func CheckArgument(argument string) error {
	name, value, _ := strings.Cut(argument, "=")
	if kind := kindOf(value); kind != "" {
		return &ArgumentError{Name: name, Kind: kind}
	}
	return nil
}

// Arguments returns the names of the build arguments with a secret, in order.
func Arguments(arguments []string) []string {
	var names []string
	for _, argument := range arguments {
		if CheckArgument(argument) != nil {
			name, _, _ := strings.Cut(argument, "=")
			names = append(names, name)
		}
	}
	return names
}

// userinfo matches what is before the host of a URL that is fetched by HTTP, where a user alone is
// often a token. In ssh://git@host it is not.
var userinfo = regexp.MustCompile(`(?i)\bhttps?://([^\s/?#@"'<>]*)@`)

// kindOf returns what a value has, as a short phrase; empty if there is no secret in it.
func kindOf(value string) string {
	for _, match := range userinfo.FindAllStringSubmatch(value, -1) {
		if user := match[1]; user != "" && !strings.HasPrefix(user, "$") {
			return "credentials in a URL"
		}
	}
	if _, _, found := Find(value); found {
		return "what looks like a password or a token"
	}
	return ""
}

// InVariable reports whether a variable holds a secret: its value is one by CheckArgument, or its name
// says so and the value is no switch.
func InVariable(name, value string) bool {
	return kindOf(value) != "" || IsName(name) && !IsHarmless(value)
}

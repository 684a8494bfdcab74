// Package appname derives and validates the names of apps.
package appname

import (
	"fmt"
	"path/filepath"
	"strings"
)

// MaxLength is the longest name of an app: a DNS label of 63 characters, less ten that a
// workload adds to it.
const MaxLength = 53

// FromDir returns the base name of the directory as a DNS label: in lower case, with a hyphen
// for each run of other characters, and "app-" before a leading digit. It returns an empty
// string, which Validate refuses, if no character of the name is usable.
func FromDir(dir string) string {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		absolute = dir
	}
	var name strings.Builder
	for _, char := range strings.ToLower(filepath.Base(absolute)) {
		switch {
		case isLetter(char) || isDigit(char):
			name.WriteRune(char)
		case name.Len() > 0 && !strings.HasSuffix(name.String(), "-"):
			name.WriteByte('-')
		}
	}
	label := name.String()
	if label != "" && isDigit(rune(label[0])) {
		label = "app-" + label
	}
	return strings.TrimRight(label[:min(len(label), MaxLength)], "-")
}

// Validate checks that the name can be that of a Service and a Deployment, and part of the
// name of an image: a DNS label as in RFC 1035, of at most MaxLength characters. The error is
// an *Error.
func Validate(name string) error {
	problem := ""
	switch {
	case name == "":
		problem = "it is empty"
	case len(name) > MaxLength:
		problem = fmt.Sprintf("it has %d characters, more than %d", len(name), MaxLength)
	case !isLetter(rune(name[0])):
		problem = "it does not start with a lower case letter"
	case strings.HasSuffix(name, "-"):
		problem = "it ends with a hyphen"
	default:
		for _, char := range name {
			if !isLetter(char) && !isDigit(char) && char != '-' {
				problem = fmt.Sprintf("it holds %q; only lower case letters, digits and hyphens may be used", char)
				break
			}
		}
	}
	if problem == "" {
		return nil
	}
	return &Error{Name: name, Problem: problem}
}

// Error reports a name that cannot be that of an app.
type Error struct {
	// Name is the name.
	Name string
	// Problem is the reason, as a clause.
	Problem string
}

// Error returns the name and the reason.
func (e *Error) Error() string {
	return fmt.Sprintf("%q cannot be the name of an app: %s", e.Name, e.Problem)
}

func isLetter(char rune) bool { return char >= 'a' && char <= 'z' }
func isDigit(char rune) bool  { return char >= '0' && char <= '9' }

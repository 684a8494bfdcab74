// Package project reads what a source directory says about itself: the name of
// its app, its Dockerfile, its manifests.
package appname

import (
	"fmt"
	"path/filepath"
	"strings"
)

// MaxLength is the longest name of an app: a DNS label of 63 characters with
// ten left for what a workload adds to it.
const MaxLength = 53

// FromDir returns the directory's base name as a DNS label: in lower case, with
// a hyphen for each run of other characters, and "app-" before a leading digit.
// It is empty when nothing of the name can be used; Validate tells.
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

// Validate checks that the name can be that of a Service and a Deployment,
// and a part of an image's name: a DNS label as in RFC 1035, of at most
// MaxLength characters.
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

// Error says that a name can not be that of an app.
type Error struct {
	// Name is the name.
	Name string
	// Problem is what is wrong with it, as a clause.
	Problem string
}

// Error names both.
func (e *Error) Error() string {
	return fmt.Sprintf("%q can not be the name of an app: %s", e.Name, e.Problem)
}

func isLetter(char rune) bool { return char >= 'a' && char <= 'z' }
func isDigit(char rune) bool  { return char >= '0' && char <= '9' }

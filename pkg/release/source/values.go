package source

import (
	"bytes"
	"errors"
	"strings"
)

// Values are what a user sets of the values of a chart. What comes later wins.
type Values struct {
	// Files are YAML files, as helm --values takes them.
	Files []string
	// Set are KEY=VALUE, as helm --set takes them. They win over Files.
	Set []string
}

// IsZero reports whether nothing is set.
func (v Values) IsZero() bool { return len(v.Files) == 0 && len(v.Set) == 0 }

// CheckValues refuses a file of values that is not YAML, has a key twice, or is not one mapping.
// The error is an *Error, and repeats no value.
func CheckValues(file string, text []byte) error {
	documents, err := readYAML(file, text)
	if err != nil {
		var at *Error
		if errors.As(err, &at) && !strings.Contains(at.Err.Error(), "is there twice") {
			return errorAt(file, at.Line, "not valid YAML")
		}
		return err
	}
	for i, one := range documents {
		trimmed := string(bytes.TrimSpace(one.json))
		if trimmed != "" && trimmed != "null" && (trimmed[0] != '{' || i != len(documents)-1) {
			return errorAt(file, one.line, "not values of a chart: one mapping is expected")
		}
	}
	return nil
}

package packaging

import (
	"encoding/csv"
	"strings"
)

// Distribution is an installed package, as the directory NAME-VERSION.dist-info
// records it: https://packaging.python.org/en/latest/specifications/recording-installed-packages.
type Distribution struct {
	Name, Version string
}

// distInfo ends the name of the directory with the records of a distribution.
const distInfo = ".dist-info"

// IsDistInfo reports whether a directory has the records of a distribution, by its
// path.
func IsDistInfo(directory string) bool { return strings.HasSuffix(directory, distInfo) }

// ParseDistInfo returns the distribution whose records a directory has. The name and
// the version are those in the header of METADATA, and those of the directory's name
// where that does not say. metadata are the lines of METADATA, or nil.
func ParseDistInfo(directory string, metadata []string) Distribution {
	base := strings.TrimSuffix(directory[strings.LastIndex(directory, "/")+1:], distInfo)
	name, version, _ := strings.Cut(base, "-")
	d := Distribution{Name: name, Version: version}
	for _, line := range metadata {
		if line == "" {
			break // the description follows
		}
		key, value, _ := strings.Cut(line, ":")
		switch key {
		case "Name":
			d.Name = strings.TrimSpace(value)
		case "Version":
			d.Version = strings.TrimSpace(value)
		}
	}
	return d
}

// ParseRecord returns the path in a line of RECORD, which may lack the hash and the
// size after it; ok is false if the line is not CSV.
func ParseRecord(line string) (path string, ok bool) {
	if !strings.HasPrefix(line, `"`) {
		path, _, _ = strings.Cut(line, ",")
		return path, true
	}
	fields, err := csv.NewReader(strings.NewReader(line)).Read()
	if err != nil || len(fields) == 0 {
		return "", false
	}
	return fields[0], true
}

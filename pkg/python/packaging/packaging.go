// Package packaging reads the files in which Python projects declare and lock their
// dependencies: pyproject.toml, requirements files, Pipfile, setup.cfg and setup.py,
// and the lock files of uv, Poetry and Pipenv. It returns typed values with the file
// and line of each, and decides nothing. It runs no code and opens no file: it parses
// the bytes that it is given.
package packaging

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"path"
	"strings"
	"unicode/utf16"
)

// ReadFile returns the content of a file of a project, by its path with slashes. ok is
// false if the file does not exist or is not to be read.
type ReadFile func(name string) (content []byte, ok bool)

// Position is a place in a file of a project.
type Position struct {
	// File is the path of the file, with slashes; empty if the place is not known.
	File string
	// Line counts from 1; 0 is the file as a whole.
	Line int
}

// IsZero reports whether the place is not known.
func (p Position) IsZero() bool { return p == Position{} }

// String returns file:line, or the file alone without a line.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// FileError reports a file that cannot be understood.
type FileError struct {
	Position
	// Err is the cause.
	Err error
}

// Error returns the position and the cause.
func (e *FileError) Error() string { return fmt.Sprintf("%s: %v", e.Position, e.Err) }

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }

// Text returns the content of a text file as UTF-8 without a byte order mark. A mark
// of UTF-16, as PowerShell writes it, selects that encoding.
func Text(content []byte) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(content, []byte("\xff\xfe")):
		order = binary.LittleEndian
	case bytes.HasPrefix(content, []byte("\xfe\xff")):
		order = binary.BigEndian
	default:
		return bytes.TrimPrefix(content, []byte("\ufeff"))
	}
	var units []uint16
	for i := 2; i+1 < len(content); i += 2 {
		units = append(units, order.Uint16(content[i:]))
	}
	return []byte(string(utf16.Decode(units)))
}

// joinPath returns a path that is written relative to a directory; an absolute one and a URL
// stay.
func joinPath(dir, where string) string {
	if path.IsAbs(where) || strings.Contains(where, "://") {
		return where
	}
	return path.Join(dir, where)
}

// FindText returns the position of the first line that contains text, or the file as
// a whole if none does.
func FindText(file string, content []byte, text string) Position {
	at := bytes.Index(content, []byte(text))
	if at < 0 || text == "" {
		return Position{File: file}
	}
	return Position{File: file, Line: 1 + bytes.Count(content[:at], []byte("\n"))}
}

// findKey returns the position of a key of a TOML table, or the file as a whole if
// the key is not written as a line of that table. The key is compared as NormalizeName
// returns it.
func findKey(file string, content []byte, table, key string) Position {
	within := table == ""
	for i, line := range strings.Split(string(content), "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			within = strings.Trim(line, "[] ") == table
			continue
		}
		name, _, ok := strings.Cut(line, "=")
		if within && ok && NormalizeName(strings.Trim(strings.TrimSpace(name), `"'`)) == key {
			return Position{File: file, Line: i + 1}
		}
	}
	return Position{File: file}
}

// Package pyproject reads pyproject.toml, and in it the settings of this program:
// the table [tool.kubectl-pyflow].
package settings

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// File is the name of the file in a project's directory.
const File = "pyproject.toml"

// Error says where a TOML file is wrong.
type Error struct {
	// Path is the file's, as it was given.
	Path string
	// Line and Column count from 1, columns in characters; both are 0 when the place
	// is not known.
	Line, Column int
	// Text is the line as it is in the file, without its end; empty when it may hold
	// what is not to be shown.
	Text string
	// Err is what is wrong there.
	Err error
}

// Error is path:line:column: and the cause, as compilers print it.
func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %v", e.Path, e.Err)
	}
	return fmt.Sprintf("%s:%d:%d: %v", e.Path, e.Line, e.Column, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Decode reads a TOML file's content into a struct or a map; keys that the struct
// does not have are passed over, and so is a byte order mark at the start. path is
// for errors, which hold an *Error with the line and column of what is not TOML, or
// is not of the type that into asks for.
func Decode(path string, content []byte, into any) error {
	if bytes.HasPrefix(content, []byte("\xff\xfe")) || bytes.HasPrefix(content, []byte("\xfe\xff")) {
		return &Error{Path: path, Line: 1, Column: 1, Err: errors.New("it is UTF-16, and TOML has to be UTF-8: save it as that")}
	}
	content = withoutMark(content)
	err := toml.Unmarshal(content, into)
	if err == nil {
		return nil
	}
	// How Go says that a number is too large repeats the number, and what no key starts
	// with is a byte.
	cause, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "toml: "), ": strconv.")
	if start := "invalid character at start of key"; strings.HasPrefix(cause, start) {
		cause = start
	}
	failure := &Error{Path: path, Err: errors.New(cause)}
	if toml.Unmarshal(content, &map[string]any{}) == nil {
		if v, problem := misfit(parse(content), reflect.TypeOf(into), ""); v != nil {
			failure.Err = errors.New(problem)
			failure.at(content, v.offset)
			return failure
		}
	}
	var decode *toml.DecodeError
	offset := 0
	if errors.As(err, &decode) {
		line, column := decode.Position()
		offset = lineStart(content, line) + column - 1
	}
	known := offset > 0
	if !known {
		offset, known = refused(content)
	}
	if known {
		failure.at(content, offset)
	}
	return failure
}

// misfit is the first value that is not of the type that there is for it, and what is
// wrong with it; nil when there is none.
func misfit(v *value, into reflect.Type, path string) (*value, string) {
	kinds := map[reflect.Kind]unstable.Kind{
		reflect.Struct: unstable.Table, reflect.Map: unstable.Table, reflect.Slice: unstable.Array, reflect.String: unstable.String, reflect.Bool: unstable.Bool,
	}
	kind, known := kinds[into.Kind()]
	switch {
	case into.Kind() == reflect.Pointer:
		return misfit(v, into.Elem(), path)
	case !known:
		return nil, ""
	case v.kind != kind:
		return v, path + ": " + v.insteadOf(kind)
	}
	for _, element := range v.elements {
		entry := path
		if element.kind != unstable.Table || into.Elem().Kind() != reflect.Struct {
			entry = "an entry of " + path
		}
		if wrong, problem := misfit(element, into.Elem(), entry); wrong != nil {
			return wrong, problem
		}
	}
	for _, key := range v.keys {
		var of reflect.Type
		if into.Kind() == reflect.Map {
			of = into.Elem()
		} else if field, ok := fieldsOf(reflect.New(into).Elem())[strings.ToLower(key)]; ok {
			of = field.Type()
		} else {
			continue
		}
		if wrong, problem := misfit(v.children[key], of, below(path, key)); wrong != nil {
			return wrong, problem
		}
	}
	return nil, ""
}

// withoutMark cuts off the byte order mark that some editors write.
func withoutMark(content []byte) []byte {
	return bytes.TrimPrefix(content, []byte("\ufeff"))
}

// at sets the place to that of an offset in bytes.
func (e *Error) at(content []byte, offset int) {
	offset = min(max(offset, 0), len(content))
	start := bytes.LastIndexByte(content[:offset], '\n') + 1
	line, _, _ := bytes.Cut(content[start:], []byte("\n"))
	e.Line = bytes.Count(content[:offset], []byte("\n")) + 1
	e.Column = utf8.RuneCount(content[start:offset]) + 1
	e.Text = string(bytes.TrimSuffix(line, []byte("\r")))
}

// lineStart is the offset of a line that counts from 1.
func lineStart(content []byte, line int) int {
	start := 0
	for range line - 1 {
		start += bytes.IndexByte(content[start:], '\n') + 1
	}
	return start
}

// refused finds what the decoder gives no place for, or the start of the file: keys
// that there are already, and whatever the file ends in the midst of. It is the
// first expression up to which the content is refused.
func refused(content []byte) (int, bool) {
	var starts []int
	end := 0
	parser := unstable.Parser{}
	parser.Reset(content)
	for parser.NextExpression() {
		expression := parser.Expression()
		key := expression.Key()
		key.Next()
		starts = append(starts, int(key.Node().Raw.Offset))
		end = max(int(expression.Raw.Offset+expression.Raw.Length), starts[len(starts)-1])
	}
	if parser.Error() != nil {
		starts = append(starts, nextExpression(content, end))
	}
	first := sort.Search(len(starts), func(i int) bool {
		end := len(content)
		if i+1 < len(starts) {
			end = bytes.LastIndexByte(content[:starts[i+1]], '\n') + 1
		}
		return toml.Unmarshal(content[:end], &map[string]any{}) != nil
	})
	if first == len(starts) {
		return 0, false
	}
	return starts[first], true
}

// nextExpression is where one starts, after the line of an offset that is not 0.
func nextExpression(content []byte, offset int) int {
	rest := content[offset:]
	if offset > 0 {
		_, rest, _ = bytes.Cut(rest, []byte("\n"))
	}
	for {
		rest = bytes.TrimLeft(rest, " \t\r\n")
		if len(rest) == 0 || rest[0] != '#' {
			return len(content) - len(rest)
		}
		_, rest, _ = bytes.Cut(rest, []byte("\n"))
	}
}

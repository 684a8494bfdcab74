// Package toml reads TOML files, and reports what is wrong in them with its place.
package toml

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"sort"
	"strings"
	"unicode/utf8"

	gotoml "github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// Error reports a mistake in a TOML file and its place.
type Error struct {
	// Path is the path of the file, as given.
	Path string
	// Line and Column count from 1, columns in characters. Both are 0 if the place is not
	// known.
	Line, Column int
	// Text is the line in the file, without its end. It is empty if the line may hold a secret.
	Text string
	// Err is the cause.
	Err error
}

// Error returns path:line:column: and the cause, as compilers print it.
func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %v", e.Path, e.Err)
	}
	return fmt.Sprintf("%s:%d:%d: %v", e.Path, e.Line, e.Column, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Decode reads the content of a TOML file into a struct or a map. It ignores keys that the
// struct does not have, and a byte order mark. path is used in errors, which hold an *Error
// with the line and column of what is not TOML, or not of the type in into.
func Decode(path string, content []byte, into any) error {
	if bytes.HasPrefix(content, []byte("\xff\xfe")) || bytes.HasPrefix(content, []byte("\xfe\xff")) {
		return &Error{Path: path, Line: 1, Column: 1, Err: errors.New("the file is UTF-16 and TOML must be UTF-8: save it as UTF-8")}
	}
	content = WithoutMark(content)
	err := gotoml.Unmarshal(content, into)
	if err == nil {
		return nil
	}
	// Go's error for a number that is too large repeats the number, and the error for an
	// invalid start of a key ends with a byte.
	cause, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "toml: "), ": strconv.")
	if start := "invalid character at start of key"; strings.HasPrefix(cause, start) {
		cause = start
	}
	if gotoml.Unmarshal(content, &map[string]any{}) == nil {
		if v, problem := misfit(Parse(content), reflect.TypeOf(into), ""); v != nil {
			failure := At(path, content, v.Offset)
			failure.Err = errors.New(problem)
			return failure
		}
	}
	var decode *gotoml.DecodeError
	offset := 0
	if errors.As(err, &decode) {
		line, column := decode.Position()
		offset = lineStart(content, line) + column - 1
	}
	known := offset > 0
	if !known {
		offset, known = refused(content)
	}
	failure := &Error{Path: path}
	if known {
		failure = At(path, content, offset)
	}
	failure.Err = errors.New(cause)
	return failure
}

// misfit returns the first value that has another type than its field, and what is wrong with
// it. It returns nil if there is none.
func misfit(v *Value, into reflect.Type, path string) (*Value, string) {
	kinds := map[reflect.Kind]Kind{
		reflect.Struct: Table, reflect.Map: Table, reflect.Slice: Array, reflect.String: String, reflect.Bool: Bool,
	}
	kind, known := kinds[into.Kind()]
	switch {
	case into.Kind() == reflect.Pointer:
		return misfit(v, into.Elem(), path)
	case !known:
		return nil, ""
	case v.Kind != kind:
		return v, path + ": " + v.InsteadOf(kind)
	}
	for _, element := range v.Elements {
		entry := path
		if element.Kind != Table || into.Elem().Kind() != reflect.Struct {
			entry = "an entry of " + path
		}
		if wrong, problem := misfit(element, into.Elem(), entry); wrong != nil {
			return wrong, problem
		}
	}
	for _, key := range v.Keys {
		var of reflect.Type
		if into.Kind() == reflect.Map {
			of = into.Elem()
		} else if field, ok := Fields(reflect.New(into).Elem())[strings.ToLower(key)]; ok {
			of = field.Type()
		} else {
			continue
		}
		if wrong, problem := misfit(v.Children[key], of, Join(path, key)); wrong != nil {
			return wrong, problem
		}
	}
	return nil, ""
}

// WithoutMark cuts off the byte order mark that some editors write.
func WithoutMark(content []byte) []byte {
	return bytes.TrimPrefix(content, []byte("\ufeff"))
}

// At returns an Error without a cause, at the place of an offset in bytes.
func At(path string, content []byte, offset int) *Error {
	e := &Error{Path: path}
	offset = min(max(offset, 0), len(content))
	start := bytes.LastIndexByte(content[:offset], '\n') + 1
	line, _, _ := bytes.Cut(content[start:], []byte("\n"))
	e.Line = bytes.Count(content[:offset], []byte("\n")) + 1
	e.Column = utf8.RuneCount(content[start:offset]) + 1
	e.Text = string(bytes.TrimSuffix(line, []byte("\r")))
	return e
}

// lineStart returns the offset of a line. Lines count from 1.
func lineStart(content []byte, line int) int {
	start := 0
	for range line - 1 {
		start += bytes.IndexByte(content[start:], '\n') + 1
	}
	return start
}

// refused finds a mistake for which the decoder reports no place, or the start of the file:
// duplicate keys, and an unexpected end of the file. It returns the offset of the first
// expression with which the decoder refuses the content.
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
		return gotoml.Unmarshal(content[:end], &map[string]any{}) != nil
	})
	if first == len(starts) {
		return 0, false
	}
	return starts[first], true
}

// nextExpression returns the offset of the next expression, after the line of an offset that is
// not 0.
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

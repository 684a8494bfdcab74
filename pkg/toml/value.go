package toml

import (
	"cmp"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// Kind is the type of a value.
type Kind = unstable.Kind

// The kinds of values; any other is that of a date or a time.
const (
	String  = unstable.String
	Integer = unstable.Integer
	Float   = unstable.Float
	Bool    = unstable.Bool
	Array   = unstable.Array
	Table   = unstable.Table
)

// Value is a table or value in a TOML file, with the place of its key.
type Value struct {
	// Kind is Table for every notation of a table, and Array also for an array of tables.
	Kind Kind
	// Text is the text of a string or a number.
	Text string
	// Offset is the offset of the key in bytes; for a dotted key, that of its last part.
	Offset int
	// Keys are the keys of a table, in order, and Children its values.
	Keys     []string
	Children map[string]*Value
	// Elements are those of an array. An element without a place of its own has the place of
	// the array.
	Elements []*Value
}

// Parse reads content that the decoder accepts.
func Parse(content []byte) *Value {
	root := &Value{Kind: Table}
	table := root
	parser := unstable.Parser{}
	parser.Reset(content)
	for parser.NextExpression() {
		switch expression := parser.Expression(); expression.Kind {
		case unstable.Table:
			table = root.find(expression.Key())
		case unstable.ArrayTable:
			array := root.find(expression.Key())
			array.Kind = Array
			table = array.append(0)
		case unstable.KeyValue:
			table.set(expression)
		}
	}
	return root
}

// find returns the value of a key, and creates missing tables.
func (v *Value) find(key unstable.Iterator) *Value {
	for key.Next() {
		node := key.Node()
		if last := len(v.Elements) - 1; last >= 0 {
			v = v.Elements[last]
		}
		child, ok := v.Children[string(node.Data)]
		if !ok {
			child = &Value{Kind: Table, Offset: int(node.Raw.Offset)}
			if v.Children == nil {
				v.Children = map[string]*Value{}
			}
			v.Children[string(node.Data)] = child
			v.Keys = append(v.Keys, string(node.Data))
		}
		v = child
	}
	return v
}

func (v *Value) set(expression *unstable.Node) {
	v.find(expression.Key()).take(expression.Value())
}

func (v *Value) take(node *unstable.Node) {
	children := node.Children()
	switch node.Kind {
	case unstable.InlineTable:
		for children.Next() {
			v.set(children.Node())
		}
	case unstable.Array:
		v.Kind = Array
		for children.Next() {
			v.append(int(children.Node().Raw.Offset)).take(children.Node())
		}
	default:
		v.Kind, v.Text = node.Kind, string(node.Data)
	}
}

// append adds a table to an array, and turns another value into an array.
func (v *Value) append(offset int) *Value {
	element := &Value{Kind: Table, Offset: cmp.Or(offset, v.Offset)}
	v.Elements = append(v.Elements, element)
	return element
}

// InsteadOf returns the message for a value of another type than the wanted one.
func (v *Value) InsteadOf(kind Kind) string {
	text := fmt.Sprintf("is %s and must be %s", kindName(v.Kind), kindName(kind))
	if kind == String && v.Kind != Table && v.Kind != Array {
		text += ": put it in quotes"
	}
	return text
}

func kindName(kind Kind) string {
	names := map[Kind]string{
		String: "a string", Integer: "an integer", Float: "a number with a point", Bool: "a boolean", Array: "an array", Table: "a table",
	}
	return cmp.Or(names[kind], "a date or a time")
}

// Fields returns the fields of a struct by their keys.
func Fields(into reflect.Value) map[string]reflect.Value {
	fields := map[string]reflect.Value{}
	for i := range into.NumField() {
		if key, ok := into.Type().Field(i).Tag.Lookup("toml"); ok {
			fields[key] = into.Field(i)
		}
	}
	return fields
}

// Join returns the dotted name of a key in a table, as TOML writes it.
func Join(path, key string) string {
	bare := func(char rune) bool {
		return char >= 'a' && char <= 'z' || char >= 'A' && char <= 'Z' || char >= '0' && char <= '9' || char == '-' || char == '_'
	}
	if key == "" || strings.ContainsFunc(key, func(char rune) bool { return !bare(char) }) {
		key = strconv.Quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

package settings

import (
	"cmp"

	"github.com/pelletier/go-toml/v2/unstable"
)

// value is a table or value in a TOML file, with the place of its key.
type value struct {
	// kind is Table for every notation of a table, and Array also for an array of tables.
	kind unstable.Kind
	// text is the text of a string or a number.
	text string
	// offset is the offset of the key in bytes; for a dotted key, that of its last part.
	offset int
	// keys are the keys of a table, in order.
	keys     []string
	children map[string]*value
	// elements are those of an array. An element without a place of its own has the place of
	// the array.
	elements []*value
}

// parse reads content that the decoder accepts.
func parse(content []byte) *value {
	root := &value{kind: unstable.Table}
	table := root
	parser := unstable.Parser{}
	parser.Reset(content)
	for parser.NextExpression() {
		switch expression := parser.Expression(); expression.Kind {
		case unstable.Table:
			table = root.find(expression.Key())
		case unstable.ArrayTable:
			array := root.find(expression.Key())
			array.kind = unstable.Array
			table = array.append(0)
		case unstable.KeyValue:
			table.set(expression)
		}
	}
	return root
}

// find returns the value of a key, and creates missing tables.
func (v *value) find(key unstable.Iterator) *value {
	for key.Next() {
		node := key.Node()
		if last := len(v.elements) - 1; last >= 0 {
			v = v.elements[last]
		}
		child, ok := v.children[string(node.Data)]
		if !ok {
			child = &value{kind: unstable.Table, offset: int(node.Raw.Offset)}
			if v.children == nil {
				v.children = map[string]*value{}
			}
			v.children[string(node.Data)] = child
			v.keys = append(v.keys, string(node.Data))
		}
		v = child
	}
	return v
}

func (v *value) set(expression *unstable.Node) {
	v.find(expression.Key()).take(expression.Value())
}

func (v *value) take(node *unstable.Node) {
	children := node.Children()
	switch node.Kind {
	case unstable.InlineTable:
		for children.Next() {
			v.set(children.Node())
		}
	case unstable.Array:
		v.kind = unstable.Array
		for children.Next() {
			v.append(int(children.Node().Raw.Offset)).take(children.Node())
		}
	default:
		v.kind, v.text = node.Kind, string(node.Data)
	}
}

// append adds a table to an array, and turns another value into an array.
func (v *value) append(offset int) *value {
	element := &value{kind: unstable.Table, offset: cmp.Or(offset, v.offset)}
	v.elements = append(v.elements, element)
	return element
}

package project

import (
	"fmt"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/settings"
)

// Kind is who decided a value, from the strongest to the weakest. The empty Kind is that
// of a value that is not set.
type Kind string

// The kinds.
const (
	// Flag is the command line.
	Flag Kind = "flag"
	// Setting is the table [tool.kubectl-pyflow] of pyproject.toml.
	Setting Kind = "settings"
	// Detected is another file of the folder.
	Detected Kind = "detected"
	// Default is this program.
	Default Kind = "default"
)

// Origin is where a value comes from.
type Origin struct {
	Kind Kind
	// Where is the place: "--port" for a flag, "pyproject.toml:12" for a setting, and for
	// what was detected a file with or without a line, such as "main.py:3" or
	// "Dockerfile:7 EXPOSE". It may be empty for a default.
	Where string
}

// String returns the place, or "default".
func (o Origin) String() string {
	if o.Where == "" {
		return string(o.Kind)
	}
	return o.Where
}

// wrap returns err with the place of the value that it is about. For a flag it is an
// *OptionError; for a setting it names the key, too.
func (o Origin) wrap(key string, err error) error {
	switch o.Kind {
	case Flag:
		return optionErrorf("%s: %w", o, err)
	case Setting:
		return fmt.Errorf("%s: %s.%s: %w", o, settings.Table, key, err)
	case Detected, Default:
	}
	return err
}

// Value is a value and who decided it.
type Value[T any] struct {
	Value  T
	Origin Origin
}

// IsSet reports whether anything decided the value.
func (v Value[T]) IsSet() bool { return v.Origin.Kind != "" }

// Values returns the plain values of a map, nil for an empty one.
func Values[K comparable, V any](values map[K]Value[V]) map[K]V {
	if len(values) == 0 {
		return nil
	}
	plain := make(map[K]V, len(values))
	for key, value := range values {
		plain[key] = value.Value
	}
	return plain
}

// Plain returns the plain values of a list.
func Plain[V any](values []Value[V]) []V {
	var plain []V
	for _, value := range values {
		plain = append(plain, value.Value)
	}
	return plain
}

// first returns the first value that is set. It is where the order flag, setting,
// detected, default is applied: candidates are passed in that order.
func first[T any](candidates ...Value[T]) Value[T] {
	for _, candidate := range candidates {
		if candidate.IsSet() {
			return candidate
		}
	}
	return Value[T]{}
}

// flag returns the value of a flag, not set if it is zero.
func flag[T comparable](name string, value T) Value[T] {
	var zero T
	return valueIf(value != zero, value, Origin{Flag, "--" + name})
}

// setting returns the value of a key, not set if it is not in the file.
func setting[T any](table *settings.Settings, key string, value T) Value[T] {
	where := table.Where(key)
	return valueIf(where != "", value, Origin{Setting, where})
}

// byDefault returns a default.
func byDefault[T any](value T) Value[T] { return Value[T]{value, Origin{Kind: Default}} }

func valueIf[T any](set bool, value T, origin Origin) Value[T] {
	if !set {
		return Value[T]{}
	}
	return Value[T]{value, origin}
}

// merge returns the entries of a setting that is a table, and over them those of a flag.
func merge[K ~string, V any](name string, given map[K]V, table *settings.Settings, key string, set map[K]V) map[K]Value[V] {
	merged := map[K]Value[V]{}
	for entry, value := range set {
		merged[entry] = Value[V]{value, Origin{Setting, table.WhereIn(key, string(entry))}}
	}
	for entry, value := range given {
		merged[entry] = Value[V]{value, Origin{Flag, "--" + name}}
	}
	if len(merged) == 0 {
		return nil
	}
	return merged
}

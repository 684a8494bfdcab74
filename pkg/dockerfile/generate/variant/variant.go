// Package variant lists the variants of a generated Dockerfile: the one list that
// settings, flags and the generator use.
package variant

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Variant is a way to make an image of the same service.
type Variant string

// The variants.
const (
	// Bloated is how it is often done: the baseline that the others are compared with,
	// with comments about what each part costs.
	Bloated Variant = "bloated"
	// Slim has a stage for building and one for running, on python:X-slim.
	Slim Variant = "slim"
	// Distroless is Slim on an image that has Python and nothing else: no shell, no package
	// manager.
	Distroless Variant = "distroless"
)

// ErrUnknown means that there is no such variant.
var ErrUnknown = errors.New("unknown variant")

// All returns the variants, the largest image first.
func All() []Variant { return []Variant{Bloated, Slim, Distroless} }

// Names returns the names of the variants, the largest image first.
func Names() []string {
	var names []string
	for _, variant := range All() {
		names = append(names, string(variant))
	}
	return names
}

// Choice returns the names as help and errors list them: a, b or c.
func Choice() string {
	names := Names()
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// Parse reads the name of a variant; empty is Slim. An error holds ErrUnknown.
func Parse(name string) (Variant, error) {
	variant := cmp.Or(Variant(name), Slim)
	if !slices.Contains(All(), variant) {
		return "", fmt.Errorf("%w %q: choose %s", ErrUnknown, name, Choice())
	}
	return variant, nil
}

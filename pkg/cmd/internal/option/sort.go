package option

import (
	"cmp"
	"fmt"
	"slices"

	"k8s.io/client-go/util/jsonpath"
)

// Sort sorts items by the field of --sort-by; items without it come first. Without
// --sort-by it leaves them as they are.
func Sort[T any](o *Output, items []T) error {
	if o.sortBy == "" {
		return nil
	}
	path, err := parsePath(o.sortBy)
	if err != nil {
		return Usagef("--sort-by: %w", err)
	}
	type keyed struct {
		key  any
		item T
	}
	keys := make([]keyed, len(items))
	for i, item := range items {
		key, err := sortKey(path, item)
		if err != nil {
			return fmt.Errorf("sort by %s: %w", o.sortBy, err)
		}
		keys[i] = keyed{key, item}
	}
	slices.SortStableFunc(keys, func(a, b keyed) int { return compare(a.key, b.key) })
	for i, key := range keys {
		items[i] = key.item
	}
	return nil
}

// checkSort returns a UsageError for a --sort-by that is not a field.
func (o *Output) checkSort() error {
	if o.sortBy == "" {
		return nil
	}
	if _, err := parsePath(o.sortBy); err != nil {
		return Usagef("--sort-by: %w", err)
	}
	return nil
}

func sortKey(path *jsonpath.JSONPath, item any) (any, error) {
	content, err := plain(item)
	if err != nil {
		return nil, err
	}
	if found := values(path, content); len(found) > 0 {
		return found[0], nil
	}
	return nil, nil
}

// compare orders numbers by their value and all else as text; nothing comes first.
func compare(a, b any) int {
	if a == nil || b == nil {
		return cmp.Compare(presence(a), presence(b))
	}
	if x, ok := number(a); ok {
		if y, ok := number(b); ok {
			return cmp.Compare(x, y)
		}
	}
	return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b))
}

func presence(value any) int {
	if value == nil {
		return 0
	}
	return 1
}

func number(value any) (float64, bool) {
	switch n := value.(type) {
	case int64:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}

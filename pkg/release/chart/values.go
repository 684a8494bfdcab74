package chart

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/strvals"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/source"
)

// merge returns the values that a user sets as one table. No error repeats a value.
func merge(layers []source.Values) (map[string]any, error) {
	merged := map[string]any{}
	for _, layer := range layers {
		for _, file := range layer.Files {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("read the values: %w", err)
			}
			if err := source.CheckValues(file, text); err != nil {
				return nil, err
			}
			values, err := readValues(text)
			if err != nil {
				return nil, fmt.Errorf("%s: not a file of values", file)
			}
			merged = loader.MergeMaps(merged, values)
		}
		for _, set := range layer.Set {
			key, _, ok := strings.Cut(set, "=")
			if !ok || key == "" {
				return nil, errors.New("a value of the chart is not KEY=VALUE, as helm --set takes it")
			}
			if err := strvals.ParseInto(set, merged); err != nil {
				return nil, fmt.Errorf("the value of %s of the chart cannot be read: write it as helm --set takes it, with a backslash before each comma", key)
			}
		}
	}
	return merged, nil
}

// minHidden is the length from which a value is hidden in errors: shorter ones are no secrets,
// and are parts of other words.
const minHidden = 6

// hidden returns the texts among values, the longest first.
func hidden(values map[string]any) []string {
	var texts []string
	var collect func(value any)
	collect = func(value any) {
		switch value := value.(type) {
		case string:
			for line := range strings.Lines(value) {
				if line = strings.TrimSpace(line); len(line) >= minHidden {
					texts = append(texts, line)
				}
			}
		case map[string]any:
			for _, inner := range value {
				collect(inner)
			}
		case []any:
			for _, inner := range value {
				collect(inner)
			}
		}
	}
	collect(values)
	slices.SortFunc(texts, func(a, b string) int { return len(b) - len(a) })
	return texts
}

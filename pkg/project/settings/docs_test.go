package settings_test

import (
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/settings"
)

const docs = "../../../docs/settings.md"

func TestDocsHaveTheSettings(t *testing.T) {
	text, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "\n| key | type | default | flag of `build` | what it is |\n")
	if !ok {
		t.Fatal("there is no table of all settings")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	want, got := kinds(t, reflect.TypeFor[settings.Settings](), ""), map[string]string{}
	flag := regexp.MustCompile("^`--[a-z-]+( .+)?`$")
	for _, row := range strings.Split(table, "\n")[1:] {
		cells := strings.Split(strings.Trim(row, "|"), "|")
		if len(cells) != 5 {
			t.Fatalf("a row of %d cells: %s", len(cells), row)
		}
		for i := range cells {
			if cells[i] = strings.TrimSpace(cells[i]); cells[i] == "" {
				t.Errorf("an empty cell: %s", row)
			}
		}
		key := strings.Trim(cells[0], "`")
		if _, twice := got[key]; twice {
			t.Errorf("%s is there twice", key)
		}
		if got[key] = cells[1]; !flag.MatchString(cells[3]) {
			t.Errorf("%s is not a flag", cells[3])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if got[key] != want[key] {
			t.Errorf("%s is a %s, and a %q in %s", key, want[key], got[key], docs)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[key]; !ok {
			t.Errorf("%s has %s, which is no setting", docs, key)
		}
	}
}

func TestDocsExample(t *testing.T) {
	text, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) == 0 {
		t.Fatal("there is no example")
	}
	table, err := settings.Parse([]byte(blocks[0][1]))
	if err != nil {
		t.Fatal(err)
	}
	if table.Where("entrypoint") == "" {
		t.Error("the first example has no settings")
	}
	for _, block := range blocks[1:] {
		if err := toml.Unmarshal([]byte(block[1]), &map[string]any{}); err != nil {
			t.Errorf("%v:\n%s", err, block[1])
		}
	}
}

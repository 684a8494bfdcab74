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

const (
	docs        = "../../../docs/settings.md"
	processDocs = "../../../docs/processes.md"
)

func TestDocsHaveTheSettings(t *testing.T) {
	flag := regexp.MustCompile("^(`--[a-z-]+( .+)?`|none)$")
	for _, test := range []struct {
		file, head string
		want       map[string]string
		// fourth is what the fourth column has.
		fourth *regexp.Regexp
	}{
		{docs, "| key | type | default | flag of `build` | what it is |", kinds(t, reflect.TypeFor[settings.Settings](), ""), flag},
		{processDocs, "| key | type | default | of | what it is |", kinds(t, reflect.TypeFor[settings.Process](), ""), regexp.MustCompile(".")},
	} {
		got := map[string]string{}
		for _, cells := range rows(t, test.file, test.head) {
			key := strings.Trim(cells[0], "`")
			if _, twice := got[key]; twice {
				t.Errorf("%s is there twice", key)
			}
			if got[key] = cells[1]; !test.fourth.MatchString(cells[3]) {
				t.Errorf("%s is not a flag", cells[3])
			}
		}
		for _, key := range slices.Sorted(maps.Keys(test.want)) {
			if got[key] != test.want[key] {
				t.Errorf("%s is a %s, and a %q in %s", key, test.want[key], got[key], test.file)
			}
		}
		for _, key := range slices.Sorted(maps.Keys(got)) {
			if _, ok := test.want[key]; !ok {
				t.Errorf("%s has %s, which is no setting", test.file, key)
			}
		}
	}
}

// rows returns the cells of a table, which has a cell for each of those of its head.
func rows(t *testing.T, file, head string) [][]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "\n"+head+"\n")
	if !ok {
		t.Fatalf("%s has no table of settings", file)
	}
	table, _, _ = strings.Cut(table, "\n\n")
	var all [][]string
	for _, row := range strings.Split(table, "\n")[1:] {
		cells := strings.Split(strings.Trim(row, "|"), "|")
		if len(cells) != strings.Count(head, "|")-1 {
			t.Fatalf("a row of %d cells: %s", len(cells), row)
		}
		for i := range cells {
			if cells[i] = strings.TrimSpace(cells[i]); cells[i] == "" {
				t.Errorf("an empty cell: %s", row)
			}
		}
		all = append(all, cells)
	}
	return all
}

func TestDocsExample(t *testing.T) {
	for file, key := range map[string]string{docs: "entrypoint", processDocs: "processes.release"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		blocks := regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllStringSubmatch(string(text), -1)
		if len(blocks) == 0 {
			t.Fatalf("%s has no example", file)
		}
		table, err := settings.Parse([]byte(blocks[0][1]))
		if err != nil {
			t.Fatal(err)
		}
		if table.Where(key) == "" {
			t.Errorf("the first example of %s has no settings", file)
		}
		for _, block := range blocks[1:] {
			if err := toml.Unmarshal([]byte(block[1]), &map[string]any{}); err != nil {
				t.Errorf("%v:\n%s", err, block[1])
			}
		}
	}
}

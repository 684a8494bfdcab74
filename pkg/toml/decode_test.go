package toml_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/toml"
)

func TestDecode(t *testing.T) {
	type project struct {
		Project struct {
			Name    string              `toml:"name"`
			Needs   []string            `toml:"needs"`
			Extras  map[string][]string `toml:"extras"`
			Dynamic bool                `toml:"dynamic"`
		} `toml:"project"`
		Packages *[]struct {
			Name  string `toml:"name"`
			Needs []struct {
				Name string `toml:"name"`
			} `toml:"needs"`
			Other any `toml:"other"`
		} `toml:"package"`
	}
	for name, content := range map[string]string{
		"other keys":        "[build-system]\nrequires = []\n[project]\nname = \"hiking\"\nversion = \"1\"\n",
		"Windows":           "[project]\r\nname = \"hiking\"\r\n",
		"a byte order mark": "\ufeff[project]\nname = \"hiking\"\n",
		"dotted":            "project.name = 'hiking'",
	} {
		t.Run(name, func(t *testing.T) {
			var into project
			if err := toml.Decode("pyproject.toml", []byte(content), &into); err != nil || into.Project.Name != "hiking" {
				t.Errorf("got %q, %v", into.Project.Name, err)
			}
		})
	}
	for name, test := range map[string]struct{ content, want, text string }{
		"not closed":             {"[project]\nname = \"hiking\n", `a/b.toml:2:15: basic strings cannot have new lines`, `name = "hiking`},
		"Windows":                {"[project]\r\nname = \r\n", "a/b.toml:2:8: incomplete number", "name = "},
		"the type":               {"[project]\nname = 1\n", "a/b.toml:2:1: project.name: is an integer and must be a string: put it in quotes", "name = 1"},
		"a table":                {"[project.name]\na = 1\n", "a/b.toml:1:10: project.name: is a table and must be a string", "[project.name]"},
		"no table":               {"project = ['a']\n", "a/b.toml:1:1: project: is an array and must be a table", "project = ['a']"},
		"an array of tables":     {"[[project]]\nname = 'a'\n", "a/b.toml:1:3: project: is an array and must be a table", "[[project]]"},
		"no array":               {"[project]\nneeds = 'ä'\n", "a/b.toml:2:1: project.needs: is a string and must be an array", "needs = 'ä'"},
		"an entry":               {"[project]\nneeds = [\n'a', 3]\n", "a/b.toml:3:6: an entry of project.needs: is an integer and must be a string: put it in quotes", "'a', 3]"},
		"an entry's table":       {"[project]\nneeds = [{a = 1}]\n", "a/b.toml:2:10: an entry of project.needs: is a table and must be a string", "needs = [{a = 1}]"},
		"a member":               {"[project.extras]\n'x y' = 2020-01-01\n", "a/b.toml:2:1: project.extras.\"x y\": is a date or a time and must be an array", "'x y' = 2020-01-01"},
		"a boolean":              {"project.Dynamic = 'no'\n", "a/b.toml:1:9: project.Dynamic: is a string and must be a boolean", "project.Dynamic = 'no'"},
		"the second table":       {"[[package]]\nname = 'a'\nother = [1, {a = [2]}]\n[[package]]\n[[package.needs]]\nname = 1.5\n", "a/b.toml:6:1: package.needs.name: is a number with a point and must be a string", "name = 1.5"},
		"UTF-16":                 {"\xff\xfea\x00", "a/b.toml:1:1: the file is UTF-16 and TOML must be UTF-8", ""},
		"no ASCII":               {"a = 1\nß = 1\n", "a/b.toml:2:1: invalid character at start of key", "ß = 1"},
		"the end":                {"[a]\nb = 1 # [\n# [\n\n [project", "a/b.toml:5:2: expected character ] but the document ended", " [project"},
		"the end of a key":       {"[a]\n# b\nb", "a/b.toml:3:1: expected = after a key", "b"},
		"the end of a string":    {"# b\n\na = \"\"\"x\ny", "a/b.toml:3:1: multiline basic string not terminated", `a = """x`},
		"the end of an array":    {"a = [\n1]\nb = [\n# c\n", "a/b.toml:3:5: array is incomplete", "b = ["},
		"half a time":            {"a = 1\nb = 2020-01-01T\nc = 1\n", "a/b.toml:2:1: times are expected", "b = 2020-01-01T"},
		"the first character":    {"= 1", "a/b.toml:1:1: invalid character at start of key", "= 1"},
		"after a mark":           {"\ufeffname", "a/b.toml:1:1: expected = after a key", "name"},
		"characters, not bytes":  {"a = \"größer\" b", "a/b.toml:1:14: expected newline", "a = \"größer\" b"},
		"a number too large":     {"a = 1\nb = 99999999999999999999\n", "a/b.toml:2:5: couldn't parse decimal number", "b = 99999999999999999999"},
		"a key twice":            {"[a]\nb = 1\n[c]\n# again\nb = 1\n b = 2\nd = 4\n", "a/b.toml:6:2: key b is already defined", " b = 2"},
		"a table twice":          {"[a]\nb = '''\n[a]\n'''\n\n[a]\nb = 2\n", "a/b.toml:6:2: table a already exists", "[a]"},
		"a table over a key":     {"a.b = 1\na = 2\n", "a/b.toml:2:1: key a is already defined", "a = 2"},
		"a key twice in a table": {"x = 1\na = {b = 1, b = 2}\n", "a/b.toml:2:1: key b is already defined", "a = {b = 1, b = 2}"},
		"twice, and worse after": {"a = 1\na = 2\nb = \n", "a/b.toml:2:1: key a is already defined", "a = 2"},
	} {
		t.Run(name, func(t *testing.T) {
			// Keys without a field in the struct are only parsed.
			err := errors.Join(
				toml.Decode("a/b.toml", []byte(test.content), &map[string]any{}),
				toml.Decode("a/b.toml", []byte(test.content), &project{}),
			)
			var failure *toml.Error
			if !errors.As(err, &failure) {
				t.Fatalf("got %v", err)
			}
			if !strings.HasPrefix(err.Error(), test.want) || failure.Text != test.text {
				t.Errorf("got %q at %q, want %q at %q", err, failure.Text, test.want, test.text)
			}
		})
	}
}

func TestErrorWithoutPlace(t *testing.T) {
	cause := errors.New("is locked")
	err := &toml.Error{Path: "a.toml", Err: cause}
	if err.Error() != "a.toml: is locked" || !errors.Is(err, cause) {
		t.Errorf("got %q", err)
	}
}

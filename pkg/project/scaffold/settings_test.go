package scaffold

import (
	"strings"
	"testing"
)

func TestExtend(t *testing.T) {
	settings := Settings{Name: "shop", Entrypoint: "shop.main:app", Port: 8000}
	table := "[tool.kubectl-pyflow]\nname = \"shop\"\nentrypoint = \"shop.main:app\"\nport = 8000\n"
	for name, test := range map[string]struct{ before, added, want string }{
		"no file":        {"", table, ""},
		"a file":         {"[project]\nname = 'x' # kept\n", "\n" + table, ""},
		"no last end":    {"[project]\nname = 'x'", "\n\n" + table, ""},
		"CRLF":           {"[project]\r\nname = 'x'\r\n", strings.ReplaceAll("\n"+table, "\n", "\r\n"), ""},
		"CRLF, no end":   {"[project]\r\nname = 'x'", strings.ReplaceAll("\n\n"+table, "\n", "\r\n"), ""},
		"other tools":    {"[tool.ruff]\nline-length = 100\n", "\n" + table, ""},
		"an inline tool": {"tool = { ruff = { line-length = 100 } }\n", "", "no place for a table [tool.kubectl-pyflow] at its end: write it there by hand:\n[tool.kubectl-pyflow]\nname = \"shop\""},
		"already there":  {"[tool.kubectl-pyflow]\nport = 1\n", "", "no place for a table"},
		"a string open":  {"a = '''\n", "", "no place for a table"},
	} {
		t.Run(name, func(t *testing.T) {
			file, err := Extend([]byte(test.before), settings)
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("the error is %v, want %s", err, test.want)
				}
				return
			}
			if err != nil || string(file.Content) != test.before+test.added || string(file.Base) != test.before || file.Path != "pyproject.toml" {
				t.Errorf("the file is %q, %v", file.Content, err)
			}
			if has, err := HasSettings(file.Content); !has || err != nil {
				t.Errorf("the table is there: %t, %v", has, err)
			}
		})
	}
}

func TestHasSettings(t *testing.T) {
	for text, want := range map[string]bool{
		"":                                      false,
		"[tool]\n":                              false,
		"[pyflow]\n":                            false,
		"[tool.kubectl-pyflow]\n":               true,
		"[tool.kubectl-pyflow.build]\ncpu = 1":  true,
		"tool.kubectl-pyflow.port = 1\n":        true,
		"[tool]\nkubectl-pyflow = {port = 1}\n": true,
	} {
		if has, err := HasSettings([]byte(text)); has != want || err != nil {
			t.Errorf("%q has settings: %t, %v", text, has, err)
		}
	}
	if _, err := HasSettings([]byte("a\n")); err == nil || !strings.HasPrefix(err.Error(), "pyproject.toml:1:") {
		t.Errorf("the error is %v", err)
	}
}

func TestDiff(t *testing.T) {
	for name, test := range map[string]struct {
		change Change
		want   string
	}{
		"create": {Change{Path: "a", Action: Create, After: []byte("1\n2\n")}, "--- /dev/null\n+++ a\n@@ -0,0 +1,2 @@\n+1\n+2\n"},
		"append": {
			Change{Path: "a", Action: Append, Before: []byte("1\n2\n3\n4\n"), After: []byte("1\n2\n3\n4\n5\n")},
			"--- a\n+++ a\n@@ -2,3 +2,4 @@\n 2\n 3\n 4\n+5\n",
		},
		"append to a line without end": {
			Change{Path: "a", Action: Append, Before: []byte("1\n2"), After: []byte("1\n2\n3\n")},
			"--- a\n+++ a\n@@ -1,2 +1,3 @@\n 1\n-2\n\\ No newline at end of file\n+2\n+3\n",
		},
		"append with CRLF": {
			Change{Path: "a", Action: Append, Before: []byte("1\r\n"), After: []byte("1\r\n2\r\n")},
			"--- a\n+++ a\n@@ -1,1 +1,2 @@\n 1\n+2\n",
		},
		"replace":   {Change{Path: "a", Action: Replace, Before: []byte("1\n"), After: []byte("2\n")}, "--- a\n+++ a\n@@ -1,1 +1,1 @@\n-1\n+2\n"},
		"unchanged": {Change{Path: "a", Action: Unchanged, Before: []byte("1\n"), After: []byte("1\n")}, ""},
		"keep":      {Change{Path: "a", Action: Keep, Before: []byte("1\n"), After: []byte("2\n")}, ""},
	} {
		if got := Diff(test.change); got != test.want {
			t.Errorf("%s: the diff is\n%swant\n%s", name, got, test.want)
		}
	}
}

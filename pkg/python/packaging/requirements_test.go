package packaging

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tree reads files that are given as name, content, name, content.
func tree(files ...string) ReadFile {
	return func(name string) ([]byte, bool) {
		for i := 0; i < len(files); i += 2 {
			if files[i] == name {
				return []byte(files[i+1]), true
			}
		}
		return nil, false
	}
}

func TestReadRequirements(t *testing.T) {
	at := func(file string, line int) Position { return Position{File: file, Line: line} }
	for name, test := range map[string]struct {
		files []string
		want  Requirements
	}{
		"lines": {
			[]string{"Flask==3.1 # web\n\n# note\nredis >=5 ;python_version<'4'\r\n"},
			Requirements{Files: []string{"r.txt"}, Lines: []RequirementLine{
				{Requirement: Requirement{Name: "flask", Specifier: "==3.1", Position: at("r.txt", 1)}, Text: "Flask==3.1"},
				{Requirement: Requirement{Name: "redis", Specifier: ">=5", Marker: "python_version<'4'", Position: at("r.txt", 4)}, Text: "redis >=5 ;python_version<'4'"},
			}},
		},
		"hashes over several lines": {
			[]string{"a==1 \\\n    --hash=sha256:00 \\\n    --hash sha256:11\nb==2\n"},
			Requirements{Files: []string{"r.txt"}, Lines: []RequirementLine{
				{Requirement: Requirement{Name: "a", Specifier: "==1", Position: at("r.txt", 1)}, Text: "a==1", Hashes: []string{"sha256:00", "sha256:11"}},
				{Requirement: Requirement{Name: "b", Specifier: "==2", Position: at("r.txt", 4)}, Text: "b==2"},
			}},
		},
		"what tools note": {
			[]string{"a==1  # via -r r.in, b\nb==2\n    # via\n    #   -r r.in\n    #   c (pyproject.toml)\n# else\nc==3\n    # via a\n"},
			Requirements{Files: []string{"r.txt"}, Lines: []RequirementLine{
				{Requirement: Requirement{Name: "a", Specifier: "==1", Position: at("r.txt", 1)}, Text: "a==1", Via: []string{"-r r.in", "b"}},
				{Requirement: Requirement{Name: "b", Specifier: "==2", Position: at("r.txt", 2)}, Text: "b==2", Via: []string{"-r r.in", "c (pyproject.toml)"}},
				{Requirement: Requirement{Name: "c", Specifier: "==3", Position: at("r.txt", 7)}, Text: "c==3", Via: []string{"a"}},
			}},
		},
		"includes": {
			[]string{"-r more/base.txt\na\n-rmore/base.txt\n--constraint=c.txt\n", "more/base.txt", "-r../r.txt\nb\n", "c.txt", "c==1\n-e d\n-r more/e.txt\n", "more/e.txt", "e\n"},
			Requirements{Files: []string{"r.txt", "more/base.txt", "c.txt", "more/e.txt"}, Constraints: []Requirement{{Name: "c", Specifier: "==1"}, {Name: "e"}}, Lines: []RequirementLine{
				{Requirement: Requirement{Name: "b", Position: at("more/base.txt", 2)}, Text: "b"},
				{Requirement: Requirement{Name: "a", Position: at("r.txt", 2)}, Text: "a"},
			}},
		},
		"options": {
			[]string{"-i https://a.example/simple\n--extra-index-url=https://b.example\n--no-index\n-f ./wheels\n--require-hashes\n"},
			Requirements{Files: []string{"r.txt"}, Options: []Option{
				{"--index-url", "https://a.example/simple", at("r.txt", 1)},
				{"--extra-index-url", "https://b.example", at("r.txt", 2)},
				{"--no-index", "", at("r.txt", 3)},
				{"--find-links", "./wheels", at("r.txt", 4)},
				{"--require-hashes", "", at("r.txt", 5)},
			}},
		},
		"paths and repositories": {
			[]string{"-e libs\n--editable git+https://h.example/a@v1\n./b-1.0-py3-none-any.whl\n-e .[dev]\n"},
			Requirements{Files: []string{"r.txt"}, Self: at("r.txt", 4), Lines: []RequirementLine{
				{Requirement: Requirement{Name: "libs", URL: "./libs", Position: at("r.txt", 1)}, Text: "libs", Editable: true},
				{Requirement: Requirement{Name: "a", URL: "git+https://h.example/a@v1", Position: at("r.txt", 2)}, Text: "git+https://h.example/a@v1", Editable: true},
				{Requirement: Requirement{Name: "b", URL: "./b-1.0-py3-none-any.whl", Position: at("r.txt", 3)}, Text: "./b-1.0-py3-none-any.whl"},
			}},
		},
		"no requirement": {
			[]string{"a https://me:secret@h.example/a\n"},
			Requirements{Files: []string{"r.txt"}, Invalid: []InvalidLine{{at("r.txt", 1), "a https://…@h.example/a"}}},
		},
		"UTF-16": {
			[]string{"\xff\xfea\x00\n\x00"},
			Requirements{Files: []string{"r.txt"}, Lines: []RequirementLine{{Requirement: Requirement{Name: "a", Position: at("r.txt", 1)}, Text: "a"}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := ReadRequirements(tree(append([]string{"r.txt"}, test.files...)...), "r.txt")
			if diff := cmp.Diff(&test.want, got); !ok || diff != "" {
				t.Errorf("%t, -want +got:\n%s", ok, diff)
			}
		})
	}
	if _, ok := ReadRequirements(tree(), "r.txt"); ok {
		t.Error("a file that does not exist is read")
	}
}

func TestRequirementsMissingInclude(t *testing.T) {
	got, _ := ReadRequirements(tree("r.txt", "a\n-r base.txt\n-c other.txt\n"), "r.txt")
	if got.Missing == nil || got.Missing.Error() != `r.txt:2: it includes "base.txt", which does not exist` {
		t.Errorf("got %v", got.Missing)
	}
}

func TestRequirementsExactAndHashed(t *testing.T) {
	for content, want := range map[string][2]bool{
		"":                          {false, false},
		"a==1\nb @ https://x/b.whl": {true, false},
		"a==1 --hash=sha256:0\n":    {true, true},
		"a>=1 --hash=sha256:0\n":    {false, true},
		"a==1\n-e ./b\n":            {false, false},
		"a==1\nb c\n":               {false, false},
	} {
		got, _ := ReadRequirements(tree("r.txt", content), "r.txt")
		if got.Exact() != want[0] || got.Hashed() != want[1] {
			t.Errorf("%q: got %t, %t", content, got.Exact(), got.Hashed())
		}
	}
}

func TestRequirementsDirect(t *testing.T) {
	got, _ := ReadRequirements(tree("r.txt", "a\nb # via -r x\nc # via b\nd # via x.in\ne # via shop (setup.py)\nf # via -c x.txt\n"), "r.txt")
	if diff := cmp.Diff([]string{"a", "b", "d", "e"}, Names(got.Direct())); diff != "" || len(got.All()) != 6 {
		t.Error(diff)
	}
}

// FuzzReadRequirements holds that every content is read without a panic, and that all
// positions are in the file.
func FuzzReadRequirements(f *testing.F) {
	for _, seed := range []string{"a==1 \\\n --hash=sha256:0 # via b\n", "-r r.txt\n-e .\n", "-", "--\n\\\n", "#\n #via", "[", "a @ b ;c"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		got, ok := ReadRequirements(tree("r.txt", string(content)), "r.txt")
		if !ok {
			t.Fatal("it is not read")
		}
		for _, line := range got.Lines {
			if line.Position.File != "r.txt" || line.Position.Line < 1 || line.Text == "" {
				t.Errorf("got %+v", line)
			}
		}
	})
}

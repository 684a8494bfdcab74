package scaffold

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// directory creates a directory with files. A name that ends in a slash is a directory, and a
// content that starts with -> a link.
func directory(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		full := filepath.Join(dir, filepath.FromSlash(name))
		target, link := strings.CutPrefix(files[name], "->")
		var err error
		switch {
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(full, 0o755)
		case link:
			err = errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.Symlink(target, full))
		default:
			err = errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(files[name]), 0o640))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// content returns what is in a directory, without following links.
func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if entry.Type()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(name)
			found[rel] = "->" + target
			return err
		}
		text, err := os.ReadFile(name)
		found[rel] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestPlan(t *testing.T) {
	files := []File{{Path: "Dockerfile", Content: []byte("FROM a\n")}, {Path: "src/a/b.py", Content: []byte("b\n")}}
	for name, test := range map[string]struct {
		before  map[string]string
		force   bool
		actions string
		after   map[string]string
		written string
	}{
		"nothing there": {
			nil, false, "create, create",
			map[string]string{"Dockerfile": "FROM a\n", "src/a/b.py": "b\n"},
			"Dockerfile src/a/b.py",
		},
		"all there": {
			map[string]string{"Dockerfile": "FROM a\n", "src/a/b.py": "b\n"},
			true, "unchanged, unchanged",
			map[string]string{"Dockerfile": "FROM a\n", "src/a/b.py": "b\n"},
			"",
		},
		"others there": {
			map[string]string{"Dockerfile": "FROM mine\n", "src/a/": ""},
			false, "keep, create",
			map[string]string{"Dockerfile": "FROM mine\n", "src/a/b.py": "b\n"},
			"src/a/b.py",
		},
		"others exist, with force": {
			map[string]string{"Dockerfile": "FROM mine\n", "src/a/b.py": ""},
			true, "replace, replace",
			map[string]string{"Dockerfile": "FROM a\n", "Dockerfile.orig": "FROM mine\n", "src/a/b.py": "b\n", "src/a/b.py.orig": ""},
			"Dockerfile.orig Dockerfile src/a/b.py.orig src/a/b.py",
		},
		"a link inside": {
			map[string]string{"Dockerfile": "->docker/file", "docker/file": "FROM mine\n", "src": "->code", "code/": ""},
			true, "replace, create",
			map[string]string{"Dockerfile": "FROM a\n", "Dockerfile.orig": "FROM mine\n", "docker/file": "FROM mine\n", "src": "->code", "code/a/b.py": "b\n"},
			"Dockerfile.orig Dockerfile src/a/b.py",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := directory(t, test.before)
			plan, err := NewPlan(dir, files, test.force)
			if err != nil {
				t.Fatal(err)
			}
			var actions []string
			for _, change := range plan.Changes {
				actions = append(actions, string(change.Action))
			}
			if got := strings.Join(actions, ", "); got != test.actions {
				t.Errorf("the actions are %s, want %s", got, test.actions)
			}
			written, err := plan.Write()
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(written, " "); got != test.written || plan.Writes() != (got != "") {
				t.Errorf("written were %q, want %q", got, test.written)
			}
			if got := content(t, dir); !maps.Equal(got, test.after) {
				t.Errorf("there is %q, want %q", got, test.after)
			}
			again, err := NewPlan(dir, files, false)
			if err != nil {
				t.Fatal(err)
			}
			if written, err := again.Write(); len(written) != 0 || err != nil {
				t.Errorf("the second time wrote %q, %v", written, err)
			}
		})
	}
}

func TestPlanMakesTheDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "team", "shop")
	plan, err := NewPlan(dir, []File{{Path: "a/b", Content: []byte("c")}}, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(dir)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the plan made the directory: %v", err)
	}
	if _, err := plan.Write(); err != nil {
		t.Fatal(err)
	}
	if got := content(t, dir)["a/b"]; got != "c" {
		t.Errorf("the file holds %q", got)
	}
}

// NewPlan finds what cannot be written before it writes anything.
func TestPlanRefuses(t *testing.T) {
	outside := directory(t, map[string]string{"file": "outside\n"})
	for name, test := range map[string]struct {
		before map[string]string
		// dir is below the directory.
		dir   string
		force bool
		want  string
	}{
		"a file as the directory":            {map[string]string{"shop": ""}, "shop", false, "shop is not a directory"},
		"a file above it":                    {map[string]string{"shop": ""}, "shop/api", false, "not a directory"},
		"a dangling link as the directory":   {map[string]string{"shop": "->nowhere"}, "shop", false, "is a link to a missing file"},
		"a directory as a file":              {map[string]string{"Dockerfile/": ""}, ".", true, "Dockerfile: it is not a file: move it away"},
		"a file as a directory":              {map[string]string{"src": ""}, ".", true, "src is not a directory"},
		"a dangling link as a file":          {map[string]string{"Dockerfile": "->nowhere"}, ".", true, "Dockerfile: it is a link to a missing file or out of the directory"},
		"a dangling link as a directory":     {map[string]string{"src": "->nowhere"}, ".", false, "src is a link to a missing file"},
		"a file by a link out of it":         {map[string]string{"Dockerfile": "->" + outside + "/file"}, ".", true, "out of the directory"},
		"a directory by a link out of it":    {map[string]string{"src": "->" + outside}, ".", false, "escapes"},
		"the copy is there":                  {map[string]string{"Dockerfile": "mine", "Dockerfile.orig": "older"}, ".", true, "its copy would be Dockerfile.orig, which exists already"},
		"the copy is there as dangling link": {map[string]string{"Dockerfile": "mine", "Dockerfile.orig": "->nowhere"}, ".", true, "which exists already"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := directory(t, test.before)
			before := content(t, dir)
			_, err := NewPlan(filepath.Join(dir, test.dir), []File{{Path: "Dockerfile", Content: []byte("FROM a\n")}, {Path: "src/a.py"}}, test.force)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want %s", err, test.want)
			}
			if got := content(t, dir); !maps.Equal(got, before) {
				t.Errorf("there is %q, before it was %q", got, before)
			}
		})
	}
	if got := content(t, outside); !maps.Equal(got, map[string]string{"file": "outside\n"}) {
		t.Errorf("outside there is %q", got)
	}
}

// A change between plan and writing is the work of a user.
func TestWriteLosesNothing(t *testing.T) {
	base := "a = 1\n"
	for name, test := range map[string]struct {
		meanwhile map[string]string
		want      string
	}{
		"a file has appeared":    {map[string]string{"Dockerfile": "mine"}, "write Dockerfile: file exists; written before that: .dockerignore"},
		"a link has appeared":    {map[string]string{"Dockerfile": "->nowhere"}, "write Dockerfile: file exists; written before that: .dockerignore"},
		"an extended one":        {map[string]string{"pyproject.toml": "mine"}, "write pyproject.toml: another program has just changed it: try again; written before that: .dockerignore, Dockerfile"},
		"a replaced one":         {map[string]string{"README.md": "mine"}, "write README.md.orig: another program has just changed it"},
		"the copy of a replaced": {map[string]string{"README.md.orig": "mine"}, "write README.md.orig: file exists"},
		"the first":              {map[string]string{".dockerignore": "mine"}, "write .dockerignore: file exists; nothing was written"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := directory(t, map[string]string{"pyproject.toml": base, "README.md": "old"})
			plan, err := NewPlan(dir, []File{
				{Path: ".dockerignore", Content: []byte("*\n")},
				{Path: "Dockerfile", Content: []byte("FROM a\n")},
				{Path: "pyproject.toml", Content: []byte(base + "b = 2\n"), Base: []byte(base)},
				{Path: "README.md", Content: []byte("new")},
			}, true)
			if err != nil {
				t.Fatal(err)
			}
			for file, text := range test.meanwhile {
				name := filepath.Join(dir, file)
				if target, link := strings.CutPrefix(text, "->"); link {
					err = os.Symlink(target, name)
				} else {
					err = os.WriteFile(name, []byte(text), 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			_, err = plan.Write()
			var failure *WriteError
			if !errors.As(err, &failure) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want %s", err, test.want)
			}
			after := content(t, dir)
			for file, text := range test.meanwhile {
				if after[file] != text {
					t.Errorf("%s holds %q, before it was %q", file, after[file], text)
				}
			}
		})
	}
}

func TestReplaceKeepsTheMode(t *testing.T) {
	dir := directory(t, map[string]string{"run.sh": "mine"})
	name := filepath.Join(dir, "run.sh")
	if err := os.Chmod(name, 0o700); err != nil {
		t.Fatal(err)
	}
	plan, err := NewPlan(dir, []File{{Path: "run.sh", Content: []byte("ours")}}, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plan.Write(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(name + OrigSuffix); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the copy is %v, %v", info, err)
	}
}

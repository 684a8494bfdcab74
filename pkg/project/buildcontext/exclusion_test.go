package buildcontext

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAbsent(t *testing.T) {
	const ignore = "# what stays here\n\n*.lock\n!keep.lock\n/data\n  **/secret*  \nlogs\n!logs/kept\n"
	for name, test := range map[string]struct {
		ignore, path string
		absent       bool
		why          string
	}{
		"in the context":           {ignore, "main.py", false, ""},
		"not there":                {ignore, "nothing.py", true, ""},
		"a pattern":                {ignore, "uv.lock", true, `.dockerignore:3 "*.lock" leaves it out`},
		"an exception":             {ignore, "keep.lock", false, ""},
		"a directory":              {ignore, "data", true, `.dockerignore:5 "/data" leaves it out`},
		"a file of it":             {ignore, "data/a.csv", true, `.dockerignore:5 "/data" leaves it out`},
		"blanks around":            {ignore, "src/secret.txt", true, `.dockerignore:6 "**/secret*" leaves it out`},
		"a directory with a rest":  {ignore, "logs", false, ""},
		"the rest":                 {ignore, "logs/kept", false, ""},
		"all":                      {"**\n", "main.py", true, `.dockerignore:1 "**" leaves it out`},
		"the Dockerfile":           {"**\n", "Dockerfile", true, `.dockerignore:1 "**" leaves it out`},
		"given":                    {"**\n", "made/file", false, ""},
		"the directory of a given": {"**\n", "made", false, ""},
		"the root":                 {"**\n", ".", false, ""},
		"no ignore file":           {"", "src/__pycache__", true, `the rule "**/__pycache__" leaves it out, which applies because there is no .dockerignore`},
		"a virtual environment":    {ignore, "env/bin", true, "env is a virtual environment, which stays on this machine"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, content := range map[string]string{
				"Dockerfile": "FROM scratch\n", "main.py": "", "uv.lock": "", "keep.lock": "", "data/a.csv": "", "src/secret.txt": "",
				"src/__pycache__/a.pyc": "", "logs/kept": "", "logs/other": "", "env/pyvenv.cfg": "", "env/bin/python": "", ".dockerignore": test.ignore,
			} {
				if file == ".dockerignore" && content == "" {
					continue
				}
				target := filepath.Join(dir, filepath.FromSlash(file))
				if err := os.MkdirAll(filepath.Dir(target), 0o750); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(target, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			root, err := os.OpenRoot(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			why, absent, err := Absent(root, "Dockerfile", map[string][]byte{"made/file": nil}, test.path)
			if err != nil || absent != test.absent || why.String() != test.why {
				t.Errorf("got %v, %q, %v", absent, why, err)
			}
		})
	}
}

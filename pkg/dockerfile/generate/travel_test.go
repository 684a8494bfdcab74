package generate

import (
	"slices"
	"strings"
	"testing"

	"github.com/moby/patternmatcher"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
)

// above is a service in services/shop, with what it needs beside it.
func above() *detect.Project {
	return service(func(p *detect.Project) {
		p.Dependencies = detect.Dependencies{
			Kind: detect.Requirements, Files: []string{"requirements.txt", "../../common.txt"}, Local: []string{"../stock", "../stock/plugin", "../../dist/own.whl"},
		}
		p.Dev = detect.Dependencies{Kind: detect.Requirements, Files: []string{"../tests.txt"}}
	})
}

func TestTravels(t *testing.T) {
	context := Context{Within: "services/shop"}
	want := []string{"common.txt", "dist/own.whl", "services/shop", "services/stock"}
	if got := context.Travels(above()); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	context.Tests = true
	if got := context.Travels(above()); !slices.Contains(got, "services/tests.txt") {
		t.Errorf("what the tests need does not travel: %q", got)
	}
	whole := service(func(p *detect.Project) { p.Dependencies.Local = []string{"../.."} })
	if got := context.Travels(whole); !slices.Equal(got, []string{"."}) {
		t.Errorf("got %q", got)
	}
}

func TestIgnoreFor(t *testing.T) {
	for name, test := range map[string]struct {
		project *detect.Project
		// files are ignore files, by their directories.
		files map[string]string
		// out and in are left out and not.
		out, in []string
	}{
		"by default": {
			project: above(),
			out: []string{
				"README.md", "services/other/main.py", ".git/HEAD", "services/tests.txt", "dist/other.whl", "services/shop/.venv/bin/python", "services/shop/.env",
				"services/stock/.venv/x", "services/stock/__pycache__/a.pyc", "services/shop/docs/a",
			},
			in: []string{"common.txt", "dist/own.whl", "services/shop/main.py", "services/shop/a/b.py", "services/stock/setup.py", "services/stock/docs/DESCRIPTION.md", "services/shop/.env.example"},
		},
		"with own files": {
			project: above(),
			files: map[string]string{
				".": "*.pem\n**/*.log\n!keep.log\n!**/kept.log\nservices/stock/old\n", "services/shop": "# names\n/data\n!data/one\n*.tmp\nrequirements.txt\n",
			},
			out: []string{"keep.log", "kept.log", "services/shop/a.log", "services/stock/old/a", "services/shop/data/two", "services/shop/a.tmp", "services/other/kept.log"},
			in:  []string{"services/shop/kept.log", "services/shop/data/one", "services/shop/requirements.txt", "services/stock/kept.log", "services/shop/.env"},
		},
		"of another program": {
			project: above(),
			files:   map[string]string{".": "*\n!frontend\n"},
			out:     []string{"frontend/a.js", "services/shop/.env", "services/stock/.venv/a", "services/other/a"},
			in:      []string{"services/shop/main.py", "services/stock/setup.py", "common.txt", "dist/own.whl"},
		},
		"of the whole context": {
			project: service(func(p *detect.Project) { p.Dependencies.Local = []string{"../.."} }),
			files:   map[string]string{"services/shop": "private\n"},
			out:     []string{".git/HEAD", ".venv/bin/python", "services/shop/private/a"},
			in:      []string{"setup.py", "services/other/main.py"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			text := IgnoreFor(test.project, Context{
				Within: "services/shop",
				Ignore: func(dir string) ([]byte, bool) { content, ok := test.files[dir]; return []byte(content), ok },
				IsDir:  func(name string) bool { return !strings.HasSuffix(name, ".txt") && !strings.HasSuffix(name, ".whl") },
			})
			matcher, err := patternmatcher.New(patternsOf(text))
			if err != nil {
				t.Fatal(err)
			}
			for want, files := range map[bool][]string{true: test.out, false: test.in} {
				for _, file := range files {
					if got, err := matcher.MatchesOrParentMatches(file); err != nil || got != want {
						t.Errorf("%s is left out: %t, want %t, %v\n%s", file, got, want, err, text)
					}
				}
			}
		})
	}
}

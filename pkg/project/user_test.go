package project_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

func TestUser(t *testing.T) {
	for name, test := range map[string]struct {
		dockerfile string
		want       app.User
		origin     string
		warns      bool
	}{
		"number":               {"FROM python:3.13-slim\nUSER 10001:10002\n", app.User{ID: 10001, Group: 10002}, "Dockerfile:2 USER", false},
		"no group":             {"FROM python:3.13-slim\nUSER 10001\n", app.User{ID: 10001, Group: -1}, "Dockerfile:2 USER", false},
		"name":                 {"FROM python:3.13-slim\nUSER app\n", app.User{}, "", false},
		"root":                 {"FROM example.com/base\nUSER root\n", app.DefaultUser(), "default", true},
		"none, base is root":   {"FROM python:3.13-slim\n", app.DefaultUser(), "default", true},
		"none, base not known": {"FROM example.com/base\n", app.User{}, "", false},
		"of the target":        {"FROM python:3.13-slim AS a\nUSER 5\nFROM a\nUSER 6\n", app.User{ID: 5, Group: -1}, "Dockerfile:2 USER", false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(test.dockerfile), 0o600); err != nil {
				t.Fatal(err)
			}
			options := project.Options{}
			if name == "of the target" {
				options.Target = "a"
			}
			p, err := project.Resolve(dir, options)
			if err != nil {
				t.Fatal(err)
			}
			user := p.Deployment.User
			if user.Value != test.want || user.IsSet() != (test.origin != "") || user.IsSet() && user.Origin.String() != test.origin {
				t.Errorf("the user is %+v", user)
			}
			if warned := strings.Contains(strings.Join(p.Warnings(), "\n"), "the image runs as root, so the pods run as 1000:1000"); warned != test.warns {
				t.Errorf("warnings are %q", p.Warnings())
			}
		})
	}
}

package generate

import (
	"bytes"
	"slices"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
)

// Ignore returns the .dockerignore for the Dockerfiles of a project. Files that no stage
// needs are not uploaded, and changing them does not change the source. It keeps tests,
// because the stage `test` copies them, README.md, because the metadata of a package names
// it, and the files that dependencies are read from, wherever they are.
func Ignore(project *detect.Project) []byte {
	text := ignored()
	patterns, err := ignorefile.ReadAll(bytes.NewReader(text))
	if err != nil {
		return text
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return text
	}
	var installed strings.Builder
	for _, file := range unite(project.Dependencies.Files, project.Dev.Files) {
		if left, err := matcher.MatchesOrParentMatches(file); err == nil && left {
			installed.WriteString("!" + file + "\n")
		}
	}
	if installed.Len() > 0 {
		text = slices.Concat(text, []byte("\n# What the Dockerfile installs.\n"+installed.String()))
	}
	return text
}

// ignored returns the part that is the same for every project.
func ignored() []byte { return append(unusable(), undeployed()...) }

// unusable returns patterns of what no image can use, of whatever project.
func unusable() []byte {
	return []byte(`# History, tools and their caches: large, and different on every machine.
.git
.gitignore
.gitattributes
.github
.gitlab-ci.yml
.pre-commit-config.yaml
.idea
.vscode
**/.DS_Store
**/__pycache__
**/*.py[cod]
**/.pytest_cache
**/.mypy_cache
**/.ruff_cache
**/.ipynb_checkpoints
.coverage
.coverage.*
coverage.xml
htmlcov
.nox
.tox

# Virtual environments and what was installed or built here: the image has its own.
**/.venv
venv
**/node_modules
**/*.egg-info
build
dist

# Secrets are no part of an image: the Deployment gives them to the service.
**/.env
**/.env.*
**/.envrc
!**/.env.example
`)
}

// undeployed returns patterns of what describes a service.
func undeployed() []byte {
	return []byte(`
# What describes the service and does not run in it. README.md stays: the metadata
# of a package may name it; so do texts in directories, which may be the service's.
*.md
!README.md
docs
deploy
k8s
compose*.yaml
compose*.yml
docker-compose*.yaml
docker-compose*.yml
Dockerfile*
.dockerignore
`)
}

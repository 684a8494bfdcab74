package scaffold

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/generate"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
)

// Image returns the files that an image of the project is built from, the same that a
// build makes when they are not there: the Dockerfile, with test one that has a stage
// test, and .dockerignore. Errors are those of recipe.Dockerfile.
func Image(project *detect.Project, variant generate.Variant, name string, test bool) ([]File, error) {
	dockerfile, err := generate.Dockerfile(generate.Options{Project: project, Variant: variant, Name: name, Test: test})
	if err != nil {
		return nil, err
	}
	return []File{{Path: ".dockerignore", Content: generate.Ignore(project)}, {Path: "Dockerfile", Content: dockerfile}}, nil
}

// Read is what detect.Read says of a directory with these files and no others. No file
// of the system is written but a temporary copy, which is gone when it returns.
func Read(files []File, options detect.Options) (found *detect.Project, err error) {
	dir, err := os.MkdirTemp("", "pyflow-init-")
	if err != nil {
		return nil, fmt.Errorf("look at the new files: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	plan, err := NewPlan(dir, files, false)
	if err != nil {
		return nil, err
	}
	if _, err := plan.Write(); err != nil {
		return nil, fmt.Errorf("look at the new files: %w", err)
	}
	return detect.Read(filepath.Clean(dir), options)
}

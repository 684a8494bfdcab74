// Package scaffold makes the files of a new service, adds to a project what it lacks
// for being built, and writes them without losing any that are there.
package scaffold

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/appname"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python"
)

// The templates: projects that work as they stand, with the names, the port and the
// Python of the placeholders below.
//
//go:embed all:templates
var templates embed.FS

// What a template is called, listens on and runs with, and what takes their place.
const (
	placeholderName    = "pyflow-service"
	placeholderPackage = "pyflow_service"
	placeholderPort    = "8000"
	placeholderPython  = "3.13"
)

// DefaultTemplate is the one of Templates for a service that is to grow.
const DefaultTemplate = "fastapi"

// Templates are the names of those there are, the default first.
func Templates() []string { return []string{DefaultTemplate, "minimal"} }

// Pythons are the versions of Python that a new service may have, ascending; its
// locks hold for all of them.
func Pythons() []string { return python.Supported() }

// DefaultPython is the version of a new service when nothing else is said.
const DefaultPython = python.DefaultVersion

// File is one to be written.
type File struct {
	// Path is relative to the project's directory, with slashes.
	Path string
	// Content is all of it.
	Content []byte
	// Base is what Content begins with and is in the file already; nil for a file that
	// is written whole.
	Base []byte
}

// Options are a new service. No field has a default.
type Options struct {
	// Template is one of Templates.
	Template string
	// Name is the app's.
	Name string
	// Port is where it listens.
	Port int
	// Python is one of Pythons.
	Python string
}

// New returns the files of a new service, sorted by their paths, without what
// is generated from them: the Dockerfile and .dockerignore. An error is about the
// options, and holds a *project.NameError or a *PackageError when it is about the name.
func New(options Options) ([]File, error) {
	if err := appname.Validate(options.Name); err != nil {
		return nil, err
	}
	switch {
	case !slices.Contains(Templates(), options.Template):
		return nil, fmt.Errorf("there is no template %q, only %s", options.Template, strings.Join(Templates(), " and "))
	case options.Port < 1 || options.Port > 65535:
		return nil, fmt.Errorf("%d is not a port", options.Port)
	case !slices.Contains(Pythons(), options.Python):
		return nil, fmt.Errorf("a new service has Python %s, not %q", oneOf(Pythons()), options.Python)
	}
	files, err := load(options.Template)
	if err != nil {
		return nil, err
	}
	packaged := slices.ContainsFunc(files, func(file File) bool { return strings.Contains(file.Path, placeholderPackage) })
	name := options.Name
	if packaged {
		if name, err = PackageName(options.Name); err != nil {
			return nil, err
		}
	}
	for i := range files {
		files[i].Path = strings.ReplaceAll(files[i].Path, placeholderPackage, name)
		files[i].Content = []byte(fill(files[i], name, options))
	}
	return files, nil
}

// fill puts the options in the place of the placeholders.
func fill(file File, name string, options Options) string {
	pairs := []string{placeholderPackage, name, placeholderName, options.Name}
	if !isLock(file.Path) {
		// In a lock these digits may be those of a hash or of a version.
		pairs = append(pairs,
			placeholderPort, strconv.Itoa(options.Port),
			placeholderPython, options.Python,
			"py"+strings.ReplaceAll(placeholderPython, ".", ""), "py"+strings.ReplaceAll(options.Python, ".", ""),
		)
	}
	return strings.NewReplacer(pairs...).Replace(string(file.Content))
}

func isLock(file string) bool { return strings.HasPrefix(file, "requirements") }

// load returns a template's files as they are.
func load(template string) ([]File, error) {
	root, err := fs.Sub(templates, "templates/"+template)
	if err != nil {
		return nil, fmt.Errorf("read the template %s: %w", template, err)
	}
	var files []File
	err = fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && isCache(entry.Name()):
			return fs.SkipDir
		case entry.IsDir():
			return nil
		}
		content, err := fs.ReadFile(root, name)
		files = append(files, File{Path: name, Content: content})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the template %s: %w", template, err)
	}
	return files, nil
}

// isCache knows what tools leave in a template that somebody works on.
func isCache(dir string) bool {
	return dir == "__pycache__" || dir == ".venv" || strings.HasPrefix(dir, ".") && strings.HasSuffix(dir, "_cache")
}

func oneOf(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

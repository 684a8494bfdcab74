// Package scaffold writes the files of a new service, or those that an existing project needs
// for a build.
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

// templates are complete projects, with the names, the port and the Python version of the
// placeholders below.
//
//go:embed all:templates
var templates embed.FS

// The values of the templates that New replaces.
const (
	placeholderName    = "pyflow-service"
	placeholderPackage = "pyflow_service"
	placeholderPort    = "8000"
	placeholderPython  = "3.13"
)

// DefaultTemplate is the template for services that will grow.
const DefaultTemplate = "fastapi"

// Templates returns the names of the templates, the default first.
func Templates() []string { return []string{DefaultTemplate, "minimal"} }

// Pythons returns the Python versions that a new service may have, ascending. The lock files
// are valid for all of them.
func Pythons() []string { return python.Supported() }

// DefaultPython is the default Python version of a new service.
const DefaultPython = python.DefaultVersion

// File is a file to write.
type File struct {
	// Path is relative to the project's directory, with slashes.
	Path string
	// Content is the whole file.
	Content []byte
	// Base is the start of Content that is in the file already. It is nil for a file that is
	// written as a whole.
	Base []byte
}

// Options describe a new service. No field has a default.
type Options struct {
	// Template is one of Templates.
	Template string
	// Name is the name of the app.
	Name string
	// Port is the port that it listens on.
	Port int
	// Python is one of Pythons.
	Python string
}

// New returns the files of a new service, sorted by path, without the Dockerfile and
// .dockerignore that are generated from them. An error is about the options, and holds an
// *appname.Error or a *PackageError if it is about the name.
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

// fill replaces the placeholders with the options.
func fill(file File, name string, options Options) string {
	pairs := []string{placeholderPackage, name, placeholderName, options.Name}
	if !isLock(file.Path) {
		// In a lock file these digits may belong to a hash or a version.
		pairs = append(pairs,
			placeholderPort, strconv.Itoa(options.Port),
			placeholderPython, options.Python,
			"py"+strings.ReplaceAll(placeholderPython, ".", ""), "py"+strings.ReplaceAll(options.Python, ".", ""),
		)
	}
	return strings.NewReplacer(pairs...).Replace(string(file.Content))
}

func isLock(file string) bool { return strings.HasPrefix(file, "requirements") }

// load returns the files of a template, with the placeholders.
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

// isCache reports whether tools create the directory when a template is edited.
func isCache(dir string) bool {
	return dir == "__pycache__" || dir == ".venv" || strings.HasPrefix(dir, ".") && strings.HasSuffix(dir, "_cache")
}

func oneOf(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

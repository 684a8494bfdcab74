// Package service reads a folder as it is built: its settings, and the Dockerfile
// that it has or that is made for it.
package project

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/shlex"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/generate"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/appname"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/settings"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
)

// Dockerfile is where a generated Dockerfile is in the build context.
const Dockerfile = "Dockerfile"

const ignoreFile = ".dockerignore"

// Options are what the caller knows better than the folder. Zero values leave it to
// the folder's settings, then to what is found in it, then to a default.
type Options struct {
	// Name is the app's.
	Name string
	// Dockerfile is the file to build, relative to the folder or absolute; it has to
	// be there.
	Dockerfile string
	// Generate makes a Dockerfile even if there is one.
	Generate bool
	// App, Python and Variant are for a generated Dockerfile, Port too: App as
	// module:attribute, Python as major.minor.
	App, Python string
	Variant     generate.Variant
	Port        int
	// Test is the command line that tests the app, and NoTest leaves the tests out.
	Test   string
	NoTest bool
}

// Service is a folder as it is built.
type Service struct {
	// Dir is its absolute path.
	Dir string
	// Name is the app's, not checked.
	Name string
	// Settings are those of [tool.pyflow], zero without them.
	Settings *settings.Settings
	// Dockerfile is the one that is built.
	Dockerfile *dockerfile.Dockerfile
	// Project is what was found, and Variant what the Dockerfile was generated as;
	// nil and empty for a Dockerfile of the folder's own.
	Project *detect.Project
	Variant generate.Variant
	// Files are the files of the build context that are not in the folder.
	Files map[string][]byte
	// Port is what Options or Settings say; 0 when they do not.
	Port int
	// Test is the command that tests the app, empty without one.
	Test []string
}

// Read reads a folder. Errors hold project.ErrNoProject for one that has nothing to
// build, and those of pyproject.Read, project.ReadDockerfile, detect.Read and
// recipe.Dockerfile.
func Read(dir string, options Options) (*Service, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a directory", dir)
	}
	s := &Service{}
	if s.Dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if s.Settings, err = settings.Read(s.Dir); err != nil {
		return nil, err
	}
	s.Port = cmp.Or(options.Port, int(s.Settings.Port))
	if !options.NoTest {
		if s.Test, err = Command(cmp.Or(options.Test, s.Settings.Test)); err != nil {
			return nil, err
		}
	}
	s.Name = cmp.Or(options.Name, s.Settings.Name, appname.FromDir(s.Dir))
	err = s.readDockerfile(options)
	if errors.Is(err, detect.ErrNoProject) || errors.Is(err, generate.ErrNoApp) {
		err = fmt.Errorf("%s: %w", s.Dir, err)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Command splits a command line as a shell does, which is not there: an empty one is
// nil.
func Command(line string) ([]string, error) {
	if line == "" {
		return nil, nil
	}
	words, err := shlex.Split(line)
	if err != nil {
		return nil, fmt.Errorf("test command %q: %w", line, err)
	}
	if len(words) == 0 || words[0] == "" {
		return nil, fmt.Errorf("test command %q names no program", line)
	}
	return words, nil
}

// readDockerfile takes the Dockerfile that is named, else the one that is there, else
// one that is made.
func (s *Service) readDockerfile(options Options) error {
	named := cmp.Or(options.Dockerfile, s.Settings.Build.Dockerfile)
	if !options.Generate {
		parsed, err := dockerfile.Read(s.Dir, named)
		if err == nil {
			s.Dockerfile = parsed
			return nil
		}
		if named != "" || !errors.Is(err, dockerfile.ErrNotFound) {
			return err
		}
	}
	var err error
	wanted := detect.Options{App: options.App, Python: options.Python, Port: options.Port}
	if wanted.App == "" {
		wanted.App, wanted.AppSource = s.Settings.App, s.Settings.Where("app")
	}
	if wanted.Python == "" {
		wanted.Python, wanted.PythonSource = s.Settings.Python, s.Settings.Where("python")
	}
	if wanted.Port == 0 {
		wanted.Port, wanted.PortSource = int(s.Settings.Port), s.Settings.Where("port")
	}
	s.Project, err = detect.Read(s.Dir, wanted)
	if err != nil {
		return err
	}
	s.Variant = cmp.Or(options.Variant, generate.Variant(s.Settings.Build.Variant), generate.Slim)
	text, err := generate.Dockerfile(generate.Options{Project: s.Project, Variant: s.Variant, Port: s.Port, Test: len(s.Test) > 0, Name: s.Name})
	if err != nil {
		return err
	}
	if s.Dockerfile, err = dockerfile.Parse(Dockerfile, text); err != nil {
		return fmt.Errorf("the generated Dockerfile: %w", err)
	}
	s.Files = map[string][]byte{Dockerfile: text}
	ignore, err := s.ignore()
	if err != nil {
		return err
	}
	s.Files[Dockerfile+ignoreFile] = ignore
	return nil
}

// Ignore is the ignore file that comes with a generated Dockerfile; nil for one of the
// folder's own.
func (s *Service) Ignore() []byte { return s.Files[Dockerfile+ignoreFile] }

// ignore is the folder's own ignore file, as somebody has decided who did not know what
// a generated Dockerfile installs; else the one that goes with it.
func (s *Service) ignore() ([]byte, error) {
	root, err := os.OpenRoot(s.Dir)
	if err != nil {
		return nil, err
	}
	defer root.Close() //nolint:errcheck // nothing was written through it
	own, err := root.ReadFile(ignoreFile)
	if errors.Is(err, os.ErrNotExist) {
		return generate.Ignore(s.Project), nil
	}
	if err != nil {
		return nil, err
	}
	own = append(own, "\n# What the Dockerfile installs.\n"...)
	for _, file := range slices.Concat(s.Project.Dependencies.Files, s.Project.Dev.Files) {
		own = append(own, "!"+file+"\n"...)
	}
	return own, nil
}

// Story says what a generated Dockerfile was made for, and what is likely not to be
// meant: a line each, none for a Dockerfile of the folder's own.
func (s *Service) Story() []string {
	if s.Project == nil {
		return nil
	}
	var lines []string
	for _, evidence := range s.Project.Evidence {
		lines = append(lines, fmt.Sprintf("%s: %s (%s)", evidence.What, evidence.Value, evidence.Source))
	}
	for _, warning := range s.Project.Warnings {
		lines = append(lines, "warning: "+warning)
	}
	return lines
}

// Summary is one line about a generated Dockerfile; empty for one of the folder's own.
func (s *Service) Summary() string {
	if s.Project == nil {
		return ""
	}
	found := []string{"Python " + s.Project.Python}
	if app := s.Project.App; app != nil {
		found = append([]string{app.Framework + " app " + app.Object}, found...)
	}
	if kind := s.Project.Dependencies.Kind; kind != detect.None {
		found = append(found, "dependencies of "+string(kind))
	}
	return fmt.Sprintf("No Dockerfile: made a %s one for %s", s.Variant, strings.Join(found, ", "))
}

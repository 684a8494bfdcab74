// Package project reads a folder as it is built: its settings, and the Dockerfile
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

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/generate"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/shell"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/appname"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/settings"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
)

// Dockerfile is where a generated Dockerfile is in the build context.
const Dockerfile = "Dockerfile"

// DefaultPort is the port of an app when nothing says where it listens.
const DefaultPort = detect.DefaultPort

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

// Project is a folder as it is built.
type Project struct {
	// Dir is its absolute path.
	Dir string
	// Name is the app's, not checked.
	Name string
	// Settings are those of [tool.kubectl-pyflow], zero without them.
	Settings *settings.Settings
	// Dockerfile is the one that is built.
	Dockerfile *dockerfile.Dockerfile
	// Detected is what was found, and Variant what the Dockerfile was generated as;
	// nil and empty for a Dockerfile of the folder's own.
	Detected *detect.Project
	Variant  generate.Variant
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
func Read(dir string, options Options) (*Project, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a directory", dir)
	}
	p := &Project{}
	if p.Dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if p.Settings, err = settings.Read(p.Dir); err != nil {
		return nil, err
	}
	p.Port = cmp.Or(options.Port, int(p.Settings.Port))
	if !options.NoTest {
		if p.Test, err = Command(cmp.Or(options.Test, p.Settings.Test)); err != nil {
			return nil, err
		}
	}
	p.Name = cmp.Or(options.Name, p.Settings.Name, appname.FromDir(p.Dir))
	err = p.readDockerfile(options)
	if errors.Is(err, detect.ErrNoProject) || errors.Is(err, generate.ErrNoApp) {
		err = fmt.Errorf("%s: %w", p.Dir, err)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Command splits a command line into words as a shell does, but runs no shell. An empty
// line is nil.
func Command(line string) ([]string, error) {
	if line == "" {
		return nil, nil
	}
	words, err := shell.Fields(line)
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
func (p *Project) readDockerfile(options Options) error {
	named := cmp.Or(options.Dockerfile, p.Settings.Build.Dockerfile)
	if !options.Generate {
		parsed, err := dockerfile.Read(p.Dir, named)
		if err == nil {
			p.Dockerfile = parsed
			return nil
		}
		if named != "" || !errors.Is(err, dockerfile.ErrNotFound) {
			return err
		}
	}
	var err error
	wanted := detect.Options{App: options.App, Python: options.Python, Port: options.Port}
	if wanted.App == "" {
		wanted.App, wanted.AppSource = p.Settings.Entrypoint, p.Settings.Where("entrypoint")
	}
	if wanted.Python == "" {
		wanted.Python, wanted.PythonSource = p.Settings.Python, p.Settings.Where("python")
	}
	if wanted.Port == 0 {
		wanted.Port, wanted.PortSource = int(p.Settings.Port), p.Settings.Where("port")
	}
	p.Detected, err = detect.Read(p.Dir, wanted)
	if err != nil {
		return err
	}
	p.Variant = cmp.Or(options.Variant, generate.Variant(p.Settings.Build.Variant), generate.Slim)
	text, err := generate.Dockerfile(generate.Options{Project: p.Detected, Variant: p.Variant, Port: p.Port, Test: len(p.Test) > 0, Name: p.Name})
	if err != nil {
		return err
	}
	if p.Dockerfile, err = dockerfile.Parse(Dockerfile, text); err != nil {
		return fmt.Errorf("the generated Dockerfile: %w", err)
	}
	p.Files = map[string][]byte{Dockerfile: text}
	ignore, err := p.ignore()
	if err != nil {
		return err
	}
	p.Files[Dockerfile+ignoreFile] = ignore
	return nil
}

// Ignore is the ignore file that comes with a generated Dockerfile; nil for one of the
// folder's own.
func (p *Project) Ignore() []byte { return p.Files[Dockerfile+ignoreFile] }

// ignore is the folder's own ignore file, as somebody has decided who did not know what
// a generated Dockerfile installs; else the one that goes with it.
func (p *Project) ignore() ([]byte, error) {
	root, err := os.OpenRoot(p.Dir)
	if err != nil {
		return nil, err
	}
	defer root.Close() //nolint:errcheck // nothing was written through it
	own, err := root.ReadFile(ignoreFile)
	if errors.Is(err, os.ErrNotExist) {
		return generate.Ignore(p.Detected), nil
	}
	if err != nil {
		return nil, err
	}
	own = append(own, "\n# What the Dockerfile installs.\n"...)
	for _, file := range slices.Concat(p.Detected.Dependencies.Files, p.Detected.Dev.Files) {
		own = append(own, "!"+file+"\n"...)
	}
	return own, nil
}

// Story says what a generated Dockerfile was made for, and what is likely not to be
// meant: a line each, none for a Dockerfile of the folder's own.
func (p *Project) Story() []string {
	if p.Detected == nil {
		return nil
	}
	var lines []string
	for _, evidence := range p.Detected.Evidence {
		lines = append(lines, fmt.Sprintf("%s: %s (%s)", evidence.What, evidence.Value, evidence.Source))
	}
	for _, warning := range p.Detected.Warnings {
		lines = append(lines, "warning: "+warning)
	}
	return lines
}

// Summary is one line about a generated Dockerfile; empty for one of the folder's own.
func (p *Project) Summary() string {
	if p.Detected == nil {
		return ""
	}
	found := []string{"Python " + p.Detected.Python}
	if app := p.Detected.App; app != nil {
		found = append([]string{app.Framework + " app " + app.Object}, found...)
	}
	if kind := p.Detected.Dependencies.Kind; kind != detect.None {
		found = append(found, "dependencies of "+string(kind))
	}
	return fmt.Sprintf("No Dockerfile: made a %s one for %s", p.Variant, strings.Join(found, ", "))
}

package scaffold

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/generate"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/appname"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/settings"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
)

// ErrNotEmpty reports a directory that is neither a Python project nor a place for a new
// service.
var ErrNotEmpty = errors.New("there is no Python project, and the directory is not empty")

// Request is what the user wants of a directory. A zero value leaves the decision to the
// project, the settings or the defaults.
type Request struct {
	Dir string
	// Template is that of a new service. It is empty for an existing project.
	Template string
	// Name is the name of the app.
	Name string
	// Entrypoint is module:attribute.
	Entrypoint string
	// Python is major.minor.
	Python  string
	Port    int
	Variant generate.Variant
	// Force replaces files that exist, after a copy of each.
	Force bool
	// Manifests returns the manifests of a project that has none, by the names of their files.
	// They are written to ManifestsDir. If it is nil, none are.
	Manifests func(*project.Project) (map[string][]byte, error)
}

// ManifestsDir is where manifests are written.
const ManifestsDir = "deploy"

// Work is what will be written, and why.
type Work struct {
	// Name is the name of the app.
	Name string
	// Project is what the directory holds, or will hold.
	Project *detect.Project
	Plan    *Plan
	// Warnings are what the user probably did not intend.
	Warnings []string
	// Notes are about files that stay as they are.
	Notes []string
}

// Prepare decides what is to be written, and writes nothing. Errors about a name hold an
// *appname.Error or a *PackageError.
func Prepare(request Request) (*Work, error) {
	if request.Template != "" {
		return start(request)
	}
	return adopt(request)
}

// start prepares a new service.
func start(request Request) (*Work, error) {
	name := cmp.Or(request.Name, appname.FromDir(request.Dir))
	files, err := New(Options{
		Template: request.Template, Name: name, Port: cmp.Or(request.Port, project.DefaultPort), Python: cmp.Or(request.Python, DefaultPython),
	})
	if err != nil {
		return nil, err
	}
	resolved, err := resolve(files, request.Variant)
	if err != nil {
		return nil, err
	}
	image, err := imageFiles(resolved)
	if err != nil {
		return nil, err
	}
	files = append(files, image...)
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	plan, err := NewPlan(request.Dir, files, request.Force)
	return &Work{Name: name, Project: resolved.Detected, Plan: plan, Warnings: resolved.Warnings()}, err
}

// resolve resolves a directory with these files and no others. It writes them to a
// temporary directory and removes it.
func resolve(files []File, variant generate.Variant) (resolved *project.Project, err error) {
	dir, err := os.MkdirTemp("", "pyflow-init-")
	if err != nil {
		return nil, fmt.Errorf("read the new files: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	plan, err := NewPlan(dir, files, false)
	if err != nil {
		return nil, err
	}
	if _, err := plan.Write(); err != nil {
		return nil, fmt.Errorf("read the new files: %w", err)
	}
	return project.Resolve(dir, project.Options{Variant: variant, NoDockerfile: true, NoDeploy: true})
}

// imageFiles returns the files that an image is built from: those that a build generates
// if they do not exist.
func imageFiles(resolved *project.Project) ([]File, error) {
	contents, err := project.ImageFiles(resolved)
	if err != nil {
		return nil, err
	}
	var files []File
	for _, name := range slices.Sorted(maps.Keys(contents)) {
		files = append(files, File{Path: name, Content: contents[name]})
	}
	return files, nil
}

// adopt prepares an existing project.
func adopt(request Request) (*Work, error) {
	table, err := settings.Read(request.Dir)
	if err != nil {
		return nil, err
	}
	manifest, err := os.ReadFile(filepath.Join(request.Dir, settings.File))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	has, err := HasSettings(manifest)
	if err != nil {
		return nil, err
	}
	if has {
		if err := agree(request, table); err != nil {
			return nil, err
		}
	}
	resolved, err := project.Resolve(request.Dir, project.Options{
		Name: request.Name, Entrypoint: request.Entrypoint, Python: request.Python, Port: request.Port, Variant: request.Variant,
		NoDockerfile: true, NoDeploy: true,
	})
	if errors.Is(err, detect.ErrNoProject) {
		return nil, fmt.Errorf("%s: %w", request.Dir, ErrNotEmpty)
	}
	if err != nil {
		return nil, err
	}
	if err := resolved.CheckName(); err != nil {
		return nil, err
	}
	work := &Work{Name: resolved.Name.Value, Project: resolved.Detected, Warnings: resolved.Warnings()}
	files, err := work.adoptImage(request, resolved)
	if err != nil {
		return nil, err
	}
	owned, err := adoptManifests(work, request, table)
	if err != nil {
		return nil, err
	}
	files = append(files, owned...)
	if !has {
		file, err := Extend(manifest, Settings{
			Name: work.Name, Entrypoint: resolved.Entrypoint.Value, Python: request.Python, Port: resolved.Port.Value,
			Context: project.ContextSetting(resolved),
		})
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	} else if context := project.ContextSetting(resolved); context != "" && table.Context == "" {
		work.Warnings = append(work.Warnings, fmt.Sprintf("the Dockerfile copies from %s: set context = %q in [%s] of %s, or pass --context to each build",
			resolved.Context, context, settings.Table, settings.File))
	}
	work.Plan, err = NewPlan(request.Dir, files, request.Force)
	return work, err
}

// adoptManifests returns the manifests that are to be written, and adds what the user must know of
// them.
func adoptManifests(work *Work, request Request, table *settings.Settings) ([]File, error) {
	if request.Manifests == nil {
		return nil, nil
	}
	options := project.Options{Name: request.Name, Port: request.Port}
	own := filepath.Join(request.Dir, filepath.FromSlash(cmp.Or(table.Build.Dockerfile, project.Dockerfile)))
	if _, err := os.Lstat(own); err != nil || request.Force && table.Build.Dockerfile == "" {
		options.Entrypoint, options.Python, options.Variant = request.Entrypoint, request.Python, cmp.Or(request.Variant, generate.Variant(table.Build.Variant), generate.Slim)
	}
	resolved, err := project.Resolve(request.Dir, options)
	if err != nil {
		return nil, err
	}
	if resolved.Manifests.IsSet() {
		work.Notes = append(work.Notes, "the project has manifests, which stay: "+resolved.Manifests.Origin.Where)
		return nil, nil
	}
	contents, err := request.Manifests(resolved)
	if err != nil {
		return nil, err
	}
	var files []File
	for _, name := range slices.Sorted(maps.Keys(contents)) {
		files = append(files, File{Path: ManifestsDir + "/" + name, Content: contents[name]})
	}
	if user := resolved.Deployment.User; !user.IsSet() || user.Value.Name != "" {
		work.Notes = append(work.Notes, "the pods run as the USER of the image; if that is a name, write its number into the manifests as runAsUser")
	}
	if err := table.CheckManifests(ManifestsDir); err != nil {
		for line := range strings.Lines(err.Error()) {
			work.Warnings = append(work.Warnings, "the manifests have it, and the next build stops at it: "+strings.TrimSpace(line))
		}
	}
	return files, nil
}

// agree refuses flags that contradict the table: init does not change it, and the next
// build would use it.
func agree(request Request, table *settings.Settings) error {
	for _, flag := range []struct{ name, given, set string }{
		{"name", request.Name, table.Name},
		{"entrypoint", request.Entrypoint, table.Entrypoint},
		{"python", request.Python, table.Python},
		{"port", number(request.Port), number(int(table.Port))},
	} {
		if flag.given == "" || flag.given == flag.set {
			continue
		}
		value := strconv.Quote(flag.given)
		if flag.name == "port" {
			value = flag.given
		}
		where := cmp.Or(table.Where(flag.name), "["+settings.Table+"] of "+settings.File)
		return &project.OptionError{Err: fmt.Errorf("--%s %s contradicts the settings: set %s = %s in %s", flag.name, flag.given, flag.name, value, where)}
	}
	return nil
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// adoptImage returns the files of the image that are to be written, and adds a note for a
// Dockerfile that stays.
func (w *Work) adoptImage(request Request, resolved *project.Project) ([]File, error) {
	table := resolved.Settings
	own := cmp.Or(table.Build.Dockerfile, project.Dockerfile)
	path := filepath.Join(request.Dir, filepath.FromSlash(own))
	_, err := os.Lstat(path)
	exists := err == nil
	if own != project.Dockerfile {
		if !exists {
			return nil, fmt.Errorf("%s: the Dockerfile %s does not exist: write it, or remove the setting to generate one", table.Where("build.dockerfile"), own)
		}
		w.Notes = append(w.Notes, fmt.Sprintf("the settings name the Dockerfile: %s", own))
		return nil, nil
	}
	files, err := imageFiles(resolved)
	if !exists || request.Force {
		return files, err
	}
	kept, readErr := os.ReadFile(path)
	if err == nil && readErr == nil && string(kept) == string(files[slices.IndexFunc(files, isDockerfile)].Content) {
		return files, nil
	}
	// The project's own Dockerfile may copy what a generated .dockerignore would leave out.
	w.Notes = append(w.Notes, "Dockerfile is the project's own and stays; --force replaces it and keeps it as Dockerfile"+OrigSuffix)
	return nil, readErr
}

func isDockerfile(file File) bool { return file.Path == project.Dockerfile }

// IsNew reports whether a directory is a place for a new service: it does not exist, or
// holds only what a new repository holds. With a template it may hold anything except a
// Python project, which is an *project.OptionError.
func IsNew(dir string, template bool) (bool, error) {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	case err != nil:
		if info, serr := os.Stat(dir); serr == nil && !info.IsDir() {
			return false, fmt.Errorf("%s is not a directory", dir)
		}
		return false, fmt.Errorf("read the directory: %w", err)
	}
	switch python := detect.IsPython(dir); {
	case python && template:
		return false, &project.OptionError{Err: fmt.Errorf("--template is for a new service, and %s holds a Python project: leave it out, or name another directory", dir)}
	case python:
		return false, nil
	case template:
		return true, nil
	}
	return !slices.ContainsFunc(entries, func(entry fs.DirEntry) bool { return !isRepositoryFile(entry.Name()) }), nil
}

// isRepositoryFile reports whether a repository may have the file before it has any code.
func isRepositoryFile(name string) bool {
	stem, _, _ := strings.Cut(strings.ToLower(name), ".")
	switch stem {
	case "", "readme", "license", "copying", "notice", "changelog", "contributing", "codeowners", "security", "authors", "code_of_conduct":
		return true
	}
	return false
}

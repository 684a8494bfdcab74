package lint

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/shell"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/packaging"
)

// developmentPattern matches names of stages, files and groups for development.
var developmentPattern = regexp.MustCompile(`(?i)(^|[-_./])(dev|devel|develop|development|test|tests|testing|lint|ci|debug|local)([-_.]|$)`)

// inputs are what the rules know beside the image. They are read before the rules run, and
// the rules do not change them.
type inputs struct {
	// dockerfile is the path of the Dockerfile.
	dockerfile string
	folder     folder
	// ignore is what the ignore file excludes; nil without one.
	ignore func(name string) bool
	// now is the day for which support of base images is judged.
	now     time.Time
	sources sources
	// requirements are those of the files that installations of the image name, by file;
	// files are the requirements files that they are in.
	requirements map[string][]requirement
	files        []string
	// manifest is the pyproject.toml; nil if there is no valid one.
	manifest *packaging.Pyproject
}

// requirement is one requirement of a requirements file of the build context.
type requirement struct {
	packaging.RequirementLine
	at place
}

// pinned reports whether the requirement always installs the same code. A variable in
// it may hold the version.
func (r requirement) pinned() bool { return hasVariable(r.Text) || r.Pinned() }

// newInputs reads the files of the build context that the rules need.
func newInputs(options Options, image *image) *inputs {
	in := &inputs{
		dockerfile: image.file.Path, folder: folder(options.Dir), now: options.Now,
		sources: sources{}, requirements: map[string][]requirement{},
	}
	in.sources.add(image.file.Path, image.file.Content)
	in.ignore = ignored(options.Ignore, in.folder, image.file.Path)
	if content, ok := in.folder.read(packaging.PyprojectFile); ok {
		in.sources.add(packaging.PyprojectFile, content)
		if manifest, err := packaging.ParsePyproject(content); err == nil {
			in.manifest = manifest
		}
	}
	for _, step := range image.neededSteps() {
		for _, found := range image.installs[step] {
			for _, file := range in.requirementFiles(image, &found) {
				in.readRequirements(file)
			}
		}
	}
	return in
}

// requirementFiles returns the requirements files of the build context that an
// installation names.
func (in *inputs) requirementFiles(image *image, found *install) []string {
	if !found.UsesPip() {
		return nil
	}
	var files []string
	for _, word := range found.Requirements() {
		if file, ok := in.contextFile(image, found.step, word); ok && path.Base(file) != packaging.PyprojectFile {
			files = append(files, file)
		}
	}
	return files
}

// readRequirements reads a requirements file and those that it includes, without local
// projects, which have no version.
func (in *inputs) readRequirements(file string) {
	if _, read := in.requirements[file]; read {
		return
	}
	in.requirements[file] = nil
	read, ok := packaging.ReadRequirements(in.folder.read, path.Clean(file))
	if !ok {
		return
	}
	for _, name := range read.Files {
		if in.sources[name] == nil {
			content, _ := in.folder.read(name)
			in.sources.add(name, content)
			in.files = append(in.files, name)
		}
	}
	for _, line := range read.Lines {
		if !line.IsPath() {
			at := in.sources.lines(line.Position.File, line.Position.Line, line.Position.Line)
			in.requirements[file] = append(in.requirements[file], requirement{line, in.textIn(at, line.Text)})
		}
	}
}

// textIn returns the place of a text in the first line of a place, or the place itself.
func (in *inputs) textIn(at place, text string) place {
	lines := in.sources[at.path]
	if at.line < 1 || at.line > len(lines) {
		return at
	}
	line := lines[at.line-1]
	if start := strings.Index(line, text); start >= 0 {
		return span(at.path, at.line, line, start, start+len(text))
	}
	return at
}

// contextFile returns the file of the build context that an instruction before the
// step copied to a path of the image, or that the step mounts: of the sources of COPY, the
// last one that has a file of that path or name.
func (in *inputs) contextFile(image *image, step *dockerfile.Step, word shell.Word) (string, bool) {
	name := word.Text
	if strings.ContainsAny(name, "$`*?") || strings.Contains(name, "://") {
		return "", false
	}
	for _, mount := range step.Mounts {
		if mount.From == "" && mount.Type == instructions.MountTypeBind && path.Base(mount.Target) == path.Base(name) {
			return path.Clean(strings.TrimPrefix(mount.Source, "/")), true
		}
	}
	var candidates []string
	for _, before := range image.before(step) {
		for _, source := range copied(before) {
			candidates = append(candidates, copiedFrom(source, name)...)
		}
	}
	for _, candidate := range slices.Backward(candidates) {
		candidate = strings.TrimPrefix(path.Clean("/"+candidate), "/")
		if in.folder.has(candidate) {
			return candidate, true
		}
	}
	return "", false
}

// copiedFrom returns the files of the build context that can be at a path of the image if a
// source was copied.
func copiedFrom(source, name string) []string {
	base := path.Base(name)
	if path.Base(source) == base {
		return []string{source}
	}
	if strings.ContainsAny(source, "*?[") {
		if match, err := path.Match(path.Base(source), base); err != nil || !match {
			return nil
		}
		return []string{path.Join(path.Dir(source), base)}
	}
	files := []string{path.Join(source, strings.TrimPrefix(name, "/")), path.Join(source, base)}
	if parent := path.Base(path.Dir(name)); parent != "." && parent != "/" {
		files = append(files, path.Join(source, parent, base))
	}
	return files
}

// ignored returns what an ignore file excludes: the one that is given, that of the
// Dockerfile, or that of the build context; nil without one.
func ignored(given []byte, context folder, dockerfile string) func(name string) bool {
	content, ok := given, given != nil
	for _, name := range ignoreFiles(dockerfile) {
		if !ok {
			content, ok = context.read(name)
		}
	}
	patterns, err := ignorefile.ReadAll(bytes.NewReader(content))
	if !ok || err != nil {
		return nil
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil { // an error of the build
		return func(string) bool { return false }
	}
	return func(name string) bool {
		match, err := matcher.MatchesOrParentMatches(name)
		return err == nil && match
	}
}

// ignoreFiles returns the names of the ignore file of a Dockerfile.
func ignoreFiles(name string) []string { return dockerfile.IgnoreFiles(name) }

// folder is the directory of a build context; an empty one has no files.
type folder string

// maxFile is the size up to which a file of the build context is read.
const maxFile = 4 << 20

// read returns the content of a regular file.
func (f folder) read(name string) (content []byte, ok bool) {
	if f == "" {
		return nil, false
	}
	root, err := os.OpenRoot(string(f))
	if err != nil {
		return nil, false
	}
	defer root.Close() //nolint:errcheck // nothing was written through it
	info, err := root.Stat(filepath.FromSlash(name))
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, false
	}
	content, err = root.ReadFile(filepath.FromSlash(name))
	return content, err == nil
}

// has reports whether there is a regular file of that name.
func (f folder) has(name string) bool {
	_, ok := f.read(name)
	return ok
}

// hasCode reports whether a directory has Python files, as far as a thousand entries show.
func (f folder) hasCode(name string) bool {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if f == "" || name == "" || strings.ContainsAny(name, "$*?[") {
		return false
	}
	root, err := os.OpenRoot(string(f))
	if err != nil {
		return false
	}
	defer root.Close() //nolint:errcheck // nothing was written through it
	directory, err := root.OpenRoot(filepath.FromSlash(name))
	if err != nil {
		return false
	}
	defer directory.Close() //nolint:errcheck // nothing was written through it
	found, seen := false, 0
	// A directory that cannot be read has no code.
	_ = fs.WalkDir(directory.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		seen++
		found = err == nil && !entry.IsDir() && strings.HasSuffix(name, ".py")
		if err != nil || found || seen > 1000 {
			return fs.SkipAll
		}
		return nil
	})
	return found
}

// parseArgument parses a requirement on the command line of pip, which may be a path or
// a URL.
func parseArgument(text string) (packaging.Requirement, bool) {
	if r, ok := packaging.ParseRequirement(text); ok {
		return r, true
	}
	return packaging.ParseURLRequirement(text)
}

// requirementName returns the normalized name of a requirement; ok is false for a path,
// a URL or a variable.
func requirementName(text string) (name string, ok bool) {
	r, ok := packaging.ParseRequirement(text)
	return r.Name, ok
}

// isRepository reports whether a requirement is the URL of a repository.
func isRepository(text string) bool {
	r, ok := packaging.ParseURLRequirement(text)
	return ok && r.IsRepository()
}

// isPinned reports whether a requirement on a command line always installs the same
// code. A variable in it may hold the version.
func isPinned(text string) bool {
	r, ok := parseArgument(text)
	return hasVariable(text) || ok && r.Pinned()
}

// hasVariable reports whether a shell expands a part of the text.
func hasVariable(text string) bool { return strings.ContainsAny(text, "$`") }

// isLocal reports whether an argument of pip is the directory of a project.
func isLocal(argument string) bool {
	directory, _, _ := strings.Cut(argument, "[")
	return directory == "." || strings.HasPrefix(directory, "./") || strings.HasPrefix(directory, "/") && path.Ext(directory) == ""
}

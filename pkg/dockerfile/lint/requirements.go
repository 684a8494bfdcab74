package lint

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/packaging"
)

// requirement is one requirement of a requirements file of the build context.
type requirement struct {
	packaging.RequirementLine
	at place
}

// pinned reports whether the requirement always installs the same code. A variable in
// it may hold the version.
func (r requirement) pinned() bool { return hasVariable(r.Text) || r.Pinned() }

// maxRequirements is the size up to which a file of the build context is read.
const maxRequirements = 4 << 20

// readRequirements reads a requirements file of the build context and those that it
// includes, without local projects, which have no version. A file that does not exist
// has no requirements.
func (c *checker) readRequirements(file string) []requirement {
	read, ok := packaging.ReadRequirements(c.file, path.Clean(file))
	if !ok {
		return nil
	}
	for _, name := range read.Files {
		c.addRequirements(name)
	}
	var requirements []requirement
	for _, line := range read.Lines {
		if !line.IsPath() {
			requirements = append(requirements, requirement{line, c.requirementPlace(line)})
		}
	}
	return requirements
}

// addRequirements adds a requirements file to those that findings can have a place in,
// and looks for secrets in it.
func (c *checker) addRequirements(file string) {
	if c.sources[file] != nil {
		return
	}
	content, _ := c.file(file)
	c.add(file, content)
	c.suppressRequirements(file)
	whole := c.lines(file, 1, len(c.sources[file].lines))
	c.textSecrets(place{path: file, line: 1, endLine: whole.endLine})
}

// requirementPlace returns the place of a requirement in its first line.
func (c *checker) requirementPlace(line packaging.RequirementLine) place {
	at := c.lines(line.Position.File, line.Position.Line, line.Position.Line)
	source := c.sources[at.path]
	if source == nil || at.line == 0 {
		return at
	}
	first := source.lines[at.line-1]
	if start := strings.Index(first, line.Text); start >= 0 {
		at.column = len([]rune(first[:start])) + 1
		at.endColumn = at.column + len([]rune(line.Text))
	}
	return at
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

// manifest reads the pyproject.toml of the build context; ok is false if it does not
// exist or is not valid.
func (c *checker) manifest() (manifest *packaging.Pyproject, ok bool) {
	content, ok := c.file(packaging.PyprojectFile)
	if !ok {
		return nil, false
	}
	manifest, err := packaging.ParsePyproject(content)
	return manifest, err == nil
}

// file returns the content of a regular file of the build context.
func (c *checker) file(name string) ([]byte, bool) {
	if c.options.Dir == "" {
		return nil, false
	}
	root, err := os.OpenRoot(c.options.Dir)
	if err != nil {
		return nil, false
	}
	defer root.Close() //nolint:errcheck // nothing was written through it
	info, err := root.Stat(filepath.FromSlash(name))
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxRequirements {
		return nil, false
	}
	content, err := root.ReadFile(filepath.FromSlash(name))
	return content, err == nil
}

// contextFile returns the file of the build context that an instruction before the
// step copied to a path of the image: of the sources of COPY, the last one that has a
// file of that path or name.
func (c *checker) contextFile(step *step, name string) (string, bool) {
	if strings.ContainsAny(name, "$`*?") || strings.Contains(name, "://") {
		return "", false
	}
	for _, mount := range step.mounts {
		if mount.From == "" && mount.Type == instructions.MountTypeBind && path.Base(mount.Target) == path.Base(name) {
			return path.Clean(strings.TrimPrefix(mount.Source, "/")), true
		}
	}
	base := path.Base(name)
	var candidates []string
	for _, stage := range step.stage.lineage() {
		for _, before := range stage.steps {
			if before == step {
				break
			}
			sources, ok := contextSources(before)
			if !ok {
				continue
			}
			for _, source := range sources {
				switch {
				case path.Base(source) == base:
					candidates = append(candidates, source)
				case strings.ContainsAny(source, "*?["):
					if match, err := path.Match(path.Base(source), base); err == nil && match {
						candidates = append(candidates, path.Join(path.Dir(source), base))
					}
				default:
					candidates = append(candidates, path.Join(source, strings.TrimPrefix(name, "/")), path.Join(source, base))
					if parent := path.Base(path.Dir(name)); parent != "." && parent != "/" {
						candidates = append(candidates, path.Join(source, parent, base))
					}
				}
			}
		}
	}
	for _, candidate := range slices.Backward(candidates) {
		candidate = strings.TrimPrefix(path.Clean("/"+candidate), "/")
		if _, ok := c.file(candidate); ok {
			return candidate, true
		}
	}
	return "", false
}

// contextSources returns what COPY or ADD copies from the build context; ok is false for
// any other instruction.
func contextSources(step *step) ([]string, bool) {
	switch command := step.command.(type) {
	case *instructions.CopyCommand:
		return command.SourcePaths, command.From == ""
	case *instructions.AddCommand:
		return command.SourcePaths, true
	}
	return nil, false
}

// wholeContext reports whether a source is the whole build context.
func wholeContext(source string) bool {
	return path.Clean("/"+source) == "/" || source == "*" || source == "./*"
}

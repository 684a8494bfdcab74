package lint

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// requirement is one line of a file of requirements, with those that continue it.
type requirement struct {
	// text is the requirement without options and comments; name is normalized.
	text, name string
	at         place
	hashed     bool
	// via are those that ask for it, as a comment of pip-compile or uv says.
	via []string
}

// What a line of a file of requirements can have.
var (
	commentPattern  = regexp.MustCompile(`(^|\s)#.*$`)
	includePattern  = regexp.MustCompile(`^(?:-r|--requirement)[\s=]*(\S+)`)
	editablePattern = regexp.MustCompile(`^(?:-e|--editable)[\s=]+((?:git|hg|svn|bzr)\+)`)
	vcsPattern      = regexp.MustCompile(`^(git|hg|svn|bzr)\+`)
)

// maxRequirements bounds the size of a file that is read.
const maxRequirements = 4 << 20

// readRequirements reads a file of the build context and those that it includes,
// each once. One that is not there or no text has no requirements.
func (c *checker) readRequirements(file string, seen map[string]bool) []requirement {
	file = path.Clean(file)
	if seen[file] || !filepath.IsLocal(filepath.FromSlash(file)) {
		return nil
	}
	seen[file] = true
	content, ok := c.file(file)
	if !ok {
		return nil
	}
	if c.sources[file] == nil {
		c.add(file, content)
		c.suppressRequirements(file)
		whole := c.lines(file, 1, len(c.sources[file].lines))
		c.textSecrets(place{path: file, line: 1, endLine: whole.endLine})
	}
	lines := c.sources[file].lines
	var requirements []requirement
	for i := 0; i < len(lines); i++ {
		first := i
		line := lines[i]
		for strings.HasSuffix(line, `\`) && i+1 < len(lines) {
			i++
			line = strings.TrimSuffix(line, `\`) + " " + strings.TrimSpace(lines[i])
		}
		line = strings.TrimSpace(commentPattern.ReplaceAllString(line, ""))
		if line == "" {
			if via, ok := strings.CutPrefix(strings.TrimSpace(lines[first]), "#"); ok && len(requirements) > 0 {
				last := &requirements[len(requirements)-1]
				via = strings.TrimSpace(via)
				if rest, ok := strings.CutPrefix(via, "via"); ok {
					via, last.via = strings.TrimSpace(rest), []string{}
				}
				if last.via != nil && via != "" {
					last.via = append(last.via, via)
				}
			}
			continue
		}
		if include := includePattern.FindStringSubmatch(line); include != nil {
			requirements = append(requirements, c.readRequirements(path.Join(path.Dir(file), include[1]), seen)...)
			continue
		}
		// An editable project of the context has no version, one of a repository has.
		line = editablePattern.ReplaceAllString(line, "$1")
		if strings.HasPrefix(line, "-") {
			continue
		}
		text, options, _ := strings.Cut(line, " --")
		text = strings.TrimSpace(text)
		name, ok := requirementName(text)
		if !ok {
			if !vcsPattern.MatchString(text) {
				continue
			}
			name = text
		}
		at := c.lines(file, first+1, first+1)
		if start := strings.Index(lines[first], strings.TrimSpace(strings.TrimSuffix(text, `\`))); start >= 0 {
			at.column = len([]rune(lines[first][:start])) + 1
			at.endColumn = at.column + len([]rune(text))
		}
		requirements = append(requirements, requirement{text: text, name: name, at: at, hashed: strings.Contains(options, "hash=")})
	}
	return requirements
}

// direct says whether the project itself asks for it, as far as the file says.
func (r *requirement) direct() bool {
	if len(r.via) == 0 {
		return true
	}
	return slices.ContainsFunc(r.via, func(via string) bool {
		return strings.HasPrefix(via, "-r ") || strings.HasSuffix(via, ")") || strings.HasSuffix(via, ".in") || strings.HasSuffix(via, ".txt")
	})
}

// file reads a file of the build context.
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

// contextFile returns the file of the build context that is at a path of the image
// when a step runs, as the COPY before it says; without one the file of the same
// path, or name, if there is one.
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

// contextSources returns what a COPY or ADD takes from the build context.
func contextSources(step *step) ([]string, bool) {
	switch command := step.command.(type) {
	case *instructions.CopyCommand:
		return command.SourcePaths, command.From == ""
	case *instructions.AddCommand:
		return command.SourcePaths, true
	}
	return nil, false
}

// wholeContext says whether a source is all of the build context.
func wholeContext(source string) bool {
	return path.Clean("/"+source) == "/" || source == "*" || source == "./*"
}

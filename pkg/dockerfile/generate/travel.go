package generate

import (
	"bytes"
	"path"
	"slices"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
)

// Context describes a build context that is a directory above the project.
type Context struct {
	// Within is the path of the project in the context; empty or "." for the context itself.
	Within string
	// Tests reports that the image is tested, so that what the tests need travels as well.
	Tests bool
	// Ignore returns the ignore file of a directory of the context, by its path; ok is false
	// if it has none.
	Ignore func(dir string) (text []byte, ok bool)
	// IsDir reports whether a path of the context is a directory.
	IsDir func(name string) bool
}

// Travels returns the paths of the context that the build gets, sorted: the project and what
// it needs beside it. A path below another one is not among them.
func (c Context) Travels(project *detect.Project) []string {
	all := []string{path.Clean(c.Within)}
	for _, name := range project.Outside(c.Tests) {
		all = append(all, path.Join(c.Within, name))
	}
	slices.Sort(all)
	var kept []string
	for _, name := range slices.Compact(all) {
		if !slices.ContainsFunc(all, func(other string) bool { return other != name && isBelow(name, other) }) {
			kept = append(kept, name)
		}
	}
	return kept
}

// isBelow reports whether a clean path is a directory or below it.
func isBelow(name, dir string) bool {
	return dir == "." || name == dir || strings.HasPrefix(name, dir+"/")
}

// IgnoreFor returns the ignore file for the Dockerfiles of a project in a context above it.
// Nothing travels but what the project needs, and of that nothing that the ignore files of
// these directories leave out; those without one have its default patterns. An ignore file
// of the context counts for all of them.
func IgnoreFor(project *detect.Project, context Context) []byte {
	travels := context.Travels(project)
	text := &strings.Builder{}
	if !slices.Contains(travels, ".") {
		text.WriteString("# Nothing but what the service needs.\n*\n")
		for _, name := range travels {
			text.WriteString("!" + name + "\n")
		}
	}
	var open []string
	if general, ok := context.Ignore("."); ok {
		text.WriteString("\n# The ignore file of the build context.\n")
		for _, pattern := range patternsOf(general) {
			text.WriteString(narrowed(pattern, travels))
		}
		open = leftOut(text.String(), travels)
		text.WriteString(exceptions("It leaves these out, which the service needs.", open))
	} else {
		open = travels
	}
	// The project may be in a directory that travels.
	for _, dir := range unite(travels, []string{path.Clean(context.Within)}) {
		if context.IsDir(dir) {
			text.WriteString(patternsFor(dir, context, slices.Contains(open, dir)))
		}
	}
	text.WriteString(exceptions("What the Dockerfile installs.", leftOut(text.String(), needs(project, context, travels))))
	return []byte(text.String())
}

// patternsFor returns the patterns for a directory that travels: those of its own ignore file,
// or the default ones if the directory is open, as no other ignore file counts for it.
func patternsFor(dir string, context Context, open bool) string {
	title, own := "The ignore file of "+dir+".", []byte(nil)
	has := false
	if dir != "." {
		own, has = context.Ignore(dir)
	}
	switch {
	case !has && !open:
		return ""
	case !has:
		title, own = "Of "+dir+": history, tools, their caches, virtual environments and secrets.", unusable()
		if dir == path.Clean(context.Within) {
			own = ignored()
		}
	}
	text := "\n# " + title + "\n"
	for _, pattern := range patternsOf(own) {
		text += rebased(pattern, dir) + "\n"
	}
	return text
}

// patternsOf returns the patterns of an ignore file, nothing of one that cannot be read:
// packing reports it.
func patternsOf(text []byte) []string {
	patterns, err := ignorefile.ReadAll(bytes.NewReader(text))
	if err != nil {
		return nil
	}
	return patterns
}

// rebased returns a pattern of a directory as one of the context.
func rebased(pattern, dir string) string {
	if exception, ok := strings.CutPrefix(pattern, "!"); ok {
		return "!" + path.Join(dir, exception)
	}
	return path.Join(dir, pattern)
}

// narrowed returns a pattern of the context's ignore file that lets nothing else travel: an
// exception holds for what travels only.
func narrowed(pattern string, travels []string) string {
	exception, ok := strings.CutPrefix(pattern, "!")
	if !ok {
		return pattern + "\n"
	}
	text := ""
	for _, dir := range travels {
		switch {
		case isBelow(exception, dir):
			text += pattern + "\n"
		case strings.HasPrefix(exception, "**/"):
			text += "!" + path.Join(dir, exception) + "\n"
		}
	}
	return text
}

// needs returns the files of the context that the Dockerfile installs, as far as they travel.
func needs(project *detect.Project, context Context, travels []string) []string {
	var all []string
	for _, name := range slices.Concat(project.Dependencies.Files, project.Dev.Files) {
		name = path.Join(context.Within, name)
		if slices.ContainsFunc(travels, func(dir string) bool { return isBelow(name, dir) }) {
			all = append(all, name)
		}
	}
	return unite(all, nil)
}

// leftOut returns those of the paths that the patterns leave out.
func leftOut(text string, names []string) []string {
	matcher, err := patternmatcher.New(patternsOf([]byte(text)))
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		left, err := matcher.MatchesOrParentMatches(name)
		return err != nil || !left
	})
}

// exceptions returns patterns that let paths travel, below a title; nothing without any.
func exceptions(title string, names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "\n# " + title + "\n!" + strings.Join(names, "\n!") + "\n"
}

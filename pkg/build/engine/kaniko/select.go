package kaniko

import (
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/patternmatcher"
	mode "github.com/tonistiigi/dchapes-mode"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
)

// maxCopies is how many instructions a COPY --parents may become: each of them is a layer.
const maxCopies = 16

// packedFiles returns what the build context has, by path; nil if it is not known.
func packedFiles(p *pass) map[string]fs.FileMode {
	if p.files == nil && p.source.Files != nil {
		files, err := p.source.Files()
		if err != nil {
			return nil // packing the context reports it
		}
		p.files = files
	}
	return p.files
}

// below returns the entries below a directory, relative to it and sorted.
func below[T any](files map[string]T, dir string) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if dir == "." {
			names = append(names, name)
		} else if rel, ok := strings.CutPrefix(name, dir+"/"); ok {
			names = append(names, rel)
		}
	}
	return names
}

// matches returns the entries that patterns match, or whose directory they match, as BuildKit
// does. The entries are sorted, so that directories come before what is in them.
func matches(names, patterns []string) (matched map[string]bool, err error) {
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return nil, err
	}
	matched = map[string]bool{}
	infos := map[string]patternmatcher.MatchInfo{}
	for _, name := range names {
		yes, info, err := matcher.MatchesUsingParentResults(name, infos[path.Dir(name)])
		if err != nil {
			return nil, err
		}
		if infos[name] = info; yes {
			matched[name] = true
		}
	}
	return matched, nil
}

// sourcesIn returns the entries of the build context that a source names.
func sourcesIn(files map[string]fs.FileMode, source string) []string {
	if source == "" {
		return []string{"."}
	}
	var names []string
	for name := range files {
		if ok, _ := path.Match(source, name); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// selectFlag matches the flags that Kaniko ignores.
var selectFlag = regexp.MustCompile(`--(?:exclude=("[^"]*"|\S+)|parents(?:=\S+)?)[ \t]*`)

// excludedFrom returns the paths of the build context that a COPY or ADD leaves out; why is not
// empty if that is not known.
func excludedFrom(p *pass, c copying, files map[string]fs.FileMode) (paths map[string]bool, why string) {
	paths = map[string]bool{}
	patterns := p.flags(c.Instruction, "exclude")
	if len(patterns) == 0 {
		return paths, ""
	}
	for i, pattern := range patterns {
		expanded, known := c.Expand(pattern)
		if !known || strings.HasPrefix(expanded, "!") {
			return nil, "its pattern " + pattern + " is not known before the build"
		}
		patterns[i] = expanded
	}
	sources, ok := c.local()
	if !ok || len(sources) < len(c.files.SourcePaths) || len(c.files.SourceContents) > 0 {
		return nil, "its sources are not known before the build"
	}
	for _, source := range sources {
		for _, dir := range sourcesIn(files, source) {
			matched, err := matches(below(files, dir), patterns)
			if err != nil {
				return nil, err.Error()
			}
			for name := range matched {
				paths[path.Join(dir, name)] = true
			}
		}
	}
	return paths, ""
}

// readBy returns the paths of the build context that an instruction reads.
func readBy(p *pass, at site, files map[string]fs.FileMode) (paths []string, ok bool) {
	var sources []string
	switch at.Command.(type) {
	case *instructions.CopyCommand, *instructions.AddCommand:
		c := p.copying(at)
		local, ok := c.local()
		if sources = local; !ok {
			return nil, false
		}
		if len(p.flags(at.Instruction, "parents")) > 0 {
			return parentReads(c, files)
		}
	case *instructions.RunCommand:
		for _, mount := range at.Mounts {
			if mount.Type == instructions.MountTypeBind && mount.From == "" {
				sources = append(sources, strings.TrimPrefix(path.Clean("/"+mount.Source), "/"))
			}
		}
	}
	for _, source := range sources {
		for _, name := range sourcesIn(files, source) {
			paths = append(paths, name)
			for _, rel := range below(files, name) {
				paths = append(paths, path.Join(name, rel))
			}
		}
	}
	return paths, true
}

// parentReads returns the paths that a COPY --parents reads.
func parentReads(c copying, files map[string]fs.FileMode) (paths []string, ok bool) {
	for _, word := range c.files.SourcePaths {
		source, known := c.Expand(word)
		root, pattern := pivot(source)
		matched, err := matches(below(files, root), []string{pattern})
		if !known || err != nil {
			return nil, false
		}
		for name := range matched {
			paths = append(paths, path.Join(root, name))
		}
	}
	return paths, true
}

// pivot splits a source of COPY --parents into the directory that the paths are relative to, and
// the pattern below it.
func pivot(source string) (root, pattern string) {
	root, pattern, ok := strings.Cut(source, "/./")
	if !ok {
		root, pattern = "", source
	}
	return path.Join(".", path.Clean("/" + root)[1:]), path.Clean("/" + pattern)[1:]
}

// exclusions rewrites --exclude, which Kaniko ignores: what only this instruction would read does
// not need to be there, so the ignore file that travels names it.
func exclusions(p *pass) {
	var all []copying
	for _, c := range p.copies() {
		if len(p.flags(c.Instruction, "exclude")) > 0 && len(p.flags(c.Instruction, "parents")) == 0 {
			all = append(all, c)
		}
	}
	files := packedFiles(p)
	for _, c := range all {
		if files == nil || c.from != "" || c.Triggered {
			p.refuse(c.Instruction, "--exclude is ignored by %s: the files would be in the image", Engine{}.Name())
			continue
		}
		left, why := excludedFrom(p, c, files)
		if why != "" {
			p.refuse(c.Instruction, "--exclude is ignored by %s, and %s", Engine{}.Name(), why)
			continue
		}
		if line := alsoRead(p, nil, left, files); line > 0 {
			p.refuse(c.Instruction, "--exclude is ignored by %s, and line %d needs what is excluded", Engine{}.Name(), line)
			continue
		}
		text := selectFlag.ReplaceAllString(strings.Join(p.excerpt(c.Instruction), "\n"), "")
		p.amendAs("copy-exclude", c.Instruction, strings.Split(text, "\n"), "what is excluded is left out of the build context, as nothing else needs it")
		for _, name := range slices.Sorted(maps.Keys(left)) {
			if !left[path.Dir(name)] {
				p.found.Ignore = append(p.found.Ignore, ignoreLine(name)...)
			}
		}
	}
}

// ignoreLine returns the line of an ignore file that matches a path and no other.
func ignoreLine(name string) string {
	return "/" + strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name) + "\n"
}

// alsoRead returns the line of an instruction, other than a step, that reads paths which it does
// not exclude itself; 0 if there is none.
func alsoRead(p *pass, except *dockerfile.Step, left map[string]bool, files map[string]fs.FileMode) int {
	for _, at := range p.sites() {
		if at.Step == except {
			continue
		}
		paths, ok := readBy(p, at, files)
		own := map[string]bool{}
		if ok && len(p.flags(at.Instruction, "exclude")) > 0 {
			own, _ = excludedFrom(p, p.copying(at), files)
		}
		if !ok || slices.ContainsFunc(paths, func(name string) bool { return left[name] && !own[name] }) {
			return p.origin[at.Line-1]
		}
	}
	return 0
}

// setModes gives the files that a COPY or ADD reads the modes that its --chmod sets, in the build
// context that travels; false if another instruction reads them, or they are not known.
func setModes(p *pass, c copying, set mode.Set) bool {
	files := packedFiles(p)
	paths, ok := readBy(p, c.site, files)
	if files == nil || c.from != "" || c.Triggered || !ok || len(paths) == 0 || len(c.files.SourceContents) > 0 {
		return false
	}
	changed := map[string]fs.FileMode{}
	reads := map[string]bool{}
	for _, name := range paths {
		before, known := files[name]
		if !known || before&fs.ModeSymlink != 0 {
			continue
		}
		after := set.Apply(before)
		if reads[name] = true; after.IsDir() && after.Perm() != 0o755 {
			return false // a new destination gets 0755
		}
		if after != before {
			changed[name] = after
		}
	}
	if alsoRead(p, c.Step, reads, files) > 0 {
		return false
	}
	if p.found.Modes == nil {
		p.found.Modes = map[string]fs.FileMode{}
	}
	maps.Copy(p.found.Modes, changed)
	return true
}

// parentDirectories rewrites COPY --parents, which Kaniko ignores, as a COPY for each directory.
func parentDirectories(p *pass) {
	for _, c := range p.copies() {
		values := p.flags(c.Instruction, "parents")
		if len(values) == 0 || values[0] == "false" {
			continue
		}
		lines, why := copyParents(p, c)
		if why != "" {
			p.refuse(c.Instruction, "--parents is ignored by %s: all files would be in one directory; it is not rewritten, as %s", Engine{}.Name(), why)
			continue
		}
		p.amendAs("copy-parents", c.Instruction, lines, "it is written as a COPY for each directory")
	}
}

// copyParents returns the instructions that do what COPY --parents does, or why there are none.
func copyParents(p *pass, c copying) (lines []string, why string) {
	files := packedFiles(p)
	dest, known := c.Expand(c.files.DestPath)
	switch {
	case files == nil:
		return nil, "the files of the build context are not known"
	case c.from != "" || c.Triggered || len(c.files.SourceContents) > 0:
		return nil, "its files are not those of the build context"
	case c.mode != "":
		return nil, "--chmod counts for directories as well"
	case !known:
		return nil, "its destination is not known before the build"
	}
	excludes := p.flags(c.Instruction, "exclude")
	flags := ""
	if c.chown != "" {
		flags = "--chown=" + strconv.Quote(c.chown) + " "
		if !strings.ContainsAny(c.chown, " \"") {
			flags = "--chown=" + c.chown + " "
		}
	}
	for _, word := range c.files.SourcePaths {
		source, known := c.Expand(word)
		if !known {
			return nil, "its sources are not known before the build"
		}
		root, pattern := pivot(source)
		if strings.ContainsAny(root, `*?[\`) {
			return nil, "there are wildcards before its pivot"
		}
		names := below(files, root)
		wanted, err := matches(names, []string{pattern})
		if err != nil {
			return nil, err.Error()
		}
		if len(excludes) > 0 {
			left, err := matches(names, excludes)
			if err != nil {
				return nil, err.Error()
			}
			maps.DeleteFunc(wanted, func(name string, _ bool) bool { return left[name] })
		}
		if len(wanted) == 0 {
			return nil, "nothing in the build context matches " + source
		}
		added, why := copyLines(files, root, wanted, flags, dest)
		if why != "" {
			return nil, why
		}
		lines = append(lines, added...)
	}
	if len(lines) > maxCopies {
		return nil, "it would be " + strconv.Itoa(len(lines)) + " layers"
	}
	return lines, ""
}

// copyLines returns a COPY for each directory that has wanted entries.
func copyLines(files map[string]fs.FileMode, root string, wanted map[string]bool, flags, dest string) (lines []string, why string) {
	groups := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		mode := files[path.Join(root, name)]
		for dir := path.Dir(name); ; dir = path.Dir(dir) {
			if at := path.Join(root, dir); at != "." && files[at].Perm() != 0o755 {
				return nil, "the directory " + at + " has another mode than 0755"
			}
			if dir == "." {
				break
			}
		}
		switch {
		case strings.ContainsAny(path.Join(root, name), `*?[\$`):
			return nil, "the name " + name + " would be taken for a pattern"
		case !mode.IsDir():
			groups[path.Dir(name)] = append(groups[path.Dir(name)], path.Join(root, name))
		case mode.Perm() != 0o755:
			return nil, "the directory " + name + " has another mode than 0755"
		case len(below(files, path.Join(root, name))) > 0:
			if len(below(wanted, name)) == 0 {
				return nil, "everything in " + name + " is excluded"
			}
		default:
			lines = append(lines, "COPY "+flags+exec([]string{path.Join(root, name) + "/", path.Join(dest, name) + "/"}))
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(groups)) {
		lines = append(lines, "COPY "+flags+exec(append(groups[dir], path.Join(dest, dir)+"/")))
	}
	return lines, ""
}

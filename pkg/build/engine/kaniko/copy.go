package kaniko

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	mode "github.com/tonistiigi/dchapes-mode"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
)

// copying is a COPY or ADD.
type copying struct {
	site
	files             instructions.SourcesAndDest
	add               bool
	from, chown, mode string
}

// copies returns the COPY and ADD instructions that are built.
func (p *pass) copies() []copying {
	var all []copying
	for _, at := range p.sites() {
		switch at.Command.(type) {
		case *instructions.CopyCommand, *instructions.AddCommand:
			all = append(all, p.copying(at))
		}
	}
	return all
}

// copying returns the COPY or ADD that a step is.
func (p *pass) copying(at site) copying {
	if command, ok := at.Command.(*instructions.AddCommand); ok {
		return copying{at, command.SourcesAndDest, true, "", command.Chown, command.Chmod}
	}
	command, _ := at.Command.(*instructions.CopyCommand)
	return copying{at, command.SourcesAndDest, false, command.From, command.Chown, command.Chmod}
}

// local returns the sources of the build context, with their variables replaced and without
// the slashes around them. ok is false if one of them is not known.
func (c copying) local() (sources []string, ok bool) {
	if c.from != "" {
		return nil, true
	}
	for _, word := range c.files.SourcePaths {
		source, known := c.Expand(word)
		if !known {
			return nil, false
		}
		if c.add && dockerfile.IsRemote(source) {
			continue
		}
		sources = append(sources, strings.TrimPrefix(path.Clean("/"+source), "/"))
	}
	return sources, true
}

func isURL(source string) bool {
	return (strings.HasPrefix(source, "http://") || strings.HasPrefix(source, "https://")) && !dockerfile.IsGit(source)
}

// modesOf returns the modes of what the sources have. They are nil if that is not known.
func modesOf(p *pass, sources []string) []fs.FileMode {
	if p.source.Context == nil {
		return nil
	}
	var seen []fs.FileMode
	for _, source := range sources {
		for _, name := range matching(p, source) {
			_ = fs.WalkDir(p.source.Context, name, func(_ string, entry fs.DirEntry, err error) error {
				if err != nil {
					return err
				}
				info, err := entry.Info()
				if err != nil {
					return err
				}
				if kind, ok := travels(p, info.Mode()); ok && !slices.Contains(seen, kind) {
					seen = append(seen, kind)
				}
				return nil
			})
		}
	}
	return seen
}

// travels returns the mode that an entry has in the build context; ok is false for links.
func travels(p *pass, found fs.FileMode) (kind fs.FileMode, ok bool) {
	if !found.IsDir() && !found.IsRegular() {
		return 0, false
	}
	if p.source.Mode != nil {
		found = p.source.Mode(found)
	}
	return found, true
}

// matching returns the paths of the build context that a source names.
func matching(p *pass, source string) []string {
	if source == "" {
		return []string{"."}
	}
	if !strings.ContainsAny(source, "*?[") {
		return []string{source}
	}
	names, err := fs.Glob(p.source.Context, source)
	if err != nil {
		return nil
	}
	return names
}

var chmodFlag = regexp.MustCompile(`--chmod=("[^"]*"|\S+)[ \t]*`)

// symbolicModes rewrites --chmod with letters, which Kaniko does not read.
func symbolicModes(p *pass) {
	for _, c := range p.copies() {
		word, known := c.Expand(c.mode)
		if c.mode == "" {
			continue
		}
		if _, err := strconv.ParseUint(word, 8, 32); known && err == nil {
			continue
		}
		set, err := mode.Parse(word)
		if !known || err != nil {
			p.refuse(c.Instruction, "the mode %q is not one that %s reads", c.mode, Engine{}.Name())
			continue
		}
		sources, ok := c.local()
		seen := []fs.FileMode{fs.ModeDir | 0o755, fs.ModeDir | 0o700, 0o755, 0o775, 0o777, 0o644, 0o664, 0o640, 0o600, 0o700}
		if found := modesOf(p, sources); ok && c.from == "" && len(found) > 0 {
			seen = found
		}
		flag, ok := octal(set, seen)
		if !ok && setModes(p, c, set) {
			flag, ok = "", true
		}
		if !ok || c.Triggered {
			p.refuse(c.Instruction, "--chmod=%s gives different modes to what is copied, and %s knows only one number for all", c.mode, Engine{}.Name())
			continue
		}
		text := strings.Join(p.excerpt(c.Instruction), "\n")
		if flag != "" {
			flag = "--chmod=" + flag + " "
		}
		place := chmodFlag.FindStringIndex(text)
		if place == nil {
			p.refuse(c.Instruction, "its --chmod cannot be rewritten")
			continue
		}
		p.rewrite(c.Instruction, strings.Split(text[:place[0]]+flag+text[place[1]:], "\n"), "--chmod=%s is what the files have already, or one number", c.mode)
	}
}

// octal returns the number that does what a symbolic mode does; empty if it changes nothing.
func octal(set mode.Set, seen []fs.FileMode) (number string, ok bool) {
	var results []fs.FileMode
	unchanged := true
	for _, before := range seen {
		after := set.Apply(before)
		unchanged = unchanged && after == before
		if after = after.Perm(); !slices.Contains(results, after) {
			results = append(results, after)
		}
	}
	switch {
	case unchanged:
		return "", true
	case len(results) == 1:
		return fmt.Sprintf("%04o", results[0]), true
	}
	return "", false
}

// linkedSources rewrites sources that are symbolic links: Kaniko copies the link, and Docker
// what it leads to.
func linkedSources(p *pass) {
	if p.source.Context == nil {
		return
	}
	for _, c := range p.copies() {
		sources, ok := c.local()
		if !ok || len(c.files.SourceContents) > 0 || len(sources) != len(c.files.SourcePaths) || len(p.flags(c.Instruction, "parents")) > 0 {
			continue
		}
		for i, source := range sources {
			target, leads := follow(p, source)
			if !leads {
				continue
			}
			relink(p, c, i, source, target)
		}
	}
}

// relink replaces a source that is a link by what it leads to.
func relink(p *pass, c copying, index int, source, target string) {
	dest, known := c.Expand(c.files.DestPath)
	info, err := fs.Stat(p.source.Context, target)
	switch {
	case err != nil:
		p.refuse(c.Instruction, "%s is a symbolic link to %s, which is not in the build context", source, target)
		return
	case c.Triggered || !known:
		p.refuse(c.Instruction, "%s is a symbolic link, and %s would copy the link itself; name %s", source, Engine{}.Name(), target)
		return
	}
	text := p.excerpt(c.Instruction)
	isDir := strings.HasSuffix(dest, "/") || dest == "." || dest == ".."
	renamed := !info.IsDir() && isDir && path.Base(source) != path.Base(target)
	if renamed && len(c.files.SourcePaths) > 1 {
		p.refuse(c.Instruction, "%s is a symbolic link, and %s would copy the link itself; copy %s with an instruction of its own", source, Engine{}.Name(), target)
		return
	}
	if !replaceWord(text, c.files.SourcePaths[index], target) {
		p.refuse(c.Instruction, "%s is a symbolic link, and %s would copy the link itself; name %s", source, Engine{}.Name(), target)
		return
	}
	if renamed && !replaceLast(text, c.files.DestPath, path.Join(dest, path.Base(source))) {
		p.refuse(c.Instruction, "%s is a symbolic link, and %s would copy the link itself; name %s", source, Engine{}.Name(), target)
		return
	}
	p.rewrite(c.Instruction, text, "the symbolic link %s is followed to %s", source, target)
}

// follow returns where a symbolic link of the context leads; ok is false if the name is no
// link, or leads out of the context.
func follow(p *pass, name string) (target string, ok bool) {
	for range 40 {
		link, err := fs.ReadLink(p.source.Context, name)
		if err != nil {
			return name, ok
		}
		if path.IsAbs(link) {
			// It starts at the root of the build context.
			link = strings.Repeat("../", strings.Count(name, "/")) + path.Clean(link)[1:]
		}
		name, ok = path.Join(path.Dir(name), link), true
		if !fs.ValidPath(name) {
			return "", false
		}
	}
	return "", false
}

// replaceWord replaces the first word of that text in the lines; false if there is none.
func replaceWord(lines []string, word, by string) bool {
	if strings.ContainsAny(word+by, " \t\"'") {
		return false
	}
	pattern := regexp.MustCompile(`(^|[\s"])` + regexp.QuoteMeta(word) + `([\s",]|$)`)
	for i, line := range lines {
		if at := pattern.FindStringSubmatchIndex(line); at != nil {
			lines[i] = line[:at[3]] + by + line[at[4]:]
			return true
		}
	}
	return false
}

// replaceLast replaces the last word of that text.
func replaceLast(lines []string, word, by string) bool {
	for i, line := range slices.Backward(lines) {
		if at := strings.LastIndex(line, word); at >= 0 && !strings.ContainsAny(by, " \t\"'") {
			lines[i] = line[:at] + by + line[at+len(word):]
			return true
		}
	}
	return false
}

// gitSources refuses ADD from git.
func gitSources(p *pass) {
	for _, c := range p.copies() {
		for _, word := range c.files.SourcePaths {
			if source, _ := c.Expand(word); c.add && dockerfile.IsGit(source) {
				p.refuse(c.Instruction, "%s does not clone a repository: it would download the address as a file", Engine{}.Name())
			}
		}
	}
}

// isRoot reports whether a USER is root.
func isRoot(user string) bool {
	name, group, _ := strings.Cut(user, ":")
	return slices.Contains([]string{"", "0", "root"}, name) && slices.Contains([]string{"", "0", "root"}, group)
}

var keyword = regexp.MustCompile(`(?i)^(\s*)ADD\b`)

// urlOwners rewrites ADD from the web behind a USER: its file belongs to root, and to the
// user with Kaniko.
func urlOwners(p *pass) {
	for _, c := range p.copies() {
		isWeb := c.add && slices.ContainsFunc(c.files.SourcePaths, func(word string) bool {
			source, _ := c.Expand(word)
			return isURL(source)
		})
		if !isWeb {
			continue
		}
		p.note(c.Instruction, "the file comes from the cache for 14 days, even if it changes; --no-cache downloads it again")
		if c.chown != "" || isRoot(c.user) || c.Triggered {
			continue
		}
		lines := p.excerpt(c.Instruction)
		lines[0] = keyword.ReplaceAllString(lines[0], "${1}ADD --chown=0:0")
		p.rewrite(c.Instruction, lines, "a downloaded file belongs to root")
	}
}

// archiveMagic are the first bytes of compressed files, and whether Kaniko unpacks them.
type archiveMagic struct {
	name     string
	magic    []byte
	unpacked bool
}

func archiveMagics() []archiveMagic {
	return []archiveMagic{
		{"xz", []byte{0xfd, '7', 'z', 'X', 'Z', 0}, false},
		{"zstd", []byte{0x28, 0xb5, 0x2f, 0xfd}, false},
		{"gzip", []byte{0x1f, 0x8b}, true},
		{"bzip2", []byte("BZh"), true},
	}
}

// archives refuses ADD of archives that Kaniko cannot unpack, and rewrites that of compressed
// files that are none.
func archives(p *pass) {
	if p.source.Context == nil {
		return
	}
	for _, c := range p.copies() {
		if !c.add {
			continue
		}
		sources, ok := c.local()
		if !ok {
			continue
		}
		var plain int
		for _, source := range sources {
			for _, name := range matching(p, source) {
				kind, isArchive := archiveKind(p, name)
				switch {
				case kind == "":
				case isArchive:
					p.refuse(c.Instruction, "%s is a %s archive, and %s unpacks gzip, bzip2 and plain tar only", name, kind, Engine{}.Name())
				default:
					plain++
				}
			}
		}
		if plain == 0 {
			continue
		}
		if plain < len(c.files.SourcePaths) || c.Triggered {
			p.refuse(c.Instruction, "it copies a compressed file that is no archive, and %s would unpack it", Engine{}.Name())
			continue
		}
		lines := p.excerpt(c.Instruction)
		lines[0] = keyword.ReplaceAllString(lines[0], "${1}COPY")
		p.rewrite(c.Instruction, lines, "a compressed file that is no archive is copied as it is")
	}
}

// archiveKind returns the compression of a file that Kaniko gets wrong, and whether it is an
// archive: one that Kaniko does not unpack, or a file that it takes for one.
func archiveKind(p *pass, name string) (kind string, isArchive bool) {
	file, err := p.source.Context.Open(name)
	if err != nil {
		return "", false
	}
	defer file.Close() //nolint:errcheck // it was only read
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", false
	}
	start := make([]byte, 8)
	n, err := io.ReadFull(file, start)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", false
	}
	for _, known := range archiveMagics() {
		if !bytes.HasPrefix(start[:n], known.magic) {
			continue
		}
		if !known.unpacked {
			return known.name, true
		}
		if isTar(io.MultiReader(bytes.NewReader(start[:n]), file), known.name) {
			return "", false
		}
		return known.name, false
	}
	return "", false
}

// directoryOwners says that a directory which exists changes its owner: Kaniko gives the
// destination of a directory the owner of what is copied, and Docker leaves it as it is.
func directoryOwners(p *pass) {
	for _, c := range p.copies() {
		if c.from != "" || c.chown != "" || isRoot(c.user) || !copiesDirectory(p, c) {
			continue
		}
		if dest, ok := c.resolve(c.files.DestPath); ok {
			p.note(c.Instruction, "the directory %s belongs to root behind it, even if it was the user's before", dest)
		}
	}
}

// copiesDirectory reports whether a source may be a directory of the build context.
func copiesDirectory(p *pass, c copying) bool {
	sources, ok := c.local()
	if !ok || p.source.Context == nil {
		return true
	}
	return slices.ContainsFunc(sources, func(source string) bool {
		return slices.ContainsFunc(matching(p, source), func(name string) bool { return isDirectory(p, name) })
	})
}

// isDirectory reports whether a path of the build context is a directory, or leads to one.
func isDirectory(p *pass, name string) bool {
	info, err := fs.Stat(p.source.Context, cmp.Or(name, "."))
	return err == nil && info.IsDir()
}

// packedFlag rewrites ADD --unpack=false, which is a COPY.
func packedFlag(p *pass) {
	for _, c := range p.copies() {
		values := p.flags(c.Instruction, "unpack")
		if !c.add || len(values) == 0 {
			continue
		}
		sources, _ := c.local()
		if len(sources) < len(c.files.SourcePaths) || values[0] != "false" || c.Triggered {
			p.refuse(c.Instruction, "--unpack is not known to %s: it unpacks archives of the build context, and leaves those of the web as they are", Engine{}.Name())
			continue
		}
		lines := p.excerpt(c.Instruction)
		lines[0] = keyword.ReplaceAllString(lines[0], "${1}COPY")
		text := unpackFlag.ReplaceAllString(strings.Join(lines, "\n"), "")
		p.rewrite(c.Instruction, strings.Split(text, "\n"), "ADD --unpack=false is a COPY")
	}
}

var unpackFlag = regexp.MustCompile(`--unpack=\S+[ \t]*`)

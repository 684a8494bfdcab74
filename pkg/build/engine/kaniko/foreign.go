package kaniko

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/shell"
)

// foreignCopies returns the COPY instructions that are built and take files from a stage or an
// image, with their sources. steps are those of the stage; there are none of an image.
func foreignCopies(p *pass, visit func(c copying, sources []string, steps []*dockerfile.Step)) {
	for _, c := range p.copies() {
		if c.from == "" {
			continue
		}
		var sources []string
		for _, word := range c.files.SourcePaths {
			source, _ := c.Expand(word)
			sources = append(sources, path.Join("/", source))
		}
		visit(c, sources, stepsOf(p.file.Source(c.from, c.stage.Number)))
	}
}

// related reports whether one of two paths is the other or below it. A source may have
// wildcards, which are cut off.
func related(source, name string) bool {
	if i := strings.IndexAny(source, "*?["); i >= 0 {
		source = path.Dir(source[:i] + "x")
	}
	return within(source, name) || within(name, source)
}

func within(name, dir string) bool {
	return name == dir || dir == "/" || strings.HasPrefix(name, dir+"/")
}

// foreignOwners says that a directory gets the owner of what is copied there: Docker leaves
// the destination as it is, or makes it root's. It is said where the Dockerfile shows that
// the source may belong to a user.
func foreignOwners(p *pass) {
	foreignCopies(p, func(c copying, sources []string, steps []*dockerfile.Step) {
		if c.chown != "" || !slices.ContainsFunc(sources, func(source string) bool { return owned(p, steps, source) }) {
			return
		}
		dest, _ := c.resolve(c.files.DestPath)
		p.note(c.Instruction, "if the source is a directory, %s gets its owner, and with Docker that of the files below it does not change: a new directory is root's", dest)
	})
}

// owned reports whether steps may give a path to a user other than root.
func owned(p *pass, steps []*dockerfile.Step, source string) bool {
	user := ""
	for _, step := range steps {
		switch command := step.Command.(type) {
		case *instructions.UserCommand:
			user, _ = step.Expand(command.User)
		case *instructions.RunCommand:
			if !isRoot(user) || slices.ContainsFunc(commandsOf(p, step), func(command shell.Command) bool {
				return command.Name() == "chown" && touches(command, source)
			}) {
				return true
			}
		case *instructions.WorkdirCommand:
			if dir, _ := step.Expand(command.Path); !isRoot(user) && related(source, path.Join("/", dir)) {
				return true
			}
		case *instructions.CopyCommand:
			if dest, _ := step.Expand(command.DestPath); command.Chown != "" && !isRoot(command.Chown) && (!path.IsAbs(dest) || related(source, path.Clean(dest))) {
				return true
			}
		}
	}
	return false
}

func commandsOf(p *pass, step *dockerfile.Step) []shell.Command {
	commands, _ := p.file.Commands(step)
	return commands
}

// touches reports whether a command names a path, or one above or below it. A path that is
// relative or has expansions may be any.
func touches(command shell.Command, source string) bool {
	return slices.ContainsFunc(command.Words[1:], func(word shell.Word) bool {
		switch {
		case strings.HasPrefix(word.Text, "-"):
			return false
		case !word.Literal:
			return true
		case path.IsAbs(word.Text):
			return related(source, path.Clean(word.Text))
		}
		return strings.ContainsAny(word.Text, "/.") || path.Base(source) == word.Text
	})
}

// stageLinks refuses sources that a command of the stage makes as links: Kaniko copies the link,
// and Docker the file that it leads to.
func stageLinks(p *pass) {
	foreignCopies(p, func(c copying, sources []string, steps []*dockerfile.Step) {
		for _, source := range sources {
			if target := linkTarget(p, steps, source); target != "" {
				p.refuse(c.Instruction, "%s is a symbolic link to %s, and %s would copy the link itself", source, target, Engine{}.Name())
			}
		}
	})
}

// usualLinks says it of sources that are links in most images.
func usualLinks(p *pass) {
	foreignCopies(p, func(c copying, sources []string, steps []*dockerfile.Step) {
		for _, source := range sources {
			if usualLink.MatchString(source) && linkTarget(p, steps, source) == "" {
				p.note(c.Instruction, "if %s is a symbolic link, the link is copied, and with Docker the file that it leads to", source)
			}
		}
	})
}

// usualLink matches files that are links in most images: shared libraries by the name that
// programs use, and programs that have several versions.
var usualLink = regexp.MustCompile(`/lib[^/]*\.so(\.\d+)?$|/bin/(python3?|pip3?|idle3?|pydoc3?|npm|npx|corepack|yarn|yarnpkg|pnpm|nodejs|java|javac|sh|awk|editor|pager|vi|cc|c\+\+|gcc|g\+\+)$`)

// linkTarget returns where a path leads that a command of the steps makes as a link; empty if
// none does.
func linkTarget(p *pass, steps []*dockerfile.Step, source string) string {
	found := ""
	for _, step := range steps {
		for _, command := range commandsOf(p, step) {
			switch command.Name() {
			case "ln":
				if target, ok := links(command, source); ok {
					found = target
				}
			case "rm":
				if command.Has(source) {
					found = ""
				}
			}
		}
	}
	return found
}

// links returns the target if an ln makes the path as a symbolic link.
func links(command shell.Command, name string) (target string, ok bool) {
	symbolic := false
	var words []string
	for _, word := range command.Words[1:] {
		switch {
		case strings.HasPrefix(word.Text, "--"):
			symbolic = symbolic || word.Text == "--symbolic"
		case strings.HasPrefix(word.Text, "-"):
			symbolic = symbolic || strings.Contains(word.Text, "s")
		case !word.Literal:
			return "", false
		default:
			words = append(words, word.Text)
		}
	}
	if !symbolic || len(words) != 2 {
		return "", false
	}
	place := words[1]
	if strings.HasSuffix(place, "/") || path.Base(place) != path.Base(name) && path.Base(words[0]) == path.Base(name) {
		place = path.Join(place, path.Base(words[0]))
	}
	return words[0], path.Clean(place) == name
}

var setsID = regexp.MustCompile(`^(?:[ugoa]*\+[rwx]*s[rwxst]*|0?[2467][0-7]{3})$`)

// foreignModes says that Kaniko leaves out the bits that set the user or the group of a program
// when it keeps the owner of a file.
func foreignModes(p *pass) {
	foreignCopies(p, func(c copying, sources []string, steps []*dockerfile.Step) {
		for _, source := range sources {
			sets := slices.ContainsFunc(steps, func(step *dockerfile.Step) bool {
				return slices.ContainsFunc(commandsOf(p, step), func(command shell.Command) bool {
					return command.Name() == "chmod" && slices.ContainsFunc(command.Words[1:], func(word shell.Word) bool { return setsID.MatchString(word.Text) }) && touches(command, source)
				})
			})
			if sets && (c.chown != "" && !isRoot(c.chown) || owned(p, steps, source)) {
				p.note(c.Instruction, "files of %s lose the bits that set the user or the group, unless they are root's", source)
			}
		}
	})
}

// severalModes says that --chmod of several files does not change a directory that it makes:
// Docker gives the directory the mode of the files.
func severalModes(p *pass) {
	for _, c := range p.copies() {
		word, known := c.Expand(c.mode)
		dest, resolved := c.resolve(c.files.DestPath)
		isDir := strings.HasSuffix(c.files.DestPath, "/") || len(c.files.SourcePaths)+len(c.files.SourceContents) > 1
		if c.mode == "" || !isDir || resolved && (isStandard(dest) || dest == c.workdir) || onlyDirectories(p, c) {
			continue
		}
		if mode, err := strconv.ParseUint(word, 8, 32); known && err == nil && mode == 0o755 {
			continue
		}
		p.note(c.Instruction, "if %s does not exist, it gets the mode 0755, and %s with Docker", dest, word)
	}
}

// onlyDirectories reports whether all sources are directories of the build context.
func onlyDirectories(p *pass, c copying) bool {
	sources, ok := c.local()
	if c.from != "" || !ok || p.source.Context == nil || len(c.files.SourceContents) > 0 {
		return false
	}
	return !slices.ContainsFunc(sources, func(source string) bool { return !isDirectory(p, source) })
}

// writtenMounts says where a command may write into a bind mount without rw: it can, and fails
// with Docker.
func writtenMounts(p *pass) {
	for _, at := range p.sites() {
		for _, mount := range at.Mounts {
			target, ok := at.resolve(mount.Target)
			if mount.Type != instructions.MountTypeBind || !mount.ReadOnly || !ok {
				continue
			}
			commands, script := p.file.Commands(at.Step)
			redirects := regexp.MustCompile(`>\|?\s*"?` + regexp.QuoteMeta(target) + `(/|$|\s)`)
			if redirects.MatchString(script.Text) || slices.ContainsFunc(commands, func(command shell.Command) bool { return writes(command, target) }) {
				p.note(at.Instruction, "the command can write below %s, which it cannot with Docker", target)
			}
		}
	}
}

// writes reports whether a command changes a path below a directory.
func writes(command shell.Command, dir string) bool {
	below := func(words []shell.Word) bool {
		return slices.ContainsFunc(words, func(word shell.Word) bool { return within(path.Clean(word.Text), dir) })
	}
	switch command.Name() {
	case "touch", "mkdir", "rm", "rmdir", "mv", "tee", "chmod", "chown", "truncate":
		return below(command.Words[1:])
	case "cp", "ln", "install":
		return below(command.Words[len(command.Words)-1:])
	}
	return false
}

// wholeTree says that a command which reads the whole file system sees what the pod has.
func wholeTree(p *pass) {
	readers := []string{"find", "ls", "du", "tar", "grep", "rsync", "cp"}
	for _, at := range p.sites() {
		if _, ok := at.Command.(*instructions.RunCommand); !ok {
			continue
		}
		if slices.ContainsFunc(commandsOf(p, at.Step), func(command shell.Command) bool {
			return slices.Contains(readers, command.Name()) && command.Has("/", "/*")
		}) {
			p.note(at.Instruction, "the command sees /workspace, /tekton and /kaniko of the build pod, which are not in the image")
		}
	}
}

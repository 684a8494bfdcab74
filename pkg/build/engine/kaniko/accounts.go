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

// evenUsers are users of well-known base images whose group has the number of the user.
func evenUsers() []string { return []string{"root", "nobody", "nonroot", "node", "www-data"} }

// passwdLine is a line of /etc/passwd, as commands write it.
var passwdLine = regexp.MustCompile(`^([A-Za-z_][\w.-]*):[^:]*:(\d+):(\d+):`)

// before returns the steps that the image of a step is made of, in order.
func before(at site) []*dockerfile.Step {
	i := slices.Index(at.stage.Steps, at.Step)
	return slices.Concat(stepsOf(at.stage.Parent), at.stage.Steps[:max(i, 0)])
}

// stepsOf returns the steps that the image of a stage is made of, in order.
func stepsOf(stage *dockerfile.Stage) []*dockerfile.Step {
	var steps []*dockerfile.Step
	for ; stage != nil; stage = stage.Parent {
		steps = slices.Concat(stage.Steps, steps)
	}
	return steps
}

// primaryGroup returns the primary group of a user, a name or a number, as the commands say
// that make the user in the steps; ok is false if none does.
func primaryGroup(p *pass, steps []*dockerfile.Step, user string) (group string, ok bool) {
	for _, step := range steps {
		for _, command := range commandsOf(p, step) {
			if name, said := groupOf(step, command, user); said {
				group, ok = name, name != ""
			}
		}
	}
	return group, ok
}

// groupOf returns the primary group that a command gives to a user. said reports whether the
// command makes or changes the user; group is empty if it does not say which group it is.
func groupOf(step *dockerfile.Step, command shell.Command, user string) (group string, said bool) {
	words := make([]string, 0, len(command.Words))
	for _, word := range command.Words {
		text, known := step.Expand(word.Text)
		if word.Literal {
			text, known = word.Text, true
		}
		if !known {
			text = ""
		}
		if match := passwdLine.FindStringSubmatch(text); match != nil && match[1] == user {
			return match[3], true
		}
		words = append(words, text)
	}
	kind, known := accountTools()[command.Name()]
	if !known {
		return "", false
	}
	flags, others := splitFlags(words[1:], kind.valued)
	if len(others) != 1 || others[0] != user {
		return "", false // adduser USER GROUP adds the user to a further group
	}
	for _, flag := range kind.group {
		if value, there := flags[flag]; there {
			return value, true
		}
	}
	if kind.changes {
		return "", false
	}
	if _, there := flags["--group"]; there && command.Name() == "adduser" {
		return user, true
	}
	for _, flag := range kind.shared {
		if _, there := flags[flag]; there {
			return "", true
		}
	}
	return user, true
}

// accountTool is a program that makes users.
type accountTool struct {
	// valued are the flags that take a value, group those of the primary group, and shared
	// those without which the user gets a group of the same name.
	valued, group, shared []string
	// changes marks a program that changes users.
	changes bool
}

// accountTools returns the programs of Debian, Fedora and Alpine that make users.
func accountTools() map[string]accountTool {
	useradd := []string{
		"-b", "--base-dir", "-c", "--comment", "-d", "--home-dir", "--home", "-e", "--expiredate", "-f", "--inactive",
		"-g", "--gid", "-G", "--groups", "-k", "--skel", "-K", "--key", "-l", "--login", "-p", "--password", "-R", "--root", "-P", "--prefix", "-s", "--shell", "-u", "--uid", "-Z", "--selinux-user",
	}
	return map[string]accountTool{
		"useradd": {
			valued: slices.DeleteFunc(slices.Clone(useradd), func(flag string) bool { return flag == "-l" || flag == "--login" }),
			group:  []string{"-g", "--gid"}, shared: []string{"-N", "--no-user-group"},
		},
		"usermod": {valued: useradd, group: []string{"-g", "--gid"}, changes: true},
		"adduser": {
			valued: []string{"-h", "-g", "-s", "-G", "-u", "-k", "--home", "--shell", "--uid", "--firstuid", "--lastuid", "--gid", "--ingroup", "--gecos", "--comment", "--conf", "--add_extra_groups"},
			group:  []string{"-G", "--ingroup", "--gid"}, shared: []string{"-S", "--system"},
		},
	}
}

// splitFlags returns the flags of a command line with their values, and its other words. Short
// flags may be joined, and the last one of them may take a value.
func splitFlags(words, valued []string) (flags map[string]string, others []string) {
	flags = map[string]string{}
	for i := 0; i < len(words); i++ {
		word := words[i]
		switch name, value, joined := strings.Cut(word, "="); {
		case !strings.HasPrefix(word, "-") || word == "-":
			others = append(others, word)
			continue
		case strings.HasPrefix(word, "--") && joined:
			flags[name] = value
			continue
		}
		names := []string{word}
		if !strings.HasPrefix(word, "--") {
			names = nil
			for _, letter := range word[1:] {
				names = append(names, "-"+string(letter))
			}
		}
		for _, name := range names {
			flags[name] = ""
		}
		if last := names[len(names)-1]; slices.Contains(valued, last) && i+1 < len(words) {
			i++
			flags[last] = words[i]
		}
	}
	return flags, others
}

// isName reports whether a word is the name of a user that is not root.
func isName(user string) bool {
	_, err := strconv.ParseUint(user, 10, 32)
	return user != "" && err != nil && !strings.Contains(user, ":") && user != "root"
}

var chownFlag = regexp.MustCompile(`--chown=("[^"]*"|\S+)`)

// namedOwners calls visit for each --chown with the name of a user alone, with the user's primary
// group; it is empty if the Dockerfile does not say it.
func (p *pass) namedOwners(visit func(c copying, owner, group string)) {
	for _, c := range p.copies() {
		owner, known := c.Expand(c.chown)
		if c.chown == "" || known && !isName(owner) {
			continue
		}
		group, _ := primaryGroup(p, before(c.site), owner)
		visit(c, owner, group)
	}
}

// owners adds the group to a --chown that names a user only: Kaniko gives files the group with
// the number of the user, and Docker the user's primary group.
func owners(p *pass) {
	p.namedOwners(func(c copying, owner, group string) {
		text := strings.Join(p.excerpt(c.Instruction), "\n")
		if place := chownFlag.FindStringIndex(text); group != "" && !c.Triggered && place != nil {
			lines := strings.Split(text[:place[0]]+"--chown="+owner+":"+group+text[place[1]:], "\n")
			p.amend(c.Instruction, lines, "the group of the user %s is written out", owner)
		}
	})
}

// baseOwners says that files may get another group.
func baseOwners(p *pass) {
	p.namedOwners(func(c copying, owner, _ string) {
		if !slices.Contains(evenUsers(), owner) {
			p.note(c.Instruction, "the files get the group with the number of the user %s, and its primary group with Docker", owner)
		}
	})
}

// workdirGroup returns the USER with its group for a WORKDIR that makes directories, as Kaniko
// gives them the group with the number of the user; empty if that is right.
func workdirGroup(p *pass, at site) string {
	if !isName(at.user) {
		return ""
	}
	group, ok := primaryGroup(p, before(at), at.user)
	if !ok {
		return ""
	}
	return at.user + ":" + group
}

// ungroupedDirs says that the directories of a WORKDIR may get another group.
func ungroupedDirs(p *pass) {
	made := map[string]bool{}
	for _, at := range p.sites() {
		command, ok := at.Command.(*instructions.WorkdirCommand)
		if !ok {
			continue
		}
		dir, _ := at.resolve(command.Path)
		there := made[dir]
		made[dir] = true
		if _, known := primaryGroup(p, before(at), at.user); there || known || !isName(at.user) || slices.Contains(evenUsers(), at.user) || isStandard(dir) {
			continue
		}
		p.note(at.Instruction, "if WORKDIR makes %s, it gets the group with the number of the user %s, and its primary group with Docker", dir, at.user)
	}
}

// isStandard reports whether every image has a directory.
func isStandard(dir string) bool {
	return dir == "/" || slices.Contains(standardDirs(), dir) || path.Dir(dir) == "/usr" || dir == "/usr/local/bin"
}

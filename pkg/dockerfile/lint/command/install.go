// Package command reads the command lines that matter for an image of a Python service:
// those that install packages, and those that start a server.
package command

import (
	"regexp"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/shell"
)

// Install is a command line that installs Python packages.
type Install struct {
	shell.Command
	// Tool is pip, uv pip, uv, poetry, pipenv or pdm; Verb is what it is to do, such as
	// install or sync.
	Tool, Verb string
	// Arguments are the words behind the verb that are no options.
	Arguments []shell.Word

	// verb is the index of the word that is the verb.
	verb int
	// options are the words that begin with a hyphen, with the values behind them.
	options map[string][]shell.Word
}

// ParseInstall reads a command line of pip, uv, poetry, pipenv or pdm; ok is false if it
// installs nothing.
func ParseInstall(line shell.Command) (found Install, ok bool) {
	found = Install{Command: line, options: map[string][]shell.Word{}}
	first := 1
	switch name := line.Name(); {
	case isPip(name):
		found.Tool = "pip"
	case IsPython(name):
		found.Tool, first = pythonModule(line.Words)
		first++
	default:
		found.Tool = name
	}
	if !slices.Contains([]string{"pip", "uv", "poetry", "pipenv", "pdm"}, found.Tool) {
		return found, false
	}
	for i := first; i < len(line.Words); i++ {
		switch text := line.Words[i].Text; {
		case strings.HasPrefix(text, "-") && len(text) > 1:
			i = found.addOption(line.Words, i)
		case found.Tool == "uv" && text == "pip":
			found.Tool = "uv pip"
		case found.Verb == "":
			found.Verb, found.verb = text, i
		default:
			found.Arguments = append(found.Arguments, line.Words[i])
		}
	}
	return found, slices.Contains(verbs()[found.Tool], found.Verb)
}

// verbs returns what each tool calls an installation.
func verbs() map[string][]string {
	return map[string][]string{
		"pip": {"install", "wheel", "download"}, "uv pip": {"install", "sync"}, "uv": {"sync"},
		"poetry": {"install", "sync"}, "pipenv": {"install", "sync"}, "pdm": {"install", "sync"},
	}
}

// UsesPip reports whether the tool takes the options and arguments of pip.
func (i *Install) UsesPip() bool { return i.Tool == "pip" || i.Tool == "uv pip" }

// Head returns the words up to the verb.
func (i *Install) Head() []shell.Word { return i.Words[:i.verb+1] }

// Option reports whether the command line has one of the options.
func (i *Install) Option(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { _, ok := i.options[name]; return ok })
}

// Values returns the values of an option in its spellings.
func (i *Install) Values(names ...string) []shell.Word {
	var values []shell.Word
	for _, name := range names {
		values = append(values, i.options[name]...)
	}
	return values
}

// Requirements returns the requirements files that the command line names.
func (i *Install) Requirements() []shell.Word {
	return i.Values("-r", "--requirement", "--requirements")
}

// Sets reports whether the command line sets a variable to something; set is false if it
// does not mention it.
func (i *Install) Sets(name string) (value, set bool) {
	for _, assign := range i.Assigns {
		if text, ok := strings.CutPrefix(assign.Text, name+"="); ok {
			return text != "", true
		}
	}
	return false, false
}

// addOption reads the option at an index, and returns the index of its last word.
func (i *Install) addOption(words []shell.Word, at int) int {
	option := words[at]
	if name, value, ok := strings.Cut(option.Text, "="); ok && strings.HasPrefix(name, "--") {
		i.options[name] = append(i.options[name], option.Tail(len(value)))
		return at
	}
	valued := optionsWithValue()
	name := option.Text
	if !strings.HasPrefix(name, "--") && len(name) > 2 {
		if short := name[:2]; slices.Contains(valued, short) { // -rrequirements.txt
			i.options[short] = append(i.options[short], option.Tail(len(name)-2))
			return at
		}
		for _, flag := range name[1:] { // flags together: -Uq
			i.options["-"+string(flag)] = nil
		}
		name = "-" + name[len(name)-1:]
	}
	if slices.Contains(valued, name) && at+1 < len(words) {
		i.options[name] = append(i.options[name], words[at+1])
		return at + 1
	}
	i.options[name] = append(i.options[name], []shell.Word{}...)
	return at
}

// optionsWithValue returns the options of pip, uv, poetry and pipenv that take the next word.
func optionsWithValue() []string {
	return []string{
		"-r", "--requirement", "--requirements", "-c", "--constraint", "--constraints", "-b", "--build-constraint", "-e", "--editable", "-t", "--target",
		"--platform", "--python-version", "--implementation", "--abi", "--root", "--prefix", "--src", "--upgrade-strategy",
		"-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--no-binary", "--only-binary", "--trusted-host",
		"--cert", "--client-cert", "--cache-dir", "--proxy", "--retries", "--timeout", "--default-timeout", "--log",
		"--exists-action", "--python", "-p", "--progress-bar", "--report", "-C", "--config-settings", "--config-setting", "--global-option",
		"--use-feature", "--use-deprecated", "--keyring-provider", "--group", "--only-group", "--no-group", "--extra",
		"--no-extra", "--index", "--default-index", "--root-user-action", "-w", "--wheel-dir", "-d", "--dest", "--with", "--without",
		"--only", "-E", "--extras", "--no-build-package", "--no-binary-package", "--no-install-package", "--package",
		"--link-mode", "--index-strategy", "--prerelease", "--resolution", "--exclude-newer", "-G", "--directory", "--project",
		"-P", "--upgrade-package", "--reinstall-package", "--refresh-package", "--torch-backend", "--python-platform", "--allow-insecure-host",
		"--config-file", "--categories", "--color", "-L", "--lockfile",
	}
}

func isPip(name string) bool { return regexp.MustCompile(`^pip[0-9.]*$`).MatchString(name) }

// IsPython reports whether a program is a Python interpreter.
func IsPython(name string) bool {
	return regexp.MustCompile(`^(python|pypy)[0-9.]*$`).MatchString(name)
}

// pythonModule returns the module that python -m runs, and its index in the words.
func pythonModule(words []shell.Word) (module string, at int) {
	for i := 1; i < len(words); i++ {
		text := words[i].Text
		hasNext := i+1 < len(words)
		switch {
		case text == "-W" || text == "-X":
			i++
		case !strings.HasPrefix(text, "-"):
			return "", 0
		case hasNext && !strings.HasPrefix(text, "--") && strings.HasSuffix(text, "m"):
			return words[i+1].Text, i + 1
		}
	}
	return "", 0
}

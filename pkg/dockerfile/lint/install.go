package lint

import (
	"regexp"
	"slices"
	"strings"
)

// install is one command that installs Python packages.
type install struct {
	step *step
	call call
	// tool is pip, uv pip, uv, poetry, pipenv or pdm; command is what it is to do.
	tool, command string
	// at is the place of both.
	at place
	// options are the words that begin with a hyphen, with values that follow them.
	options map[string][]word
	// arguments are the other words behind the command.
	arguments []word
}

// option says whether one of the options is there.
func (i *install) option(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { _, ok := i.options[name]; return ok })
}

// value returns what an option, in one of its spellings, has been given.
func (i *install) value(names ...string) []word {
	var values []word
	for _, name := range names {
		values = append(values, i.options[name]...)
	}
	return values
}

// set says whether a variable of the environment of the command is set to something.
func (i *install) set(name string) bool {
	for _, assign := range i.call.assigns {
		if value, ok := strings.CutPrefix(assign.text, name+"="); ok {
			return value != ""
		}
	}
	return i.step.environment[name] != ""
}

// installsOf returns the commands of a step that install packages.
func installsOf(step *step) []install {
	if step.installs != nil || len(step.calls) == 0 {
		return step.installs
	}
	installs := []install{}
	exported := []word{}
	for _, call := range step.calls {
		if call.name() == "export" {
			exported = append(exported, call.words[1:]...)
		}
		if found, ok := parseInstall(call); ok {
			found.step = step
			found.call.assigns = append(slices.Clone(found.call.assigns), exported...)
			installs = append(installs, found)
		}
	}
	step.installs = installs
	return installs
}

// parseInstall reads a command line of pip, uv, poetry, pipenv or pdm.
func parseInstall(call call) (install, bool) {
	found := install{call: call, options: map[string][]word{}}
	name, i := call.name(), 1
	switch {
	case isPip(name):
		found.tool = "pip"
	case isPython(name):
		module, at := pythonModule(call)
		if module != "pip" && module != "uv" && module != "poetry" && module != "pipenv" {
			return found, false
		}
		found.tool, i = module, at+1
	case slices.Contains([]string{"uv", "poetry", "pipenv", "pdm"}, name):
		found.tool = name
	default:
		return found, false
	}
	for ; i < len(call.words); i++ {
		text := call.words[i].text
		switch {
		case strings.HasPrefix(text, "-") && len(text) > 1:
			i = found.addOption(call.words, i)
		case found.tool == "uv" && text == "pip":
			found.tool = "uv pip"
		case found.command == "":
			found.command = text
			found.at = call.upto(i + 1)
		default:
			found.arguments = append(found.arguments, call.words[i])
		}
	}
	commands := map[string][]string{
		"pip": {"install", "wheel", "download"}, "uv pip": {"install", "sync"}, "uv": {"sync"},
		"poetry": {"install", "sync"}, "pipenv": {"install", "sync"}, "pdm": {"install", "sync"},
	}
	return found, slices.Contains(commands[found.tool], found.command)
}

// addOption reads the option at a word, and returns the last word of it.
func (i *install) addOption(words []word, at int) int {
	option := words[at]
	if name, value, ok := strings.Cut(option.text, "="); ok && strings.HasPrefix(name, "--") {
		i.options[name] = append(i.options[name], tail(option, len([]rune(value))))
		return at
	}
	if valued := optionsWithValue(); !strings.HasPrefix(option.text, "--") && len(option.text) > 2 {
		// -rrequirements.txt, or flags together: -Uq.
		name := option.text[:2]
		if slices.Contains(valued, name) {
			i.options[name] = append(i.options[name], tail(option, len([]rune(option.text))-2))
			return at
		}
		for _, flag := range option.text[1:] {
			i.options["-"+string(flag)] = nil
		}
		last := "-" + option.text[len(option.text)-1:]
		if !slices.Contains(valued, last) || at+1 == len(words) {
			return at
		}
		i.options[last] = append(i.options[last], words[at+1])
		return at + 1
	} else if slices.Contains(valued, option.text) && at+1 < len(words) {
		i.options[option.text] = append(i.options[option.text], words[at+1])
		return at + 1
	}
	i.options[option.text] = append(i.options[option.text], []word{}...)
	return at
}

// tail is the last n characters of a word.
func tail(w word, n int) word {
	runes := []rune(w.text)
	part := word{text: string(runes[len(runes)-n:]), at: w.at}
	if n > 0 && len(w.chars) >= n {
		part.chars = w.chars[len(w.chars)-n:]
		part.at.line, part.at.column = part.chars[0].line, part.chars[0].column
	}
	return part
}

// optionsWithValue are those of pip, uv, poetry and pipenv that take the next word.
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

func isPython(name string) bool {
	return regexp.MustCompile(`^(python|pypy)[0-9.]*$`).MatchString(name)
}

// pythonModule returns the module that python -m runs, and where in the words.
func pythonModule(call call) (string, int) {
	for i := 1; i < len(call.words); i++ {
		text := call.words[i].text
		switch {
		case text == "-m" && i+1 < len(call.words):
			return call.words[i+1].text, i + 1
		case text == "-W" || text == "-X":
			i++
		case !strings.HasPrefix(text, "-"):
			return "", 0
		case !strings.HasPrefix(text, "--") && strings.HasSuffix(text, "m") && i+1 < len(call.words):
			return call.words[i+1].text, i + 1
		}
	}
	return "", 0
}

package lint

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// system checks what distributions' package managers, and downloads, leave.
func (c *checker) system(image *image) {
	recommends := false
	for _, step := range image.steps() {
		c.aptLists(step)
		c.buildTools(step)
		for _, call := range step.calls {
			recommends = recommends || slices.ContainsFunc(call.words, func(word word) bool { return strings.Contains(word.text, "Install-Recommends") })
			command, at, ok := packageCommand(call)
			if !ok || command != "install" || call.name() != "apt-get" && call.name() != "apt" || recommends || call.has("--no-install-recommends") {
				continue
			}
			c.find("apt-recommends", call.upto(at+1), "apt installs what the packages recommend as well", "add --no-install-recommends")
		}
	}
	for _, step := range image.needed() {
		c.pipes(step)
	}
}

// packageCommand returns what a package manager is to do, and which word says so.
func packageCommand(call call) (string, int, bool) {
	if !slices.Contains([]string{"apt-get", "apt", "aptitude", "apk", "dnf", "yum", "microdnf"}, call.name()) {
		return "", 0, false
	}
	for i := 1; i < len(call.words); i++ {
		text := call.words[i].text
		if slices.Contains([]string{"-o", "-c", "-t", "--option"}, text) {
			i++
			continue
		}
		if !strings.HasPrefix(text, "-") {
			return text, i, true
		}
	}
	return "", 0, false
}

// aptLists finds package lists that stay in the layer that has fetched them.
func (c *checker) aptLists(step *step) {
	mounted := slices.ContainsFunc(step.mounts, func(mount *instructions.Mount) bool {
		target := path.Clean(mount.Target)
		return mount.Type != instructions.MountTypeBind && (target == "/var/lib/apt" || target == "/var/lib/apt/lists")
	})
	removed := slices.ContainsFunc(step.calls, func(call call) bool {
		return call.name() == "rm" && slices.ContainsFunc(call.words, func(word word) bool { return strings.HasPrefix(word.text, "/var/lib/apt") }) ||
			call.name() == "find" && call.has("/var/lib/apt/lists", "/var/lib/apt/lists/", "/var/lib/apt")
	})
	if mounted || removed {
		return
	}
	for _, call := range step.calls {
		if command, at, ok := packageCommand(call); ok && command == "update" && (call.name() == "apt-get" || call.name() == "apt") {
			c.find("apt-lists-kept", call.upto(at+1), "the package lists stay in the layer, and get old there", "end the same RUN with && rm -rf /var/lib/apt/lists/*")
			return
		}
	}
}

// buildTools finds compilers and headers in the image.
func (c *checker) buildTools(step *step) {
	removed := slices.ContainsFunc(step.calls, func(call call) bool {
		command, at, ok := packageCommand(call)
		if command == "autoremove" { // of what was not asked for, unless it is named
			return slices.ContainsFunc(call.words[at+1:], func(word word) bool { return !strings.HasPrefix(word.text, "-") })
		}
		return ok && slices.Contains([]string{"purge", "remove", "del", "erase"}, command)
	})
	if removed {
		return
	}
	for _, call := range step.calls {
		command, at, ok := packageCommand(call)
		if !ok || !slices.Contains([]string{"install", "add"}, command) {
			continue
		}
		var tools []string
		var first word
		for i := at + 1; i < len(call.words); i++ {
			text := call.words[i].text
			if text == "-t" || text == "--virtual" {
				i++
				continue
			}
			// gcc=4:12.2, libpq-dev:amd64
			if name, _, _ := strings.Cut(strings.Replace(text, "=", ":", 1), ":"); isBuildTool(name) {
				if tools = append(tools, name); len(tools) == 1 {
					first = call.words[i]
				}
			}
		}
		if len(tools) > 0 {
			c.find("build-tools-left", first.at, strings.Join(tools, ", ")+" in the image that runs: a service needs no compiler and no headers",
				"build in a stage of its own, and copy the virtual environment from there")
		}
	}
}

// isBuildTool says whether a package of Debian, Alpine or Fedora is for compiling.
func isBuildTool(name string) bool {
	switch name {
	case "build-essential", "build-base", "gcc", "g++", "clang", "make", "cmake", "ninja-build", "ninja", "cargo", "rustc", "rust", "golang",
		"pkg-config", "pkgconf", "autoconf", "automake", "libtool", "gfortran", "dpkg-dev", "gcc-c++", "swig":
		return true
	}
	return !strings.HasPrefix(name, "-") && (strings.HasSuffix(name, "-dev") || strings.HasSuffix(name, "-devel"))
}

// pipes finds what is downloaded and run in one go.
func (c *checker) pipes(step *step) {
	const rule, message = "installer-piped-to-shell", "what the server sends today runs as root, unseen and without a version"
	const fix = "install a version: pip install NAME==VERSION, COPY --from an image with a tag, or ADD --checksum"
	for i, call := range step.calls {
		if script, ok := call.script(); ok && regexp.MustCompile("^(\\$\\(|`)\\s*(curl|wget)\\s").MatchString(script.text) {
			c.find(rule, call.at(), message, fix)
		}
		if i == 0 || !call.piped {
			continue
		}
		from := step.calls[i-1]
		if name := call.name(); (from.name() == "curl" || from.name() == "wget") &&
			(isPython(name) || slices.Contains([]string{"sh", "bash", "dash", "ash"}, name)) {
			at := from.at()
			at.endLine, at.endColumn = call.at().endLine, call.at().endColumn
			c.find(rule, at, message, fix)
		}
	}
}

package lint

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/lint/command"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/shell"
)

// packageCommand returns what a package manager is to do, and the index of the word that
// says so.
func packageCommand(call call) (verb string, at int, ok bool) {
	if !oneOf(call.Name(), "apt-get", "apt", "aptitude", "apk", "dnf", "yum", "microdnf") {
		return "", 0, false
	}
	for i := 1; i < len(call.Words); i++ {
		text := call.Words[i].Text
		if oneOf(text, "-o", "-c", "-t", "--option") {
			i++
			continue
		}
		if !strings.HasPrefix(text, "-") {
			return text, i, true
		}
	}
	return "", 0, false
}

// isApt reports whether a command is one of apt.
func isApt(call call) bool { return oneOf(call.Name(), "apt-get", "apt") }

// keptAptLists finds package lists that stay in the layer that has fetched them.
func keptAptLists(image *image, _ *inputs) []Finding {
	var findings []Finding
	for _, step := range image.steps() {
		if removesAptLists(step, image.calls[step]) {
			continue
		}
		for _, call := range image.calls[step] {
			if verb, at, ok := packageCommand(call); ok && verb == "update" && isApt(call) {
				findings = append(findings, finding(call.at(call.Words[:at+1]...), "the package lists stay in the layer and become outdated there",
					"end the same RUN with && rm -rf /var/lib/apt/lists/*"))
				break
			}
		}
	}
	return findings
}

// removesAptLists reports whether a step leaves no package lists in its layer.
func removesAptLists(step *dockerfile.Step, calls []call) bool {
	mounted := slices.ContainsFunc(step.Mounts, func(mount *instructions.Mount) bool {
		return mount.Type != instructions.MountTypeBind && oneOf(path.Clean(mount.Target), "/var/lib/apt", "/var/lib/apt/lists")
	})
	return mounted || slices.ContainsFunc(calls, func(call call) bool {
		switch call.Name() {
		case "rm":
			return slices.ContainsFunc(call.Words, func(word shell.Word) bool { return strings.HasPrefix(word.Text, "/var/lib/apt") })
		case "find":
			return call.Has("/var/lib/apt/lists", "/var/lib/apt/lists/", "/var/lib/apt")
		}
		return false
	})
}

// aptRecommends finds installations of recommended packages.
func aptRecommends(image *image, _ *inputs) []Finding {
	var findings []Finding
	for _, step := range image.steps() {
		for _, call := range image.calls[step] {
			if slices.ContainsFunc(call.Words, func(word shell.Word) bool { return strings.Contains(word.Text, "Install-Recommends") }) {
				return findings // configured for all that follow
			}
			if verb, at, ok := packageCommand(call); ok && verb == "install" && isApt(call) && !call.Has("--no-install-recommends") {
				findings = append(findings, finding(call.at(call.Words[:at+1]...), "apt installs recommended packages as well", "add --no-install-recommends"))
			}
		}
	}
	return findings
}

// buildTools finds compilers and headers in the image that runs.
func buildTools(image *image, _ *inputs) []Finding {
	var findings []Finding
	for _, step := range image.steps() {
		if slices.ContainsFunc(image.calls[step], removesPackages) {
			continue
		}
		for _, call := range image.calls[step] {
			tools := installedTools(call)
			if len(tools) == 0 {
				continue
			}
			var names []string
			for _, tool := range tools {
				names = append(names, packageName(tool.Text))
			}
			findings = append(findings, finding(call.at(tools[0]), strings.Join(names, ", ")+" in the image that runs: a service needs no compiler and no headers",
				"build in a stage of its own, and copy the virtual environment from there"))
		}
	}
	return findings
}

// removesPackages reports whether a command removes packages that were installed by name.
func removesPackages(call call) bool {
	verb, at, ok := packageCommand(call)
	if verb == "autoremove" { // it removes only dependencies, unless a package is named
		return slices.ContainsFunc(call.Words[at+1:], func(word shell.Word) bool { return !strings.HasPrefix(word.Text, "-") })
	}
	return ok && oneOf(verb, "purge", "remove", "del", "erase")
}

// installedTools returns the packages for compiling that a command installs.
func installedTools(call call) []shell.Word {
	verb, at, ok := packageCommand(call)
	if !ok || !oneOf(verb, "install", "add") {
		return nil
	}
	var tools []shell.Word
	for i := at + 1; i < len(call.Words); i++ {
		word := call.Words[i]
		if oneOf(word.Text, "-t", "--virtual") {
			i++
			continue
		}
		if isBuildTool(packageName(word.Text)) {
			tools = append(tools, word)
		}
	}
	return tools
}

// packageName returns a package without its version and architecture: gcc=4:12.2,
// libpq-dev:amd64.
func packageName(text string) string {
	name, _, _ := strings.Cut(strings.Replace(text, "=", ":", 1), ":")
	return name
}

// isBuildTool reports whether a package of Debian, Alpine or Fedora is for compiling.
func isBuildTool(name string) bool {
	return !strings.HasPrefix(name, "-") && (strings.HasSuffix(name, "-dev") || strings.HasSuffix(name, "-devel")) ||
		oneOf(name, "build-essential", "build-base", "gcc", "g++", "clang", "make", "cmake", "ninja-build", "ninja", "cargo", "rustc", "rust", "golang",
			"pkg-config", "pkgconf", "autoconf", "automake", "libtool", "gfortran", "dpkg-dev", "gcc-c++", "swig")
}

// downloadPattern matches a script that is a download.
var downloadPattern = regexp.MustCompile("^(\\$\\(|`)\\s*(curl|wget)\\s")

// pipedInstallers finds scripts that a shell runs straight from a download.
func pipedInstallers(image *image, _ *inputs) []Finding {
	const message = "what the server sends today runs as root, unseen and without a version"
	const fix = "install a version: pip install NAME==VERSION, COPY --from an image with a tag, or ADD --checksum"
	var findings []Finding
	for _, step := range image.neededSteps() {
		calls := image.calls[step]
		for _, call := range calls {
			if script, ok := call.Script(); ok && downloadPattern.MatchString(script.Text) {
				findings = append(findings, finding(call.at(call.Words...), message, fix))
			}
			if call.PipedFrom < 0 || !command.IsPython(call.Name()) && !shell.IsShell(call.Name()) {
				continue
			}
			if from := calls[call.PipedFrom]; oneOf(from.Name(), "curl", "wget") {
				findings = append(findings, finding(call.at(from.Words[0], call.Words[len(call.Words)-1]), message, fix))
			}
		}
	}
	return findings
}

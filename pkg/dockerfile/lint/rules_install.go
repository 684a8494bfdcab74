package lint

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/settings"
)

// caches finds downloads that stay in a layer of the image.
func (c *checker) caches(image *image) {
	for _, step := range image.steps() {
		cleaned := slices.ContainsFunc(step.mounts, func(mount *instructions.Mount) bool {
			return (mount.Type == instructions.MountTypeCache || mount.Type == instructions.MountTypeTmpfs) && step.cachesIn(path.Clean(mount.Target))
		}) || slices.ContainsFunc(step.calls, func(call call) bool {
			purge := call.has("purge", "clean", "clear", "prune") && call.has("cache")
			return purge || call.name() == "rm" && slices.ContainsFunc(call.words, func(word word) bool {
				return strings.Contains(strings.ToLower(word.text), "cache")
			})
		})
		if cleaned {
			continue
		}
		for _, found := range installsOf(step) {
			message, fix, kept := found.cacheKept()
			if kept {
				c.find("pip-cache-kept", found.at, message, fix)
			}
		}
	}
}

// cachesIn says whether a directory is where pip, uv or Poetry keeps its downloads.
func (s *step) cachesIn(directory string) bool {
	for _, name := range []string{"PIP_CACHE_DIR", "UV_CACHE_DIR", "POETRY_CACHE_DIR", "XDG_CACHE_HOME"} {
		if set := s.environment[name]; set != "" && (path.Clean(set) == directory || strings.HasPrefix(set, directory+"/")) {
			return true
		}
	}
	return directory == "/root" || strings.Contains(directory, "cache") && !strings.HasPrefix(directory, "/var/cache/")
}

// cacheKept says whether the command leaves its downloads, and how it would not.
func (i *install) cacheKept() (message, fix string, kept bool) {
	switch i.tool {
	case "pip":
		return "pip leaves what it has downloaded in ~/.cache/pip, in a layer of the image", "add --no-cache-dir",
			i.command == "install" && !i.set("PIP_NO_CACHE_DIR") && !i.option("--no-cache-dir")
	case "uv", "uv pip":
		return "uv leaves what it has downloaded in ~/.cache/uv, in a layer of the image",
			"add --no-cache, or RUN --mount=type=cache,target=/root/.cache/uv", !i.set("UV_NO_CACHE") && !i.option("--no-cache", "--no-cache-dir", "-n")
	case "poetry":
		return "Poetry leaves what it has downloaded in its cache, in a layer of the image", "add --no-cache", !i.option("--no-cache")
	}
	return "", "", false
}

// localPackages are those that are part of every image of Python, or were; to
// upgrade them is a matter of the rule pip-upgraded.
func localPackages() []string { return []string{"pip", "setuptools", "wheel"} }

// pins finds what is installed without an exact version, and without hashes.
func (c *checker) pins(image *image) {
	for _, step := range image.needed() {
		for _, found := range installsOf(step) {
			switch found.tool {
			case "pip", "uv pip":
				c.pipPins(&found)
			case "uv":
				c.lock(&found, "uv.lock", "uv lock")
			case "poetry":
				c.lock(&found, "poetry.lock", "poetry lock")
			case "pipenv":
				c.lock(&found, "Pipfile.lock", "pipenv lock")
			case "pdm":
				c.lock(&found, "pdm.lock", "pdm lock")
			}
		}
	}
}

// lock finds that the build context has no lock.
func (c *checker) lock(found *install, name, command string) {
	if c.options.Dir == "" || len(found.arguments) > 0 || found.option("--script", "--directory", "--project") {
		return
	}
	manifest := settings.File
	if found.tool == "pipenv" {
		manifest = "Pipfile"
	}
	if _, ok := c.file(manifest); !ok {
		return
	}
	if _, ok := c.file(name); !ok {
		c.find("requirements-unpinned", found.at, "there is no "+name+", so each build takes the newest versions", "run "+command+" and commit "+name)
	}
}

// pipPins checks what pip installs.
func (c *checker) pipPins(found *install) {
	constrained := found.set("PIP_CONSTRAINT") || found.option("-c", "--constraint", "--constraints") || found.command == "sync"
	upgrade := found.option("-U", "--upgrade")
	for _, argument := range found.arguments {
		name, isName := requirementName(argument.text)
		switch {
		case isName && slices.Contains(localPackages(), name):
			if upgrade && !isPinned(argument.text) && !constrained && name == "pip" {
				c.find("pip-upgraded", argument.at, "each build takes the newest pip, and the one of the base image stays in the layer below",
					"leave it out, or name a version as in pip==26.1")
			}
		case constrained || isPinned(argument.text):
		case isName || isRepository(argument.text):
			c.unpinned(argument.text, argument.at, "write "+name+"==VERSION, or put it into the requirements that are locked")
		case isLocal(argument.text) && !found.option("--no-deps", "--no-index"):
			c.projectPins(found)
		}
	}
	if len(found.value("-e", "--editable")) > 0 && !constrained && !found.option("--no-deps", "--no-index") {
		c.projectPins(found)
	}
	for _, file := range found.value("-r", "--requirement", "--requirements") {
		name, ok := c.contextFile(found.step, file.text)
		if !ok {
			continue
		}
		if path.Base(name) == settings.File {
			c.projectPins(found)
			continue
		}
		c.requirementPins(name, constrained)
	}
}

// unpinned finds a requirement that is not pinned; fix is for one with a version.
func (c *checker) unpinned(requirement string, at place, fix string) {
	if strings.Contains(requirement, "+") && strings.Contains(requirement, "://") {
		c.find("requirements-unpinned", at, "the repository is not named with a commit: each build takes the newest", "add @ and the commit's hash")
		return
	}
	c.find("requirements-unpinned", at, requirement+" has no exact version: each build takes the newest that fits", fix)
}

// requirementPins checks a file of requirements.
func (c *checker) requirementPins(file string, constrained bool) {
	requirements := c.readRequirements(file)
	unpinned, unhashed := 0, 0
	constrains := map[string]bool{} // by their own lines
	for _, requirement := range requirements {
		file := requirement.at.path
		if _, ok := constrains[file]; !ok {
			constrains[file] = slices.ContainsFunc(c.sources[file].lines, regexp.MustCompile(`^\s*(-c|--constraint)\b`).MatchString)
		}
		if !requirement.pinned() && !constrained && !constrains[file] {
			unpinned++
			c.unpinned(requirement.Text, requirement.at, "lock all with uv pip compile --generate-hashes, or write "+requirement.Name+"==VERSION")
		}
		if len(requirement.Hashes) == 0 {
			unhashed++
		}
	}
	if unpinned > 0 || unhashed == 0 {
		return
	}
	for _, requirement := range requirements {
		if len(requirement.Hashes) == 0 && requirement.URL == "" {
			c.find("requirements-unhashed", requirement.at, fmt.Sprintf("%d of %d requirements have no hash: what is downloaded is not checked", unhashed, len(requirements)),
				"lock them with uv pip compile --generate-hashes, and install with --require-hashes")
			return
		}
	}
}

// isLocal says whether an argument of pip is a project's directory.
func isLocal(argument string) bool {
	directory, _, _ := strings.Cut(argument, "[")
	return directory == "." || strings.HasPrefix(directory, "./") || strings.HasPrefix(directory, "/") && path.Ext(directory) == ""
}

// projectPins checks what pip installs of a project without a lock.
func (c *checker) projectPins(found *install) {
	for _, step := range c.before(found) {
		for _, earlier := range installsOf(step) {
			if earlier.option("-r", "--requirement", "--requirements") || earlier.tool != "pip" && earlier.tool != "uv pip" {
				return // the dependencies are there already
			}
		}
	}
	if found.option("-r", "--requirement", "--requirements", "-c", "--constraint", "--constraints") {
		return
	}
	manifest, ok := c.manifest()
	if !ok {
		return
	}
	unpinned, first := 0, ""
	for _, dependency := range manifest.Project.Dependencies {
		if !isPinned(dependency) {
			if unpinned++; first == "" {
				first = dependency
			}
		}
	}
	if unpinned == 0 {
		return
	}
	if c.sources[settings.File] == nil {
		content, _ := c.file(settings.File)
		c.add(settings.File, content)
		c.suppressRequirements(settings.File)
	}
	at := place{path: settings.File}
	for i, line := range c.sources[settings.File].lines {
		if start := strings.Index(line, first); start >= 0 {
			column := len([]rune(line[:start])) + 1
			at = place{settings.File, i + 1, column, i + 1, column + len([]rune(first))}
			break
		}
	}
	c.find("requirements-unpinned", at, fmt.Sprintf("%d of %d dependencies have no exact version, and pip reads no lock", unpinned, len(manifest.Project.Dependencies)),
		"lock them with uv pip compile --generate-hashes pyproject.toml -o requirements.txt, and install that file first")
}

// before returns the steps before the one of an installation.
func (c *checker) before(found *install) []*step {
	var steps []*step
	for _, stage := range found.step.stage.lineage() {
		for _, step := range stage.steps {
			if step == found.step {
				return steps
			}
			steps = append(steps, step)
		}
	}
	return steps
}

// order finds dependencies that are installed anew with each change of the code.
func (c *checker) order(image *image) {
	for _, stage := range image.stages {
		if !stage.needed {
			continue
		}
		code, done := "", false
		for _, ancestor := range stage.lineage() {
			for _, step := range ancestor.steps {
				if source := c.codeOf(step); source != "" && code == "" {
					code = source
				}
				for _, found := range installsOf(step) {
					if found.option("--no-deps", "--only-root") || done {
						continue
					}
					done = true
					if code != "" && step.stage == stage {
						c.find("code-before-dependencies", found.at,
							"all dependencies are installed again whenever "+code+" changes, as it is copied before",
							"copy the requirements or the lock alone, install, and then copy the code")
					}
				}
			}
		}
	}
}

// codeOf returns what of the code a step copies, or nothing.
func (c *checker) codeOf(step *step) string {
	sources, ok := contextSources(step)
	if !ok {
		return ""
	}
	for _, source := range sources {
		switch {
		case wholeContext(source):
			return "a file of the directory"
		case strings.HasSuffix(source, ".py") && path.Base(source) != "setup.py":
			return source
		case c.hasCode(source):
			return "a file of " + source
		}
	}
	return ""
}

// hasCode says whether a directory of the build context has Python code.
func (c *checker) hasCode(name string) bool {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if c.options.Dir == "" || name == "" || strings.ContainsAny(name, "$*?[") {
		return false
	}
	root, err := os.OpenRoot(c.options.Dir)
	if err != nil {
		return false
	}
	defer root.Close() //nolint:errcheck // nothing was written through it
	directory, err := root.OpenRoot(filepath.FromSlash(name))
	if err != nil {
		return false
	}
	defer directory.Close() //nolint:errcheck // nothing was written through it
	found := false
	seen := 0
	// What can not be read has no code.
	_ = fs.WalkDir(directory.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		const enough = 1000
		if seen++; err != nil || seen > enough {
			return fs.SkipAll
		}
		if !entry.IsDir() && strings.HasSuffix(name, ".py") {
			found = true
			return fs.SkipAll
		}
		return nil
	})
	return found
}

// devTools are packages that no service needs when it runs.
func devTools() []string {
	return []string{
		"pytest", "pytest-cov", "pytest-asyncio", "pytest-xdist", "pytest-mock", "pytest-django", "pytest-flask", "ruff", "black", "mypy", "pyright",
		"flake8", "isort", "pylint", "pre-commit", "tox", "nox", "coverage", "ipython", "jupyter", "jupyterlab", "notebook", "debugpy", "ipdb",
		"pip-tools", "bandit", "autopep8", "yapf", "pyupgrade", "hypothesis", "factory-boy", "django-debug-toolbar",
	}
}

// development finds tools for development in the image.
func (c *checker) development(image *image) {
	if isDevelopment(image.target().name) {
		return
	}
	for _, step := range image.installed() {
		for _, found := range installsOf(step) {
			c.developmentOf(&found)
		}
	}
}

// isDevelopment says whether a name says that it is for development or tests.
func isDevelopment(name string) bool {
	return regexp.MustCompile(`(?i)(^|[-_./])(dev|devel|develop|development|test|tests|testing|lint|ci|debug|local)([-_.]|$)`).MatchString(name)
}

func (c *checker) developmentOf(found *install) {
	const rule = "dev-dependencies-in-image"
	switch found.tool {
	case "pip", "uv pip":
		for _, argument := range found.arguments {
			name, _ := requirementName(argument.text)
			_, extras, _ := strings.Cut(argument.text, "[")
			switch {
			case slices.Contains(devTools(), name):
				c.find(rule, argument.at, name+" is for development and tests", "install it in a stage of its own, from which the image does not start")
			case isLocal(argument.text) && slices.ContainsFunc(strings.FieldsFunc(extras, func(r rune) bool { return strings.ContainsRune(",] ", r) }), isDevelopment):
				c.find(rule, argument.at, argument.text+" installs what is for development and tests", "leave the extra out")
			}
		}
		for _, group := range found.value("--group") {
			if isDevelopment(group.text) {
				c.find(rule, group.at, "the group "+group.text+" is for development and tests", "leave the group out")
			}
		}
		for _, file := range found.value("-r", "--requirement", "--requirements") {
			c.developmentFile(found, file)
		}
	case "uv":
		groups := found.value("--group", "--only-group")
		for _, group := range groups {
			if isDevelopment(group.text) {
				c.find(rule, group.at, "the group "+group.text+" is for development and tests", "leave the group out")
				return
			}
		}
		if found.set("UV_NO_DEV") || found.set("UV_NO_DEFAULT_GROUPS") || found.option("--no-dev", "--no-default-groups", "--only-group", "--only-dev") {
			return
		}
		for _, group := range found.value("--no-group") {
			if group.text == "dev" {
				return
			}
		}
		manifest, ok := c.manifest()
		if !ok || manifest.Tool.UV.DefaultGroups != nil && !found.option("--all-groups", "--dev") {
			return
		}
		if _, group := manifest.Groups["dev"]; group || len(manifest.Tool.UV.DevDependencies) > 0 {
			c.find(rule, found.at, "uv sync installs the group dev as well", "add --no-dev")
		}
	case "poetry":
		for _, group := range found.value("--with") {
			if slices.ContainsFunc(strings.Split(group.text, ","), isDevelopment) {
				c.find(rule, group.at, "the group "+group.text+" is for development and tests", "write --only main in its place")
				return
			}
		}
		if found.option("--only", "--without", "--no-dev", "--only-root") {
			return
		}
		manifest, ok := c.manifest()
		if !ok {
			return
		}
		for _, name := range slices.Sorted(maps.Keys(manifest.Tool.Poetry.Groups)) {
			if isDevelopment(name) && !manifest.Tool.Poetry.Groups[name].Optional {
				c.find(rule, found.at, "poetry install installs the group "+name+" as well", "add --only main")
				return
			}
		}
		if len(manifest.Tool.Poetry.DevDependencies) > 0 {
			c.find(rule, found.at, "poetry install installs the dev-dependencies as well", "add --only main")
		}
	case "pipenv":
		if found.option("--dev", "-d") {
			c.find(rule, found.at, "pipenv installs the dev-packages as well", "leave --dev out")
		}
	}
}

// developmentFile checks a file of requirements.
func (c *checker) developmentFile(found *install, file word) {
	const rule = "dev-dependencies-in-image"
	if isDevelopment(path.Base(strings.TrimSuffix(file.text, path.Ext(file.text)))) {
		c.find(rule, file.at, file.text+" is for development and tests", "install it in a stage of its own, from which the image does not start")
		return
	}
	name, ok := c.contextFile(found.step, file.text)
	if !ok || path.Base(name) == settings.File {
		return
	}
	for _, requirement := range c.readRequirements(name) {
		if slices.Contains(devTools(), requirement.Name) && requirement.Direct() {
			c.find(rule, requirement.at, requirement.Name+" is for development and tests", "move it into a file that the image does not install")
		}
	}
}

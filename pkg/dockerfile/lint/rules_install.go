package lint

import (
	"path"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/shell"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/packaging"
)

// keptCaches finds downloads that stay in a layer of the image.
func keptCaches(image *image, _ *inputs) []Finding {
	var findings []Finding
	for _, step := range image.steps() {
		if leavesNoCache(step, image.calls[step]) {
			continue
		}
		for _, found := range image.installs[step] {
			if message, fix, kept := cacheKept(&found); kept {
				findings = append(findings, finding(found.at(found.Head()...), message, fix))
			}
		}
	}
	return findings
}

// leavesNoCache reports whether a step mounts or removes the caches.
func leavesNoCache(step *dockerfile.Step, calls []call) bool {
	mounted := slices.ContainsFunc(step.Mounts, func(mount *instructions.Mount) bool {
		return oneOf(string(mount.Type), string(instructions.MountTypeCache), string(instructions.MountTypeTmpfs)) && holdsCache(step.Env, path.Clean(mount.Target))
	})
	return mounted || slices.ContainsFunc(calls, func(call call) bool {
		if call.Name() == "rm" {
			return slices.ContainsFunc(call.Words, func(word shell.Word) bool { return strings.Contains(strings.ToLower(word.Text), "cache") })
		}
		return call.Has("cache") && call.Has("purge", "clean", "clear", "prune")
	})
}

// holdsCache reports whether a directory is where pip, uv or Poetry keeps its downloads.
func holdsCache(environment map[string]string, directory string) bool {
	for _, name := range []string{"PIP_CACHE_DIR", "UV_CACHE_DIR", "POETRY_CACHE_DIR", "XDG_CACHE_HOME"} {
		if set := environment[name]; set != "" && (path.Clean(set) == directory || strings.HasPrefix(set, directory+"/")) {
			return true
		}
	}
	return directory == "/root" || strings.Contains(directory, "cache") && !strings.HasPrefix(directory, "/var/cache/")
}

// cacheKept reports whether an installation leaves its downloads, and how to avoid it.
func cacheKept(found *install) (message, fix string, kept bool) {
	switch found.Tool {
	case "pip":
		return "pip leaves its downloads in ~/.cache/pip, in a layer of the image", "add --no-cache-dir",
			found.Verb == "install" && !found.set("PIP_NO_CACHE_DIR") && !found.Option("--no-cache-dir")
	case "uv", "uv pip":
		return "uv leaves its downloads in ~/.cache/uv, in a layer of the image",
			"add --no-cache, or RUN --mount=type=cache,target=/root/.cache/uv", !found.set("UV_NO_CACHE") && !found.Option("--no-cache", "--no-cache-dir", "-n")
	case "poetry":
		return "Poetry leaves its downloads in its cache, in a layer of the image", "add --no-cache", !found.Option("--no-cache")
	}
	return "", "", false
}

// upgradedPip finds upgrades of pip to the newest version.
func upgradedPip(image *image, in *inputs) []Finding {
	var findings []Finding
	for _, step := range image.neededSteps() {
		for _, found := range image.installs[step] {
			if !found.UsesPip() || !found.Option("-U", "--upgrade") || in.constraints(image, &found).fix("pip") {
				continue
			}
			for _, argument := range found.Arguments {
				if name, _ := requirementName(argument.Text); name == "pip" && !isPinned(argument.Text) {
					findings = append(findings, finding(found.at(argument), "each build takes the newest pip, and the one of the base image stays in the layer below",
						"remove it, or name a version as in pip==26.1"))
				}
			}
		}
	}
	return findings
}

// codeBeforeDependencies finds dependencies that are installed again with each change of
// the code.
func codeBeforeDependencies(image *image, in *inputs) []Finding {
	var findings []Finding
	for _, stage := range image.neededStages() {
		code := ""
		found, ok := firstInstall(image, stage, func(step *dockerfile.Step) {
			if code == "" {
				code = in.codeOf(step)
			}
		})
		if ok && code != "" && image.stages[found.step] == stage {
			findings = append(findings, finding(found.at(found.Head()...),
				"all dependencies are installed again whenever "+code+" changes, because it is copied before",
				"copy only the requirements or the lock, install, and then copy the code"))
		}
	}
	return findings
}

// firstInstall returns the first installation of dependencies in an image of the stage. It
// calls seen with each step up to it.
func firstInstall(image *image, stage *dockerfile.Stage, seen func(*dockerfile.Step)) (install, bool) {
	for _, step := range stepsOf(stage.Lineage()) {
		seen(step)
		for _, found := range image.installs[step] {
			if !found.Option("--no-deps", "--only-root") {
				return found, true
			}
		}
	}
	return install{}, false
}

// codeOf returns what of the code a step copies, or an empty string.
func (in *inputs) codeOf(step *dockerfile.Step) string {
	for _, source := range copied(step) {
		switch {
		case wholeContext(source):
			return "a file of the directory"
		case strings.HasSuffix(source, ".py") && path.Base(source) != "setup.py":
			return source
		case in.folder.hasCode(source):
			return "a file of " + source
		}
	}
	return ""
}

// devTools returns packages that no service needs when it runs.
func devTools() []string {
	return []string{
		"pytest", "pytest-cov", "pytest-asyncio", "pytest-xdist", "pytest-mock", "pytest-django", "pytest-flask", "ruff", "black", "mypy", "pyright",
		"flake8", "isort", "pylint", "pre-commit", "tox", "nox", "coverage", "ipython", "jupyter", "jupyterlab", "notebook", "debugpy", "ipdb",
		"pip-tools", "bandit", "autopep8", "yapf", "pyupgrade", "hypothesis", "factory-boy", "django-debug-toolbar",
	}
}

// developmentTools finds tools for development in the image.
func developmentTools(image *image, in *inputs) []Finding {
	if isDevelopment(image.target.Name) {
		return nil
	}
	var findings []Finding
	for _, step := range image.installedSteps() {
		for _, found := range image.installs[step] {
			switch found.Tool {
			case "pip", "uv pip":
				findings = append(findings, pipDevelopment(image, in, &found)...)
			case "uv":
				findings = append(findings, uvDevelopment(&found, in.manifest)...)
			case "poetry":
				findings = append(findings, poetryDevelopment(&found, in.manifest)...)
			case "pipenv":
				if found.Option("--dev", "-d") {
					findings = append(findings, finding(found.at(found.Head()...), "pipenv installs the dev-packages as well", "remove --dev"))
				}
			}
		}
	}
	return findings
}

const ownStage = "install it in a stage of its own that the image does not start from"

// pipDevelopment finds packages, extras, groups and files for development.
func pipDevelopment(image *image, in *inputs, found *install) []Finding {
	var findings []Finding
	for _, argument := range found.Arguments {
		if name, _ := requirementName(argument.Text); slices.Contains(devTools(), name) {
			findings = append(findings, finding(found.at(argument), name+" is for development and tests", ownStage))
		} else if isLocal(argument.Text) && slices.ContainsFunc(extras(argument.Text), isDevelopment) {
			findings = append(findings, finding(found.at(argument), argument.Text+" installs tools for development and tests", "remove the extra"))
		}
	}
	findings = append(findings, developmentGroups(found, "--group")...)
	for _, file := range found.Requirements() {
		if isDevelopment(path.Base(strings.TrimSuffix(file.Text, path.Ext(file.Text)))) {
			findings = append(findings, finding(found.at(file), file.Text+" is for development and tests", ownStage))
			continue
		}
		name, _ := in.contextFile(image, found.step, file)
		for _, requirement := range in.requirements[name] {
			if slices.Contains(devTools(), requirement.Name) && requirement.Direct() {
				findings = append(findings, finding(requirement.at, requirement.Name+" is for development and tests", "move it to a file that the image does not install"))
			}
		}
	}
	return findings
}

// extras returns the extras of an argument of pip.
func extras(argument string) []string {
	_, list, _ := strings.Cut(argument, "[")
	return strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(",] ", r) })
}

// developmentGroups finds groups for development among the values of options.
func developmentGroups(found *install, options ...string) []Finding {
	var findings []Finding
	for _, group := range found.Values(options...) {
		if isDevelopment(group.Text) {
			findings = append(findings, finding(found.at(group), "the group "+group.Text+" is for development and tests", "remove the group"))
		}
	}
	return findings
}

// uvDevelopment finds the groups for development that uv installs.
func uvDevelopment(found *install, manifest *packaging.Pyproject) []Finding {
	if named := developmentGroups(found, "--group", "--only-group"); len(named) > 0 {
		return named[:1]
	}
	switch {
	case found.set("UV_NO_DEV") || found.set("UV_NO_DEFAULT_GROUPS") || found.Option("--no-dev", "--no-default-groups", "--only-group", "--only-dev"):
		return nil
	case slices.ContainsFunc(found.Values("--no-group"), func(group shell.Word) bool { return group.Text == "dev" }):
		return nil
	case manifest == nil || manifest.Tool.UV.DefaultGroups != nil && !found.Option("--all-groups", "--dev"):
		return nil
	}
	if _, group := manifest.Groups["dev"]; group || len(manifest.Tool.UV.DevDependencies) > 0 {
		return []Finding{finding(found.at(found.Head()...), "uv sync installs the group dev as well", "add --no-dev")}
	}
	return nil
}

// poetryDevelopment finds the groups for development that Poetry installs.
func poetryDevelopment(found *install, manifest *packaging.Pyproject) []Finding {
	for _, group := range found.Values("--with") {
		if slices.ContainsFunc(strings.Split(group.Text, ","), isDevelopment) {
			return []Finding{finding(found.at(group), "the group "+group.Text+" is for development and tests", "write --only main instead")}
		}
	}
	if manifest == nil || found.Option("--only", "--without", "--no-dev", "--only-root") {
		return nil
	}
	var groups []string
	for name, group := range manifest.Tool.Poetry.Groups {
		if isDevelopment(name) && !group.Optional {
			groups = append(groups, name)
		}
	}
	switch {
	case len(groups) > 0:
		return []Finding{finding(found.at(found.Head()...), "poetry install installs the group "+slices.Min(groups)+" as well", "add --only main")}
	case len(manifest.Tool.Poetry.DevDependencies) > 0:
		return []Finding{finding(found.at(found.Head()...), "poetry install installs the dev-dependencies as well", "add --only main")}
	}
	return nil
}

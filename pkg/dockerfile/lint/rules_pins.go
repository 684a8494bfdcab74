package lint

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/shell"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/packaging"
)

// unpinnedRequirements finds packages that are installed without an exact version.
func unpinnedRequirements(image *image, in *inputs) []Finding {
	var findings []Finding
	for _, step := range image.neededSteps() {
		for _, found := range image.installs[step] {
			if !found.UsesPip() {
				findings = append(findings, missingLock(in, &found)...)
				continue
			}
			fixed := in.constraints(image, &found)
			findings = append(findings, unpinnedArguments(&found, fixed)...)
			if installsProject(&found, fixed) {
				findings = append(findings, unpinnedProject(image, in, &found, fixed)...)
			}
			for _, file := range in.requirementFiles(image, &found) {
				findings = append(findings, in.unpinnedIn(file, fixed)...)
			}
		}
	}
	return findings
}

// missingLock finds that the build context has no lock for the tool that reads one.
func missingLock(in *inputs, found *install) []Finding {
	if len(found.Arguments) > 0 || found.Option("--script", "--directory", "--project") {
		return nil
	}
	manifest, lock := packaging.PyprojectFile, found.Tool+".lock"
	if found.Tool == "pipenv" {
		manifest, lock = "Pipfile", "Pipfile.lock"
	}
	if !in.folder.has(manifest) || in.folder.has(lock) {
		return nil
	}
	return []Finding{finding(found.at(found.Head()...), "there is no "+lock+", so each build takes the newest versions",
		"run "+found.Tool+" lock and commit "+lock)}
}

// localPackages returns the packages that are or were part of every image of Python. The
// rule pip-upgraded is about those.
func localPackages() []string { return []string{"pip", "setuptools", "wheel"} }

// unpinnedArguments finds requirements on the command line of pip.
func unpinnedArguments(found *install, fixed constraints) []Finding {
	var findings []Finding
	for _, argument := range found.Arguments {
		name, isName := requirementName(argument.Text)
		if slices.Contains(localPackages(), name) || fixed.fix(name) || isPinned(argument.Text) || !isName && !isRepository(argument.Text) {
			continue
		}
		findings = append(findings, unpinned(argument.Text, found.at(argument), "write "+name+"==VERSION, or add it to the locked requirements"))
	}
	return findings
}

// unpinned returns the finding of a requirement; fix is for one with a version.
func unpinned(requirement string, at place, fix string) Finding {
	if strings.Contains(requirement, "+") && strings.Contains(requirement, "://") {
		return finding(at, "the repository has no commit: each build takes the newest", "add @ and the commit's hash")
	}
	return finding(at, requirement+" has no exact version: each build takes the newest that fits", fix)
}

// constraints are what fixes versions beside the requirements.
type constraints struct {
	// all reports that every version is fixed, or that it is not known which are.
	all bool
	// pinned are the packages of an exact version.
	pinned []string
}

// fix reports whether the version of a package is fixed.
func (c constraints) fix(name string) bool { return c.all || slices.Contains(c.pinned, name) }

// with returns the constraints and those that a requirements file has.
func (c constraints) with(read *packaging.Requirements, more []packaging.Requirement) constraints {
	c.all = c.all || read.ConstraintMissing || isOffline(read)
	for _, one := range more {
		if one.Pinned() {
			c.pinned = append(slices.Clip(c.pinned), one.Name)
		}
	}
	return c
}

// isOffline reports whether a requirements file has the option --no-index.
func isOffline(read *packaging.Requirements) bool {
	return slices.ContainsFunc(read.Options, func(option packaging.Option) bool { return option.Name == "--no-index" })
}

// constraints returns what fixes the versions of an installation. Without an index, only the
// packages that are in the image already can be installed: how they came there is checked
// where that happens.
func (in *inputs) constraints(image *image, found *install) constraints {
	fixed := constraints{all: found.set("PIP_CONSTRAINT") || found.set("PIP_NO_INDEX") || found.Option("--no-index") || found.Verb == "sync"}
	for _, word := range found.Values("-c", "--constraint", "--constraints") {
		file, ok := in.contextFile(image, found.step, word)
		read, readable := packaging.ReadRequirements(in.folder.read, path.Clean(file))
		if !ok || !readable {
			fixed.all = true
			continue
		}
		fixed = fixed.with(read, slices.Concat(read.All(), read.Constraints))
	}
	return fixed
}

// unpinnedIn finds requirements of a file whose versions nothing fixes.
func (in *inputs) unpinnedIn(file string, fixed constraints) []Finding {
	if read, ok := packaging.ReadRequirements(in.folder.read, path.Clean(file)); ok {
		fixed = fixed.with(read, read.Constraints)
	}
	var findings []Finding
	for _, requirement := range in.requirements[file] {
		if requirement.pinned() || fixed.fix(requirement.Name) {
			continue
		}
		findings = append(findings, unpinned(requirement.Text, requirement.at,
			"lock all with uv pip compile --generate-hashes, or write "+requirement.Name+"==VERSION"))
	}
	return findings
}

// unhashedRequirements finds requirements files in which all versions are exact, and some
// requirements have no hash.
func unhashedRequirements(image *image, in *inputs) []Finding {
	var findings []Finding
	for _, step := range image.neededSteps() {
		for _, found := range image.installs[step] {
			for _, file := range in.requirementFiles(image, &found) {
				if !found.Option("--no-index") && !found.set("PIP_NO_INDEX") && len(in.unpinnedIn(file, in.constraints(image, &found))) == 0 {
					findings = append(findings, in.unhashedIn(file)...)
				}
			}
		}
	}
	return findings
}

// unhashedIn finds the first requirement of a file that could have a hash and has none.
func (in *inputs) unhashedIn(file string) []Finding {
	if read, ok := packaging.ReadRequirements(in.folder.read, path.Clean(file)); ok && isOffline(read) {
		return nil
	}
	var first *requirement
	count := 0
	requirements := in.requirements[file]
	for i := range requirements {
		if requirements[i].Hashed() {
			continue
		}
		count++
		if first == nil && requirements[i].URL == "" {
			first = &requirements[i]
		}
	}
	if first == nil {
		return nil
	}
	return []Finding{finding(first.at, fmt.Sprintf("%d of %d requirements have no hash: downloads are not verified", count, len(requirements)),
		"lock them with uv pip compile --generate-hashes, and install with --require-hashes")}
}

// installsProject reports whether pip installs a project of the build context with its
// dependencies, because nothing else determines their versions.
func installsProject(found *install, fixed constraints) bool {
	if fixed.all {
		return false
	}
	isProject := len(found.Values("-e", "--editable")) > 0 || slices.ContainsFunc(found.Arguments, func(word shell.Word) bool { return isLocal(word.Text) })
	return isProject && !found.Option("--no-deps", "--no-index")
}

// unpinnedProject finds dependencies of the pyproject.toml, unless they are installed
// before.
func unpinnedProject(image *image, in *inputs, found *install, fixed constraints) []Finding {
	if in.manifest == nil || len(found.Requirements()) > 0 {
		return nil
	}
	for _, step := range image.before(found.step) {
		for _, earlier := range image.installs[step] {
			if len(earlier.Requirements()) > 0 || !earlier.UsesPip() {
				return nil // the dependencies are installed already
			}
		}
	}
	var open []string
	dependencies := in.manifest.Project.Dependencies
	for _, dependency := range dependencies {
		if name, _ := requirementName(dependency); !isPinned(dependency) && !fixed.fix(name) {
			open = append(open, dependency)
		}
	}
	if len(open) == 0 {
		return nil
	}
	at := place{path: packaging.PyprojectFile}
	for i, line := range in.sources[packaging.PyprojectFile] {
		if start := strings.Index(line, open[0]); start >= 0 {
			at = span(packaging.PyprojectFile, i+1, line, start, start+len(open[0]))
			break
		}
	}
	return []Finding{finding(at, fmt.Sprintf("%d of %d dependencies have no exact version, and pip reads no lock", len(open), len(dependencies)),
		"lock them with uv pip compile --generate-hashes pyproject.toml -o requirements.txt, and install that file first")}
}

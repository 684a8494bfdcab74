package generate

import (
	"path"
	"slices"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
)

// plan is what is decided before a Dockerfile is written. The sections only read it.
type plan struct {
	project *detect.Project
	variant Variant
	debian  debianRelease
	test    bool
	// command starts a project without an app.
	command []string
	port    int
	name    string
	// within is the path of the project in the build context, "." for the context itself.
	within string
	// given are the IDs of secrets that the build gets.
	given []string
}

// debianRelease is a release that distroless has an image of Python for.
type debianRelease struct{ number, name, python string }

// debianReleases returns those of the distroless project's python3/config.bzl; each
// has the one Python of that release.
func debianReleases() []debianRelease {
	return []debianRelease{{"12", "bookworm", "3.11"}, {"13", "trixie", "3.13"}}
}

// unhashed returns the project as pip can install it: directories have no hash, and pip
// wants hashes of all requirements or of none.
func unhashed(project *detect.Project) *detect.Project {
	result := *project
	local := len(result.Dependencies.Local) > 0
	result.Dependencies.Hashed = result.Dependencies.Hashed && !local
	result.Dev.Hashed = result.Dev.Hashed && len(result.Dev.Local) == 0
	if local && result.Dev.Kind != detect.Requirements {
		// The tests' set has that of the app in it.
		result.Dev.Hashed = false
	}
	return &result
}

func (p *plan) title() string {
	switch p.variant {
	case Bloated:
		return p.name + ", as it is often done. It works; the comments say what it costs, and what the variant slim does instead."
	case Distroless:
		return p.name + ": built with a shell and pip, run with Python alone."
	default:
		return p.name + ": built in one stage, run in another that has only what runs."
	}
}

// base returns the image that has pip.
func (p *plan) base() string {
	if p.variant == Distroless {
		return "python:" + p.project.Python + "-slim-" + p.debian.name
	}
	return "python:${PYTHON_VERSION}-slim"
}

// newWriter returns the writer of a section.
func newWriter(p *plan) *writer { return &writer{within: p.within} }

// workDir returns where a set of dependencies is installed from. The files are at the same
// places to each other as in the build context, so that paths between them hold.
func workDir(p *plan, set detect.Dependencies) string {
	if p.variant == Bloated {
		return path.Join(appDir, p.within, set.Dir)
	}
	return path.Join(workplace, p.within, set.Dir)
}

// sameLock reports whether the requirements of the tests come from the same files as those
// of the app.
func (p *plan) sameLock() bool {
	project := p.project
	return p.test && len(project.Dev.Files) > 0 && project.Dev.Kind == project.Dependencies.Kind && project.Dev.Kind != detect.Requirements
}

// testSource returns how the dependencies of app and tests together become requirements; nil
// if those of the tests come from somewhere else.
func (p *plan) testSource() *source {
	if !p.sameLock() {
		return nil
	}
	from := p.source(p.project.Dependencies, &p.project.Dev)
	return &from
}

// codeApart reports whether the code has a stage of its own: the stage that runs cannot
// compile it, or it is installed with the tools that build it. Otherwise a further stage only
// makes Kaniko unpack the base image once more.
func (p *plan) codeApart() bool { return p.variant == Distroless || p.project.Package }

// hasPytest reports whether the project lists pytest itself.
func (p *plan) hasPytest() bool {
	return slices.Contains(p.project.Dependencies.Names, "pytest") || slices.Contains(p.project.Dev.Names, "pytest")
}

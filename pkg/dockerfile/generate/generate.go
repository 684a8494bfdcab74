// Package generate writes the Dockerfile of a Python service, and the ignore file for it. It
// is pure: the text depends only on the options.
package generate

import (
	"cmp"
	"errors"
	"path"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/generate/variant"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
)

// Options describe the Dockerfile to write.
type Options struct {
	// Project is the project in the directory that is built; not nil.
	Project *detect.Project
	// Variant is the technique; empty is Slim.
	Variant Variant
	// Command starts a project without an app: a program and its arguments. With an app it has
	// no effect.
	Command []string
	// Port is where the app listens; 0 is the project's.
	Port int
	// Test adds the stage `test`, which runs the project's tests in what the last
	// stage is made of. It is built only as the target.
	Test bool
	// Secrets are the IDs of the secrets that the build gets, as far as they are known: of
	// WellKnown, those are mounted. What the project asks for is mounted in any case.
	Secrets []string
	// Name is what the first line calls the service; empty is the project's name.
	Name string
	// Within is the path of the project's directory in the build context; empty if it is the
	// context.
	Within string
}

// Variant is a way to make an image of the same service.
type Variant = variant.Variant

// The variants.
const (
	Bloated    = variant.Bloated
	Slim       = variant.Slim
	Distroless = variant.Distroless
)

// Variants returns the variants, the largest image first.
func Variants() []Variant { return variant.All() }

// ParseVariant reads the name of a variant; empty is Slim. An error holds ErrVariant.
func ParseVariant(name string) (Variant, error) { return variant.Parse(name) }

// Why a Dockerfile cannot be written. The errors that hold them say what to do.
var (
	// ErrVariant means that there is no such variant.
	ErrVariant = variant.ErrUnknown
	// ErrNoApp means that the project has no application to start.
	ErrNoApp = errors.New("no application was found: name it with --entrypoint module:attribute, such as --entrypoint shop.main:app; for a program of another kind, give its command as a process in [tool.kubectl-pyflow.processes]")
	// ErrUnsupported means that the variant cannot be made of this project.
	ErrUnsupported = errors.New("the variant does not suit the project")
	// ErrInvalid means that something of the project cannot be written into a
	// Dockerfile.
	ErrInvalid = errors.New("cannot be written into a Dockerfile")
)

// Dockerfile writes the Dockerfile of a project: the stages `build` (the dependencies, from
// the lock alone), `code` if `run` cannot compile it, `run`, with Test also `test`, and last
// the one that is deployed. Bloated has only that one, and `test`. Equal options give equal text. The build arguments PIP_INDEX_URL
// and PIP_TRUSTED_HOST are declared where pip is used. Errors hold one of the above.
func Dockerfile(options Options) ([]byte, error) {
	chosen, err := ParseVariant(string(options.Variant))
	if err != nil {
		return nil, err
	}
	project := unhashed(options.Project)
	p := &plan{
		project: project, variant: chosen, test: options.Test, command: options.Command, given: options.Secrets, within: cmp.Or(path.Clean(options.Within), "."),
		port: cmp.Or(options.Port, project.Port, python.DefaultPort),
		name: cmp.Or(options.Name, project.Name, "the service"),
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	return []byte(strings.Join(sections(p), "\n")), nil
}

// sections returns the parts of the Dockerfile, which a blank line separates.
func sections(p *plan) []string {
	if p.variant == Bloated {
		return bloated(p)
	}
	all := []string{heading(p)}
	if p.variant == Slim {
		all = append(all, "ARG PYTHON_VERSION="+p.project.Python+"\n")
	}
	all = append(all, buildStage(p))
	if p.codeApart() {
		all = append(all, codeStage(p))
	}
	all = append(all, runStage(p))
	if p.test {
		all = append(all, testBuildStage(p), testStage(p), lastStage(p))
	}
	return all
}

// heading writes the first lines, which say what the Dockerfile makes.
func heading(p *plan) string {
	w := newWriter(p)
	w.note(p.title())
	if p.within != "." {
		w.note("The build context is a directory above the service: paths of COPY start there, with " + p.within + " for the service itself.")
	}
	return w.String()
}

// lastStage writes the stage that is built without a target: the one that runs, behind the
// tests.
func lastStage(p *plan) string {
	w := newWriter(p)
	w.note("The image that is deployed is `run`, as it was tested. It is last, so that a build without a target makes it and leaves the tests out.")
	w.line("FROM run")
	return w.String()
}

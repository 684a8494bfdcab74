// Package recipe writes the Dockerfile of a Python service. It is pure: what it
// writes depends on its options alone.
package generate

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
)

// Options are what a Dockerfile is written from.
type Options struct {
	// Project is what was found in the directory that is built; not nil.
	Project *detect.Project
	// Variant is the technique; empty is Slim.
	Variant Variant
	// Port is where the app listens; 0 is the project's.
	Port int
	// Test adds the stage `test`, which runs the project's tests in what the last
	// stage is made of. It is carried out only when it is the target.
	Test bool
	// Name is what the first line calls the service; empty is the project's name.
	Name string
}

// Variant is a way to make an image of the same service.
type Variant string

// The variants.
const (
	// Bloated is how it is often done: the baseline that the others are measured
	// against, each of its faults named.
	Bloated Variant = "bloated"
	// Slim has a stage for building and one for running, on python:X-slim.
	Slim Variant = "slim"
	// Distroless is Slim with an image that has Python and nothing else: no shell,
	// no package manager.
	Distroless Variant = "distroless"
)

// Variants are all of them, the largest image first.
func Variants() []Variant { return []Variant{Bloated, Slim, Distroless} }

// ParseVariant reads a variant's name; empty is Slim.
func ParseVariant(name string) (Variant, error) {
	variant := cmp.Or(Variant(name), Slim)
	if !slices.Contains(Variants(), variant) {
		return "", fmt.Errorf("%w %q: choose bloated, slim or distroless", ErrVariant, name)
	}
	return variant, nil
}

// What keeps a Dockerfile from being written. The errors that hold them say what
// to do.
var (
	// ErrVariant says that there is no such variant.
	ErrVariant = errors.New("unknown variant")
	// ErrNoApp says that the project has no application to start.
	ErrNoApp = errors.New("no application was found: name it with --entrypoint module:attribute, such as --entrypoint shop.main:app; a program that is no web application needs a Dockerfile")
	// ErrUnsupported says that the variant can not be made of this project.
	ErrUnsupported = errors.New("the variant does not suit the project")
	// ErrInvalid says that something of the project can not be written into a
	// Dockerfile.
	ErrInvalid = errors.New("can not be written into a Dockerfile")
)

// Dockerfile writes the Dockerfile of a project: stages `build` (the
// dependencies, from the lock alone), `code` where `run` can not compile it, `run`,
// with Test also `test`, and last the one that is delivered; Bloated has but that
// one, and `test`. Equal options give equal text. The build arguments PIP_INDEX_URL
// and PIP_TRUSTED_HOST are declared where pip is used. Errors hold one of the above.
func Dockerfile(options Options) ([]byte, error) {
	variant, err := ParseVariant(string(options.Variant))
	if err != nil {
		return nil, err
	}
	project := unhashed(options.Project)
	w := &writer{
		project: project, variant: variant, test: options.Test,
		port: cmp.Or(options.Port, project.Port, python.DefaultPort),
		name: cmp.Or(options.Name, project.Name, "the service"),
	}
	if err := w.check(); err != nil {
		return nil, err
	}
	if variant == Bloated {
		w.bloated()
	} else {
		w.staged()
	}
	return []byte(w.out.String()), nil
}

// unhashed is the project as pip can install it: directories have no hash, and pip
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

// debianRelease is a release that distroless has an image of Python for.
type debianRelease struct{ number, name, python string }

// debianReleases are those of the distroless project's python3/config.bzl; each
// has the one Python of that release.
func debianReleases() []debianRelease {
	return []debianRelease{{"12", "bookworm", "3.11"}, {"13", "trixie", "3.13"}}
}

var (
	pythonVersion = regexp.MustCompile(`^3\.[0-9]+$`)
	appObject     = regexp.MustCompile(`^[\pL\pN_.]+:[\pL\pN_.]+$`)
	debianPackage = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)
	requirement   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9._,-]+\])?==[A-Za-z0-9._+!-]+$`)
	groupName     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	// A Dockerfile would expand, match or split the others.
	plainPath = regexp.MustCompile(`^[\pL\pN_.@+,=/ -]+$`)
)

// check refuses what would make a Dockerfile that is wrong.
func (w *writer) check() error {
	project := w.project
	if project.App == nil {
		return ErrNoApp
	}
	if !appObject.MatchString(project.App.Object) {
		return fmt.Errorf("app %q %w: write module:attribute, such as --entrypoint shop.main:app", project.App.Object, ErrInvalid)
	}
	if !slices.Contains([]string{uvicorn, hypercorn, gunicorn}, project.App.Server) {
		return fmt.Errorf("server %q %w: use uvicorn, hypercorn or gunicorn", project.App.Server, ErrInvalid)
	}
	if !pythonVersion.MatchString(project.Python) {
		return fmt.Errorf("python version %q %w: write major.minor, such as 3.13", project.Python, ErrInvalid)
	}
	if w.port < 1 || w.port > 65535 {
		return fmt.Errorf("port %d %w: use 1 to 65535", w.port, ErrInvalid)
	}
	if kind := project.Dependencies.Kind; kind != detect.None && len(project.Dependencies.Files) == 0 {
		return fmt.Errorf("dependencies of %s without a file %w: name the file", kind, ErrInvalid)
	}
	if project.Dependencies.Kind == detect.Pipenv && !project.Dependencies.Locked {
		return fmt.Errorf("a Pipfile without Pipfile.lock %w: run `pipenv lock`", ErrInvalid)
	}
	paths := slices.Concat(project.Code, project.Dependencies.Files, project.Dev.Files, project.Dependencies.Local, project.Dev.Local, []string{cmp.Or(project.Root, ".")})
	for _, check := range []struct {
		what, rule string
		pattern    *regexp.Regexp
		values     []string
	}{
		{"Debian package", "names have lower case letters, digits, + - .", debianPackage, slices.Concat(project.Libraries.Build, project.Libraries.Run)},
		{"requirement", "write name==version", requirement, project.Extra},
		{"dependency group", "names have letters, digits, - _ .", groupName, slices.Concat(project.Dependencies.Groups, project.Dev.Groups, project.Dependencies.Extras, project.Dev.Extras)},
		{"path", "rename it, to letters, digits and - _ . + = @ ,", plainPath, paths},
	} {
		for _, value := range check.values {
			if !check.pattern.MatchString(value) {
				return fmt.Errorf("%s %q %w: %s", check.what, value, ErrInvalid, check.rule)
			}
		}
	}
	for _, file := range paths {
		if !fs.ValidPath(path.Clean(file)) {
			return fmt.Errorf("path %q %w: the build gets nothing from outside of its directory", file, ErrInvalid)
		}
	}
	if w.variant == Distroless {
		return w.checkDistroless()
	}
	return nil
}

func (w *writer) checkDistroless() error {
	var known []string
	for _, release := range debianReleases() {
		if release.python == w.project.Python {
			w.debian = release
		}
		known = append(known, fmt.Sprintf("%s (debian%s)", release.python, release.number))
	}
	if w.debian.number == "" {
		return fmt.Errorf("%w: distroless has no image of Python %s, only of %s: use one of them (requires-python, .python-version), or the variant slim",
			ErrUnsupported, w.project.Python, strings.Join(known, " and "))
	}
	if libraries := w.project.Libraries.Run; len(libraries) > 0 {
		hint := ""
		if slices.Contains(w.project.Dependencies.Names, "psycopg") {
			hint = ", or psycopg[binary], which has its library inside"
		}
		return fmt.Errorf("%w: dependencies need the Debian packages %s when they run, and distroless has no package manager: use the variant slim%s",
			ErrUnsupported, strings.Join(libraries, ", "), hint)
	}
	return nil
}

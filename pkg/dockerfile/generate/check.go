package generate

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
)

var (
	pythonVersion = regexp.MustCompile(`^3\.[0-9]+$`)
	appObject     = regexp.MustCompile(`^[\pL\pN_.]+:[\pL\pN_.]+$`)
	debianPackage = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)
	requirement   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9._,-]+\])?==[A-Za-z0-9._+!-]+$`)
	groupName     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	secretID      = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	address       = regexp.MustCompile(`^https?://(?:[A-Za-z0-9._~:/@+,=%-]|\$\{?[A-Za-z_][A-Za-z0-9_]*\}?)+$`)
	loginText     = regexp.MustCompile(`^(?:[A-Za-z0-9._~+%-]|\$\{[A-Za-z_][A-Za-z0-9_]*\})*$`)
	// A Dockerfile would expand, match or split the others.
	plainPath = regexp.MustCompile(`^[\pL\pN_.@+,=/ -]+$`)
)

// checkApp refuses an app that no command can be written for.
func checkApp(p *plan) error {
	app := p.project.App
	switch {
	case app == nil && len(p.command) == 0:
		return ErrNoApp
	case app == nil:
		return nil
	case !appObject.MatchString(app.Object):
		return fmt.Errorf("app %q %w: write module:attribute, such as --entrypoint shop.main:app", app.Object, ErrInvalid)
	case !slices.Contains([]string{uvicorn, hypercorn, gunicorn}, app.Server):
		return fmt.Errorf("server %q %w: use uvicorn, hypercorn or gunicorn", app.Server, ErrInvalid)
	}
	return nil
}

// check refuses values that would make a wrong Dockerfile.
func (p *plan) check() error {
	project := p.project
	if err := checkApp(p); err != nil {
		return err
	}
	if !pythonVersion.MatchString(project.Python) {
		return fmt.Errorf("python version %q %w: write major.minor, such as 3.13", project.Python, ErrInvalid)
	}
	if p.port < 1 || p.port > 65535 {
		return fmt.Errorf("port %d %w: use 1 to 65535", p.port, ErrInvalid)
	}
	if kind := project.Dependencies.Kind; kind != detect.None && len(project.Dependencies.Files) == 0 {
		return fmt.Errorf("dependencies of %s without a file %w: name the file", kind, ErrInvalid)
	}
	if project.Dependencies.Kind == detect.Pipenv && !project.Dependencies.Locked {
		return fmt.Errorf("a Pipfile without Pipfile.lock %w: run `pipenv lock`", ErrInvalid)
	}
	paths := slices.Concat([]string{p.within}, project.Code, project.Dependencies.Files, project.Dev.Files, project.Dependencies.Local, project.Dev.Local, []string{cmp.Or(project.Root, ".")})
	ids, addresses, logins := accessTexts(project.Dependencies.Access, project.Dev.Access)
	for _, check := range []struct {
		what, rule string
		pattern    *regexp.Regexp
		values     []string
	}{
		{"Debian package", "names have lower case letters, digits, + - .", debianPackage, slices.Concat(project.Libraries.Build, project.Libraries.Run)},
		{"requirement", "write name==version", requirement, project.Extra},
		{"dependency group", "names have letters, digits, - _ .", groupName, slices.Concat(members(project), project.Dependencies.Groups, project.Dev.Groups, project.Dependencies.Extras, project.Dev.Extras)},
		{"secret", "IDs have letters, digits, - _ .", secretID, ids},
		{"index", "write an address of http or https", address, addresses},
		{"login", "write letters, digits, - _ . ~ + or ${NAME}", loginText, logins},
		{"path", "rename it, to letters, digits and - _ . + = @ ,", plainPath, paths},
	} {
		for _, value := range check.values {
			if !check.pattern.MatchString(value) {
				return fmt.Errorf("%s %q %w: %s", check.what, value, ErrInvalid, check.rule)
			}
		}
	}
	for _, file := range paths {
		if file != p.within && !fs.ValidPath(path.Join(p.within, file)) || path.IsAbs(file) {
			return fmt.Errorf("path %q %w: the build gets nothing from outside of its context", file, ErrInvalid)
		}
	}
	if p.variant == Distroless {
		return p.checkDistroless()
	}
	return nil
}

// members returns the names that the project has in a workspace.
func members(project *detect.Project) []string {
	var names []string
	for _, name := range []string{project.Dependencies.Member, project.Dev.Member} {
		if name != "" {
			names = append(names, name)
		}
	}
	return names
}

// accessTexts returns what is written into a Dockerfile to reach packages that are not public.
func accessTexts(all ...detect.Access) (ids, addresses, logins []string) {
	for _, access := range all {
		for _, secret := range access.Secrets {
			ids = append(ids, secret.ID)
			if secret.Variable != "" {
				ids = append(ids, secret.Variable)
			}
		}
		for _, index := range access.Indexes {
			addresses, logins = append(addresses, index.URL), append(logins, index.User.Text, index.Password.Text)
		}
		for _, login := range access.Git {
			addresses, logins = append(addresses, login.Host), append(logins, login.User, login.Password)
		}
	}
	return ids, addresses, logins
}

func (p *plan) checkDistroless() error {
	var known []string
	for _, release := range debianReleases() {
		if release.python == p.project.Python {
			p.debian = release
		}
		known = append(known, fmt.Sprintf("%s (debian%s)", release.python, release.number))
	}
	if p.debian.number == "" {
		return fmt.Errorf("%w: distroless has no image of Python %s, only of %s: use one of them (requires-python, .python-version), or the variant slim",
			ErrUnsupported, p.project.Python, strings.Join(known, " and "))
	}
	if libraries := p.project.Libraries.Run; len(libraries) > 0 {
		hint := ""
		if slices.Contains(p.project.Dependencies.Names, "psycopg") {
			hint = ", or psycopg[binary], which has its library inside"
		}
		return fmt.Errorf("%w: dependencies need the Debian packages %s when they run, and distroless has no package manager: use the variant slim%s",
			ErrUnsupported, strings.Join(libraries, ", "), hint)
	}
	return nil
}

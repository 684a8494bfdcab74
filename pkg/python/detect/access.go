package detect

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/packaging"
)

// Access is what an installation needs to reach packages that are not public.
type Access struct {
	// Secrets are the values that the project leaves out, sorted by ID.
	Secrets []Secret
	// Indexes are those that the files that pip reads do not name.
	Indexes []packaging.Index
	// Git are logins of git to hosts, which the URLs of requirements have in them, and SSH
	// reports that git needs a key.
	Git []packaging.GitLogin
	SSH bool
}

// Secret is a value that an installation needs and that the project leaves out.
type Secret struct {
	// ID is its name in a Dockerfile and in --build-secret.
	ID string
	// Variable is the environment variable that the installation takes it from; empty for
	// a file, /run/secrets/ID.
	Variable string
	// Required reports that the installation fails without it.
	Required bool
	// Sources are the places that ask for it, as file:line, each once.
	Sources []string
}

// The secrets that git takes for ssh. The names are the keys of a Secret with a key for ssh.
const (
	SSHKey     = "ssh-privatekey"
	KnownHosts = "known_hosts"
)

// accessInput is what findAccess reads.
type accessInput struct {
	// variables are those of requirements files.
	variables []packaging.Variable
	// options are those of requirements files.
	options []packaging.Option
	indexes []packaging.Index
	// bound are the packages that come from one index alone, by its name.
	bound    map[string][]string
	packages []packaging.Requirement
	hashed   bool
}

// access is an Access that is being put together.
type access struct {
	Access
	notes
}

// findAccess returns what the installation of some packages needs.
func findAccess(in accessInput) access {
	a := access{}
	for _, one := range in.variables {
		a.variable(one.Name, true, one.Position)
	}
	for _, index := range in.indexes {
		a.index(index)
	}
	for _, one := range in.packages {
		a.requirement(one)
	}
	slices.SortFunc(a.Secrets, func(a, b Secret) int { return strings.Compare(a.ID, b.ID) })
	for _, secret := range a.Secrets {
		value := secret.ID
		if !secret.Required {
			value += ", if the index asks for it"
		}
		a.found("secret", value, strings.Join(secret.Sources, ", "))
	}
	if !in.hashed {
		a.warnConfusion(in)
	}
	return a
}

// secret adds a secret, or a place that asks for it.
func (a *access) secret(secret Secret, at packaging.Position) {
	i := slices.IndexFunc(a.Secrets, func(one Secret) bool { return one.ID == secret.ID })
	if i < 0 {
		a.Secrets = append(a.Secrets, secret)
		i = len(a.Secrets) - 1
	}
	known := &a.Secrets[i]
	known.Required = known.Required || secret.Required
	if source := at.String(); !at.IsZero() && !slices.Contains(known.Sources, source) {
		known.Sources = append(known.Sources, source)
	}
}

// isSet reports whether a RUN of the build has a variable anyway, so that its name in a file
// asks for no secret.
func isSet(name string) bool {
	switch name {
	case "HOME", "PATH", "PWD", "HOSTNAME", "LANG", "GPG_KEY", "PYTHON_VERSION", "PYTHON_SHA256", "PIP_INDEX_URL", "PIP_TRUSTED_HOST", "PROJECT_ROOT":
		return true
	}
	return false
}

func (a *access) variable(name string, required bool, at packaging.Position) {
	if !isSet(name) {
		a.secret(Secret{ID: name, Variable: name, Required: required}, at)
	}
}

// indexAddress matches what can be written into a Dockerfile.
var indexAddress = regexp.MustCompile(`^https?://(?:[A-Za-z0-9._~:/@+,=%-]|\$\{?[A-Za-z_][A-Za-z0-9_]*\}?)+$`)

// index adds an index. One in the place of PyPI that everyone can use is left to the builds'
// own settings.
func (a *access) index(index packaging.Index) {
	if index.Written {
		a.warn("%s has the password of an index, which everyone who reads the file can use: remove it there and change it, and give it as a secret of the build", index.Position)
	}
	switch {
	case index.Default && index.IsPublic():
		return
	case !indexAddress.MatchString(index.URL) || !loginText.MatchString(index.User.Text+index.Password.Text):
		a.warn("%s: the index %q is not an address that can be written into a Dockerfile, and is left out", index.Position, index.URL)
		return
	}
	a.Indexes = append(a.Indexes, index)
	needed := index.Variables()
	for _, name := range slices.Sorted(maps.Keys(needed)) {
		a.variable(name, needed[name], index.Position)
	}
}

// pipVariables are the variables that pip replaces in requirements.
var pipVariables = regexp.MustCompile(`\$\{([A-Z0-9_]+)\}`)

// requirement adds what the URL of a requirement needs.
func (a *access) requirement(one packaging.Requirement) {
	if login, ok := one.GitLogin(); ok {
		a.login(login, one)
		return
	}
	for _, match := range pipVariables.FindAllStringSubmatch(one.URL, -1) {
		a.variable(match[1], true, one.Position)
	}
	if one.IsSSH() {
		a.SSH = true
		a.secret(Secret{ID: SSHKey, Required: true}, one.Position)
		a.secret(Secret{ID: KnownHosts, Required: true}, one.Position)
	}
}

// What of a login can be written into a Dockerfile.
var (
	loginHost = regexp.MustCompile(`^https?://[A-Za-z0-9._:-]+$`)
	loginText = regexp.MustCompile(`^(?:[A-Za-z0-9._~+-]|\$\{[A-Za-z_][A-Za-z0-9_]*\})*$`)
)

// login adds the login of git to a host. git can have one for each.
func (a *access) login(login packaging.GitLogin, one packaging.Requirement) {
	if !loginHost.MatchString(login.Host) || !loginText.MatchString(login.User+login.Password) {
		a.warn("%s: the login of git for %s has characters that are left out: write ${NAME}", one.Position, login.Host)
		return
	}
	i := slices.IndexFunc(a.Git, func(other packaging.GitLogin) bool { return other.Host == login.Host })
	switch {
	case i < 0:
		a.Git = append(a.Git, login)
	case a.Git[i] != login:
		a.warn("%s: git logs in to %s in another way for another requirement, and that one counts for both", one.Position, login.Host)
		return
	}
	for _, name := range packaging.Variables(login.User + ":" + login.Password) {
		a.variable(name, true, one.Position)
	}
}

// warnConfusion warns of names that pip would take from whichever index has the higher
// version. Hashes make that harmless.
func (a *access) warnConfusion(in accessInput) {
	for _, option := range in.options {
		if option.Name == "--extra-index-url" {
			a.warn("%s: pip takes each package from the index that has the newest version, %s or the default one, so that a stranger's package of the same name can win: lock with hashes, or use one index that has all", option.Position, host(option.Value))
		}
	}
	for _, index := range a.Indexes {
		if names := in.bound[index.Name]; len(names) > 0 && !index.Default {
			a.warn("%s: %s may come from %s only, and without hashes pip also looks in the default index, where a stranger's package of the same name can win: lock with hashes", index.Position, strings.Join(names, ", "), host(index.URL))
		} else if !index.Default && !index.Explicit {
			a.warn("%s: without hashes pip takes each package from the index that has the newest version, %s or the default one, so that a stranger's package of the same name can win: lock with hashes", index.Position, host(index.URL))
		}
	}
}

// host returns the host of an address without a login.
func host(address string) string {
	if _, after, ok := strings.Cut(address, "@"); ok {
		address = "https://" + after
	}
	parsed, err := url.Parse(address)
	if err != nil {
		return "another index"
	}
	return cmp.Or(parsed.Hostname(), "another index")
}

// indexesOf returns the indexes that the files of a project name for a kind of dependencies,
// and the packages that come from one of them alone.
func indexesOf(m *manifest, kind Kind) (indexes []packaging.Index, bound map[string][]string) {
	switch kind {
	case Pipenv:
		return m.pipfile.Indexes(), m.pipfile.Bound()
	case UV:
		return m.UVIndexes(), m.Bound()
	case Poetry:
		return m.PoetryIndexes(), m.Bound()
	case Requirements, PEP621:
		return slices.Concat(m.UVIndexes(), m.PoetryIndexes(), m.PDMIndexes()), m.Bound()
	case None, Setuptools:
	}
	return nil, nil
}

// access returns what the installation of the dependencies needs.
func (d *dependencies) access(m *manifest) access {
	in := accessInput{packages: d.installed(), hashed: d.Hashed}
	in.indexes, in.bound = indexesOf(m, d.Kind)
	return findAccess(in.with(d.requirements))
}

// access returns what the installation of direct dependencies needs, and of those that a lock
// adds to them.
func (d *devDependencies) access(m *manifest, direct []packaging.Requirement, lock *packaging.Lock, requirements *packaging.Requirements) access {
	all := dependencies{direct: direct, lock: lock, locked: lock.Reach(direct)}
	in := accessInput{packages: all.installed(), hashed: true} // that of the app has the warnings
	in.indexes, in.bound = indexesOf(m, d.Kind)
	return findAccess(in.with(requirements))
}

// with adds what requirements files say. Those that name an index decide about indexes.
func (in accessInput) with(requirements *packaging.Requirements) accessInput {
	if requirements == nil {
		return in
	}
	in.variables, in.options = requirements.Variables, requirements.Options
	if slices.ContainsFunc(requirements.Options, func(option packaging.Option) bool {
		return strings.HasSuffix(option.Name, "index-url") || option.Name == "--no-index"
	}) {
		in.indexes = nil
	}
	return in
}

// String describes a secret to a user.
func (s Secret) String() string {
	if len(s.Sources) == 0 {
		return s.ID
	}
	return fmt.Sprintf("%s (%s)", s.ID, strings.Join(s.Sources, ", "))
}

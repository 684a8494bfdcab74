package packaging

import (
	"cmp"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Variable is an environment variable that a file names in place of a value, as ${NAME}.
type Variable struct {
	Name     string
	Position Position
}

// Index is a package index that a project names for its tool. Installers that do not read
// the files of that tool know nothing of it.
type Index struct {
	// Name is the one that the tool gives it; it may be empty.
	Name string
	// URL has no credentials.
	URL string
	// User and Password are the login.
	User, Password Credential
	// Default reports that it takes the place of PyPI, Explicit that only packages that
	// name it come from it, and Flat that it is a page of links.
	Default, Explicit, Flat bool
	// Written reports that the file has the password itself, which is in no field.
	Written bool
	// Position is where the URL is written.
	Position Position
}

// Credential is one half of a login; none if it is zero.
type Credential struct {
	// Text is written as in a URL, with variables as ${NAME}.
	Text string
	// Variable is the environment variable that has it, not encoded for a URL.
	Variable string
	// Required reports that the index cannot be used without it.
	Required bool
}

// IsPublic reports whether everyone can use the index without a login.
func (i Index) IsPublic() bool {
	parsed, err := url.Parse(i.URL)
	return err == nil && slices.Contains(publicIndexes(), strings.ToLower(parsed.Hostname()))
}

// publicIndexes returns the hosts of indexes that ask nobody for a login.
func publicIndexes() []string {
	return []string{
		"pypi.org", "test.pypi.org", "pypi.python.org", "download.pytorch.org", "pypi.nvidia.com", "pypi.anaconda.org", "www.piwheels.org",
		"data.pyg.org", "storage.googleapis.com", "mirrors.aliyun.com", "mirrors.cloud.tencent.com", "pypi.tuna.tsinghua.edu.cn", "pypi.mirrors.ustc.edu.cn",
	}
}

// expandable are the variables of a URL as Pipenv and PDM replace them.
var expandable = regexp.MustCompile(`\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))`)

// Variables returns the variables of a text, as ${NAME} or $NAME, in their order.
func Variables(text string) []string {
	var names []string
	for _, match := range expandable.FindAllStringSubmatch(text, -1) {
		names = append(names, match[1]+match[2])
	}
	return names
}

// Variables returns the variables that the login takes, and of each whether the index
// cannot be used without it.
func (i Index) Variables() map[string]bool {
	found := map[string]bool{}
	for _, half := range []Credential{i.User, i.Password} {
		if half.Variable != "" {
			found[half.Variable] = half.Required
		}
		for _, name := range Variables(half.Text) {
			found[name] = true
		}
	}
	for _, name := range Variables(i.URL) {
		found[name] = true
	}
	return found
}

// userinfo separates the login from an address of HTTP. It may have variables.
var userinfo = regexp.MustCompile(`^(https?://)([^/@]*)@(.*)$`)

// cutLogin separates the user and the password from the address of an index. A password
// that is written there, and not a variable, is not returned.
func cutLogin(address string) (bare, user, password string, written bool) {
	match := userinfo.FindStringSubmatch(address)
	if match == nil {
		return address, "", "", false
	}
	user, password, _ = strings.Cut(match[2], ":")
	if password != "" && len(Variables(password)) == 0 {
		password, written = "", true
	}
	return match[1] + match[3], user, password, written
}

// newIndex returns an index whose tool takes the login from variables with a prefix, unless
// the address has it; the prefix is empty if the tool has no such variables.
func newIndex(name, address, prefix string, at Position) Index {
	bare, user, password, written := cutLogin(address)
	index := Index{Name: name, URL: bare, Written: written, Position: at}
	index.User, index.Password = Credential{Text: user}, Credential{Text: password}
	if prefix == "" || index.IsPublic() {
		return index
	}
	if user == "" {
		index.User.Variable = prefix + "_USERNAME"
	}
	if password == "" && len(Variables(user)) == 0 {
		index.Password = Credential{Variable: prefix + "_PASSWORD", Required: user != ""}
	}
	return index
}

// require marks the login as one that the index cannot be used without.
func (i *Index) require() {
	i.User.Required, i.Password.Required = i.User.Variable != "", i.Password.Variable != ""
}

// IndexTable is an entry of [[tool.uv.index]], [[tool.poetry.source]], [[tool.pdm.source]]
// or of a Pipfile's [[source]].
type IndexTable struct {
	Name string `toml:"name"`
	URL  string `toml:"url"`
	// Default, Explicit, Format and Authenticate are uv's; Default is also Poetry 1's.
	Default      bool   `toml:"default"`
	Explicit     bool   `toml:"explicit"`
	Format       string `toml:"format"`
	Authenticate string `toml:"authenticate"`
	// Priority and Secondary are Poetry's.
	Priority  string `toml:"priority"`
	Secondary bool   `toml:"secondary"`
	// Username, Password and Type are PDM's.
	Username string `toml:"username"`
	Password string `toml:"password"`
	Type     string `toml:"type"`
}

// variableName returns the form of a name that a tool has in its variables: upper case, with
// an underscore for anything but letters and digits.
func variableName(name string) string {
	return strings.Map(func(char rune) rune {
		switch {
		case char >= 'A' && char <= 'Z' || char >= '0' && char <= '9':
			return char
		case char >= 'a' && char <= 'z':
			return char - 'a' + 'A'
		}
		return '_'
	}, name)
}

// UVIndexes returns the indexes of [tool.uv], without those that only packages may use that
// the project does not take from them.
func (p *Pyproject) UVIndexes() []Index {
	found := uvIndexes(p, p.uvBound())
	if p.root == nil {
		return found
	}
	named := func(name string) bool {
		return name != "" && slices.ContainsFunc(found, func(one Index) bool { return one.Name == name })
	}
	for _, index := range uvIndexes(p.root, p.uvBound()) {
		if !named(index.Name) {
			found = append(found, index)
		}
	}
	return found
}

// uvIndexes returns the indexes of this file alone, without explicit ones that no package is
// bound to.
func uvIndexes(p *Pyproject, bound map[string][]string) []Index {
	var found []Index
	for _, table := range p.Tool.UV.Indexes {
		prefix := ""
		if table.Name != "" && table.Authenticate != "never" {
			prefix = "UV_INDEX_" + variableName(table.Name)
		}
		index := newIndex(table.Name, table.URL, prefix, p.Find(table.URL))
		index.Default, index.Explicit, index.Flat = table.Default, table.Explicit, table.Format == "flat"
		if table.Authenticate == "always" {
			index.require()
		}
		if !index.Explicit || len(bound[index.Name]) > 0 {
			found = append(found, index)
		}
	}
	if address := p.Tool.UV.IndexURL; address != "" {
		index := newIndex("", address, "", p.Find(address))
		index.Default = true
		found = append(found, index)
	}
	for _, address := range p.Tool.UV.ExtraIndexURL {
		found = append(found, newIndex("", address, "", p.Find(address)))
	}
	return found
}

// uvBound returns the packages that [tool.uv.sources] takes from an index, by its name.
func (p *Pyproject) uvBound() map[string][]string {
	bound := map[string][]string{}
	sources := uvSources(p)
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		entries, ok := sources[name].([]any)
		if !ok {
			entries = []any{sources[name]}
		}
		for _, entry := range entries {
			table, _ := entry.(map[string]any)
			if index, ok := table["index"].(string); ok && !slices.Contains(bound[index], NormalizeName(name)) {
				bound[index] = append(bound[index], NormalizeName(name))
			}
		}
	}
	return bound
}

// uvSources returns [tool.uv.sources] by normalized names, with those of the workspace's root
// that it does not name itself.
func uvSources(p *Pyproject) map[string]any {
	sources := map[string]any{}
	if p.root != nil {
		for name, source := range p.root.Tool.UV.Sources {
			sources[NormalizeName(name)] = source
		}
	}
	for name, source := range p.Tool.UV.Sources {
		sources[NormalizeName(name)] = source
	}
	return sources
}

// PoetryIndexes returns the indexes of [[tool.poetry.source]]. As for Poetry, PyPI counts
// beside a primary one only if it is listed.
func (p *Pyproject) PoetryIndexes() []Index {
	var found []Index
	bound := p.poetryBound()
	pypi := slices.ContainsFunc(p.Tool.Poetry.Sources, func(table IndexTable) bool { return strings.EqualFold(table.Name, "pypi") })
	for _, table := range p.Tool.Poetry.Sources {
		if table.URL == "" {
			continue // PyPI needs none
		}
		index := newIndex(table.Name, table.URL, "POETRY_HTTP_BASIC_"+variableName(table.Name), p.Find(table.URL))
		priority := strings.ToLower(table.Priority)
		index.Explicit = priority == "explicit"
		index.Default = table.Default || priority == "default" || !pypi && !table.Secondary && (priority == "" || priority == "primary")
		if !index.Explicit || len(bound[index.Name]) > 0 {
			found = append(found, index)
		}
	}
	return found
}

// poetryBound returns the packages that Poetry's tables take from a source, by its name.
func (p *Pyproject) poetryBound() map[string][]string {
	bound := map[string][]string{}
	collect := func(table map[string]any) { collectBound(bound, table, "source") }
	collect(p.Tool.Poetry.Dependencies)
	collect(p.Tool.Poetry.DevDependencies)
	for _, group := range slices.Sorted(maps.Keys(p.Tool.Poetry.Groups)) {
		collect(p.Tool.Poetry.Groups[group].Dependencies)
	}
	return bound
}

// collectBound adds the packages of a table whose entries name an index by a key.
func collectBound(bound map[string][]string, table map[string]any, key string) {
	for _, name := range slices.Sorted(maps.Keys(table)) {
		entry, _ := table[name].(map[string]any)
		if index, ok := entry[key].(string); ok && !slices.Contains(bound[index], NormalizeName(name)) {
			bound[index] = append(bound[index], NormalizeName(name))
		}
	}
}

// PDMIndexes returns the indexes of [[tool.pdm.source]]. One that is called pypi takes the
// place of PyPI.
func (p *Pyproject) PDMIndexes() []Index {
	var found []Index
	for _, table := range p.Tool.PDM.Sources {
		index := newIndex(table.Name, table.URL, "", p.Find(table.URL))
		index.Default, index.Flat = table.Name == "pypi", table.Type == "find_links"
		index.User.Text, index.Password.Text = cmp.Or(table.Username, index.User.Text), cmp.Or(variablesOnly(table.Password), index.Password.Text)
		index.Written = index.Written || table.Password != "" && variablesOnly(table.Password) == ""
		found = append(found, index)
	}
	return found
}

// variablesOnly returns a text with variables, and nothing for any other one.
func variablesOnly(text string) string {
	if len(Variables(text)) == 0 {
		return ""
	}
	return text
}

// Indexes returns the indexes of [[source]]. As for Pipenv, packages come from the first
// one unless they name another.
func (p *Pipfile) Indexes() []Index {
	var found []Index
	bound := p.bound()
	for i, table := range p.Sources {
		index := newIndex(table.Name, table.URL, "", FindText(PipfileFile, p.content, table.URL))
		index.Default, index.Explicit = i == 0, i > 0
		if !index.Explicit || len(bound[index.Name]) > 0 {
			found = append(found, index)
		}
	}
	return found
}

// bound returns the packages that name an index, by its name.
func (p *Pipfile) bound() map[string][]string {
	bound := map[string][]string{}
	collectBound(bound, p.Packages, "index")
	collectBound(bound, p.Dev, "index")
	return bound
}

// Bound returns the packages that come from an index alone, by the names of the indexes.
func (p *Pyproject) Bound() map[string][]string {
	bound := p.uvBound()
	for index, names := range p.poetryBound() {
		bound[index] = append(bound[index], names...)
	}
	return bound
}

// Bound returns the packages that come from an index alone, by the names of the indexes.
func (p *Pipfile) Bound() map[string][]string { return p.bound() }

// GitLogin is how git logs in to a host for a requirement.
type GitLogin struct {
	// Host is the scheme and the host, such as https://git.example.com.
	Host string
	// User and Password are written as in a URL, with variables as ${NAME}.
	User, Password string
}

// GitLogin returns the login that the URL of a repository has in place of a user, if it
// takes variables.
func (r Requirement) GitLogin() (login GitLogin, ok bool) {
	address, ok := strings.CutPrefix(r.URL, "git+")
	match := userinfo.FindStringSubmatch(address)
	if !ok || match == nil || len(Variables(match[2])) == 0 {
		return GitLogin{}, false
	}
	host, _, _ := strings.Cut(match[3], "/")
	user, password, _ := strings.Cut(match[2], ":")
	return GitLogin{Host: match[1] + host, User: user, Password: password}, true
}

// sshRepository matches a repository that git fetches by ssh.
var sshRepository = regexp.MustCompile(`^git\+(?:ssh://|[A-Za-z0-9._-]+@[A-Za-z0-9.-]+[:/])`)

// IsSSH reports whether git fetches the requirement by ssh, which needs a key.
func (r Requirement) IsSSH() bool { return sshRepository.MatchString(r.URL) }

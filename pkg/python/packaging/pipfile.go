package packaging

import "github.com/pyflow-dev/kubectl-pyflow/pkg/toml"

// PipfileFile is the name of Pipenv's manifest.
const PipfileFile = "Pipfile"

// Pipfile is Pipenv's manifest.
type Pipfile struct {
	Sources  []IndexTable   `toml:"source"`
	Packages map[string]any `toml:"packages"`
	Dev      map[string]any `toml:"dev-packages"`
	Requires struct {
		Version string `toml:"python_version"`
		Full    string `toml:"python_full_version"`
	} `toml:"requires"`

	content []byte
}

// ParsePipfile parses a Pipfile; no content is a file without tables. The error holds
// a *toml.Error.
func ParsePipfile(content []byte) (*Pipfile, error) {
	p := &Pipfile{content: content}
	if err := toml.Decode(PipfileFile, content, p); err != nil {
		return nil, err
	}
	return p, nil
}

// Dependencies returns what the project needs to run.
func (p *Pipfile) Dependencies() []Requirement {
	found := tableRequirements(p.Packages)
	for i := range found {
		found[i].Position = findKey(PipfileFile, p.content, "packages", found[i].Name)
	}
	return found
}

// DevDependencies returns what the development of the project needs as well.
func (p *Pipfile) DevDependencies() []Requirement { return tableRequirements(p.Dev) }

// Pythons returns the versions of Python that the Pipfile names, with their places.
func (p *Pipfile) Pythons() []PythonRange {
	var found []PythonRange
	for _, version := range []string{p.Requires.Version, p.Requires.Full} {
		if version != "" {
			found = append(found, PythonRange{Text: version, Position: FindText(PipfileFile, p.content, version)})
		}
	}
	return found
}

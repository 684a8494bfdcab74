package packaging

import (
	"maps"
	"slices"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/toml"
)

// PoetryLockFile is the name of Poetry's lock.
const PoetryLockFile = "poetry.lock"

// poetryLock is poetry.lock, in the formats of Poetry 1 and 2.
type poetryLock struct {
	Packages []poetryPackage `toml:"package"`
	Metadata struct {
		ContentHash string `toml:"content-hash"`
		Python      string `toml:"python-versions"`
	} `toml:"metadata"`
}

type poetryPackage struct {
	Name         string              `toml:"name"`
	Version      string              `toml:"version"`
	Dependencies map[string]any      `toml:"dependencies"`
	Extras       map[string][]string `toml:"extras"`
	Source       struct {
		Type string `toml:"type"`
		URL  string `toml:"url"`
	} `toml:"source"`
}

// ReadPoetryLock reads poetry.lock and compares it with its project. The error holds a
// *toml.Error or a *LockError.
func ReadPoetryLock(content []byte, project *Pyproject) (*Lock, error) {
	var read poetryLock
	if err := toml.Decode(PoetryLockFile, content, &read); err != nil {
		return nil, err
	}
	lock := &Lock{File: PoetryLockFile, Packages: map[string]LockedPackage{}, Hashed: true}
	if read.Metadata.Python != "" {
		lock.Python = &PythonRange{
			Specifier: PoetrySpecifier(read.Metadata.Python), Text: read.Metadata.Python,
			Position: findKey(PoetryLockFile, content, "metadata", "python-versions"),
		}
	}
	for _, one := range read.Packages {
		lock.Packages[NormalizeName(one.Name)] = one.locked()
	}
	hash := read.Metadata.ContentHash
	if hash == "" || slices.Contains(poetryHashes(project.content), hash) {
		return lock, nil
	}
	// The hash shows that they differ, not where: the first requirement that the lock
	// does not satisfy is likely the reason.
	problem := lock.Unmet(poetryDeclared(project))
	if problem == "" {
		problem = "they changed since it was locked"
	}
	return nil, &LockError{Manifest: PyprojectFile, Lock: PoetryLockFile, Problem: problem, Command: "poetry lock"}
}

// poetryDeclared returns all requirements of a project and its groups.
func poetryDeclared(project *Pyproject) []Requirement {
	found := project.Dependencies()
	for _, group := range slices.Sorted(maps.Keys(project.Tool.Poetry.Groups)) {
		found = append(found, project.PoetryGroup(group)...)
	}
	return append(found, project.PoetryDev()...)
}

func (p poetryPackage) locked() LockedPackage {
	locked := LockedPackage{Version: p.Version, Extras: map[string][]Requirement{}}
	if p.Source.Type == "git" {
		locked.URL = "git+" + p.Source.URL
	}
	if p.Source.Type == "directory" || p.Source.Type == "file" {
		locked.Path = p.Source.URL
	}
	optional := map[string]Requirement{}
	for name, value := range p.Dependencies {
		need, isOptional := poetryNeed(name, value)
		if isOptional {
			optional[need.Name] = need
		} else {
			locked.Needs = append(locked.Needs, need)
		}
	}
	for extra, texts := range p.Extras {
		extra = NormalizeName(extra)
		for _, need := range ParseRequirements(texts, Position{}) {
			if known, ok := optional[need.Name]; ok {
				need = known
			}
			locked.Extras[extra] = append(locked.Extras[extra], need)
		}
	}
	return locked
}

// poetryNeed reads a dependency of a locked package, which is a version, a table, or a
// list of tables; it is optional if all of them are.
func poetryNeed(name string, value any) (need Requirement, optional bool) {
	need = Requirement{Name: NormalizeName(name)}
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	tables := 0
	optional = true
	var markers []Marker
	for _, entry := range list {
		if table, ok := entry.(map[string]any); ok {
			tables++
			need.Extras = append(need.Extras, stringsOf(table["extras"])...)
			optional = optional && table["optional"] == true
			marker, _ := table["markers"].(string)
			markers = append(markers, Marker(marker))
		} else {
			markers = append(markers, "")
		}
	}
	need.Marker = anyOf(markers)
	return need, optional && tables > 0
}

// poetryHashes returns the content hashes of a pyproject.toml: that of Poetry from
// 2.3, which covers the dependency groups, and that of earlier versions, which is
// also that of Poetry 1 for a project without [project].
func poetryHashes(content []byte) []string {
	var document map[string]any
	if err := toml.Decode(PyprojectFile, content, &document); err != nil {
		return nil
	}
	groups, _ := document["dependency-groups"].(map[string]any)
	return []string{
		digest(pythonJSON(poetryRelevant(document, groups), ", ", ": ")),
		digest(pythonJSON(poetryRelevant(document, nil), ", ", ": ")),
	}
}

// poetryRelevant returns the part of a pyproject.toml that the content hash covers.
func poetryRelevant(document, groups map[string]any) map[string]any {
	project, _ := document["project"].(map[string]any)
	tool, _ := document["tool"].(map[string]any)
	poetry, _ := tool["poetry"].(map[string]any)
	own := map[string]any{}
	for _, key := range []string{"requires-python", "dependencies", "optional-dependencies"} {
		if value := project[key]; value != nil {
			own[key] = value
		}
	}
	legacy := len(own) == 0 && len(groups) == 0
	table := map[string]any{}
	for _, key := range []string{"dependencies", "source", "extras", "dev-dependencies", "group"} {
		// Poetry 1 writes null for the keys that it always had.
		if value := poetry[key]; value != nil || legacy && key != "group" {
			table[key] = value
		}
	}
	if legacy {
		return table
	}
	relevant := map[string]any{"tool": map[string]any{"poetry": table}}
	if len(own) > 0 {
		relevant["project"] = own
	}
	if len(groups) > 0 {
		relevant["dependency-groups"] = groups
	}
	return relevant
}

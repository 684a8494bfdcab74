package packaging

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/toml"
)

// PipfileLockFile is the name of Pipenv's lock.
const PipfileLockFile = "Pipfile.lock"

type pipfileLock struct {
	Meta struct {
		Hash struct {
			SHA256 string `json:"sha256"`
		} `json:"hash"`
	} `json:"_meta"`
	Default map[string]pipfilePackage `json:"default"`
	Develop map[string]pipfilePackage `json:"develop"`
}

type pipfilePackage struct {
	Version string   `json:"version"`
	Hashes  []string `json:"hashes"`
	Git     string   `json:"git"`
	Path    string   `json:"path"`
	File    string   `json:"file"`
}

// ReadPipfileLock reads Pipfile.lock and compares it with its Pipfile. The error holds
// a *FileError or a *LockError.
func ReadPipfileLock(content []byte, pipfile *Pipfile) (*Lock, error) {
	var read pipfileLock
	if err := json.Unmarshal(content, &read); err != nil {
		return nil, jsonError(PipfileLockFile, content, err)
	}
	lock := &Lock{File: PipfileLockFile, Packages: map[string]LockedPackage{}, Hashed: true}
	for name, one := range read.Develop {
		lock.Packages[NormalizeName(name)] = one.locked(true)
	}
	for name, one := range read.Default {
		lock.Packages[NormalizeName(name)] = one.locked(false)
		lock.Hashed = lock.Hashed && len(one.Hashes) > 0
	}
	if problem := pipfileMismatch(lock, pipfile, read.Meta.Hash.SHA256); problem != "" {
		return nil, &LockError{Manifest: PipfileFile, Lock: PipfileLockFile, Problem: problem, Command: "pipenv lock"}
	}
	return lock, nil
}

func (p pipfilePackage) locked(dev bool) LockedPackage {
	locked := LockedPackage{Version: strings.TrimPrefix(p.Version, "=="), Dev: dev}
	if p.Git != "" {
		locked.URL = "git+" + p.Git
	}
	if !strings.Contains(p.File, "://") {
		locked.Path = cmp.Or(p.Path, p.File)
	}
	return locked
}

// pipfileMismatch returns a clause about why a lock is not that of a Pipfile, or
// nothing.
func pipfileMismatch(lock *Lock, pipfile *Pipfile, hash string) string {
	unmet := lock.Unmet(append(pipfile.Dependencies(), pipfile.DevDependencies()...))
	switch {
	case len(pipfile.Sources) == 0:
		// The hash covers the default source of the Pipenv that wrote it.
		return unmet
	case hash == "" || slices.Contains(pipfileHashes(pipfile.content), hash):
		return ""
	}
	return cmp.Or(unmet, "it changed since it was locked")
}

// pipfileHashes returns the hashes of a Pipfile: that of recent versions of Pipenv,
// with normalized names, and that of earlier ones, with names as they are written.
func pipfileHashes(content []byte) []string {
	var document map[string]any
	if err := toml.Decode(PipfileFile, content, &document); err != nil {
		return nil
	}
	asWritten := func(name string) string { return name }
	return []string{
		digest(pythonJSON(pipfileRelevant(document, NormalizeName), ",", ":")),
		digest(pythonJSON(pipfileRelevant(document, asWritten), ",", ":")),
	}
}

// pipfileRelevant returns the part of a Pipfile that its hash covers.
func pipfileRelevant(document map[string]any, nameOf func(string) string) map[string]any {
	section := func(value any) map[string]any {
		table, _ := value.(map[string]any)
		named := map[string]any{}
		for name, one := range table {
			named[nameOf(name)] = one
		}
		return named
	}
	requires := document["requires"]
	if requires == nil {
		requires = map[string]any{}
	}
	relevant := map[string]any{
		"_meta":   map[string]any{"sources": document["source"], "requires": requires},
		"default": section(document["packages"]),
		"develop": section(document["dev-packages"]),
	}
	// Other tables are categories of packages.
	reserved := []string{"source", "packages", "dev-packages", "requires", "scripts", "pipfile", "pipenv", "default", "develop"}
	for name, value := range document {
		if !slices.Contains(reserved, name) {
			relevant[name] = section(value)
		}
	}
	return relevant
}

// jsonError returns the error about a file that is not the JSON of a lock.
func jsonError(file string, content []byte, err error) error {
	failure := &FileError{Position{File: file}, fmt.Errorf("it is not JSON: %w", err)}
	offset := int64(-1)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = syntax.Offset
	}
	if other, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		offset = other.Offset
		failure.Err = fmt.Errorf("%s is of the type %s, which is not that of a lock", cmp.Or(other.Field, "all of it"), other.Value)
	}
	if offset >= 0 && offset <= int64(len(content)) {
		failure.Line = 1 + bytes.Count(content[:offset], []byte("\n"))
	}
	return failure
}

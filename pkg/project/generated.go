package project

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/generate"
)

const ignoreFile = ".dockerignore"

// Recipe returns the options that the Dockerfile of the detected project is generated with.
func (p *Project) Recipe() generate.Options {
	return generate.Options{
		Project: p.Detected, Variant: p.Variant.Value, Port: p.Port.Value, Test: p.Test.IsSet(), Name: p.Name.Value,
		Secrets: givenSecrets(p),
	}
}

// generate writes the Dockerfile of the detected project and its ignore file.
func (p *Project) generate() error {
	text, err := generate.Dockerfile(p.Recipe())
	if err != nil {
		return err
	}
	parsed, err := dockerfile.Parse(Dockerfile, text)
	if err != nil {
		return fmt.Errorf("the generated Dockerfile: %w", err)
	}
	ignore, err := p.ignore()
	if err != nil {
		return err
	}
	p.Dockerfile = Value[*dockerfile.Dockerfile]{parsed, Origin{Default, "generated"}}
	p.Files = map[string][]byte{Dockerfile: text, Dockerfile + ignoreFile: ignore}
	return nil
}

// Ignore returns the ignore file of a Dockerfile that is one of Files, nil for another one.
func (p *Project) Ignore() []byte { return p.Files[p.Dockerfile.Value.Path+ignoreFile] }

// ignore returns the folder's own ignore file, with exceptions for what the generated
// Dockerfile installs. Without one it generates one.
func (p *Project) ignore() ([]byte, error) {
	root, err := os.OpenRoot(p.Dir)
	if err != nil {
		return nil, err
	}
	defer root.Close() //nolint:errcheck // nothing was written through it
	var own []byte
	for _, name := range dockerfile.IgnoreFiles(Dockerfile) {
		if own, err = root.ReadFile(filepath.FromSlash(name)); !errors.Is(err, os.ErrNotExist) {
			break
		}
	}
	if errors.Is(err, os.ErrNotExist) {
		return generate.Ignore(p.Detected), nil
	}
	if err != nil {
		return nil, err
	}
	own = append(own, "\n# What the Dockerfile installs.\n"...)
	for _, file := range slices.Concat(p.Detected.Dependencies.Files, p.Detected.Dev.Files) {
		own = append(own, "!"+file+"\n"...)
	}
	return own, nil
}

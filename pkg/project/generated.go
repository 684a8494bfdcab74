package project

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/generate"
)

const ignoreFile = ".dockerignore"

// Recipe returns the options that the Dockerfile of the detected project is generated with.
func (p *Project) Recipe() generate.Options {
	return generate.Options{
		Project: p.Detected, Variant: p.Variant.Value, Command: startCommand(p), Port: p.Port.Value, Test: p.Test.IsSet(), Name: p.Name.Value,
		Secrets: givenSecrets(p), Within: p.within,
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

// above describes the build context of a generated Dockerfile that is above the folder.
func above(p *Project) generate.Context {
	return generate.Context{
		Within: p.within, Tests: p.Test.IsSet(),
		Ignore: func(dir string) (text []byte, ok bool) {
			text, err := readIgnore(filepath.Join(p.Context, filepath.FromSlash(dir)))
			return text, err == nil
		},
		IsDir: func(name string) bool {
			info, err := os.Stat(filepath.Join(p.Context, filepath.FromSlash(name)))
			return err == nil && info.IsDir()
		},
	}
}

// ImageFiles returns the Dockerfile and the ignore file that init writes into the folder, by
// their names.
func ImageFiles(p *Project) (map[string][]byte, error) {
	text, err := generate.Dockerfile(p.Recipe())
	if err != nil {
		return nil, err
	}
	if p.within != "." {
		// An ignore file without the Dockerfile's name counts in the build context alone.
		return map[string][]byte{Dockerfile: text, Dockerfile + ignoreFile: generate.IgnoreFor(p.Detected, above(p))}, nil
	}
	return map[string][]byte{Dockerfile: text, ignoreFile: generate.Ignore(p.Detected)}, nil
}

// Within returns the path of the folder in the build context, with slashes; "." for the
// folder itself, and for one that is outside of the context of its own Dockerfile.
func Within(p *Project) string {
	if p.Detected != nil {
		return p.within
	}
	within, err := filepath.Rel(p.Context, p.Dir)
	if err != nil || !filepath.IsLocal(within) {
		return "."
	}
	return filepath.ToSlash(within)
}

// ContextSetting returns the setting context that makes the folder's own Dockerfile build as
// a generated one does; empty if it needs none.
func ContextSetting(p *Project) string {
	if p.within == "." {
		return ""
	}
	return strings.TrimSuffix(strings.Repeat("../", strings.Count(p.within, "/")+1), "/")
}

// resolveContext decides the build context of a generated Dockerfile: the directory that a
// flag or a setting names, else the nearest that has all that the project needs.
func resolveContext(p *Project) error {
	dir, err := filepath.EvalSymlinks(p.Dir)
	if err != nil {
		return fmt.Errorf("open the directory: %w", err)
	}
	if p.context.IsSet() {
		if p.Context, err = filepath.EvalSymlinks(p.Context); err != nil {
			return fmt.Errorf("open the build context: %w", err)
		}
	} else {
		up := 0
		for _, name := range p.Detected.Outside(true) {
			up = max(up, strings.Count(name+"/", "../"))
		}
		if up == 0 {
			return nil
		}
		p.Context = filepath.Join(dir, strings.Repeat(".."+string(filepath.Separator), up))
	}
	within, err := filepath.Rel(p.Context, dir)
	p.within = filepath.ToSlash(within)
	return err
}

// travelLines returns a line about what travels of a build context above the folder; nothing
// for the folder itself.
func travelLines(p *Project) []Line {
	if p.Detected == nil || p.within == "." {
		return nil
	}
	origin := p.context.Origin
	if !p.context.IsSet() {
		origin = Origin{Detected, "the nearest directory that has all of it"}
	}
	travels := above(p).Travels(p.Detected)
	return []Line{{"context", fmt.Sprintf("%s, of which %s travel", p.Context, strings.Join(travels, ", ")), origin}}
}

// Ignore returns the ignore file of a Dockerfile that is one of Files, nil for another one.
func (p *Project) Ignore() []byte { return p.Files[p.Dockerfile.Value.Path+ignoreFile] }

// ignore returns the folder's own ignore file, with exceptions for what the generated
// Dockerfile installs. Without one it generates one.
func (p *Project) ignore() ([]byte, error) {
	if p.within != "." {
		return generate.IgnoreFor(p.Detected, above(p)), nil
	}
	own, err := readIgnore(p.Dir)
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

// readIgnore returns the ignore file of a directory for a Dockerfile in it.
func readIgnore(dir string) (own []byte, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close() //nolint:errcheck // nothing was written through it
	for _, name := range dockerfile.IgnoreFiles(Dockerfile) {
		if own, err = root.ReadFile(filepath.FromSlash(name)); !errors.Is(err, os.ErrNotExist) {
			break
		}
	}
	return own, err
}

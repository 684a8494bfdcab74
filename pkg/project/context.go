package project

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/buildcontext"
)

// outsideFolder is the folder of the build context that a Dockerfile from outside travels in.
// Its ignore file keeps it out of images.
const outsideFolder = ".pyflow"

// resolveContext decides the directory that is the build context. It is relative to the
// current directory, as that of docker build is.
func (p *Project) resolveContext(given string) error {
	p.Context = p.Dir
	if given == "" {
		return nil
	}
	info, err := os.Stat(given)
	if err == nil && !info.IsDir() {
		err = errors.New("it is not a directory")
	}
	if err == nil {
		p.Context, err = filepath.Abs(given)
	}
	if err != nil {
		return optionErrorf("--context %s: %w", given, err)
	}
	return nil
}

// readDockerfile reads the folder's Dockerfile: a path relative to the folder, or absolute. One
// that is outside of the build context becomes one of Files, with an ignore file.
func (p *Project) readDockerfile(name string) (*dockerfile.Dockerfile, error) {
	if name == "" {
		name = dockerfile.DefaultName(p.Dir)
	}
	full := filepath.FromSlash(name)
	if !filepath.IsAbs(full) {
		full = filepath.Join(p.Dir, full)
	}
	parsed, err := dockerfile.Read(p.Context, full)
	if err == nil {
		p.File = full
	}
	if !errors.Is(err, dockerfile.ErrOutside) {
		return parsed, err
	}
	inContext := path.Join(outsideFolder, filepath.Base(full))
	if parsed, err = dockerfile.ReadAs(full, inContext); err != nil {
		return nil, err
	}
	ignore, err := p.ignoreOutside(full)
	if err != nil {
		return nil, fmt.Errorf("read the ignore file of %s: %w", full, err)
	}
	p.File = full
	p.Files = map[string][]byte{inContext: parsed.Content, inContext + ignoreFile: ignore}
	p.warnings = append(p.warnings, fmt.Sprintf("%s is outside of the build context %s: it travels as %s", full, p.Context, inContext))
	return parsed, nil
}

// ignoreOutside returns the ignore file of a Dockerfile that is outside of the build context:
// the one beside it, else that of the context, else the default. It excludes the folder of the
// Dockerfile.
func (p *Project) ignoreOutside(file string) ([]byte, error) {
	names := dockerfile.IgnoreFiles(filepath.Base(file))
	beside, general := names[:len(names)/2], names[len(names)/2:]
	for _, group := range []struct {
		dir   string
		names []string
	}{{filepath.Dir(file), beside}, {p.Context, general}} {
		for _, name := range group.names {
			content, err := os.ReadFile(filepath.Join(group.dir, name))
			if err == nil {
				return append(content, "\n"+outsideFolder+"\n"...), nil
			}
			if !errors.Is(err, os.ErrNotExist) {
				return nil, err
			}
		}
	}
	var content []byte
	for _, pattern := range append(buildcontext.DefaultIgnore(), outsideFolder) {
		content = append(content, pattern+"\n"...)
	}
	return content, nil
}

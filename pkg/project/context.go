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

// contextOf returns the absolute path of the build context of a folder. An option is relative
// to the current directory, as it is for docker build, and a setting to the folder.
func contextOf(dir string, given Value[string]) (string, error) {
	if !given.IsSet() {
		return dir, nil
	}
	name := given.Value
	if given.Origin.Kind == Setting {
		name = filepath.Join(dir, filepath.FromSlash(name))
	}
	info, err := os.Stat(name)
	if err == nil && !info.IsDir() {
		err = errors.New("it is not a directory")
	}
	context := ""
	if err == nil {
		context, err = filepath.Abs(name)
	}
	switch {
	case err == nil:
		return context, nil
	case given.Origin.Kind == Setting:
		return "", given.Origin.wrap("context", err)
	}
	return "", optionErrorf("--context %s: %w", given.Value, err)
}

// ownFile is a Dockerfile of the user's.
type ownFile struct {
	*dockerfile.Dockerfile
	// file is its path on this machine.
	file string
	// files and warning are set if it is outside of the build context.
	files   map[string][]byte
	warning string
}

// readDockerfile reads the Dockerfile of a folder: a path relative to the folder, or absolute;
// empty is that of a default name. One that is outside of the build context becomes one of the
// files that travel beside it, with an ignore file.
func readDockerfile(dir, context, name string) (ownFile, error) {
	if name == "" {
		name = dockerfile.DefaultName(dir)
	}
	full := filepath.FromSlash(name)
	if !filepath.IsAbs(full) {
		full = filepath.Join(dir, full)
	}
	parsed, err := dockerfile.Read(context, full)
	if !errors.Is(err, dockerfile.ErrOutside) {
		return ownFile{Dockerfile: parsed, file: full}, err
	}
	inContext := path.Join(outsideFolder, filepath.Base(full))
	if parsed, err = dockerfile.ReadAs(full, inContext); err != nil {
		return ownFile{}, err
	}
	ignore, err := ignoreOutside(context, full)
	if err != nil {
		return ownFile{}, fmt.Errorf("read the ignore file of %s: %w", full, err)
	}
	return ownFile{
		Dockerfile: parsed, file: full, files: map[string][]byte{inContext: parsed.Content, inContext + ignoreFile: ignore},
		warning: fmt.Sprintf("%s is outside of the build context %s: it travels as %s", full, context, inContext),
	}, nil
}

// ignoreOutside returns the ignore file of a Dockerfile that is outside of the build context:
// the one beside it, else that of the context, else the default. It excludes the folder of the
// Dockerfile.
func ignoreOutside(context, file string) ([]byte, error) {
	names := dockerfile.IgnoreFiles(filepath.Base(file))
	beside, general := names[:len(names)/2], names[len(names)/2:]
	for _, group := range []struct {
		dir   string
		names []string
	}{{filepath.Dir(file), beside}, {context, general}} {
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

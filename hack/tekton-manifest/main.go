// Command tekton-manifest assembles Tekton Pipelines' install manifest from the
// module that go.mod pins, the way Tekton's own release does: the config/ tree,
// ko:// references replaced by the names under which the release publishes its
// images, and "devel" by the version. API types and installed version can not
// drift apart, and no third-party manifest is kept in git.
//
// Usage: tekton-manifest MODULE_DIR VERSION OUTPUT
package main

import (
	"bytes"
	"crypto/md5" //nolint:gosec // the image naming scheme of Tekton's releases, not a security measure
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

const registry = "ghcr.io/tektoncd/pipeline"

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: tekton-manifest MODULE_DIR VERSION OUTPUT")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "tekton-manifest:", err)
		os.Exit(1)
	}
}

func run(moduleDir, version, output string) error {
	manifest, err := assemble(os.DirFS(filepath.Join(moduleDir, "config")), version)
	if err != nil {
		return err
	}
	return os.WriteFile(output, manifest, 0o644)
}

// assemble joins every YAML document below config, in path order, as Tekton's
// release task does.
func assemble(config fs.FS, version string) ([]byte, error) {
	var out bytes.Buffer
	fmt.Fprintf(&out, "# Tekton Pipelines %s, generated from its Go module. Do not edit.\n", version)
	out.WriteString("# Changed against the module: ko:// references are the released images, \"devel\" is the version.\n")
	err := fs.WalkDir(config, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path.Ext(name) != ".yaml" {
			return err
		}
		file, err := config.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		return appendDocuments(&out, file, name, version)
	})
	return out.Bytes(), err
}

func appendDocuments(out *bytes.Buffer, file io.Reader, name, version string) error {
	decoder := utilyaml.NewYAMLOrJSONDecoder(file, 4096)
	for {
		var object map[string]any
		if err := decoder.Decode(&object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if len(object) == 0 {
			continue
		}
		document, err := yaml.Marshal(release(object, version))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		out.WriteString("---\n")
		out.Write(document)
	}
}

// release returns value with the placeholders of a development tree replaced.
func release(value any, version string) any {
	switch value := value.(type) {
	case map[string]any:
		for key, item := range value {
			value[key] = release(item, version)
		}
	case []any:
		for i, item := range value {
			value[i] = release(item, version)
		}
	case string:
		if value == "devel" {
			return version
		}
		if importPath, ok := strings.CutPrefix(value, "ko://"); ok {
			return imageName(importPath, version)
		}
	}
	return value
}

// imageName is ko's default naming: base name and the MD5 of the import path.
func imageName(importPath, version string) string {
	return fmt.Sprintf("%s/%s-%x:%s", registry, path.Base(importPath), md5.Sum([]byte(importPath)), version) //nolint:gosec // see import
}

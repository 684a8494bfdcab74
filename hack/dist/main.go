// Command dist builds the release archives that plugins/krew.yaml names, and
// writes that manifest with their sums. Equal sources and an equal Go version
// give equal archives, byte for byte.
//
// Usage: dist [--platform OS/ARCH] [--output DIR]
//
// It runs at the root of the repository.
package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"path/filepath"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

const (
	manifest = "plugins/krew.yaml"
	license  = "LICENSE"
	program  = "./cmd/kubectl-pyflow"
	variable = "github.com/pyflow-dev/kubectl-pyflow/pkg/version.version"
)

func main() {
	only := flag.String("platform", "", "build this OS/ARCH only; the others keep their placeholder")
	output := flag.String("output", "dist", "directory for the archives and the manifest")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *only, *output)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "dist:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only, output string) error {
	plugin, err := yaml.ReadFile(manifest)
	if err != nil {
		return fmt.Errorf("read %s: %w", manifest, err)
	}
	version, err := field(plugin, "spec", "version")
	if err != nil {
		return err
	}
	name, err := field(plugin, "metadata", "name")
	if err != nil {
		return err
	}
	platforms, err := plugin.Pipe(yaml.Lookup("spec", "platforms"))
	if err != nil {
		return fmt.Errorf("read platforms: %w", err)
	}
	if err := os.MkdirAll(output, 0o755); err != nil {
		return err
	}
	built := 0
	err = platforms.VisitElements(func(platform *yaml.RNode) error {
		target, err := parse(platform)
		if err != nil || (only != "" && only != target.String()) {
			return err
		}
		sum, err := target.build(ctx, version, output)
		if err != nil {
			return fmt.Errorf("%s: %w", target, err)
		}
		built++
		fmt.Printf("%s  %s\n", sum, target.archive)
		return platform.PipeE(yaml.SetField("sha256", yaml.NewStringRNode(sum)))
	})
	if err != nil {
		return err
	}
	if built == 0 {
		return fmt.Errorf("%s has no platform %s", manifest, only)
	}
	text, err := plugin.String()
	if err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	// The file's name is what krew's index asks for.
	return os.WriteFile(filepath.Join(output, name+".yaml"), []byte(text), 0o644)
}

// target is one platform of the manifest.
type target struct {
	os, arch, binary, archive string
}

func (t target) String() string { return t.os + "/" + t.arch }

func parse(platform *yaml.RNode) (target, error) {
	var t target
	var uri string
	for _, entry := range []struct {
		value *string
		path  []string
	}{
		{&t.os, []string{"selector", "matchLabels", "os"}},
		{&t.arch, []string{"selector", "matchLabels", "arch"}},
		{&t.binary, []string{"bin"}},
		{&uri, []string{"uri"}},
	} {
		var err error
		if *entry.value, err = field(platform, entry.path...); err != nil {
			return t, err
		}
	}
	t.archive = path.Base(uri)
	return t, nil
}

// build compiles and packs the target and returns the archive's sum.
func (t target) build(ctx context.Context, version, output string) (sum string, err error) {
	work, err := os.MkdirTemp("", "dist-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	binary := filepath.Join(work, t.binary)
	command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -X "+variable+"="+version, "-o", binary, program)
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+t.os, "GOARCH="+t.arch)
	command.Stderr = os.Stderr
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("compile: %w", err)
	}
	file, err := os.Create(filepath.Join(output, t.archive))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	digest := sha256.New()
	if err := t.pack(io.MultiWriter(file, digest), binary); err != nil {
		return "", fmt.Errorf("pack: %w", err)
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}

// completer is the program that kubectl runs to complete the plugin. It is a script and
// not a link to the plugin: krew refuses archives with links.
const (
	completer       = "kubectl_complete-pyflow"
	completerScript = "#!/bin/sh\nexec kubectl-pyflow __complete \"$@\"\n"
)

// pack writes the archive: no time, no owner, a fixed order. Outside of Windows, which
// does not run scripts without an ending, it has the one for completion.
func (t target) pack(out io.Writer, binary string) error {
	compressed := gzip.NewWriter(out)
	archive := tar.NewWriter(compressed)
	for _, entry := range []struct {
		path string
		mode int64
	}{{license, 0o644}, {binary, 0o755}} {
		content, err := os.ReadFile(entry.path)
		if err != nil {
			return err
		}
		header := &tar.Header{Name: filepath.Base(entry.path), Mode: entry.mode, Size: int64(len(content)), Format: tar.FormatUSTAR}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(content); err != nil {
			return err
		}
	}
	if t.os != "windows" {
		header := &tar.Header{Name: completer, Mode: 0o755, Size: int64(len(completerScript)), Format: tar.FormatUSTAR}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := io.WriteString(archive, completerScript); err != nil {
			return err
		}
	}
	return errors.Join(archive.Close(), compressed.Close())
}

// field is a string of the manifest that has to be there.
func field(node *yaml.RNode, path ...string) (string, error) {
	value, err := node.Pipe(yaml.Lookup(path...))
	if err != nil {
		return "", fmt.Errorf("%s: %w", manifest, err)
	}
	if value.IsNilOrEmpty() {
		return "", fmt.Errorf("%s has no %v", manifest, path)
	}
	return value.YNode().Value, nil
}

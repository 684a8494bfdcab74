// Package debianbase builds images from Debian packages that replace published images.
package debianbase

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/oci"
)

// suite is the Debian release that the packages are of.
const suite = "trixie"

// extract is the variant that unpacks packages: no script of theirs is run, and
// none is recorded as installed.
const extract = "extract"

// Image is one image.
type Image struct {
	// Repository is the published name, with its registry.
	Repository string
	// Tags are the names that the image has there.
	Tags []string
	// Config is what a container runs with.
	Config oci.Config

	// variant is how mmdebstrap installs, minbase when it is empty.
	variant string
	// packages are installed with all that they depend on, joined by commas.
	packages string
	// hooks are run with the root file system as $1 when all is installed. What
	// they write to the file $ENVIRONMENT, NAME=VALUE lines, is the image's
	// environment, too.
	hooks []string
}

// excluded paths are never unpacked: nothing that runs needs them, and every
// build that starts from the image would have to unpack them.
func excluded() []string {
	return []string{
		"path-exclude=/usr/share/man/*",
		"path-exclude=/usr/share/info/*",
		"path-exclude=/usr/share/locale/*",
		"path-exclude=/usr/share/lintian/*",
		"path-exclude=/usr/share/bash-completion/*",
		"path-exclude=/usr/share/doc/*",
		"path-include=/usr/share/doc/*/copyright",
	}
}

// tidy are hooks that every image has.
func tidy() []string {
	return []string{`rm -rf "$1/var/log" "$1/var/cache/debconf" && mkdir -p "$1/var/log" "$1/var/cache/debconf"`}
}

// Key names the image by its recipe.
func (i Image) Key() string {
	sum := sha256.New()
	for _, part := range [][]string{excluded(), i.hooks, tidy(), {i.variant, i.packages, suite, i.Repository}, {i.Config.User, i.Config.WorkingDir}, i.Config.Env, i.Config.Entrypoint, i.Config.Cmd} {
		_, _ = fmt.Fprintf(sum, "%q\n", part)
	}
	return hex.EncodeToString(sum.Sum(nil))[:16]
}

// Build makes the image as an OCI layout in a new directory. It takes root, a
// Debian mirror and a minute or two.
func (i Image) Build(ctx context.Context, mirror, dir string) error {
	temporary := dir + ".part"
	if err := os.RemoveAll(temporary); err != nil {
		return fmt.Errorf("clear unfinished image: %w", err)
	}
	if err := os.MkdirAll(temporary, 0o755); err != nil {
		return fmt.Errorf("make image directory: %w", err)
	}
	environment := filepath.Join(temporary, "environment")
	tarball := filepath.Join(temporary, "rootfs.tar")
	if err := i.bootstrap(ctx, mirror, tarball, environment); err != nil {
		return err
	}
	more, err := os.ReadFile(environment)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the image's environment: %w", err)
	}
	if err := i.writeLayout(temporary, tarball, strings.Fields(string(more))); err != nil {
		return err
	}
	for _, file := range []string{environment, tarball} {
		if err := os.RemoveAll(file); err != nil {
			return fmt.Errorf("tidy image directory: %w", err)
		}
	}
	if err := os.Rename(temporary, dir); err != nil {
		return fmt.Errorf("keep image: %w", err)
	}
	return nil
}

func (i Image) bootstrap(ctx context.Context, mirror, tarball, environment string) error {
	arguments := []string{
		"--variant=" + cmp.Or(i.variant, "minbase"),
		"--include=" + i.packages,
		// An image has no device files.
		"--skip=output/dev,output/mknod",
	}
	for _, option := range excluded() {
		arguments = append(arguments, "--dpkgopt="+option)
	}
	kind := "--customize-hook="
	if i.variant == extract {
		kind = "--extract-hook=" // the only ones that it runs
	}
	for _, hook := range slices.Concat(i.hooks, tidy()) {
		arguments = append(arguments, kind+hook)
	}
	command := exec.CommandContext(ctx, "mmdebstrap", append(arguments, suite, tarball, mirror)...)
	command.Env = append(os.Environ(), "ENVIRONMENT="+environment)
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Run(); err != nil {
		return fmt.Errorf("bootstrap Debian %s from %s: %w\n%s", suite, mirror, err, lastLines(output.String(), 15))
	}
	return nil
}

func (i Image) writeLayout(dir, tarball string, environment []string) error {
	layout, err := oci.NewLayout(dir)
	if err != nil {
		return err
	}
	rootfs, err := os.Open(tarball)
	if err != nil {
		return fmt.Errorf("open root file system: %w", err)
	}
	defer func() { _ = rootfs.Close() }()
	config := i.Config
	config.Env = slices.Concat(config.Env, environment)
	err = layout.AddRootFS(i.Repository+":"+i.Tags[0], config, rootfs)
	if err != nil {
		return err
	}
	return layout.Close()
}

func lastLines(text string, count int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-count):], "\n")
}

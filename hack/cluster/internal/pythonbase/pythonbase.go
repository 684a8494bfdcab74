// Package pythonbase builds a Python base image from Debian packages that
// stands in for the official one.
package pythonbase

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/oci"
)

const (
	// suite is the Debian release that has the Python version of the tags.
	suite = "trixie"
	minor = "3.13"

	// Repository is the name in the mirror.
	Repository = "library/python"
)

// Tags are the names that the image has in the mirror.
func Tags() []string {
	return []string{minor + "-slim", minor, minor + "-slim-" + suite}
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

// hooks turn Debian's Python into what the official image has: `python` and
// `pip` in /usr/local, which install into its site-packages. A virtual
// environment at that place does exactly this, while /usr/bin/python3 would
// refuse to install and use Debian's own directory layout.
func hooks(versionFile string) []string {
	return []string{
		`chroot "$1" python3 -m venv --system-site-packages /usr/local`,
		`chroot "$1" python3 -c "import platform; print(platform.python_version())" > ` + versionFile,
		`find "$1/usr" "$1/var" -name __pycache__ -type d -prune -exec rm -rf {} +`,
		`rm -rf "$1/var/log" "$1/var/cache/debconf" && mkdir "$1/var/log" "$1/var/cache/debconf"`,
	}
}

// Key names the image by its recipe.
func Key() string {
	recipe := strings.Join(append(append(excluded(), hooks("")...), suite, Repository), "\n")
	sum := sha256.Sum256([]byte(recipe))
	return hex.EncodeToString(sum[:])[:16]
}

// Build makes the image as an OCI layout in a new directory. It takes root, a
// Debian mirror and about a minute.
func Build(ctx context.Context, mirror, dir string) error {
	temporary := dir + ".part"
	if err := os.RemoveAll(temporary); err != nil {
		return fmt.Errorf("clear unfinished image: %w", err)
	}
	if err := os.MkdirAll(temporary, 0o755); err != nil {
		return fmt.Errorf("make image directory: %w", err)
	}
	versionFile := filepath.Join(temporary, "version")
	tarball := filepath.Join(temporary, "rootfs.tar")
	if err := bootstrap(ctx, mirror, tarball, versionFile); err != nil {
		return err
	}
	version, err := os.ReadFile(versionFile)
	if err != nil {
		return fmt.Errorf("read Python's version: %w", err)
	}
	if err := writeLayout(temporary, tarball, strings.TrimSpace(string(version))); err != nil {
		return err
	}
	for _, file := range []string{versionFile, tarball} {
		if err := os.Remove(file); err != nil {
			return fmt.Errorf("tidy image directory: %w", err)
		}
	}
	if err := os.Rename(temporary, dir); err != nil {
		return fmt.Errorf("keep image: %w", err)
	}
	return nil
}

func bootstrap(ctx context.Context, mirror, tarball, versionFile string) error {
	arguments := []string{
		"--variant=minbase",
		"--include=python3,python3-venv,ca-certificates",
		// An image has no device files.
		"--skip=output/dev,output/mknod",
	}
	for _, option := range excluded() {
		arguments = append(arguments, "--dpkgopt="+option)
	}
	for _, hook := range hooks(versionFile) {
		arguments = append(arguments, "--customize-hook="+hook)
	}
	command := exec.CommandContext(ctx, "mmdebstrap", append(arguments, suite, tarball, mirror)...)
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Run(); err != nil {
		return fmt.Errorf("bootstrap Debian %s from %s: %w\n%s", suite, mirror, err, lastLines(output.String(), 15))
	}
	return nil
}

func writeLayout(dir, tarball, version string) error {
	layout, err := oci.NewLayout(dir)
	if err != nil {
		return err
	}
	rootfs, err := os.Open(tarball)
	if err != nil {
		return fmt.Errorf("open root file system: %w", err)
	}
	defer func() { _ = rootfs.Close() }()
	err = layout.AddRootFS(Repository+":"+Tags()[0], oci.Config{
		Env: []string{
			"PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
			"LANG=C.UTF-8",
			"PYTHON_VERSION=" + version,
		},
		Cmd: []string{"python3"},
	}, rootfs)
	if err != nil {
		return err
	}
	return layout.Close()
}

func lastLines(text string, count int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-count):], "\n")
}

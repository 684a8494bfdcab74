package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/catalog"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/host"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/oci"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/pins"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/programs"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/pythonbase"
)

const (
	gib = 1 << 30
	// What a first run takes, the compiler's cache included, and what a run
	// with warm caches takes.
	coldDisk = 15 * gib
	warmDisk = 3 * gib
)

// Build makes the programs and images without starting anything.
func (c *Cluster) Build(ctx context.Context) error {
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	_, err = c.build(ctx)
	return err
}

// build makes what is missing and returns the images.
func (c *Cluster) build(ctx context.Context) (imageSet, error) {
	if err := c.buildPrograms(ctx); err != nil {
		return "", err
	}
	images, err := c.buildImages(ctx)
	if err != nil {
		return "", err
	}
	return images, c.buildPython(ctx)
}

func (c *Cluster) buildPrograms(ctx context.Context) error {
	if err := c.builder.Resolve(ctx); err != nil {
		return err
	}
	if !c.builder.Built() {
		if err := host.CheckDisk(c.layout.Root, coldDisk); err != nil {
			return err
		}
	}
	return c.builder.Build(ctx)
}

// imageSet is where the images are kept: an archive of all of them for the
// node, and those of Docker Hub once more as layouts of their own for the
// mirror. Its name changes with everything that goes into them.
type imageSet string

func (s imageSet) archive() string { return filepath.Join(string(s), "images.tar") }

func (s imageSet) layout(reference string) string {
	return filepath.Join(string(s), strings.NewReplacer("/", "_", ":", "_").Replace(reference))
}

func (c *Cluster) imageSet(images []oci.Image) (imageSet, error) {
	described, err := json.Marshal(images)
	if err != nil {
		return "", fmt.Errorf("describe images: %w", err)
	}
	bundle, err := os.ReadFile(host.CABundle())
	if err != nil {
		return "", fmt.Errorf("read certificate authorities: %w", err)
	}
	sum := sha256.New()
	_, _ = fmt.Fprintln(sum, oci.Format, c.builder.Key())
	_, _ = sum.Write(described)
	_, _ = sum.Write(bundle)
	return imageSet(filepath.Join(c.layout.Images(), hex.EncodeToString(sum.Sum(nil))[:16])), nil
}

// buildImages makes the images when they are not there.
func (c *Cluster) buildImages(ctx context.Context) (imageSet, error) {
	tekton, err := c.builder.ModuleDir(ctx, pins.Tekton)
	if err != nil {
		return "", err
	}
	images, err := catalog.Images(c.pins, catalog.Sources{Program: c.builder.Path, TektonDir: tekton})
	if err != nil {
		return "", err
	}
	set, err := c.imageSet(images)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(string(set)); err == nil {
		return set, nil
	}
	if err := c.install(ctx, true); err != nil {
		return "", err
	}
	c.log.Printf("packing %d images", len(images))
	temporary := set + ".part"
	if err := os.RemoveAll(string(temporary)); err != nil {
		return "", fmt.Errorf("clear unfinished images: %w", err)
	}
	if err := temporary.write(images); err != nil {
		return "", err
	}
	if err := os.Rename(string(temporary), string(set)); err != nil {
		return "", fmt.Errorf("keep images: %w", err)
	}
	return set, programs.RemoveOthers(c.layout.Images(), filepath.Base(string(set)))
}

func (s imageSet) write(images []oci.Image) error {
	all := s.layout("all")
	if err := oci.WriteLayout(all, images...); err != nil {
		return err
	}
	if err := oci.WriteArchive(all, s.archive()); err != nil {
		return err
	}
	if err := os.RemoveAll(all); err != nil {
		return fmt.Errorf("tidy images: %w", err)
	}
	for _, image := range images {
		if !slices.Contains(catalog.HubImages(), image.Reference) {
			continue
		}
		if err := oci.WriteLayout(s.layout(image.Reference), image); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) pythonDir() string { return filepath.Join(c.layout.Python(), pythonbase.Key()) }

// mirrorDir is the mirror's storage: another one for other content.
func (c *Cluster) mirrorDir(images imageSet) string {
	return filepath.Join(c.layout.Mirror(), pythonbase.Key()+"-"+filepath.Base(string(images)))
}

func (c *Cluster) buildPython(ctx context.Context) error {
	dir := c.pythonDir()
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := host.CheckPrivilege(); err != nil {
		return err
	}
	if err := c.install(ctx, true); err != nil {
		return err
	}
	mirror, err := host.DebianMirror(ctx)
	if err != nil {
		return err
	}
	c.log.Printf("building the Python base image from Debian packages")
	if err := pythonbase.Build(ctx, mirror, dir); err != nil {
		return err
	}
	return programs.RemoveOthers(c.layout.Python(), filepath.Base(dir))
}

// install installs what is missing on the host.
func (c *Cluster) install(ctx context.Context, forBuild bool) error {
	packages := host.MissingPackages(forBuild)
	if len(packages) == 0 {
		return nil
	}
	c.log.Printf("installing Debian packages: %s", strings.Join(packages, " "))
	return host.InstallPackages(ctx, packages, c.errOut)
}

package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/catalog"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/debianbase"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/host"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/oci"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/pins"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/programs"
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

// build makes what is missing and returns the images. The images of Debian packages
// are made while the compiler runs: they wait for downloads most of the time.
func (c *Cluster) build(ctx context.Context) (imageSet, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	debian := make(chan error, 1)
	go func() { debian <- c.buildDebian(ctx) }()
	images, err := c.buildFromSource(ctx)
	if err != nil {
		cancel()
		<-debian //nolint:errcheck // the first error counts
		return imageSet{}, err
	}
	return images, <-debian
}

// buildFromSource makes the programs, and the images that hold them.
func (c *Cluster) buildFromSource(ctx context.Context) (imageSet, error) {
	if err := c.buildPrograms(ctx); err != nil {
		return imageSet{}, err
	}
	return c.buildImages(ctx)
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

// imageSet is where the images are kept, each as a layout of its own. The name
// of the directory changes with everything that goes into them.
type imageSet struct {
	dir        string
	references []string
}

func (s imageSet) layout(reference string) string {
	return filepath.Join(s.dir, strings.NewReplacer("/", "_", ":", "_").Replace(reference))
}

func (c *Cluster) imageSet(images []oci.Image) (imageSet, error) {
	described, err := json.Marshal(images)
	if err != nil {
		return imageSet{}, fmt.Errorf("describe images: %w", err)
	}
	bundle, err := os.ReadFile(host.CABundle())
	if err != nil {
		return imageSet{}, fmt.Errorf("read certificate authorities: %w", err)
	}
	sum := sha256.New()
	_, _ = fmt.Fprintln(sum, oci.Format, c.builder.Key())
	_, _ = sum.Write(described)
	_, _ = sum.Write(bundle)
	set := imageSet{dir: filepath.Join(c.layout.Images(), hex.EncodeToString(sum.Sum(nil))[:16])}
	for _, image := range images {
		set.references = append(set.references, image.Reference)
	}
	return set, nil
}

// buildImages makes the images when they are not there.
func (c *Cluster) buildImages(ctx context.Context) (imageSet, error) {
	tekton, err := c.builder.ModuleDir(ctx, pins.Tekton)
	if err != nil {
		return imageSet{}, err
	}
	images, err := catalog.Images(c.pins, catalog.Sources{Program: c.builder.Path, TektonDir: tekton})
	if err != nil {
		return imageSet{}, err
	}
	set, err := c.imageSet(images)
	if err != nil {
		return imageSet{}, err
	}
	if _, err := os.Stat(set.dir); err == nil {
		return set, nil
	}
	if err := c.install(ctx, true); err != nil {
		return imageSet{}, err
	}
	c.log.Printf("packing %d images", len(images))
	temporary := imageSet{dir: set.dir + ".part"}
	if err := os.RemoveAll(temporary.dir); err != nil {
		return imageSet{}, fmt.Errorf("clear unfinished images: %w", err)
	}
	for _, image := range images {
		if err := oci.WriteLayout(temporary.layout(image.Reference), image); err != nil {
			return imageSet{}, err
		}
	}
	if err := os.Rename(temporary.dir, set.dir); err != nil {
		return imageSet{}, fmt.Errorf("keep images: %w", err)
	}
	return set, programs.RemoveOthers(c.layout.Images(), filepath.Base(set.dir))
}

// debianDir is the layout of an image that is built from Debian packages.
func (c *Cluster) debianDir(image debianbase.Image) string {
	return filepath.Join(c.layout.Debian(), image.Key())
}

// mirrorDir is the mirror's storage: another one for other content.
func (c *Cluster) mirrorDir(images imageSet) string {
	sum := sha256.New()
	_, _ = fmt.Fprintln(sum, filepath.Base(images.dir))
	for _, image := range debianbase.Images() {
		_, _ = fmt.Fprintln(sum, image.Key(), image.Tags)
	}
	return filepath.Join(c.layout.Mirror(), hex.EncodeToString(sum.Sum(nil))[:16])
}

// buildDebian makes the images of Debian packages that are not there.
func (c *Cluster) buildDebian(ctx context.Context) error {
	var keep []string
	for _, image := range debianbase.Images() {
		dir := c.debianDir(image)
		keep = append(keep, filepath.Base(dir))
		if _, err := os.Stat(dir); err == nil {
			continue
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
		c.log.Printf("building the image %s from Debian packages", image.Repository)
		if err := image.Build(ctx, mirror, dir); err != nil {
			return err
		}
	}
	return programs.RemoveOthers(c.layout.Debian(), keep...)
}

// install installs what is missing on the host.
func (c *Cluster) install(ctx context.Context, forBuild bool) error {
	c.installing.Lock()
	defer c.installing.Unlock()
	packages := host.MissingPackages(forBuild)
	if len(packages) == 0 {
		return nil
	}
	c.log.Printf("installing Debian packages: %s", strings.Join(packages, " "))
	return host.InstallPackages(ctx, packages, c.errOut)
}

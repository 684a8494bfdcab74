package inspect

import (
	"context"
	"fmt"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
)

// Reader reads the registry.
type Reader interface {
	// Manifest reads the manifest of a tag or a digest.
	Manifest(ctx context.Context, repository, reference string) (*registry.Manifest, error)
	// Config reads an image's configuration.
	Config(ctx context.Context, repository string, config registry.Descriptor) ([]byte, error)
}

// Read reads an image and its configuration. Of an index it reads the image for platform,
// OS/ARCHITECTURE, or the only image if platform is empty.
func Read(ctx context.Context, reader Reader, repository, digest, platform string) (*registry.Manifest, *Config, error) {
	manifest, err := reader.Manifest(ctx, repository, digest)
	if err != nil {
		return nil, nil, err
	}
	if manifest.Config.Digest != "" {
		config, err := readConfig(ctx, reader, repository, manifest)
		if err == nil && platform != "" && platform != config.Platform() {
			err = fmt.Errorf("the image is for %s, not for %s", config.Platform(), platform)
		}
		return manifest, config, err
	}
	var found *registry.Manifest
	var chosen *Config
	var platforms []string
	for _, child := range manifest.Children {
		image, err := reader.Manifest(ctx, repository, child.Digest)
		if err != nil {
			return nil, nil, err
		}
		if image.Config.Digest == "" {
			continue
		}
		config, err := readConfig(ctx, reader, repository, image)
		if err != nil {
			return nil, nil, err
		}
		// Attestations are also children, for no platform.
		if config.OS == "" || config.OS == "unknown" {
			continue
		}
		platforms = append(platforms, config.Platform())
		if platform == "" || platform == config.Platform() {
			found, chosen = image, config
		}
	}
	switch {
	case platform == "" && len(platforms) > 1:
		return nil, nil, fmt.Errorf("%s is for several platforms: name one with --platform, %s", manifest.Digest, strings.Join(platforms, " or "))
	case found == nil && len(platforms) == 0:
		return nil, nil, fmt.Errorf("%s contains no image", manifest.Digest)
	case found == nil:
		return nil, nil, fmt.Errorf("%s has no image for %s, but for %s", manifest.Digest, platform, strings.Join(platforms, ", "))
	}
	return found, chosen, nil
}

func readConfig(ctx context.Context, reader Reader, repository string, manifest *registry.Manifest) (*Config, error) {
	raw, err := reader.Config(ctx, repository, manifest.Config)
	if err != nil {
		return nil, err
	}
	return ParseConfig(raw)
}

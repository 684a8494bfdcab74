package inspect

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
)

// store has an image for amd64, one for arm64, and indexes of them.
type store struct{}

func (store) Manifest(_ context.Context, _, reference string) (*registry.Manifest, error) {
	manifest := &registry.Manifest{Digest: reference}
	switch reference {
	case "amd64", "arm64", "unknown", "broken":
		manifest.Config.Digest = reference
	case "index":
		manifest.Children = []registry.Descriptor{{Digest: "amd64"}, {Digest: "unknown"}, {Digest: "arm64"}}
	case "attested":
		manifest.Children = []registry.Descriptor{{Digest: "amd64"}, {Digest: "unknown"}}
	case "statements":
		manifest.Children = []registry.Descriptor{{Digest: "unknown"}, {Digest: "empty"}}
	case "empty":
	default:
		return nil, registry.ErrNotFound
	}
	return manifest, nil
}

func (store) Config(_ context.Context, _ string, config registry.Descriptor) ([]byte, error) {
	switch config.Digest {
	case "broken":
		return []byte("no JSON"), nil
	case "unknown":
		return []byte(`{"os":"unknown","architecture":"unknown"}`), nil
	}
	return []byte(`{"os":"linux","architecture":"` + config.Digest + `"}`), nil
}

func TestRead(t *testing.T) {
	for name, test := range map[string]struct {
		reference, platform string
		want, err           string
	}{
		"an image":                       {"amd64", "", "amd64", ""},
		"an image of that platform":      {"amd64", "linux/amd64", "amd64", ""},
		"an image of another platform":   {"amd64", "linux/arm64", "", "the image is for linux/amd64, not for linux/arm64"},
		"an index with one image":        {"attested", "", "amd64", ""},
		"an index with several":          {"index", "", "", "--platform, linux/amd64 or linux/arm64"},
		"one of several":                 {"index", "linux/arm64", "arm64", ""},
		"none of several":                {"index", "linux/s390x", "", "no image for linux/s390x, but for linux/amd64, linux/arm64"},
		"an index without an image":      {"statements", "", "", "statements contains no image"},
		"a configuration that is broken": {"broken", "", "", "read the image's configuration"},
		"nothing":                        {"gone", "", "", registry.ErrNotFound.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			manifest, config, err := Read(t.Context(), store{}, "team/app", test.reference, test.platform)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("error %v, want %s", err, test.err)
				}
				return
			}
			if err != nil || manifest.Digest != test.want || config.Architecture != test.want {
				t.Errorf("got %+v, %+v, %v", manifest, config, err)
			}
		})
	}
	if _, _, err := Read(t.Context(), store{}, "team/app", "gone", ""); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("error %v", err)
	}
}

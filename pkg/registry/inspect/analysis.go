package inspect

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine/installed"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
)

// The kind and the API version of the JSON form.
const (
	Kind       = "ImageInspection"
	APIVersion = "pyflow.dev/v1"
)

// Analysis describes the content of an image. Its JSON form is documented in docs/images.md.
type Analysis struct {
	metav1.TypeMeta `json:",inline"`
	// Repository is the repository as pods reach it, without a tag.
	Repository string `json:"repository"`
	// Digest is sha256:<hex>.
	Digest string `json:"digest"`
	// User is that of the image's configuration. Root reports that it is root.
	User string `json:"user"`
	Root bool   `json:"root"`
	// Attached are the types of what the registry keeps about the image, sorted: SBOMs and signed
	// statements. They are not verified.
	Attached []string `json:"attached"`
	// CompressedBytes is the size of all layers as they are stored and pulled. UnpackedBytes is
	// the size of the files in all layers, as on the disk of a node. A layer that occurs twice
	// counts once.
	CompressedBytes int64 `json:"compressedBytes"`
	UnpackedBytes   int64 `json:"unpackedBytes"`
	// Layers are in order, the lowest first.
	Layers []Layer `json:"layers"`
	// Packages are sorted by size, the largest first.
	Packages []Package `json:"packages"`
	// LargestFiles are those visible in the image, the largest first.
	LargestFiles []LargeFile `json:"largestFiles"`
	// Waste is sorted by size, the largest first.
	Waste []Waste `json:"waste"`
}

// Layer is one layer of the image.
type Layer struct {
	Digest          string `json:"digest"`
	CompressedBytes int64  `json:"compressedBytes"`
	// UnpackedBytes is the size of its files, Files their number.
	UnpackedBytes int64 `json:"unpackedBytes"`
	Files         int   `json:"files"`
	// CreatedBy is the instruction that created the layer, as its builder recorded it; empty if
	// it did not.
	CreatedBy string `json:"createdBy"`
	// Line is the line of the instruction in the run's Dockerfile, from 1; 0 if it is not
	// known.
	Line int `json:"line"`
	// Base reports that the layer belongs to the base image.
	Base bool `json:"base"`
}

// LargeFile is one of the largest files.
type LargeFile struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
	// Package is the name of the package that the file belongs to; may be empty.
	Package string `json:"package"`
}

var _ runtime.Object = (*Analysis)(nil)

// DeepCopyObject makes Analysis an object that kubectl's printers accept.
func (a *Analysis) DeepCopyObject() runtime.Object {
	c := *a
	c.Layers, c.Packages, c.LargestFiles = slices.Clone(a.Layers), slices.Clone(a.Packages), slices.Clone(a.LargestFiles)
	c.Waste, c.Attached = slices.Clone(a.Waste), slices.Clone(a.Attached)
	for i := range c.Waste {
		c.Waste[i].Examples = slices.Clone(a.Waste[i].Examples)
	}
	return &c
}

// Config holds the fields that are read from an image's configuration.
type Config struct {
	Created      time.Time `json:"created"`
	Architecture string    `json:"architecture"`
	OS           string    `json:"os"`
	Config       struct {
		User         string              `json:"User"`
		Env          []string            `json:"Env"`
		Entrypoint   []string            `json:"Entrypoint"`
		Cmd          []string            `json:"Cmd"`
		WorkingDir   string              `json:"WorkingDir"`
		ExposedPorts map[string]struct{} `json:"ExposedPorts"`
		Labels       map[string]string   `json:"Labels"`
		StopSignal   string              `json:"StopSignal"`
	} `json:"config"`
	History []struct {
		Author     string `json:"author"`
		CreatedBy  string `json:"created_by"`
		EmptyLayer bool   `json:"empty_layer"`
	} `json:"history"`
}

// ParseConfig reads an image's configuration.
func ParseConfig(raw []byte) (*Config, error) {
	config := &Config{}
	if err := json.Unmarshal(raw, config); err != nil {
		return nil, fmt.Errorf("read the image's configuration: %w", err)
	}
	return config, nil
}

// Image is what the registry has about an image.
type Image struct {
	Repository string
	Manifest   *registry.Manifest
	Config     *Config
	// Attached are the types of what is kept about it.
	Attached []string
	// Dockerfile is that of the run that built the image; nil if it is not known. Target is the
	// stage that was built, empty for the last one.
	Dockerfile *dockerfile.Dockerfile
	Target     string
}

// Analyze returns the content of an image with at most top of its largest files, or all if top
// is 0. It is pure. Errors hold ErrListing.
func Analyze(image Image, listing *Listing, top int) (*Analysis, error) {
	a := &Analysis{
		TypeMeta:   metav1.TypeMeta{Kind: Kind, APIVersion: APIVersion},
		Repository: image.Repository, Digest: image.Manifest.Digest,
		User: image.Config.Config.User, Root: isRoot(image.Config.Config.User),
		Attached: append([]string{}, image.Attached...),
	}
	var t tree
	seen := map[string]bool{}
	a.Layers = Layers(image)
	for number := range a.Layers {
		layer := &a.Layers[number]
		files, err := listing.layer(layer.Digest)
		if err != nil {
			return nil, err
		}
		for _, entry := range files.Entries {
			if entry.Type != Directory {
				layer.Files++
			}
			layer.UnpackedBytes += entry.Bytes
		}
		if !seen[layer.Digest] {
			a.CompressedBytes += layer.CompressedBytes
			a.UnpackedBytes += layer.UnpackedBytes
		}
		seen[layer.Digest] = true
		t.add(number, files)
	}
	owners := newOwners(&t)
	a.LargestFiles = []LargeFile{}
	t.walk(func(name string, file *node) {
		large := LargeFile{Path: "/" + name, Bytes: file.bytes}
		if owner := owners.of(name); owner != nil {
			owner.Bytes += file.bytes
			large.Package = owner.Name
		}
		a.LargestFiles = append(a.LargestFiles, large)
	})
	slices.SortFunc(a.LargestFiles, func(a, b LargeFile) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), strings.Compare(a.Path, b.Path))
	})
	a.Packages = owners.largestPackages()
	if top > 0 {
		a.LargestFiles = a.LargestFiles[:min(top, len(a.LargestFiles))]
	}
	a.Waste = findWaste(&t)
	return a, nil
}

// Layers returns the layers of an image, the lowest first, with what is known without their
// files: UnpackedBytes and Files are 0. It is pure.
func Layers(image Image) []Layer {
	layers := make([]Layer, len(image.Manifest.Layers))
	for i, stored := range image.Manifest.Layers {
		layers[i] = Layer{Digest: stored.Digest, CompressedBytes: stored.Size}
	}
	attribute(layers, image)
	return layers
}

// IsRoot reports whether the user of the image is root.
func (c *Config) IsRoot() bool { return isRoot(c.Config.User) }

// Platform returns OS/ARCHITECTURE.
func (c *Config) Platform() string { return c.OS + "/" + c.Architecture }

// isRoot reports whether a USER, a name or number with or without a group, is root.
func isRoot(user string) bool {
	name, _, _ := strings.Cut(user, ":")
	return name == "" || name == "root" || strings.Trim(name, "0") == ""
}

// attribute finds the instruction that created each layer. The history may lack that of the
// base image, so the function compares both from their ends.
func attribute(layers []Layer, image Image) {
	var history []int
	for i, entry := range image.Config.History {
		if !entry.EmptyLayer {
			history = append(history, i)
		}
	}
	var instructions []dockerfile.Instruction
	if image.Dockerfile != nil {
		instructions = image.Dockerfile.Layers(image.Target)
	}
	next, lowest := len(instructions), len(layers)
	for i := len(layers) - 1; i >= 0; i-- {
		h := len(history) - len(layers) + i
		if h < 0 {
			layers[i].Base = true
			continue
		}
		entry := image.Config.History[history[h]]
		layers[i].CreatedBy = strings.Join(strings.Fields(entry.CreatedBy), " ")
		layers[i].Base = entry.Author != installed.Capabilities().Author
		for j := next - 1; j >= 0 && !layers[i].Base; j-- {
			if strings.Join(strings.Fields(instructions[j].Text), " ") == layers[i].CreatedBy {
				layers[i].Line, next, lowest = instructions[j].Line, j, i
				break
			}
		}
	}
	// The same engine built the base image.
	if lowest < len(layers) {
		for i := range lowest {
			layers[i].Base = true
		}
	}
}

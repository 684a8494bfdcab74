package images

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/credentials"
)

// PlatformListKind is the kind of the JSON form of a PlatformList.
const PlatformListKind = "PlatformImageList"

// PlatformList lists the images that the platform itself runs. Its JSON form is
// documented in docs/images.md.
type PlatformList struct {
	metav1.TypeMeta `json:",inline"`
	// Items are sorted by reference, each once.
	Items []PlatformImage `json:"items"`
}

// PlatformImage is an image by the name and version that its project publishes.
type PlatformImage struct {
	// Reference is the whole reference, the other fields are its parts.
	Reference  string `json:"reference"`
	Repository string `json:"repository"`
	Tag        string `json:"tag,omitempty"`
	// Digest is sha256:<hex>.
	Digest string `json:"digest,omitempty"`
}

var _ runtime.Object = (*PlatformList)(nil)

// DeepCopyObject makes PlatformList an object that kubectl's printers accept.
func (l *PlatformList) DeepCopyObject() runtime.Object {
	c := *l
	c.Items = slices.Clone(l.Items)
	return &c
}

// Platform returns the images that the objects of setup run, and those of Tekton unless
// tektonManifest is empty, by the names and versions that their projects publish. It
// includes the images of every way to set up a cluster, so that one list serves all.
func Platform(tektonManifest []byte) (*PlatformList, error) {
	platform, err := render(tektonManifest)
	if err != nil {
		return nil, err
	}
	list := &PlatformList{TypeMeta: metav1.TypeMeta{Kind: PlatformListKind, APIVersion: APIVersion}, Items: []PlatformImage{}}
	for _, reference := range manifests.Images(platform.Objects()) {
		list.Items = append(list.Items, platformImage(reference))
	}
	return list, nil
}

// platformImage splits a reference. A colon before the last slash is that of a port.
func platformImage(reference string) PlatformImage {
	image := PlatformImage{Reference: reference}
	image.Repository, image.Digest, _ = strings.Cut(reference, "@")
	if colon := strings.LastIndexByte(image.Repository, ':'); colon > strings.LastIndexByte(image.Repository, '/') {
		image.Repository, image.Tag = image.Repository[:colon], image.Repository[colon+1:]
	}
	return image
}

// render returns what setup applies to a cluster with a registry of its own, with empty
// secrets.
func render(tektonManifest []byte) (*manifests.Platform, error) {
	return manifests.Render(manifests.Options{
		TektonManifest: tektonManifest,
		Credentials:    credentials.Credentials{Users: map[string]credentials.User{manifests.SystemNamespace: {}}},
	})
}

package images

import (
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/credentials"
)

// Platform returns the images that the objects of setup run, and those of Tekton unless
// tektonManifest is empty, sorted and each once, by the names and versions that their projects
// publish. It includes the images of every way to set up a cluster, so that one list serves
// all.
func Platform(tektonManifest []byte) ([]string, error) {
	platform, err := render(tektonManifest)
	if err != nil {
		return nil, err
	}
	return manifests.Images(platform.Objects()), nil
}

// render returns what setup applies to a cluster with a registry of its own, with empty
// secrets.
func render(tektonManifest []byte) (*manifests.Platform, error) {
	return manifests.Render(manifests.Options{
		TektonManifest: tektonManifest,
		Credentials:    credentials.Credentials{Users: map[string]credentials.User{manifests.SystemNamespace: {}}},
	})
}

package images

import (
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/credentials"
)

// Platform lists the images that setup's objects run, and Tekton's unless
// tektonManifest is empty, sorted, each once, by the names and versions that
// their projects publish them with. The images are those of every way to set up
// a cluster, so that one list serves all.
func Platform(tektonManifest []byte) ([]string, error) {
	platform, err := render(tektonManifest)
	if err != nil {
		return nil, err
	}
	return manifests.Images(platform.Objects()), nil
}

// render makes what setup applies to a cluster of its own, with empty secrets.
func render(tektonManifest []byte) (*manifests.Platform, error) {
	return manifests.Render(manifests.Options{
		TektonManifest: tektonManifest,
		Credentials:    credentials.Credentials{Users: map[string]credentials.User{manifests.SystemNamespace: {}}},
	})
}

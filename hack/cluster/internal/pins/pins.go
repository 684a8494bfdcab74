// Package pins reads all versions from the module file, the only place that names them.
package pins

import (
	"fmt"
	"regexp"
)

// The modules that the cluster is made of.
const (
	Kubernetes  = "k8s.io/kubernetes"
	Etcd        = "go.etcd.io/etcd/server/v3"
	CoreDNS     = "github.com/coredns/coredns"
	Tekton      = "github.com/tektoncd/pipeline"
	Kaniko      = "github.com/osscontainertools/kaniko"
	Crane       = "github.com/google/go-containerregistry"
	Registry    = "github.com/distribution/distribution/v3"
	Caddy       = "github.com/caddyserver/caddy/v2"
	TektonCLI   = "github.com/tektoncd/cli"
	Provisioner = "sigs.k8s.io/sig-storage-lib-external-provisioner/v13"
)

// Pins maps a module path to its version.
type Pins map[string]string

var requirement = regexp.MustCompile(`(?m)^(?:require)?[ \t]+([^\s/]+\.[^\s]+)[ \t]+(v[^\s]+)`)

// Parse reads a module file. It fails when one of the modules that the
// cluster is made of is missing.
func Parse(gomod string) (Pins, error) {
	pins := Pins{}
	for _, found := range requirement.FindAllStringSubmatch(gomod, -1) {
		pins[found[1]] = found[2]
	}
	for _, module := range []string{
		Kubernetes, Etcd, CoreDNS, Tekton, Kaniko, Crane,
		Registry, Caddy, TektonCLI, Provisioner,
	} {
		if pins[module] == "" {
			return nil, fmt.Errorf("module file names no version of %s", module)
		}
	}
	return pins, nil
}

package setup

import (
	"slices"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/apply"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/credentials"
)

func TestModes(t *testing.T) {
	const (
		auto, port, network = manifests.NodeAccessAuto, manifests.NodeAccessHostPort, manifests.NodeAccessHostNetwork
		nodePort, none      = manifests.NodeAccessNodePort, manifests.NodeAccessNone
	)
	own := manifests.RegistryConfig{Host: manifests.RegistryHost}
	external := manifests.RegistryConfig{External: true, Host: "registry.example.com"}
	for name, test := range map[string]struct {
		asked    manifests.NodeAccess
		before   manifests.NodeAccessConfig
		registry manifests.RegistryConfig
		ca       string
		modes    []manifests.NodeAccess
		auto     bool
		proven   bool
		nodeHost string
	}{
		"the first time":               {registry: own, modes: []manifests.NodeAccess{port, network}, auto: true, nodeHost: manifests.NodeHost},
		"asked for":                    {asked: nodePort, registry: own, modes: []manifests.NodeAccess{nodePort}, nodeHost: manifests.NodePortHost},
		"asked for another":            {asked: none, before: manifests.NodeAccessConfig{Mode: port, Auto: true, Proven: true}, registry: own, modes: []manifests.NodeAccess{none}, nodeHost: manifests.RegistryHost},
		"remembered":                   {before: manifests.NodeAccessConfig{Mode: network, Auto: true, Proven: true}, registry: own, modes: []manifests.NodeAccess{network}, auto: true, proven: true, nodeHost: manifests.NodeHost},
		"remembered and not proven":    {before: manifests.NodeAccessConfig{Mode: network, Auto: true}, registry: own, modes: []manifests.NodeAccess{network, port}, auto: true, nodeHost: manifests.NodeHost},
		"chosen by hand stays":         {before: manifests.NodeAccessConfig{Mode: nodePort}, registry: own, modes: []manifests.NodeAccess{nodePort}, nodeHost: manifests.NodePortHost},
		"auto starts anew":             {asked: auto, before: manifests.NodeAccessConfig{Mode: network, Proven: true}, registry: own, modes: []manifests.NodeAccess{port, network}, auto: true, nodeHost: manifests.NodeHost},
		"external with a private CA":   {registry: external, ca: "ca", modes: []manifests.NodeAccess{port, network, none}, auto: true, nodeHost: manifests.NodeHost},
		"external that everyone knows": {registry: external, modes: []manifests.NodeAccess{none, port, network}, auto: true, nodeHost: "registry.example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &plan{
				config:  manifests.Config{NodeAccess: test.before, Registry: test.registry},
				secrets: credentials.Credentials{CACertificate: []byte(test.ca)},
			}
			p.setModes(test.asked)
			access := p.config.NodeAccess
			if !slices.Equal(p.modes, test.modes) || access.Mode != test.modes[0] {
				t.Errorf("tries %q beginning with %q, want %q", p.modes, access.Mode, test.modes)
			}
			if access.Auto != test.auto || access.Proven != test.proven || p.config.Registry.NodeHost != test.nodeHost {
				t.Errorf("got %+v and node host %s, want auto %v, proven %v and %s", access, p.config.Registry.NodeHost, test.auto, test.proven, test.nodeHost)
			}
		})
	}
}

// TestProvenAgain holds what is not proven again to what can not have changed.
func TestProvenAgain(t *testing.T) {
	rendered, err := manifests.Render(manifests.Options{
		Config:      manifests.Config{Registry: manifests.RegistryConfig{Host: manifests.RegistryHost, NodeHost: manifests.NodeHost}},
		Credentials: credentials.Credentials{CACertificate: []byte("ca"), Users: map[string]credentials.User{manifests.SystemNamespace: {Name: "u", Password: "p"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &run{plan: &plan{platform: rendered}}
	for _, object := range rendered.Objects() {
		r.changes = append(r.changes, apply.Change{Object: object, Result: apply.Unchanged})
	}
	if r.changedSince() {
		t.Error("nothing changed, and it counts as changed")
	}
	for i, change := range r.changes {
		kind, name := change.Object.GetKind(), change.Object.GetName()
		want := kind == "DaemonSet" || kind == "StatefulSet"
		if !want && (kind != "Secret" || name != manifests.AuthName) {
			continue
		}
		r.changes[i].Result = apply.Configured
		if got := r.changedSince(); got != want {
			t.Errorf("%s %s changed: proven again is %v, want %v", kind, name, got, want)
		}
		r.changes[i].Result = apply.Unchanged
	}
}

func TestRestorable(t *testing.T) {
	proven := manifests.NodeAccessConfig{Mode: manifests.NodeAccessHostPort, Proven: true}
	registry := manifests.RegistryConfig{Host: manifests.RegistryHost}
	for name, test := range map[string]struct {
		remembered *manifests.Config
		want       bool
	}{
		"nothing there":      {nil, false},
		"torn down":          {&manifests.Config{Removed: true, NodeAccess: proven, Registry: registry}, false},
		"never proven":       {&manifests.Config{NodeAccess: manifests.NodeAccessConfig{Mode: manifests.NodeAccessHostPort}, Registry: registry}, false},
		"the one that fails": {&manifests.Config{NodeAccess: manifests.NodeAccessConfig{Mode: manifests.NodeAccessNodePort, Proven: true}, Registry: registry}, false},
		"another registry's": {&manifests.Config{NodeAccess: proven, Registry: manifests.RegistryConfig{Host: "registry.example"}}, false},
		"proven":             {&manifests.Config{NodeAccess: proven, Registry: registry}, true},
	} {
		r := &run{plan: &plan{remembered: test.remembered, config: manifests.Config{
			NodeAccess: manifests.NodeAccessConfig{Mode: manifests.NodeAccessNodePort}, Registry: registry,
		}}}
		if got := r.restorable(); got != test.want {
			t.Errorf("%s: got %t, want %t", name, got, test.want)
		}
	}
}

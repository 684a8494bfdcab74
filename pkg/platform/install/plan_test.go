package install

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/apply"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/credentials"
)

func TestBuildEnv(t *testing.T) {
	before := cluster(&manifests.Config{})
	before.BuildEnv = manifests.BuildEnv{CA: []byte("ca"), Variables: map[string]string{"HTTPS_PROXY": "p:1"}}
	direct := []string{"10.96.0.0/16"}
	before.Network.Services = direct
	for name, test := range map[string]struct {
		request Request
		want    manifests.BuildEnv
	}{
		"kept":                 {Request{}, manifests.BuildEnv{CA: []byte("ca"), Variables: map[string]string{"HTTPS_PROXY": "p:1"}, Direct: direct}},
		"another CA":           {Request{BuildCA: []byte("new")}, manifests.BuildEnv{CA: []byte("new"), Variables: map[string]string{"HTTPS_PROXY": "p:1"}, Direct: direct}},
		"CA forgotten":         {Request{BuildCA: []byte{}}, manifests.BuildEnv{CA: []byte{}, Variables: map[string]string{"HTTPS_PROXY": "p:1"}, Direct: direct}},
		"other variables":      {Request{BuildVariables: map[string]string{"A": "1"}}, manifests.BuildEnv{CA: []byte("ca"), Variables: map[string]string{"A": "1"}}},
		"all variables forgot": {Request{BuildVariables: map[string]string{}}, manifests.BuildEnv{CA: []byte("ca"), Variables: map[string]string{}}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, buildEnv(test.request, before)); diff != "" {
				t.Errorf("environment of builds (-want +got):\n%s", diff)
			}
		})
	}
}

// TestProvenAgain checks that a change of the registry or of node access, and no other,
// requires a new proof.
func TestProvenAgain(t *testing.T) {
	rendered, err := manifests.Render(manifests.Options{
		Config:      manifests.Config{Registry: manifests.RegistryConfig{Host: manifests.RegistryHost, NodeHost: manifests.NodeHost}},
		Credentials: credentials.Credentials{CACertificate: []byte("ca"), Users: map[string]credentials.User{manifests.SystemNamespace: {Name: "u", Password: "p"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	state := &State{rendering: &rendering{platform: rendered}}
	for _, object := range rendered.Objects() {
		state.Changes = append(state.Changes, apply.Change{Object: object, Result: apply.Unchanged})
	}
	if state.nodeAccessChanged() {
		t.Error("unchanged objects count as changed")
	}
	for i, change := range state.Changes {
		kind, name := change.Object.GetKind(), change.Object.GetName()
		want := kind == "DaemonSet" || kind == "StatefulSet"
		if !want && (kind != "Secret" || name != manifests.AuthName) {
			continue
		}
		state.Changes[i].Result = apply.Configured
		if got := state.nodeAccessChanged(); got != want {
			t.Errorf("%s %s changed: proven again is %v, want %v", kind, name, got, want)
		}
		state.Changes[i].Result = apply.Unchanged
	}
}

func TestSummary(t *testing.T) {
	change := func(result apply.Result) apply.Change {
		return apply.Change{Object: &unstructured.Unstructured{}, Result: result}
	}
	for want, changes := range map[string][]apply.Change{
		"nothing changed":         {change(apply.Unchanged), change(apply.Unchanged)},
		"2 created, 1 configured": {change(apply.Created), change(apply.Configured), change(apply.Created)},
		"1 pruned":                {change(apply.Pruned), change(apply.Unchanged)},
	} {
		if got := Summary(changes); got != want {
			t.Errorf("summary is %q, want %q", got, want)
		}
	}
}

func TestFallback(t *testing.T) {
	proven := manifests.NodeAccessConfig{Mode: manifests.NodeAccessHostPort, Proven: true}
	registry := manifests.RegistryConfig{Host: manifests.RegistryHost}
	for name, test := range map[string]struct {
		previous *manifests.Config
		want     manifests.NodeAccessConfig
	}{
		"nothing installed": {},
		"removed":           {previous: &manifests.Config{Removed: true, NodeAccess: proven, Registry: registry}},
		"never proven":      {previous: &manifests.Config{NodeAccess: manifests.NodeAccessConfig{Mode: manifests.NodeAccessHostPort}, Registry: registry}},
		"another registry":  {previous: &manifests.Config{NodeAccess: proven, Registry: manifests.RegistryConfig{Host: "registry.example"}}},
		"proven":            {previous: &manifests.Config{NodeAccess: proven, Registry: registry}, want: proven},
	} {
		if got := fallback(test.previous, registry); got != test.want {
			t.Errorf("%s: got %+v, want %+v", name, got, test.want)
		}
	}
}

// TestRenderIsPure renders every mode from one plan, in any order, to the same objects.
func TestRenderIsPure(t *testing.T) {
	plan := &Plan{
		config: manifests.Config{Registry: manifests.RegistryConfig{Host: manifests.RegistryHost}, Namespaces: []string{"team-a"}},
		secrets: secrets{Credentials: credentials.Credentials{CACertificate: []byte("ca"), Users: map[string]credentials.User{
			manifests.SystemNamespace: {Name: "u", Password: "p"}, "team-a": {Name: "a", Password: "p"},
		}}},
	}
	hosts := map[manifests.NodeAccess]string{
		manifests.NodeAccessHostPort: manifests.NodeHost, manifests.NodeAccessNodePort: manifests.NodePortHost, manifests.NodeAccessNone: manifests.RegistryHost,
	}
	for mode, host := range hosts {
		access := manifests.NodeAccessConfig{Mode: mode, Proven: true}
		first, err := plan.render(access)
		if err != nil {
			t.Fatal(err)
		}
		if first.config.Registry.NodeHost != host || first.config.NodeAccess != access {
			t.Errorf("mode %s: got %+v", mode, first.config)
		}
		for other := range hosts {
			if _, err := plan.render(manifests.NodeAccessConfig{Mode: other}); err != nil {
				t.Fatal(err)
			}
		}
		again, err := plan.render(access)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first.platform.Objects(), again.platform.Objects()); diff != "" {
			t.Errorf("mode %s renders differently the second time:\n%s", mode, diff)
		}
	}
	if plan.config.NodeAccess != (manifests.NodeAccessConfig{}) || plan.config.Registry.NodeHost != "" {
		t.Errorf("rendering changed the plan: %+v", plan.config)
	}
}

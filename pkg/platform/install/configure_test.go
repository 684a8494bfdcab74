package install

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilversion "k8s.io/apimachinery/pkg/util/version"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
)

func pointer[T any](value T) *T { return &value }

func cluster(config *manifests.Config) *platform.Cluster {
	return &platform.Cluster{
		Config:              config,
		Namespace:           &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team-b"}},
		StorageClasses:      []string{"fast", "standard"},
		DefaultStorageClass: "standard",
	}
}

func TestConfigureKeepsSettings(t *testing.T) {
	before := &manifests.Config{
		Namespaces:   []string{"team-c"},
		ImageMirrors: []manifests.Mirror{{Prefix: "docker.io", Host: "m"}},
		BuildArgs:    []string{"A=1"},
		Registry:     manifests.RegistryConfig{StorageSize: "5Gi", StorageClass: "fast"},
	}
	request := Request{BuildArgs: []string{"B=2"}, StorageSize: pointer("6Gi")}
	config, err := configure(request, cluster(before))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(config.ImageMirrors, before.ImageMirrors) {
		t.Errorf("mirrors are %v, want the remembered ones", config.ImageMirrors)
	}
	if !slices.Equal(config.BuildArgs, []string{"B=2"}) {
		t.Errorf("build arguments are %q, want the named ones", config.BuildArgs)
	}
	if config.Registry.StorageSize != "6Gi" || config.Registry.StorageClass != "fast" {
		t.Errorf("storage is %+v, want the size named and the class remembered", config.Registry)
	}
	if !slices.Equal(config.Namespaces, []string{"team-b", "team-c"}) || len(before.Namespaces) != 1 {
		t.Errorf("namespaces are %q (before: %q), want team-b added", config.Namespaces, before.Namespaces)
	}
}

// TestConfigureAfterTeardown checks that setup keeps the settings of the volume.
func TestConfigureAfterTeardown(t *testing.T) {
	left := &manifests.Config{Removed: true, Registry: manifests.RegistryConfig{StorageSize: "50Gi", StorageClass: "fast"}}
	config, err := configure(Request{}, cluster(left))
	if err != nil {
		t.Fatal(err)
	}
	if config.Removed || config.Registry.StorageSize != "50Gi" || config.Registry.StorageClass != "fast" {
		t.Errorf("got %+v, want the storage as it was", config)
	}
	if _, err := configure(Request{StorageSize: pointer("20Gi")}, cluster(left)); err == nil {
		t.Error("a smaller volume was accepted")
	}
}

func TestConfigureRefuses(t *testing.T) {
	stored := &manifests.Config{Registry: manifests.RegistryConfig{StorageSize: "20Gi", StorageClass: "fast"}}
	noDefault := cluster(nil)
	noDefault.DefaultStorageClass = ""
	for name, test := range map[string]struct {
		request Request
		cluster *platform.Cluster
		want    string
	}{
		"no default class":    {Request{}, noDefault, "no default storage class"},
		"unknown class":       {Request{StorageClass: pointer("slow")}, cluster(nil), `"slow" does not exist`},
		"lost images":         {Request{Ephemeral: pointer(true)}, cluster(stored), "would delete"},
		"another class":       {Request{StorageClass: pointer("standard")}, cluster(stored), "cannot be changed"},
		"smaller volume":      {Request{StorageSize: pointer("19Gi")}, cluster(stored), "cannot shrink"},
		"allowed: ephemeral":  {Request{Ephemeral: pointer(true)}, noDefault, ""},
		"allowed: named":      {Request{StorageClass: pointer("fast")}, noDefault, ""},
		"allowed: growing":    {Request{StorageSize: pointer("21Gi")}, cluster(stored), ""},
		"allowed: unchanged":  {Request{}, cluster(stored), ""},
		"allowed: persisting": {Request{Ephemeral: pointer(false)}, cluster(&manifests.Config{Registry: manifests.RegistryConfig{Ephemeral: true}}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := configure(test.request, test.cluster)
			switch {
			case test.want == "" && err != nil:
				t.Errorf("unexpected error: %v", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestConfigureRegistry(t *testing.T) {
	own := manifests.Config{
		Registry:   manifests.RegistryConfig{Host: manifests.RegistryHost, StorageSize: "50Gi", StorageClass: "fast"},
		NodeAccess: manifests.NodeAccessConfig{Mode: manifests.NodeAccessHostPort, Proven: true},
	}
	external := own
	external.Registry.External, external.Registry.Host, external.Registry.Prefix = true, "ghcr.io", "org"
	proven := own.NodeAccess
	for name, test := range map[string]struct {
		before  *manifests.Config
		request Request
		want    manifests.RegistryConfig
		access  manifests.NodeAccessConfig
		refused string
	}{
		"first": {nil, Request{}, manifests.RegistryConfig{Host: manifests.RegistryHost, StorageSize: defaultStorageSize}, manifests.NodeAccessConfig{}, ""},
		"first, external": {
			nil,
			Request{Registry: &Address{"ghcr.io", "org"}},
			manifests.RegistryConfig{External: true, Host: "ghcr.io", Prefix: "org"},
			manifests.NodeAccessConfig{},
			"",
		},
		"to an external one": {&own, Request{Registry: &Address{"ghcr.io", "org"}}, external.Registry, manifests.NodeAccessConfig{}, ""},
		"back":               {&external, Request{Registry: &Address{}}, own.Registry, manifests.NodeAccessConfig{}, ""},
		"remembered":         {&external, Request{}, external.Registry, proven, ""},
		"another prefix": {
			&external,
			Request{Registry: &Address{"ghcr.io", "other"}},
			manifests.RegistryConfig{External: true, Host: "ghcr.io", Prefix: "other", StorageSize: "50Gi", StorageClass: "fast"},
			manifests.NodeAccessConfig{},
			"",
		},
		"new credentials":       {&external, Request{RegistrySecret: "new"}, external.Registry, proven, ""},
		"own with a secret":     {&own, Request{RegistrySecret: "x"}, manifests.RegistryConfig{}, manifests.NodeAccessConfig{}, "need --registry"},
		"CA of our own":         {&own, Request{RegistryCA: []byte{}}, manifests.RegistryConfig{}, manifests.NodeAccessConfig{}, "need --registry"},
		"rotate a foreign one":  {&external, Request{RotateCredentials: true}, manifests.RegistryConfig{}, manifests.NodeAccessConfig{}, "the registry is ghcr.io"},
		"enlarge a foreign one": {&external, Request{StorageSize: pointer("60Gi")}, manifests.RegistryConfig{}, manifests.NodeAccessConfig{}, "the registry is ghcr.io"},
		"back to less":          {&external, Request{Registry: &Address{}, StorageSize: pointer("5Gi")}, manifests.RegistryConfig{}, manifests.NodeAccessConfig{}, "cannot shrink"},
		"back to another class": {&external, Request{Registry: &Address{}, StorageClass: pointer("standard")}, manifests.RegistryConfig{}, manifests.NodeAccessConfig{}, "cannot be changed"},
		"back to none":          {&external, Request{Registry: &Address{}, Ephemeral: pointer(true)}, manifests.RegistryConfig{}, manifests.NodeAccessConfig{}, "would delete"},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := configure(test.request, cluster(test.before))
			if test.refused != "" {
				if err == nil || !strings.Contains(err.Error(), test.refused) {
					t.Errorf("error is %v, want one with %q", err, test.refused)
				}
				return
			}
			config.Registry.NodeHost = ""
			if err != nil || config.Registry != test.want || config.NodeAccess != test.access {
				t.Errorf("got %+v and %+v, %v, want %+v and %+v", config.Registry, config.NodeAccess, err, test.want, test.access)
			}
		})
	}
}

func TestCheckServer(t *testing.T) {
	for server, ok := range map[string]bool{"1.20.0": false, "1.33.9": false, "1.34.0": true, "1.36.3": true} {
		if err := checkServer(utilversion.MustParseGeneric(server)); (err == nil) != ok {
			t.Errorf("server %s: error %v, want accepted %v", server, err, ok)
		}
	}
}

func TestCheckNamespace(t *testing.T) {
	c := cluster(nil)
	if err := checkNamespace(c); err != nil {
		t.Error(err)
	}
	c.Namespace.Labels = map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}
	if err := checkNamespace(c); err == nil {
		t.Error("a namespace that rejects Kaniko's pods was accepted")
	}
	c.Namespace.Labels, c.Namespace.DeletionTimestamp = nil, &metav1.Time{}
	if err := checkNamespace(c); err == nil {
		t.Error("a namespace that is being deleted was accepted")
	}
}

func TestDecideTekton(t *testing.T) {
	adoptable := &platform.Tekton{Version: "v1.3.0", Namespace: "openshift-pipelines", ClusterResolver: true}
	with := func(tekton *platform.Tekton) *platform.Cluster { return &platform.Cluster{Tekton: tekton} }
	config, manifest, err := decideTekton(with(adoptable), nil, nil)
	if err != nil || len(manifest) != 0 || !config.Adopted || config.Version != "v1.3.0" || config.Namespace != "openshift-pipelines" {
		t.Errorf("adopting: %+v, %d bytes of manifest, %v", config, len(manifest), err)
	}
	taken := with(adoptable)
	taken.Config = &manifests.Config{}
	if _, _, err := decideTekton(taken, nil, nil); err == nil || !strings.Contains(err.Error(), "taken it over") {
		t.Errorf("a Tekton that another tool took over: %v", err)
	}
	taken.Config.Removed = true
	if config, _, err := decideTekton(taken, nil, nil); err != nil || !config.Adopted {
		t.Errorf("a Tekton that teardown kept: %+v, %v", config, err)
	}
	own := []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: pipelines-info, namespace: tekton-pipelines}\ndata: {version: v1.2.3}\n")
	if _, _, err := decideTekton(with(adoptable), own, nil); err == nil {
		t.Error("--tekton-manifest was accepted for a Tekton that setup did not install")
	}
	config, manifest, err = decideTekton(with(nil), own, nil)
	if err != nil || string(manifest) != string(own) || config.Adopted || config.Version != "v1.2.3" {
		t.Errorf("installing: %+v, %v", config, err)
	}
	if config.Resolvers != nil {
		t.Errorf("the resolvers are %q", config.Resolvers)
	}
	git := []manifests.Resolver{manifests.ResolverGit}
	remembered := with(nil)
	remembered.Config = &manifests.Config{Tekton: manifests.TektonConfig{Resolvers: git}}
	if config, _, err := decideTekton(remembered, own, nil); err != nil || !slices.Equal(config.Resolvers, git) {
		t.Errorf("the resolvers are forgotten: %+v, %v", config, err)
	}
	if config, _, err := decideTekton(remembered, own, []manifests.Resolver{}); err != nil || len(config.Resolvers) != 0 {
		t.Errorf("the resolvers stay on: %+v, %v", config, err)
	}
	if _, _, err := decideTekton(with(adoptable), nil, git); err == nil {
		t.Error("--tekton-resolvers was accepted for a Tekton that setup did not install")
	}
	if config.Sidecars {
		t.Error("Tekton waits for sidecars although no webhook injects them")
	}
	injected := with(nil)
	injected.PodWebhooks = []string{"istio-sidecar-injector"}
	if config, _, err := decideTekton(injected, own, nil); err != nil || !config.Sidecars {
		t.Errorf("Tekton does not wait for sidecars although a webhook may inject them: %+v, %v", config, err)
	}
	if _, _, err := decideTekton(with(nil), []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"), nil); err == nil {
		t.Error("a manifest without Tekton was accepted")
	}
}

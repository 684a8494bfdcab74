package setup

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilversion "k8s.io/apimachinery/pkg/util/version"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/apply"
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

func TestConfigureKeepsWhatIsNotNamed(t *testing.T) {
	before := &manifests.Config{
		Namespaces:   []string{"team-c"},
		ImageMirrors: []manifests.Mirror{{Prefix: "docker.io", Host: "m"}},
		BuildArgs:    []string{"A=1"},
		Registry:     manifests.RegistryConfig{StorageSize: "5Gi", StorageClass: "fast"},
	}
	o := &Options{BuildArgs: []string{"B=2"}, StorageSize: pointer("6Gi")}
	config, err := o.configure(cluster(before))
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

// TestCredentialsAfterAnInterruptedRotation keeps the old logins until no build
// needs them, and goes on with the new ones.
func TestCredentialsAfterAnInterruptedRotation(t *testing.T) {
	found := cluster(nil)
	config := manifests.Config{Namespaces: []string{"team-b"}}
	decide := func(rotate bool) *plan {
		t.Helper()
		p := &plan{config: config}
		if err := (&Options{Clients: &kube.Clients{Namespace: "team-b"}, Rotate: rotate}).credentials(t.Context(), found, p); err != nil {
			t.Fatal(err)
		}
		found.Credentials = p.secrets
		return p
	}
	first := decide(false)
	if first.accounts != nil {
		t.Errorf("nothing was replaced, and these are kept as well: %s", first.accounts)
	}
	rotated := decide(true)
	if rotated.accounts == nil || rotated.former != first.secrets.Users["team-b"] {
		t.Errorf("the old login is %s, and it should be good in between: %s", rotated.former.Name, rotated.accounts)
	}
	found.Credentials.Accounts = rotated.accounts
	again := decide(false)
	if string(again.accounts) != string(rotated.accounts) || again.secrets.Users["team-b"] != rotated.secrets.Users["team-b"] {
		t.Errorf("both logins should still be good: %s", again.accounts)
	}
	if ended := decide(false); ended.accounts != nil || string(ended.secrets.Accounts) != string(rotated.secrets.Accounts) {
		t.Errorf("only the new login should be good: %s", ended.secrets.Accounts)
	}
}

// TestConfigureAfterTeardown takes over the volume as it is.
func TestConfigureAfterTeardown(t *testing.T) {
	left := &manifests.Config{Removed: true, Registry: manifests.RegistryConfig{StorageSize: "50Gi", StorageClass: "fast"}}
	config, err := (&Options{}).configure(cluster(left))
	if err != nil {
		t.Fatal(err)
	}
	if config.Removed || config.Registry.StorageSize != "50Gi" || config.Registry.StorageClass != "fast" {
		t.Errorf("got %+v, want the storage as it was", config)
	}
	if _, err := (&Options{StorageSize: pointer("20Gi")}).configure(cluster(left)); err == nil {
		t.Error("a size that the volume can not have was accepted")
	}
}

func TestConfigureRefuses(t *testing.T) {
	stored := &manifests.Config{Registry: manifests.RegistryConfig{StorageSize: "20Gi", StorageClass: "fast"}}
	noDefault := cluster(nil)
	noDefault.DefaultStorageClass = ""
	for name, test := range map[string]struct {
		options Options
		cluster *platform.Cluster
		want    string
	}{
		"no default class":    {Options{}, noDefault, "no default storage class"},
		"unknown class":       {Options{StorageClass: pointer("slow")}, cluster(nil), `"slow" does not exist`},
		"losing the images":   {Options{Ephemeral: pointer(true)}, cluster(stored), "would delete"},
		"changing the class":  {Options{StorageClass: pointer("standard")}, cluster(stored), "can not be changed"},
		"shrinking":           {Options{StorageSize: pointer("19Gi")}, cluster(stored), "can not shrink"},
		"allowed: ephemeral":  {Options{Ephemeral: pointer(true)}, noDefault, ""},
		"allowed: named":      {Options{StorageClass: pointer("fast")}, noDefault, ""},
		"allowed: growing":    {Options{StorageSize: pointer("21Gi")}, cluster(stored), ""},
		"allowed: unchanged":  {Options{}, cluster(stored), ""},
		"allowed: persisting": {Options{Ephemeral: pointer(false)}, cluster(&manifests.Config{Registry: manifests.RegistryConfig{Ephemeral: true}}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := test.options.configure(test.cluster)
			switch {
			case test.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got error %v, want one with %q", err, test.want)
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
		t.Error("a namespace that refuses Kaniko's pods was accepted")
	}
	c.Namespace.Labels, c.Namespace.DeletionTimestamp = nil, &metav1.Time{}
	if err := checkNamespace(c); err == nil {
		t.Error("a namespace on its way out was accepted")
	}
}

func TestTekton(t *testing.T) {
	adoptable := &platform.Tekton{Version: "v1.3.0", Namespace: "openshift-pipelines", ClusterResolver: true}
	with := func(tekton *platform.Tekton) *platform.Cluster { return &platform.Cluster{Tekton: tekton} }
	config, manifest, err := (&Options{}).tekton(with(adoptable))
	if err != nil || len(manifest) != 0 || !config.Adopted || config.Version != "v1.3.0" || config.Namespace != "openshift-pipelines" {
		t.Errorf("adopting: %+v, %d bytes of manifest, %v", config, len(manifest), err)
	}
	taken := with(adoptable)
	taken.Config = &manifests.Config{}
	if _, _, err := (&Options{}).tekton(taken); err == nil || !strings.Contains(err.Error(), "taken it over") {
		t.Errorf("a Tekton that setup installed and somebody took over: %v", err)
	}
	taken.Config.Removed = true
	if config, _, err := (&Options{}).tekton(taken); err != nil || !config.Adopted {
		t.Errorf("a Tekton that teardown has left: %+v, %v", config, err)
	}
	own := []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: pipelines-info, namespace: tekton-pipelines}\ndata: {version: v1.2.3}\n")
	if _, _, err := (&Options{TektonManifest: own}).tekton(with(adoptable)); err == nil {
		t.Error("--tekton-manifest over a foreign Tekton was accepted")
	}
	config, manifest, err = (&Options{TektonManifest: own}).tekton(with(nil))
	if err != nil || string(manifest) != string(own) || config.Adopted || config.Version != "v1.2.3" {
		t.Errorf("installing: %+v, %v", config, err)
	}
	if _, _, err := (&Options{TektonManifest: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n")}).tekton(with(nil)); err == nil {
		t.Error("a manifest of something else was accepted")
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
		if got := summary(changes); got != want {
			t.Errorf("summary is %q, want %q", got, want)
		}
	}
}

package setup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

func TestBuildEnv(t *testing.T) {
	before := cluster(&manifests.Config{})
	before.BuildEnv = manifests.BuildEnv{CA: []byte("ca"), Variables: map[string]string{"HTTPS_PROXY": "p:1"}}
	networks := &networkingv1.ServiceCIDR{
		ObjectMeta: metav1.ObjectMeta{Name: "kubernetes"},
		Spec:       networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.96.0.0/16"}},
	}
	direct := []string{"10.96.0.0/16"}
	for name, test := range map[string]struct {
		options Options
		want    manifests.BuildEnv
	}{
		"kept":                 {Options{}, manifests.BuildEnv{CA: []byte("ca"), Variables: map[string]string{"HTTPS_PROXY": "p:1"}, Direct: direct}},
		"another CA":           {Options{BuildCA: []byte("new")}, manifests.BuildEnv{CA: []byte("new"), Variables: map[string]string{"HTTPS_PROXY": "p:1"}, Direct: direct}},
		"CA forgotten":         {Options{BuildCA: []byte{}}, manifests.BuildEnv{CA: []byte{}, Variables: map[string]string{"HTTPS_PROXY": "p:1"}, Direct: direct}},
		"other variables":      {Options{BuildVariables: map[string]string{"A": "1"}}, manifests.BuildEnv{CA: []byte("ca"), Variables: map[string]string{"A": "1"}}},
		"all variables forgot": {Options{BuildVariables: map[string]string{}}, manifests.BuildEnv{CA: []byte("ca"), Variables: map[string]string{}}},
	} {
		t.Run(name, func(t *testing.T) {
			test.options.Clients = &kube.Clients{Kube: fake.NewClientset(networks)}
			got, err := test.options.buildEnv(t.Context(), before)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("environment of builds (-want +got):\n%s", diff)
			}
		})
	}
}

// TestBuildEnvFlags holds the flags to what they forget and to what they refuse;
// a file that is read is one that setup can read.
func TestBuildEnvFlags(t *testing.T) {
	named := func(names ...string) func(string) bool {
		return func(flag string) bool { return slices.Contains(names, flag) }
	}
	o := &Options{}
	if err := (&Flags{}).buildEnv(o, named()); err != nil || o.BuildCA != nil || o.BuildVariables != nil {
		t.Errorf("without flags: %+v, %v", o, err)
	}
	if err := (&Flags{BuildEnv: []string{""}}).buildEnv(o, named("build-ca", "build-env")); err != nil || o.BuildCA == nil || o.BuildVariables == nil || len(o.BuildCA)+len(o.BuildVariables) != 0 {
		t.Errorf("'' does not forget: %+v, %v", o, err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := (&Flags{BuildCA: file}).buildEnv(o, named("build-ca")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := os.WriteFile(file, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (&Flags{BuildCA: file}).buildEnv(o, named("build-ca")); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file that is no PEM: %v, want its name", err)
	}
	if err := (&Flags{BuildEnv: []string{"PATH=/"}}).buildEnv(o, named("build-env")); err == nil || !strings.Contains(err.Error(), "--build-env") {
		t.Errorf("a reserved variable: %v, want the flag's name", err)
	}
}

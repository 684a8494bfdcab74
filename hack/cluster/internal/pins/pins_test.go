package pins

import (
	"os"
	"strings"
	"testing"
)

func TestParseReadsTheModuleFile(t *testing.T) {
	content, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	versions, err := Parse(string(content))
	if err != nil {
		t.Fatal(err)
	}
	for module, version := range versions {
		if !strings.HasPrefix(version, "v") {
			t.Errorf("%s has version %q", module, version)
		}
	}
	// The staging modules carry the same minor and patch version as Kubernetes.
	want := strings.Replace(versions[Kubernetes], "v1.", "v0.", 1)
	if got := versions["k8s.io/client-go"]; got != want {
		t.Errorf("client-go is %s, Kubernetes needs %s", got, want)
	}
}

func TestParseNamesWhatIsMissing(t *testing.T) {
	_, err := Parse("module x\n\nrequire k8s.io/kubernetes v1.2.3\n")
	if err == nil || !strings.Contains(err.Error(), Etcd) {
		t.Errorf("error %v does not name %s", err, Etcd)
	}
}

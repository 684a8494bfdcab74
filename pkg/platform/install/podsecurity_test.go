package install

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
)

func TestWithoutLevel(t *testing.T) {
	named := func(name string, labels map[string]string) corev1.Namespace {
		return corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	}
	deleted := named("deleted", nil)
	deleted.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	namespaces := map[string]*corev1.Namespace{}
	for _, namespace := range []corev1.Namespace{
		named("none", nil), named("privileged", map[string]string{platform.EnforceLabel: "privileged"}), named("foreign", nil), deleted,
		named("warned", map[string]string{"pod-security.kubernetes.io/warn": "restricted"}),
	} {
		namespaces[namespace.Name] = &namespace
	}
	got := withoutLevel(namespaces, []string{"none", "privileged", "deleted", "gone", "warned"})
	if !slices.Equal(got, []string{"none", "warned"}) {
		t.Errorf("got %q", got)
	}
}

func TestViolating(t *testing.T) {
	head := `existing pods in namespace "x" violate the new PodSecurity enforce level "baseline:latest"`
	for _, test := range []struct{ warnings, want []string }{
		{nil, nil},
		{[]string{"another warning"}, nil},
		{[]string{"another warning", head, "root: privileged", "disk (and 2 other pods): hostPath volumes"}, []string{"root: privileged", "disk (and 2 other pods): hostPath volumes"}},
		{[]string{head}, []string{head}},
	} {
		if got := violating(test.warnings); !slices.Equal(got, test.want) {
			t.Errorf("%q: got %q, want %q", test.warnings, got, test.want)
		}
	}
}

// TestPodSecuritySetting wants the setting to be remembered until another one is named.
func TestPodSecuritySetting(t *testing.T) {
	for _, test := range []struct{ before, request, want string }{
		{"", "", ""},
		{"", manifests.PodSecurityKeep, manifests.PodSecurityKeep},
		{manifests.PodSecurityKeep, "", manifests.PodSecurityKeep},
		{manifests.PodSecurityKeep, platform.BaselineLevel, ""},
	} {
		found := cluster(&manifests.Config{PodSecurity: test.before, Registry: manifests.RegistryConfig{Ephemeral: true}})
		config, err := configure(Request{PodSecurity: test.request}, found)
		must(t, err)
		if config.PodSecurity != test.want {
			t.Errorf("%q after %q: got %q, want %q", test.request, test.before, config.PodSecurity, test.want)
		}
	}
}

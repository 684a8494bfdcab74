package build

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
)

func TestQuota(t *testing.T) {
	const size = 1 << 30
	for name, test := range map[string]struct {
		annotation, platform string
		external             bool
		want                 int64
		err                  string
	}{
		"none":             {},
		"platform":         {platform: "1Gi", want: size},
		"namespace":        {platform: "9Gi", annotation: "1Gi", want: size},
		"namespace, none":  {platform: "9Gi", annotation: "0"},
		"namespace, wrong": {annotation: "much", err: manifests.AnnotationQuota},
		"external":         {platform: "1Gi", annotation: "1Gi", external: true},
	} {
		t.Run(name, func(t *testing.T) {
			namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}
			if test.annotation != "" {
				namespace.Annotations = map[string]string{manifests.AnnotationQuota: test.annotation}
			}
			e := &Environment{
				Clients: &kube.Clients{Kube: fake.NewClientset(namespace), Namespace: "shop"},
				Config:  &manifests.Config{Registry: manifests.RegistryConfig{Quota: test.platform, External: test.external}},
			}
			got, err := e.quota(t.Context())
			if got != test.want || (err == nil) != (test.err == "") || (err != nil && !strings.Contains(err.Error(), test.err)) {
				t.Errorf("the quota is %d, %v", got, err)
			}
		})
	}
}

func TestOverQuota(t *testing.T) {
	repository := func(app, digest string, bytes int64) *images.Repository {
		return &images.Repository{
			Namespace: "shop", App: app, Kind: images.Images,
			Manifests: []*images.Manifest{{Manifest: &registry.Manifest{Digest: digest, Layers: []registry.Descriptor{{Digest: "l" + digest, Size: bytes}}}}},
		}
	}
	stored := []*images.Repository{repository("small", "a", 10_000_000), repository("large", "b", 90_000_000)}
	if over, warning := overQuota("shop", 200_000_000, stored); over != nil || warning != "" {
		t.Errorf("far below the quota: %v, %q", over, warning)
	}
	if over, warning := overQuota("shop", 105_000_000, stored); over != nil || !strings.Contains(warning, "100 MB of its quota of 105 MB") {
		t.Errorf("near the quota: %v, %q", over, warning)
	}
	over, _ := overQuota("shop", 100_000_000, stored)
	if over == nil || !strings.Contains(over.Error(), "quota is 100 MB: large 90 MB, small 10 MB") {
		t.Errorf("at the quota: %v", over)
	}
}

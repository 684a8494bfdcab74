package build

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// TestPlatforms checks that only nodes with the labels count.
func TestPlatforms(t *testing.T) {
	node := func(name, architecture, pool string) *corev1.Node {
		return &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"pool": pool}},
			Status:     corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{OperatingSystem: "linux", Architecture: architecture}},
		}
	}
	client := fake.NewClientset(node("a", "arm64", "x"), node("b", "amd64", "y"), node("c", "amd64", "y"))
	if got := platforms(t.Context(), client, nil); !slices.Equal(got, []string{"linux/amd64", "linux/arm64"}) {
		t.Errorf("all nodes are %q", got)
	}
	if got := platforms(t.Context(), client, map[string]string{"pool": "y"}); !slices.Equal(got, []string{"linux/amd64"}) {
		t.Errorf("the nodes of y are %q", got)
	}
}

// TestDefaultLimits checks that the LimitRanges of a namespace come before what setup installs.
func TestDefaultLimits(t *testing.T) {
	limitRange := func(name string, kind corev1.LimitType, memory, disk string) *corev1.LimitRange {
		list := corev1.ResourceList{}
		for resourceName, text := range map[corev1.ResourceName]string{corev1.ResourceMemory: memory, corev1.ResourceEphemeralStorage: disk} {
			if text != "" {
				list[resourceName] = resource.MustParse(text)
			}
		}
		return &corev1.LimitRange{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
			Spec:       corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{Type: kind, Default: list}}},
		}
	}
	if got := defaultLimits(t.Context(), fake.NewClientset(), "shop"); got != nil {
		t.Errorf("without a LimitRange: %v", got)
	}
	client := fake.NewClientset(
		limitRange("a", corev1.LimitTypeContainer, "2Gi", ""), limitRange("b", corev1.LimitTypeContainer, "1Gi", "9Gi"),
		limitRange("c", corev1.LimitTypePod, "1Mi", "1Mi"))
	got := defaultLimits(t.Context(), client, "shop")
	if memory, disk := got[corev1.ResourceMemory], got[corev1.ResourceEphemeralStorage]; memory.String() != "1Gi" || disk.String() != "9Gi" || len(got) != 2 {
		t.Errorf("the limits are %v", got)
	}
	if got := defaultLimits(t.Context(), client, "other"); got != nil {
		t.Errorf("limits of another namespace: %v", got)
	}
}

// TestBaseWorkdir reads an image of Docker Hub from a mirror.
func TestBaseWorkdir(t *testing.T) {
	server := httptest.NewServer(registry.New())
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	image, err := mutate.Config(empty.Image, v1.Config{WorkingDir: "/workspace"})
	if err != nil {
		t.Fatal(err)
	}
	reference, err := name.ParseReference(host + "/hub/pytorch/pytorch:latest")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(reference, image); err != nil {
		t.Fatal(err)
	}
	mirrors := []manifests.Mirror{{Prefix: "docker.io", Host: host, Path: "hub", Insecure: true}}
	if dir, err := baseWorkdir(t.Context(), "pytorch/pytorch", mirrors); err != nil || dir != "/workspace" {
		t.Errorf("WORKDIR is %q, %v", dir, err)
	}
	if _, err := baseWorkdir(t.Context(), "pytorch/absent", mirrors); err == nil || !strings.Contains(err.Error(), "pytorch/absent") {
		t.Errorf("an image that is not there: %v", err)
	}
}

package status

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/workload"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

func TestImage(t *testing.T) {
	const digest = "@sha256:0000000000000000000000000000000000000000000000000000000000000001"
	w := workload.Workload{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{
		{Image: "docker.io/library/redis:8"},
		{Image: "127.0.0.1:5180/demo/web-extra" + digest},
		{Image: "127.0.0.1:5180/demo/web" + digest},
	}}}}
	if got := image(w, "demo/web"); got != "127.0.0.1:5180/demo/web"+digest {
		t.Errorf("got %q", got)
	}
	if got := image(w, "demo/other"); got != "" {
		t.Errorf("another app's image is not this one's: %q", got)
	}
}

func TestChanged(t *testing.T) {
	entry := func(manager, subresource string, hours int) metav1.ManagedFieldsEntry {
		at := metav1.NewTime(testNow.Add(time.Duration(hours) * time.Hour))
		return metav1.ManagedFieldsEntry{Manager: manager, Operation: metav1.ManagedFieldsOperationApply, Subresource: subresource, Time: &at}
	}
	object := metav1.ObjectMeta{
		CreationTimestamp: metav1.NewTime(testNow),
		ManagedFields: []metav1.ManagedFieldsEntry{
			entry("someone", "", 3), entry(manifests.FieldManager, "status", 2), entry(manifests.FieldManager, "", 1),
		},
	}
	if got := changed(object); !got.Equal(&metav1.Time{Time: testNow.Add(time.Hour)}) {
		t.Errorf("got %s", got)
	}
	object.ManagedFields = nil
	if got := changed(object); !got.Equal(&metav1.Time{Time: testNow}) {
		t.Errorf("without managed fields: %s", got)
	}
}

func TestTag(t *testing.T) {
	for image, want := range map[string]string{
		"docker.io/library/registry:3":    "3",
		"mirror:5000/registry":            "",
		"mirror:5000/registry:3.1":        "3.1",
		"mirror/registry:3@sha256:00":     "3",
		"mirror:5000/registry@sha256:abc": "sha256:abc",
	} {
		if got := tag(image); got != want {
			t.Errorf("%s: got %q, want %q", image, got, want)
		}
	}
}

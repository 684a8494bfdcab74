package provisioner

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

func TestVolumeComesAndGoes(t *testing.T) {
	directories := &Directories{Root: t.TempDir()}
	reclaim := corev1.PersistentVolumeReclaimDelete
	volume, _, err := directories.Provision(t.Context(), controller.ProvisionOptions{
		PVName:       "pvc-1",
		PVC:          &corev1.PersistentVolumeClaim{},
		StorageClass: &storagev1.StorageClass{ReclaimPolicy: &reclaim},
	})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(volume.Spec.HostPath.Path)
	if err != nil || info.Mode().Perm() != 0o777 {
		t.Fatalf("%v, %v", info, err)
	}
	if err := directories.Delete(t.Context(), volume); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(volume.Spec.HostPath.Path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}
}

func TestVolumeStaysOnItsNode(t *testing.T) {
	directories := &Directories{Root: t.TempDir()}
	reclaim := corev1.PersistentVolumeReclaimDelete
	for name, test := range map[string]struct {
		node string
		want *corev1.VolumeNodeAffinity
	}{
		"bound when a pod needs it": {"n", onNode("n")},
		"bound at once":             {"", nil},
	} {
		volume, _, err := directories.Provision(t.Context(), controller.ProvisionOptions{
			PVName:           "pvc-1",
			PVC:              &corev1.PersistentVolumeClaim{},
			StorageClass:     &storagev1.StorageClass{ReclaimPolicy: &reclaim},
			SelectedNodeName: test.node,
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := volume.Spec.NodeAffinity; !equality.Semantic.DeepEqual(got, test.want) {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}

func TestDeleteLeavesOtherDirectories(t *testing.T) {
	directories := &Directories{Root: t.TempDir()}
	other := filepath.Join(t.TempDir(), "pvc-1")
	if err := os.Mkdir(other, 0o755); err != nil {
		t.Fatal(err)
	}
	volume := &corev1.PersistentVolume{}
	volume.Name = "pvc-1"
	volume.Spec.HostPath = &corev1.HostPathVolumeSource{Path: other}
	var ignored *controller.IgnoredError
	if err := directories.Delete(t.Context(), volume); !errors.As(err, &ignored) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(other); err != nil {
		t.Error(err)
	}
}

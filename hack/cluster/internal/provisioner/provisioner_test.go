package provisioner

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
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

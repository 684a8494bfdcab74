// Package provisioner provisions host directories as persistent volumes.
package provisioner

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// Name is the provisioner that a StorageClass has to name.
const Name = "pyflow.dev/directory"

var _ controller.Provisioner = (*Directories)(nil)

// Directories makes one directory below Root per claim, writable for every
// user: without tenants, a pod that runs as any user must be able to write to its
// volume without an init container that runs as root. A volume stays on the node
// that its first pod was scheduled to, as a local disk does.
type Directories struct {
	Root string
}

// Provision makes the directory and returns the volume that stands for it.
func (d *Directories) Provision(_ context.Context, options controller.ProvisionOptions) (*corev1.PersistentVolume, controller.ProvisioningState, error) {
	path := filepath.Join(d.Root, options.PVName)
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, controller.ProvisioningFinished, fmt.Errorf("make volume directory: %w", err)
	}
	// The umask would take the write bits away from MkdirAll.
	if err := os.Chmod(path, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, fmt.Errorf("open volume directory: %w", err)
	}
	volume := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: options.PVName},
		Spec: corev1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *options.StorageClass.ReclaimPolicy,
			AccessModes:                   options.PVC.Spec.AccessModes,
			MountOptions:                  options.StorageClass.MountOptions,
			Capacity: corev1.ResourceList{
				corev1.ResourceStorage: options.PVC.Spec.Resources.Requests[corev1.ResourceStorage],
			},
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				HostPath: &corev1.HostPathVolumeSource{Path: path},
			},
		},
	}
	if options.SelectedNodeName != "" {
		volume.Spec.NodeAffinity = onNode(options.SelectedNodeName)
	}
	return volume, controller.ProvisioningFinished, nil
}

// onNode names the node by its label, which is all that volumes may go by: the
// kubelets of this cluster have their node's name for a host name.
func onNode(hostname string) *corev1.VolumeNodeAffinity {
	return &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{
				Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{hostname},
			}},
		}},
	}}
}

// Delete removes the directory behind the volume with all that is in it.
func (d *Directories) Delete(_ context.Context, volume *corev1.PersistentVolume) error {
	path := filepath.Join(d.Root, volume.Name)
	if source := volume.Spec.HostPath; source == nil || source.Path != path {
		return &controller.IgnoredError{Reason: "the volume is not a directory of this provisioner"}
	}
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("remove volume directory: %w", err)
	}
	return nil
}

// awaitPermission waits until the role of the provisioner is bound. Informers
// that are refused at first would try again only after ever longer pauses, and
// the first claim of a new cluster would wait for them.
func awaitPermission(ctx context.Context, client kubernetes.Interface) error {
	err := wait.PollUntilContextCancel(ctx, 250*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{Limit: 1})
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("wait for permission: %w", err)
	}
	return nil
}

// NewCommand is the provisioner as a component of its own.
func NewCommand() *cobra.Command {
	var kubeconfig, root string
	command := &cobra.Command{
		Use:          "storage-provisioner",
		Short:        "Provision host directories as persistent volumes",
		SilenceUsage: true,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
			if err != nil {
				return fmt.Errorf("load kubeconfig: %w", err)
			}
			client, err := kubernetes.NewForConfig(config)
			if err != nil {
				return fmt.Errorf("make client: %w", err)
			}
			ctx := klog.NewContext(command.Context(), klog.Background())
			if err := awaitPermission(ctx, client); err != nil {
				return err
			}
			controller.NewProvisionController(ctx, client, Name, &Directories{Root: root},
				controller.LeaderElection(false)).Run(ctx)
			return nil
		},
	}
	command.Flags().StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig of the component")
	command.Flags().StringVar(&root, "root", "", "directory that holds the volumes")
	return command
}

package build

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// archLabel is the label of a node's architecture.
const archLabel = "kubernetes.io/arch"

// defaultLimits returns the limits of memory and disk that the LimitRanges of the namespace give
// containers, the lowest of each; nil if they give none, or cannot be listed. A build has them in
// place of those that setup installs, which an admin of the namespace may not want.
func defaultLimits(ctx context.Context, client kubernetes.Interface, namespace string) corev1.ResourceList {
	ranges, err := client.CoreV1().LimitRanges(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil
	}
	var limits corev1.ResourceList
	for i := range ranges.Items {
		for _, item := range ranges.Items[i].Spec.Limits {
			for _, name := range []corev1.ResourceName{corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
				limit, ok := item.Default[name]
				if known, found := limits[name]; !ok || item.Type != corev1.LimitTypeContainer || (found && known.Cmp(limit) <= 0) {
					continue
				}
				if limits == nil {
					limits = corev1.ResourceList{}
				}
				limits[name] = limit
			}
		}
	}
	return limits
}

// baseImageTimeout bounds how long the configuration of a base image is waited for.
const baseImageTimeout = 5 * time.Second

// platforms returns the platforms of the nodes with those labels, sorted; nil if they cannot be
// listed.
func platforms(ctx context.Context, client kubernetes.Interface, selector map[string]string) []string {
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: labels.SelectorFromSet(selector).String()})
	if err != nil {
		return nil
	}
	var all []string
	for i := range nodes.Items {
		info := nodes.Items[i].Status.NodeInfo
		all = append(all, info.OperatingSystem+"/"+info.Architecture)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// baseWorkdir returns the WORKDIR of a base image, as its registry, or the mirror of it, has it.
func baseWorkdir(ctx context.Context, image string, mirrors []manifests.Mirror) (string, error) {
	ctx, stop := context.WithTimeout(ctx, baseImageTimeout)
	defer stop()
	reference, err := name.ParseReference(image)
	if err != nil {
		return "", err
	}
	location, insecure := manifests.Redirect(strings.TrimPrefix(reference.Name(), "index."), mirrors)
	var options []name.Option
	if insecure {
		options = append(options, name.Insecure)
	}
	if reference, err = name.ParseReference(location, options...); err != nil {
		return "", err
	}
	found, err := remote.Image(reference, remote.WithContext(ctx))
	if err != nil {
		return "", fmt.Errorf("read the base image %s: %w", image, err)
	}
	config, err := found.ConfigFile()
	if err != nil {
		return "", fmt.Errorf("read the base image %s: %w", image, err)
	}
	return config.Config.WorkingDir, nil
}

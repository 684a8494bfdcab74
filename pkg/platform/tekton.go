package platform

import (
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// MinTekton is the oldest Tekton Pipelines that setup adopts: the first release with a
// stable API whose controller runs our Tasks unchanged.
const MinTekton = "v1.0.0"

// TektonSelector selects Tekton's Deployments in every kind of installation: the
// release manifest, the operator and OpenShift Pipelines.
const TektonSelector = "app.kubernetes.io/part-of=tekton-pipelines"

// Tekton is an installation of Tekton Pipelines.
type Tekton struct {
	// Version is that of the controller, vX.Y.Z; empty if its labels lack it.
	Version string
	// Namespace is that of the controller.
	Namespace string
	// Managed reports that setup installed it.
	Managed bool
	// ClusterResolver reports that runs may refer to Pipelines of other namespaces.
	ClusterResolver bool
}

// FindTekton looks for Tekton Pipelines in all namespaces. It returns nil if there is
// none.
func FindTekton(ctx context.Context, client kubernetes.Interface) (*Tekton, error) {
	deployments, err := client.AppsV1().Deployments(metav1.NamespaceAll).List(ctx, metav1.ListOptions{LabelSelector: TektonSelector})
	if err != nil {
		return nil, fmt.Errorf("look for Tekton Pipelines: %w", err)
	}
	var tekton *Tekton
	resolvers := ""
	for _, deployment := range deployments.Items {
		switch component(deployment) {
		case "controller":
			tekton = &Tekton{
				Version:   deployment.Labels["app.kubernetes.io/version"],
				Namespace: deployment.Namespace,
				Managed:   deployment.Labels[manifests.LabelManagedBy] == manifests.FieldManager,
			}
		case "resolvers":
			resolvers = deployment.Namespace
		}
	}
	if tekton == nil || resolvers == "" {
		return tekton, nil
	}
	flags, err := client.CoreV1().ConfigMaps(resolvers).Get(ctx, "resolvers-feature-flags", metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err): // The default of Tekton is on.
		tekton.ClusterResolver = true
	case err != nil:
		return nil, fmt.Errorf("look for Tekton's resolvers: %w", err)
	default:
		tekton.ClusterResolver = flags.Data["enable-cluster-resolver"] != "false"
	}
	return tekton, nil
}

func component(deployment appsv1.Deployment) string {
	return deployment.Labels["app.kubernetes.io/component"]
}

// IncompatibleTektonError reports why setup cannot use the installed Tekton.
type IncompatibleTektonError struct {
	Tekton Tekton
	Reason string
}

func (e *IncompatibleTektonError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("tekton pipelines %s in namespace %s cannot be adopted: %s", e.Tekton.Version, e.Tekton.Namespace, e.Reason))
}

// CheckTekton returns an *IncompatibleTektonError if setup cannot use the installed
// Tekton, which may be nil. embedded is the version that setup would install. Setup
// upgrades a Tekton that it installed, and never downgrades it. Any other must be
// MinTekton or newer, with the cluster resolver.
func CheckTekton(tekton *Tekton, embedded string) error {
	if tekton == nil {
		return nil
	}
	found, err := version.ParseGeneric(tekton.Version)
	switch {
	case err != nil && tekton.Managed:
		return nil // Setup can reinstall its own Tekton, even with a changed label.
	case err != nil:
		return &IncompatibleTektonError{*tekton, "the labels of its controller do not contain its version"}
	case tekton.Managed:
		if embedded != "" && found.GreaterThan(version.MustParseGeneric(embedded)) {
			return &IncompatibleTektonError{*tekton, "a newer kubectl-pyflow installed it; this one installs " + embedded}
		}
		return nil
	}
	if found.LessThan(version.MustParseGeneric(MinTekton)) {
		return &IncompatibleTektonError{*tekton, MinTekton + " or newer is needed"}
	}
	if !tekton.ClusterResolver {
		return &IncompatibleTektonError{*tekton, "its cluster resolver is disabled or not installed"}
	}
	return nil
}

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

// MinTekton is the oldest Tekton Pipelines that setup adopts: the first with a
// stable API whose controller runs the Tasks as they are.
const MinTekton = "v1.0.0"

// TektonSelector finds Tekton's Deployments in every kind of installation: its
// release manifest, the operator's, OpenShift Pipelines.
const TektonSelector = "app.kubernetes.io/part-of=tekton-pipelines"

// Tekton is a Tekton Pipelines that is in the cluster.
type Tekton struct {
	// Version of the controller, vX.Y.Z; empty when its labels do not say.
	Version string
	// Namespace of the controller.
	Namespace string
	// Managed says that setup installed it.
	Managed bool
	// ClusterResolver says that Pipelines can be referred to across namespaces.
	ClusterResolver bool
}

// FindTekton looks for Tekton Pipelines in all namespaces; nil when there is none.
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
	case apierrors.IsNotFound(err): // Tekton's own default is on.
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

// IncompatibleTektonError says why a Tekton that is not ours can not be used.
type IncompatibleTektonError struct {
	Tekton Tekton
	Reason string
}

func (e *IncompatibleTektonError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("tekton pipelines %s in namespace %s can not be adopted: %s", e.Tekton.Version, e.Tekton.Namespace, e.Reason))
}

// CheckTekton says whether setup can go on with the Tekton that is there, where
// embedded is the version that setup would install. A Tekton that setup
// installed is upgraded, never downgraded; any other has to be MinTekton or
// newer, with the cluster resolver.
func CheckTekton(tekton *Tekton, embedded string) error {
	if tekton == nil {
		return nil
	}
	found, err := version.ParseGeneric(tekton.Version)
	switch {
	case err != nil && tekton.Managed:
		return nil // What setup installed it can install again, whatever became of the label.
	case err != nil:
		return &IncompatibleTektonError{*tekton, "its controller does not tell its version"}
	case tekton.Managed:
		if embedded != "" && found.GreaterThan(version.MustParseGeneric(embedded)) {
			return &IncompatibleTektonError{*tekton, "a newer kubectl-pyflow installed it; this one brings " + embedded}
		}
		return nil
	}
	if found.LessThan(version.MustParseGeneric(MinTekton)) {
		return &IncompatibleTektonError{*tekton, MinTekton + " or newer is needed"}
	}
	if !tekton.ClusterResolver {
		return &IncompatibleTektonError{*tekton, "its cluster resolver is switched off or not installed"}
	}
	return nil
}

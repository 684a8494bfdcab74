package install

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1apply "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
)

// PodSecurityLevels returns the values of Request.PodSecurity.
func PodSecurityLevels() []string { return []string{platform.BaselineLevel, manifests.PodSecurityKeep} }

// PodSecurityError reports that pods of a namespace violate the Pod Security Standard baseline.
type PodSecurityError struct {
	Namespace string
	// Pods are the pods with what they violate, in the words of the API server.
	Pods []string
}

func (e *PodSecurityError) Error() string {
	return fmt.Sprintf("pods of namespace %s violate the Pod Security Standard baseline, which setup makes it enforce: %s", e.Namespace, display.JoinMax(e.Pods, maxNames))
}

// Advice says how to go on.
func (e *PodSecurityError) Advice() []string {
	return []string{
		"move these pods to another namespace, or leave the level of all namespaces to you with --pod-security=keep: who may deploy there can start privileged pods then",
	}
}

// planPodSecurity decides which of the cluster's namespaces get a Pod Security level: those on
// record without one.
// It returns a *PodSecurityError if the pods of the namespace to set up violate it, and warnings
// about other namespaces.
func (p *Plan) planPodSecurity(ctx context.Context, config *rest.Config, namespaces map[string]*corev1.Namespace) error {
	if p.config.PodSecurity == manifests.PodSecurityKeep {
		return nil
	}
	for _, namespace := range withoutLevel(namespaces, p.config.Namespaces) {
		pods, err := setLevel(ctx, config, namespace, true)
		switch {
		case err != nil:
			return err
		case len(pods) == 0:
			p.unleveled = append(p.unleveled, namespace)
		case namespace == p.namespace:
			return &PodSecurityError{Namespace: namespace, Pods: pods}
		default:
			p.violations = append(p.violations, &PodSecurityError{Namespace: namespace, Pods: pods})
		}
	}
	return nil
}

// withoutLevel returns the prepared namespaces that enforce no Pod Security level.
func withoutLevel(namespaces map[string]*corev1.Namespace, prepared []string) []string {
	return slices.DeleteFunc(slices.Clone(prepared), func(name string) bool {
		namespace := namespaces[name]
		if namespace == nil || namespace.DeletionTimestamp != nil {
			return true
		}
		_, has := namespace.Labels[platform.EnforceLabel]
		return has
	})
}

// applyPodSecurity sets the level of the namespaces that have none.
func applyPodSecurity(i *Installer) func(context.Context, *State) error {
	return func(ctx context.Context, _ *State) error {
		for _, violation := range i.Plan.violations {
			i.Progress.Print("  warning: " + violation.Error() + "; its level stays unset")
		}
		if len(i.Plan.unleveled) == 0 {
			return nil
		}
		done := i.Progress.Start("Pod Security of the namespaces")
		var failed []error
		for _, namespace := range i.Plan.unleveled {
			if _, err := setLevel(ctx, i.Clients.Config, namespace, false); err != nil {
				failed = append(failed, err)
			}
		}
		err := errors.Join(failed...)
		done("Pod Security Standard baseline enforced in namespaces "+display.JoinMax(i.Plan.unleveled, maxNames), err)
		return err
	}
}

// setLevel makes a namespace enforce the level baseline, and returns which of its pods violate it.
// In a dry run it changes nothing.
func setLevel(ctx context.Context, config *rest.Config, namespace string, dryRun bool) ([]string, error) {
	warned := &warnings{}
	config = rest.CopyConfig(config)
	config.WarningHandlerWithContext = warned
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	options := metav1.ApplyOptions{FieldManager: platform.PodSecurityManager}
	if dryRun {
		options.DryRun = []string{metav1.DryRunAll}
	}
	level := corev1apply.Namespace(namespace).WithLabels(map[string]string{platform.EnforceLabel: platform.BaselineLevel})
	if _, err := client.CoreV1().Namespaces().Apply(ctx, level, options); err != nil {
		return nil, fmt.Errorf("set the Pod Security level of namespace %s: %w", namespace, err)
	}
	return violating(warned.texts), nil
}

// warnings collects the warnings of an API server.
type warnings struct {
	mutex sync.Mutex
	texts []string
}

// HandleWarningHeaderWithContext collects a warning.
func (w *warnings) HandleWarningHeaderWithContext(_ context.Context, _ int, _, text string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.texts = append(w.texts, text)
}

// violating returns the pods among the warnings about a new level: those after the first warning,
// which names the namespace.
func violating(warnings []string) []string {
	at := slices.IndexFunc(warnings, func(text string) bool { return strings.Contains(text, "violate the new PodSecurity enforce level") })
	if at < 0 {
		return nil
	}
	pods := warnings[at+1:]
	if len(pods) == 0 {
		return []string{warnings[at]}
	}
	return pods
}

package uninstall

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/apply"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/version"
)

// Step is one part of a removal.
type Step struct {
	// Name describes the step in a few words.
	Name string
	// Run runs the step. It can be repeated.
	Run func(context.Context) error
}

// Uninstaller runs a plan.
type Uninstaller struct {
	Cluster  *Cluster
	Plan     *Plan
	Progress platform.Progress
	// Timeout bounds the run.
	Timeout time.Duration
}

// Run runs the steps in order and returns when everything is gone. It can be
// interrupted and repeated at any point. The error is ErrChanged if a setup ran after the
// plan was made.
func (u *Uninstaller) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, u.Timeout, fmt.Errorf("teardown has not finished after %s", u.Timeout))
	defer cancel()
	if err := u.Cluster.checkUnchanged(ctx); err != nil {
		return err
	}
	for _, step := range u.Steps() {
		if err := step.Run(ctx); err != nil {
			if cause := context.Cause(ctx); errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("%w: %w", cause, err)
			}
			return err
		}
	}
	return nil
}

// Steps returns the steps in order. The first releases what others keep, so that no
// later setup manages it, even if this run is interrupted. The inventory lists
// everything until the last step.
func (u *Uninstaller) Steps() []Step {
	steps := []Step{
		{"Objects that stay", u.release},
		{"Pod Security of the namespaces", u.releasePodSecurity},
		{"Inventory", u.rememberAll},
	}
	for _, stage := range u.Plan.stages {
		steps = append(steps, Step{stage.name, func(ctx context.Context) error { return u.remove(ctx, stage) }})
	}
	return append(steps, Step{"Remaining inventory", u.rememberKept})
}

// release removes our labels from what stays without us.
func (u *Uninstaller) release(ctx context.Context) error {
	if len(u.Plan.released) == 0 {
		return nil
	}
	objects := make([]*unstructured.Unstructured, len(u.Plan.released))
	for i, released := range u.Plan.released {
		objects[i] = released.object
	}
	done := u.Progress.Start("Releasing what stays")
	err := u.Cluster.applier().Release(ctx, objects, map[string]string{manifests.LabelManagedBy: manifests.FieldManager})
	done(display.Count(len(objects), "object")+" released", err)
	return err
}

// releasePodSecurity removes the levels that setup set.
func (u *Uninstaller) releasePodSecurity(ctx context.Context) error {
	names, _, _ := unstructured.NestedStringSlice(u.Cluster.config, "namespaces")
	var failed []error
	for _, name := range names {
		if err := platform.ReleasePodSecurity(ctx, u.Cluster.clients.Kube, name); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

func (u *Uninstaller) rememberAll(ctx context.Context) error {
	if u.Cluster.parent == nil && len(u.Plan.kept) == 0 {
		return nil
	}
	return u.remember(ctx, u.Cluster.members)
}

func (u *Uninstaller) rememberKept(ctx context.Context) error {
	if len(u.Plan.kept) == 0 {
		return nil
	}
	return u.remember(ctx, u.Plan.kept)
}

// remove deletes a stage and returns when it is gone.
func (u *Uninstaller) remove(ctx context.Context, stage stage) error {
	done := u.Progress.Start("Deleting: " + stage.name)
	if stage.tekton {
		endWebhooks(ctx, u.Cluster.clients.Kube, stage.objects)
	}
	err := u.Cluster.applier().Remove(ctx, stage.objects, func(left int) {
		u.Progress.Update(fmt.Sprintf("Deleting: %s: %s left", stage.name, display.Count(left, "object")))
	})
	done(fmt.Sprintf("%s: %d deleted", stage.name, len(stage.all())), err)
	return err
}

// endWebhooks deletes the webhooks among a stage's Deployments without their grace
// period. A webhook goes on serving for half a minute after it is asked to stop, in case
// the API server still calls it; its configuration is deleted with the same stage. The
// kubelet ignores a grace period that is shortened later, so the first deletion of a pod
// has to be this one: its owners are deleted before, and do not replace it. Errors only
// cost time: the stage deletes the same objects again.
func endWebhooks(ctx context.Context, client kubernetes.Interface, objects []*unstructured.Unstructured) {
	orphan := metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationOrphan)}
	for _, object := range objects {
		if object.GetKind() != "Deployment" || !strings.HasSuffix(object.GetName(), "-webhook") {
			continue
		}
		apps, pods := client.AppsV1(), client.CoreV1().Pods(object.GetNamespace())
		deployment, err := apps.Deployments(object.GetNamespace()).Get(ctx, object.GetName(), metav1.GetOptions{})
		if err != nil {
			continue
		}
		selector, err := metav1.LabelSelectorAsSelector(deployment.Spec.Selector)
		if err != nil || apps.Deployments(object.GetNamespace()).Delete(ctx, object.GetName(), orphan) != nil {
			continue
		}
		owned := metav1.ListOptions{LabelSelector: selector.String()}
		replicaSets, err := apps.ReplicaSets(object.GetNamespace()).List(ctx, owned)
		if err != nil {
			continue
		}
		for _, set := range replicaSets.Items {
			_ = apps.ReplicaSets(object.GetNamespace()).Delete(ctx, set.Name, orphan)
		}
		_ = pods.DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: new(int64(1))}, owned)
	}
}

// remember writes the inventory of members, with a configuration that is marked as
// removed.
func (u *Uninstaller) remember(ctx context.Context, members []*unstructured.Unstructured) error {
	c := u.Cluster
	parent := newParent()
	if c.parent != nil {
		parent.SetLabels(maps.Clone(c.parent.GetLabels()))
	}
	text, err := yaml.Marshal(c.leftConfig())
	if err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	if err := unstructured.SetNestedField(parent.Object, string(text), "data", manifests.ConfigKey); err != nil {
		return err
	}
	labels := parent.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[manifests.LabelManagedBy] = manifests.FieldManager
	parent.SetLabels(labels)
	set := apply.Set{Parent: parent, Tooling: c.set.Tooling}
	others := slices.DeleteFunc(slices.Clone(members), isParent)
	for i := range others {
		others[i] = others[i].DeepCopy() // Mark labels them.
	}
	set.Mark(append(others, parent))
	_, err = c.applier().Apply(ctx, []*unstructured.Unstructured{parent})
	return err
}

// leftConfig returns the configuration for the next setup: settings stay, what was
// installed does not. If the configuration is lost, the volume's settings replace it.
func (c *Cluster) leftConfig() map[string]any {
	config := maps.Clone(c.config)
	delete(config, "namespaces")
	config["removed"] = true
	if config["version"] == nil {
		config["version"] = version.Version()
	}
	claim := slices.IndexFunc(c.members, isClaim)
	if config["registry"] == nil && claim >= 0 {
		spec, _, _ := unstructured.NestedMap(c.members[claim].Object, "spec")
		size, _, _ := unstructured.NestedString(spec, "resources", "requests", "storage")
		class, _, _ := unstructured.NestedString(spec, "storageClassName")
		config["registry"] = map[string]any{"storageSize": size, "storageClass": class}
	}
	return config
}

package setup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/apply"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/rollout"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/term"
)

// run is one setup under way.
type run struct {
	*Options
	*plan
	applier *apply.Applier
	steps   *term.Steps
	changes []apply.Change
}

// Run plans, applies stage by stage, and returns when everything is available.
// It can be interrupted and run again at any point.
func (o *Options) Run(ctx context.Context) error {
	start := time.Now()
	steps := term.NewSteps(o.Streams.ErrOut)
	done := steps.Start("Checking the cluster")
	plan, err := o.plan(ctx)
	done("Cluster checked", err)
	if err != nil {
		return err
	}
	if o.DryRun {
		return o.print(plan)
	}
	r := &run{Options: o, plan: plan, steps: steps, applier: &apply.Applier{
		Dynamic:         o.Clients.Dynamic,
		Mapper:          o.Clients.Mapper,
		FieldManager:    manifests.FieldManager,
		WebhookPatience: o.Timeout,
	}}
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout, fmt.Errorf("setup is not done after %s: see why with kubectl pyflow status, and raise --timeout when it only needs longer", o.Timeout))
	defer cancel()
	if err := r.all(ctx); err != nil {
		if cause := context.Cause(ctx); errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return fmt.Errorf("%w (%w)", cause, err)
		}
		return err
	}
	steps.Print(fmt.Sprintf("%s in %s; namespace %s is ready for builds", summary(r.changes), term.Seconds(time.Since(start)), o.Clients.Namespace))
	return nil
}

func (o *Options) print(plan *plan) error {
	for _, object := range plan.platform.Objects() {
		if err := o.Printer.PrintObj(object, o.Streams.Out); err != nil {
			return err
		}
	}
	return nil
}

// part is what one line of progress is about.
type part struct {
	name    string
	objects []*unstructured.Unstructured
}

// all applies what does not wait for anything first, so that images are pulled
// and pods start side by side.
func (r *run) all(ctx context.Context) error {
	before, err := r.currentParent(ctx)
	if err != nil {
		return err
	}
	p := r.platform
	tekton := "Tekton Pipelines " + r.config.Tekton.Version
	if r.config.Tekton.Adopted {
		r.steps.Print(fmt.Sprintf("✓ %s in namespace %s adopted as it is", tekton, r.config.Tekton.Namespace))
	}
	if err := r.apply(ctx, "Configuration", r.withParent(p.System, before)); err != nil {
		return err
	}
	parts := []part{{tekton, p.Tekton}, {"Registry", p.Registry}, {"Node access", p.NodeAccess}}
	for _, part := range parts {
		if err := r.apply(ctx, part.name, part.objects); err != nil {
			return err
		}
	}
	for _, part := range parts {
		if err := r.wait(ctx, part.name, part.objects); err != nil {
			return err
		}
	}
	if err := r.apply(ctx, "Tasks and Pipeline", p.Pipeline); err != nil {
		return err
	}
	if err := r.apply(ctx, "Access of the namespaces "+strings.Join(r.config.Namespaces, ", "), p.Namespaces); err != nil {
		return err
	}
	if err := r.prune(ctx, before); err != nil {
		return err
	}
	return r.logIn(ctx)
}

func (r *run) apply(ctx context.Context, name string, objects []*unstructured.Unstructured) error {
	if len(objects) == 0 {
		return nil
	}
	done := r.steps.Start("Applying " + lowerFirst(name))
	changes, err := r.applier.Apply(ctx, objects)
	done(fmt.Sprintf("%s: %s", name, summary(changes)), err)
	r.changes = append(r.changes, changes...)
	return err
}

// wait returns once the workloads among objects do their work.
func (r *run) wait(ctx context.Context, name string, objects []*unstructured.Unstructured) error {
	byNamespace := map[string][]release.Workload{}
	for _, object := range objects {
		if kind := object.GetKind(); kind == "Deployment" || kind == "DaemonSet" {
			namespace := object.GetNamespace()
			byNamespace[namespace] = append(byNamespace[namespace], release.Workload{Kind: kind, Name: object.GetName()})
		}
	}
	if len(byNamespace) == 0 {
		return nil
	}
	done := r.steps.Start("Waiting for " + lowerFirst(name))
	group, ctx := errgroup.WithContext(ctx)
	for namespace, workloads := range byNamespace {
		group.Go(func() error {
			err := rollout.Watch(ctx, r.Clients.Kube, namespace, workloads, "", func(update rollout.Update) {
				r.steps.Update("Waiting for " + lowerFirst(name) + ": " + cmp.Or(update.Trouble, update.State.Message))
			})
			if err != nil {
				return fmt.Errorf("namespace %s: %w", namespace, err)
			}
			return nil
		})
	}
	err := group.Wait()
	done(name+" available", err)
	var failure *rollout.Failure
	if errors.As(err, &failure) {
		r.steps.Log(failure.Pod, failure.Log...)
	}
	return err
}

// currentParent is the inventory that the last run left, nil when there is none.
func (r *run) currentParent(ctx context.Context) (*unstructured.Unstructured, error) {
	configMaps := corev1.SchemeGroupVersion.WithResource("configmaps")
	resource := r.Clients.Dynamic.Resource(configMaps).Namespace(manifests.SystemNamespace)
	parent, err := resource.Get(ctx, manifests.ConfigName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return parent, err
}

// withParent replaces the inventory among objects by one that still lists what
// the last run installed.
func (r *run) withParent(objects []*unstructured.Unstructured, before *unstructured.Unstructured) []*unstructured.Unstructured {
	if before == nil {
		return objects
	}
	objects = slices.Clone(objects)
	objects[slices.Index(objects, r.set.Parent)] = r.set.Extend(before)
	return objects
}

// prune deletes what the last run installed and this one does not.
func (r *run) prune(ctx context.Context, before *unstructured.Unstructured) error {
	if before == nil {
		return nil
	}
	done := r.steps.Start("Looking for what is no longer needed")
	pruned, err := r.applier.Prune(ctx, r.set, before, r.platform.Objects())
	if err == nil {
		var parent []apply.Change
		parent, err = r.applier.Apply(ctx, []*unstructured.Unstructured{r.set.Parent})
		r.changes = append(r.changes, parent...)
	}
	done("Inventory: "+summary(pruned), err)
	r.changes = append(r.changes, pruned...)
	return err
}

// logIn proves that the namespace's credentials open the registry. A registry
// that runs already reads changed users from its volume when the kubelet has
// brought them there, within about a minute; a changed annotation on the pod
// makes that at once.
func (r *run) logIn(ctx context.Context) error {
	done := r.steps.Start("Logging in to the registry")
	err := func() error {
		if slices.ContainsFunc(r.changes, func(change apply.Change) bool {
			return change.Result == apply.Configured && change.Object.GetKind() == "Secret" && change.Object.GetName() == manifests.AuthName
		}) {
			if err := r.nudgeRegistry(ctx); err != nil {
				return err
			}
		}
		client, err := platform.Registry(r.Clients.Config, r.Clients.Kube, r.config.Registry.Host, r.login, r.ca)
		if err != nil {
			return err
		}
		defer client.Close()
		var last error
		err = wait.PollUntilContextCancel(ctx, time.Second, true, func(ctx context.Context) (bool, error) {
			last = client.Ping(ctx)
			return last == nil, nil
		})
		return errors.Join(err, last)
	}()
	done("Registry accepts the login of namespace "+r.Clients.Namespace, err)
	return err
}

func (r *run) nudgeRegistry(ctx context.Context) error {
	pods := r.Clients.Kube.CoreV1().Pods(manifests.SystemNamespace)
	list, err := pods.List(ctx, metav1.ListOptions{LabelSelector: manifests.RegistrySelector})
	if err != nil {
		return fmt.Errorf("list the registry's pods: %w", err)
	}
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"pyflow.dev/users-changed":%q}}}`, time.Now().UTC().Format(time.RFC3339Nano))
	for _, pod := range list.Items {
		_, err := pods.Patch(ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: manifests.FieldManager})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("annotate pod %s: %w", pod.Name, err)
		}
	}
	return nil
}

// summary counts changes by result: "3 created, 1 configured", or "nothing changed".
func summary(changes []apply.Change) string {
	counts := map[apply.Result]int{}
	for _, change := range changes {
		counts[change.Result]++
	}
	var parts []string
	for _, result := range []apply.Result{apply.Created, apply.Configured, apply.Pruned} {
		if counts[result] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[result], result))
		}
	}
	if len(parts) == 0 {
		return "nothing changed"
	}
	return strings.Join(parts, ", ")
}

// lowerFirst puts a name into the middle of a sentence; a proper name stays.
func lowerFirst(name string) string {
	if strings.HasPrefix(name, "Tekton") {
		return name
	}
	return strings.ToLower(name[:1]) + name[1:]
}
